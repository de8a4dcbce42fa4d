// Several masters on one line, one request at a time: what the device at the other end of the line sees, and what each master gets.
// The device is slow, answers in pieces, and falls silent now and then; without arbitration the same masters spoil each other.
import { describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import { DEFAULT_SETTINGS } from '../../src/serial/line.js';
import type { SharedPortOptions } from '../../src/serve/port-server.js';
import { TcpServerPort } from '../../src/serve/tcp-server.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import { endsOfTests, sleep, stall, holds as until } from '../support/leftovers.js';
import { RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const ends = endsOfTests();

/** Answers "a1?" with "a1=" and 60 bytes, in two pieces, after a while; to "x..." it says nothing. */
class Slave {
  readonly line = new SerialLine();
  /** Requests that came before the one before was answered. */
  collisions = 0;
  readonly requests: string[] = [];
  /** After so long. */
  delayMs = 8;
  #seen = 0;
  #busy = 0;
  readonly #timer = setInterval(() => this.#look(), 1);

  constructor() {
    ends.push(() => {
      clearInterval(this.#timer);
      this.line.unplug();
    });
  }

  #look(): void {
    const text = this.line.received.toString('latin1');
    for (let end = text.indexOf('?', this.#seen); end >= 0; end = text.indexOf('?', this.#seen)) {
      const request = text.slice(this.#seen, end);
      this.#seen = end + 1;
      this.requests.push(request);
      if (this.#busy > 0) this.collisions++;
      if (!request.startsWith('x')) void this.#answer(request);
    }
  }

  async #answer(request: string): Promise<void> {
    this.#busy++;
    await sleep(this.delayMs);
    const answer = `${request}=${'.'.repeat(60)};`;
    this.line.send(answer.slice(0, 20));
    await sleep(3);
    this.#busy--;
    this.line.send(answer.slice(20));
  }
}

async function rig(arbitration: SharedPortOptions['arbitration'], baudRate = 9600) {
  const slave = new Slave();
  const clock = new SystemClock();
  const settings = { ...DEFAULT_SETTINGS, baudRate };
  const uart = new SerialPortUart({ device: slave.line.path, clock, settings, lockDirectory: '/nowhere' });
  const server = new TcpServerPort({ clock, uart, address: '127.0.0.1', port: 0, maxConnection: 8, arbitration });
  ends.push(() => server.close());
  await server.open();
  const master = async () => {
    const peer = await RawPeer.connect(server.tcpPorts[0] ?? 0);
    ends.push(() => peer.close());
    return peer;
  };
  return { slave, server, master };
}

const TURNS = 12;

async function asks(peer: RawPeer, name: string): Promise<void> {
  for (let i = 0; i < TURNS; i++) {
    const before = peer.received.length;
    // A request in two segments is one.
    peer.send(Buffer.from(`${name}${i}`));
    await sleep(i % 3);
    peer.send(Buffer.from('?'));
    await until(() => peer.received.includes(';', before));
  }
}

const answersOf = (name: string) => Array.from({ length: TURNS }, (_, i) => `${name}${i}=${'.'.repeat(60)};`).join('');

describe('one request at a time', () => {
  test('four masters: the device has one request at a time, each master its own answers', async () => {
    const { slave, master } = await rig({ responseTimeoutMs: 10_000, lateAnswers: 'discard' });
    const names = ['a', 'b', 'c', 'd'];
    const peers = await Promise.all(names.map(() => master()));
    await Promise.all(peers.map((peer, i) => asks(peer, names[i] ?? '')));
    expect(slave.collisions).toBe(0);
    expect(slave.requests).toHaveLength(names.length * TURNS);
    for (const [i, peer] of peers.entries()) expect(peer.received.toString('latin1')).toBe(answersOf(names[i] ?? ''));
    // Nobody waits for ever: each had its turn before anybody had its third one again.
    const first = slave.requests.slice(0, 8).map((request) => request[0]);
    expect(new Set(first)).toEqual(new Set(names));
  });

  test('without it they do collide: the test would see it', async () => {
    const { slave, master } = await rig(null);
    const peers = [await master(), await master()];
    for (const [i, peer] of peers.entries()) peer.send(Buffer.from(`${'ab'[i]}0?`));
    await until(() => slave.requests.length === 2);
    expect(slave.collisions).toBeGreaterThan(0);
    await until(() => (peers[0]?.received.toString('latin1').match(/;/g) ?? []).length === 2);
  });

  test.each(['discard', 'last-requester', 'all'] as const)('an answer after its time: %s', async (lateAnswers) => {
    const { slave, master } = await rig({ responseTimeoutMs: 60, lateAnswers });
    const [one, other] = [await master(), await master()];
    slave.delayMs = 200;
    one.send(Buffer.from('a0?'));
    await until(() => slave.requests.length === 1);
    await sleep(400);
    const late = `a0=${'.'.repeat(60)};`;
    expect(one.received.toString('latin1')).toBe(lateAnswers === 'discard' ? '' : late);
    expect(other.received.toString('latin1')).toBe(lateAnswers === 'all' ? late : '');
    slave.delayMs = 5;
    other.send(Buffer.from('b0?'));
    await until(() => other.received.toString('latin1').endsWith(`b0=${'.'.repeat(60)};`));
  });

  test('a request that nobody answers holds the others up for the response time, and no longer', async () => {
    const { slave, server, master } = await rig({ responseTimeoutMs: 100, lateAnswers: 'discard' });
    const [one, other] = [await master(), await master()];
    one.send(Buffer.from('x?'));
    await until(() => slave.requests.length === 1);
    const began = performance.now();
    other.send(Buffer.from('b0?'));
    await until(() => other.received.includes(';'));
    expect(performance.now() - began).toBeGreaterThan(90);
    expect(server.arbitrated).toMatchObject({ timeouts: 1 });
  });

  test('an answer that came in time is none that is late, though the daemon itself was stopped meanwhile', async () => {
    const { slave, server, master } = await rig({ responseTimeoutMs: 200, lateAnswers: 'discard' });
    const one = await master();
    one.send(Buffer.from('x?'));
    await until(() => slave.requests.length === 1);
    slave.line.send('x=1;');
    stall(400);
    await until(() => server.arbitrated?.timeouts !== 0 || one.received.includes(';'));
    expect(one.received.toString('latin1')).toBe('x=1;');
    expect(server.arbitrated).toMatchObject({ timeouts: 0 });
  });

  test('a master that leaves in the middle of its request, or before the answer, is no end of the others', async () => {
    const { slave, master } = await rig({ responseTimeoutMs: 100, lateAnswers: 'all' });
    const [half, gone, other] = [await master(), await master(), await master()];
    half.send(Buffer.from('x'));
    await until(() => slave.line.received.length === 1);
    half.close();
    gone.send(Buffer.from('x?'));
    await sleep(20);
    gone.close();
    other.send(Buffer.from('b0?'));
    await until(() => other.received.toString('latin1').endsWith(`b0=${'.'.repeat(60)};`));
  });

  test('who floods has its turn and no more, and is bounded', async () => {
    const { slave, server, master } = await rig({ responseTimeoutMs: 50, lateAnswers: 'discard' }, 921_600);
    const [flood, other] = [await master(), await master()];
    flood.socket.write(Buffer.alloc(8_000_000, 'z'));
    await until(() => slave.line.received.length > 0);
    for (let turn = 0; turn < 5; turn++) {
      const before = slave.line.received.length;
      other.send(Buffer.from(`b${turn}?`));
      await until(() => slave.line.received.includes(`b${turn}?`));
      // The turn that it came into, and one more where it came at its end.
      expect(slave.line.received.indexOf(`b${turn}?`) - before).toBeLessThanOrEqual(2 * 4096);
    }
    expect(server.clients[0]?.received).toBeLessThan(1_000_000);
  });
});
