// The record of a port: what one process wrote the next one reads, and nothing else is taken for one.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatKeptPort, type KeptPort, parseKeptPort } from '../../../src/driver/kept-port.js';
import type { LineRequest, LineSettings } from '../../../src/serial/line.js';

const bool = fc.boolean();
const byte = fc.nat(255);
const queue = fc.constantFrom('rx' as const, 'tx' as const, 'both' as const);
const outputLines = fc.record({ dtr: bool, rts: bool });
const settings: fc.Arbitrary<LineSettings> = fc.record({
  baudRate: fc.oneof(fc.nat(4_000_000), fc.double({ min: 0, max: 4e6, noNaN: true }).map(Math.abs)),
  dataBits: fc.constantFrom(5, 6, 7, 8),
  parity: fc.constantFrom('none', 'even', 'odd', 'mark', 'space'),
  stopBits: fc.constantFrom(1, 1.5, 2),
  flowControl: fc.record({ rtsCts: bool, xonXoffOut: bool, xonXoffIn: bool, xon: byte, xoff: byte }),
});
const request: fc.Arbitrary<LineRequest> = fc.oneof(
  fc.record({ type: fc.constant('settings' as const), settings, lines: outputLines }),
  fc.record({ type: fc.constant('lines' as const), lines: outputLines }),
  fc.record({ type: fc.constantFrom('break' as const, 'transmitter' as const), on: bool }),
  fc.record({ type: fc.constant('flush' as const), queue }),
  fc.record({ type: fc.constant('fifo' as const), bytes: fc.constantFrom(1, 16) }),
);
const attempt = { holder: fc.constantFrom('open' as const, 'gone' as const, 'none' as const), again: bool };
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });
const keptPort: fc.Arbitrary<KeptPort> = fc.record({
  state: fc.oneof(
    fc.record({ name: fc.constantFrom('connecting' as const, 'initialising' as const), ...attempt }),
    fc.record({
      name: fc.constantFrom('idle' as const, 'up' as const, 'closing' as const, 'lingering' as const, 'kept' as const),
    }),
    fc.record({ name: fc.constant('failed' as const), reason: fc.string() }),
  ),
  reconnect: bool,
  target: fc.string(),
  lines: fc.record({
    settings: maybe(settings),
    lines: maybe(outputLines),
    flush: maybe(queue),
    requests: fc.array(request, { maxLength: 65 }),
    finishing: bool,
  }),
  link: fc.oneof(fc.constant(undefined), fc.dictionary(fc.string(), fc.jsonValue())),
});

/** As it comes out of the port's file. */
const stored = (port: KeptPort): unknown => JSON.parse(JSON.stringify(formatKeptPort(port)));

test('what was written is read, whatever the state, the lines and the requests', () => {
  const property = fc.property(keptPort, (port) => {
    // As JSON says it: without -0, and without what is undefined.
    expect(parseKeptPort(stored(port))).toEqual(JSON.parse(JSON.stringify(port)));
  });
  fc.assert(property, { numRuns: 500 });
});

test('another version is not read', () => {
  const property = fc.property(keptPort, fc.jsonValue(), (port, version) => {
    fc.pre(version !== 1);
    expect(parseKeptPort({ ...Object(stored(port)), version })).toBeUndefined();
  });
  fc.assert(property);
});

test('nothing else is taken for a record, and nothing throws', () => {
  fc.assert(fc.property(fc.anything(), (value) => parseKeptPort(value) === undefined));
});

test('a record with one part that cannot be is none', () => {
  const good: KeptPort = {
    state: { name: 'up' },
    reconnect: false,
    target: 'here',
    lines: { settings: undefined, lines: undefined, flush: undefined, requests: [], finishing: false },
    link: undefined,
  };
  const bad: unknown[] = [
    { ...good, state: { name: 'flying' } },
    { ...good, state: { name: 'connecting', holder: 'open' } },
    { ...good, reconnect: 'yes' },
    { ...good, target: 5 },
    { ...good, lines: { ...good.lines, flush: 'all' } },
    { ...good, lines: { ...good.lines, requests: [{ type: 'break' }] } },
    { ...good, lines: { ...good.lines, requests: Array(129).fill({ type: 'break', on: true }) } },
    { ...good, lines: { ...good.lines, lines: { dtr: 1, rts: 0 } } },
  ];
  expect(parseKeptPort(stored(good))).toBeDefined();
  for (const record of bad) expect(parseKeptPort({ ...Object(record), version: 1 })).toBeUndefined();
});

test('the longest that a port can have to say fits a slot of its file', () => {
  const widest: LineSettings = {
    baudRate: 123_456.789_012_345_67,
    dataBits: 8,
    parity: 'space',
    stopBits: 1.5,
    flowControl: { rtsCts: false, xonXoffOut: false, xonXoffIn: false, xon: 255, xoff: 255 },
  };
  // LineSync keeps 64 that wait, which a tty has of these kinds only, and one that is under way.
  const requests: LineRequest[] = Array(65).fill({ type: 'lines', lines: { dtr: false, rts: false } });
  const pending = Array(300).fill(255);
  const record = formatKeptPort({
    state: { name: 'failed', reason: 'x'.repeat(4096) },
    reconnect: false,
    target: 'x'.repeat(300),
    lines: { settings: widest, lines: { dtr: false, rts: false }, flush: 'both', requests, finishing: false },
    link: {
      peer: 'x'.repeat(80),
      commandPlace: 'x'.repeat(80),
      roundTripMs: 1 / 3,
      engine: { pending, outstanding: pending },
    },
  });
  expect(JSON.stringify(record).length).toBeLessThan(16 * 1024 - 12);
});
