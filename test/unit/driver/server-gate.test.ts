import { describe, expect, test } from 'vitest';
import { type GateTicket, ServerGate } from '../../../src/driver/server-gate.js';
import { ManualClock } from '../../support/manual-clock.js';

function setup(ports: number, limit = 64) {
  const clock = new ManualClock();
  const gate = new ServerGate({ clock, random: () => 0, limit });
  const granted: number[] = [];
  const tickets: GateTicket[] = [];
  for (let i = 0; i < ports; i++) tickets.push(gate.enter());
  const ask = (i: number) => tickets[i]?.request(() => granted.push(i));
  return { clock, gate, granted, tickets, ask };
}

describe('the gate of a server', () => {
  test('lets a first attempt through at once, but not from inside the request', () => {
    const { clock, granted, ask } = setup(1);
    ask(0);
    expect(granted).toEqual([]);
    clock.advance(0);
    expect(granted).toEqual([0]);
  });

  test('lets at most the limit be between SYN and ready', () => {
    const { clock, granted, tickets, ask } = setup(10, 3);
    for (let i = 0; i < 10; i++) ask(i);
    clock.advance(0);
    expect(granted).toEqual([0, 1, 2]);
    tickets[1]?.succeeded();
    clock.advance(0);
    expect(granted).toEqual([0, 1, 2, 3]);
  });

  test('a server that is down is probed once a second in all, by each port in turn', () => {
    const { clock, granted, gate, tickets, ask } = setup(16);
    for (let i = 0; i < 16; i++) ask(i);
    clock.advance(0);
    for (const i of [...granted]) {
      tickets[i]?.failed();
      ask(i);
    }
    expect(gate.down).toBe(true);
    granted.length = 0;
    for (let second = 0; second < 20; second++) {
      const before = granted.length;
      clock.advance(1000);
      const probes = granted.slice(before);
      expect(probes).toHaveLength(1);
      for (const i of probes) {
        tickets[i]?.failed();
        ask(i);
      }
    }
    expect(new Set(granted).size).toBe(16);
  });

  test("a probe's success releases all others at once", () => {
    const { clock, granted, gate, tickets, ask } = setup(16);
    ask(0);
    clock.advance(0);
    tickets[0]?.failed();
    for (let i = 0; i < 16; i++) ask(i);
    granted.length = 0;
    clock.advance(1000);
    expect(granted).toHaveLength(1);
    const first = granted[0] ?? -1;
    tickets[first]?.succeeded();
    expect(gate.down).toBe(false);
    clock.advance(0);
    expect(granted).toHaveLength(16);
  });

  test('after ten minutes a probe every five seconds', () => {
    const { clock, granted, tickets, ask } = setup(1);
    ask(0);
    clock.advance(0);
    for (let t = 0; t < 600; t++) {
      tickets[0]?.failed();
      ask(0);
      clock.advance(1000);
    }
    granted.length = 0;
    tickets[0]?.failed();
    ask(0);
    clock.advance(4999);
    expect(granted).toEqual([]);
    clock.advance(1);
    expect(granted).toEqual([0]);
  });

  test('a busy port tries again once a second while the others of its server are up', () => {
    const { clock, granted, gate, tickets, ask } = setup(2);
    ask(0);
    ask(1);
    clock.advance(0);
    tickets[0]?.succeeded();
    tickets[1]?.failed();
    ask(1);
    expect(gate.down).toBe(false);
    granted.length = 0;
    clock.advance(999);
    expect(granted).toEqual([]);
    clock.advance(1);
    expect(granted).toEqual([1]);
  });

  test('a lost connection is tried again at once, one that flaps not at once again and again', () => {
    const { clock, granted, tickets, ask } = setup(1);
    ask(0);
    clock.advance(0);
    tickets[0]?.succeeded();
    clock.advance(5000);
    tickets[0]?.lost();
    ask(0);
    clock.advance(0);
    expect(granted).toHaveLength(2);
    tickets[0]?.succeeded();
    tickets[0]?.lost();
    ask(0);
    clock.advance(0);
    expect(granted).toHaveLength(2);
    clock.advance(250);
    expect(granted).toHaveLength(3);
  });

  test('who cancels gets no turn, and frees the place it had', () => {
    const { clock, granted, tickets, ask } = setup(3, 1);
    for (let i = 0; i < 3; i++) ask(i);
    clock.advance(0);
    tickets[1]?.cancel();
    tickets[0]?.cancel();
    clock.advance(0);
    expect(granted).toEqual([0, 2]);
  });

  test('leaves no timer behind', () => {
    const { clock, tickets, ask } = setup(2);
    ask(0);
    ask(1);
    for (const ticket of tickets) ticket.leave();
    clock.advance(10_000);
    expect(clock.timers).toBe(0);
  });
});
