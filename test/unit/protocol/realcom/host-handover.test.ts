// An engine that goes on where another was: two are as one, wherever the bytes and the work are cut between them.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { describeFrame } from '../../../../src/protocol/realcom/describe.js';
import { HostEngine, type HostOutput, type HostState } from '../../../../src/protocol/realcom/host.js';
import { DEFAULT_SETTINGS, type LineRequest } from '../../../../src/serial/line.js';
import { concat, hex, toHex } from './support.js';

const PEER = { peer: '10.0.0.1:966' };
const LINES: LineRequest = { type: 'lines', lines: { dtr: true, rts: true } };
const FIFO: LineRequest = { type: 'fifo', bytes: 16 };

/** As it goes through the port's file. */
const stored = (state: HostState | undefined): HostState => JSON.parse(JSON.stringify(state));

function fresh(): HostEngine {
  const host = new HostEngine(PEER);
  host.start();
  return host;
}

function next(host: HostEngine): { host: HostEngine; outputs: HostOutput[] } {
  const second = new HostEngine({ ...PEER, preamble: 'on' });
  return { host: second, outputs: second.adopt(stored(host.state)) };
}

const frames = (outputs: readonly HostOutput[]) =>
  outputs.flatMap((o) => (o.type === 'received' ? [describeFrame(o.frame)] : []));
const told = (outputs: readonly HostOutput[]) =>
  outputs.flatMap((o) => {
    if (o.type === 'write') return [`> ${toHex(o.bytes)}`];
    if (o.type === 'report') return [JSON.stringify(o.report)];
    if (o.type === 'settled' || o.type === 'failed') return [`${o.type} ${o.id}`];
    return o.type === 'close' ? [`close ${o.fault.code}`] : [];
  });

const NOTIFY = fc
  .record({ mask: fc.constantFrom(0, 1, 2, 4), msr: fc.nat(255) })
  .map(({ mask, msr }) => hex(`26 ${mask.toString(16)} ${msr.toString(16)} 00`));
const POLLING = fc.nat(255).map((token) => Uint8Array.of(0x27, 0x01, token));

test('cut at any byte, the frames of two engines are those of one', () => {
  const stream = fc.array(fc.oneof(NOTIFY, POLLING), { minLength: 1, maxLength: 12 }).map(concat);
  const property = fc.property(stream, (bytes) => {
    const one = fresh();
    const whole = one.receive(bytes);
    for (let at = 0; at <= bytes.length; at++) {
      const first = fresh();
      const before = first.receive(bytes.subarray(0, at));
      const { host, outputs } = next(first);
      const after = [...outputs, ...host.receive(bytes.subarray(at))];
      expect([...frames(before), ...frames(after)]).toEqual(frames(whole));
      expect([...told(before), ...told(after)]).toEqual(told(whole));
      expect(host.modemLines).toEqual(one.modemLines);
    }
  });
  fc.assert(property, { numRuns: 50 });
});

/** With LINECTRL written and not answered. */
function outstanding(request: LineRequest = LINES): HostEngine {
  const first = fresh();
  first.request(7, request);
  return first;
}

test('the reply to a command of before is awaited, and nobody is told of it; what is asked waits for it', () => {
  const { host, outputs } = next(outstanding());
  expect(outputs).toContainEqual({ type: 'timer', afterMs: 2000 });
  expect(told(host.request(1, FIFO))).toEqual([]);
  expect(told(host.receive(hex('12 4f 4b')))).toEqual(['settled 0', '> 30 01 10']);
  expect(told(host.receive(hex('30 4f 4b')))).toEqual(['settled 1']);
});

test('a reply cut in two by the restart is one', () => {
  const first = outstanding();
  first.receive(hex('12 4f'));
  const { host } = next(first);
  expect(told(host.receive(hex('4b')))).toEqual(['settled 0']);
});

test('without that reply the next goes ahead after 2 s, and the connection stays', () => {
  const { host } = next(outstanding());
  host.request(1, FIFO);
  expect(told(host.timeout())).toEqual(['> 30 01 10']);
  // Late, it is nobody's.
  expect(told(host.receive(hex('12 4f 4b')))).toEqual([]);
  expect(told(host.receive(hex('30 4f 4b')))).toEqual(['settled 1']);
  expect(host.state?.outstanding).toBeUndefined();
});

test("late and of the same code it settles what is asked now; the second reply is nobody's", () => {
  const { host } = next(outstanding());
  host.request(1, LINES);
  expect(told(host.timeout())).toEqual(['> 12 02 01 01']);
  expect(told(host.receive(hex('12 4f 4b 12 4f 4b')))).toEqual(['settled 1']);
  expect(told(host.request(2, FIFO))).toEqual(['> 30 01 10']);
});

test('without anything outstanding a request goes out at once, and has its own time', () => {
  const { host, outputs } = next(fresh());
  expect(outputs).toEqual([{ type: 'ready' }]);
  expect(host.request(1, FIFO)).toContainEqual({ type: 'timer', afterMs: 10_000 });
  expect(told(host.timeout())).toEqual(['failed 1', 'close PEER_MUTE']);
});

test('POLLING is answered while an adopted command is outstanding', () => {
  const { host } = next(outstanding());
  expect(told(host.receive(hex('27 01 24')))).toEqual(['> 28 01 24']);
});

test('a refusal of before is reported to nobody', () => {
  const { host } = next(outstanding({ type: 'settings', settings: DEFAULT_SETTINGS, lines: { dtr: true, rts: true } }));
  expect(told(host.receive(hex('2c 03 ff ff ff')))).toEqual(['settled 0']);
  expect(host.state).toBeDefined();
});

test('every command is kept as it was sent, and through a second restart', () => {
  const requests: LineRequest[] = [
    LINES,
    FIFO,
    { type: 'settings', settings: DEFAULT_SETTINGS, lines: { dtr: true, rts: false } },
    { type: 'settings', settings: { ...DEFAULT_SETTINGS, baudRate: 123_456 }, lines: { dtr: true, rts: true } },
    { type: 'break', on: true },
    { type: 'break', on: false },
    { type: 'flush', queue: 'both' },
    { type: 'transmitter', on: false },
    { type: 'transmitter', on: true },
  ];
  for (const request of requests) {
    const first = outstanding(request);
    const second = next(first).host;
    expect(stored(second.state)).toEqual(stored(first.state));
    expect(stored(next(second).host.state)).toEqual(stored(first.state));
  }
  const asking = fresh();
  asking.outputQueue(1, 100);
  expect(stored(next(asking).host.state)).toEqual(stored(asking.state));
});

test('before commands may flow and after the end there is nothing to hand over', () => {
  const waiting = new HostEngine({ ...PEER, preamble: 'on' });
  waiting.start();
  expect(waiting.state).toBeUndefined();
  const ended = fresh();
  ended.receive(hex('ff'));
  expect(ended.state).toBeUndefined();
});

test('any bytes as a state: nothing throws', () => {
  const bytes = fc.array(fc.nat(255), { maxLength: 300 });
  const states = fc.record({
    pending: bytes,
    outstanding: fc.option(bytes, { nil: undefined }),
    answered: fc.boolean(),
    lines: fc.constant(undefined),
  });
  fc.assert(
    fc.property(states, (state) => {
      const host = new HostEngine(PEER);
      host.adopt(state);
      host.request(1, FIFO);
      host.timeout();
      void host.state;
    }),
  );
});
