// How bytes become packets, rule by rule, and what holds whatever the rules are.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PackingRules } from '../../../src/config/packing.js';
import { DEFAULT_SETTINGS } from '../../../src/serial/line.js';
import { modbusSilenceMs, Packer, Packing } from '../../../src/serve/packing.js';
import { ManualClock } from '../../support/manual-clock.js';

const rules = (some: Partial<PackingRules> = {}): PackingRules => ({
  packetLength: 0,
  delimiter: [],
  delimiterProcess: 0,
  forceTransmit: 0,
  ...some,
});
const packets = (packer: Packer, ...chunks: (string | Uint8Array)[]) =>
  chunks.flatMap((chunk) => packer.take(Buffer.from(chunk))).map((packet) => Buffer.from(packet).toString('latin1'));

const CR = 0x0d;
const LF = 0x0a;

test.each<[string, Partial<PackingRules>, string[], string[], number]>([
  ['no rule: as it comes', {}, ['ab', 'c'], ['ab', 'c'], 0],
  ['a length: as soon as it is there', { packetLength: 3 }, ['ab', 'cdefg'], ['abc', 'def'], 1],
  ['a delimiter goes along', { delimiter: [CR] }, ['ab\rc', 'd\r\re'], ['ab\r', 'cd\r', '\r'], 1],
  ['two delimiters are a sequence', { delimiter: [CR, LF] }, ['a\rb\nc\r', '\nd'], ['a\rb\nc\r\n'], 1],
  ['the first of two may come twice', { delimiter: [CR, LF] }, ['a\r\r\n'], ['a\r\r\n'], 0],
  ['two equal delimiters', { delimiter: [LF, LF] }, ['a\n\n\nb\n\n'], ['a\n\n', '\nb\n\n'], 0],
  ['one more byte', { delimiter: [3], delimiterProcess: 1 }, ['ab\x03', 'Xcd\x03\x03e'], ['ab\x03X', 'cd\x03\x03'], 1],
  ['two more bytes', { delimiter: [3], delimiterProcess: 2 }, ['ab\x03X', 'Yc'], ['ab\x03XY'], 1],
  ['a delimiter that is stripped', { delimiter: [CR], delimiterProcess: 'strip' }, ['ab\rc\r\rd'], ['ab', 'c'], 1],
  [
    'two that are stripped',
    { delimiter: [CR, LF], delimiterProcess: 'strip' },
    ['ab\r\nc\rd\r', '\n'],
    ['ab', 'c\rd'],
    0,
  ],
  ['a length counts, delimiters do not', { packetLength: 4, delimiter: [CR] }, ['a\rbc'], ['a\rbc'], 0],
  ['silence alone: all waits', { forceTransmit: 50 }, ['ab', 'c\r'], [], 4],
])('%s', (_, some, chunks, expected, held) => {
  const packer = new Packer(rules(some));
  expect(packets(packer, ...chunks)).toEqual(expected);
  expect(packer.held).toBe(held);
});

test.each<[string, Partial<PackingRules>]>([
  ['a longer length', { packetLength: 1024 }],
  ['a delimiter', { delimiter: [CR] }],
  ['silence', { forceTransmit: 1000 }],
])('a full buffer goes before %s', (_, some) => {
  const packer = new Packer(rules(some));
  expect(packets(packer, Buffer.alloc(2500, 'x')).map(({ length }) => length)).toEqual([1024, 1024]);
  expect(packer.held).toBe(452);
});

test('a sequence that a full buffer cuts is still one; what is left of it is stripped', () => {
  const packer = new Packer(rules({ delimiter: [CR, LF], delimiterProcess: 'strip' }));
  expect(packets(packer, Buffer.concat([Buffer.alloc(1023, 'x'), Buffer.from('\r')]))).toHaveLength(1);
  expect(packets(packer, '\nab\r\n')).toEqual(['ab']);
});

const anyRules = fc.record({
  packetLength: fc.oneof(fc.constant(0), fc.integer({ min: 1, max: 1024 })),
  delimiter: fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 2 }),
  delimiterProcess: fc.constantFrom(0 as const, 1 as const, 2 as const),
  forceTransmit: fc.constantFrom(0, 10),
});

describe('whatever the rules and the chunks', () => {
  test('no byte is lost, added or moved, and no packet is longer than the buffer', () => {
    fc.assert(
      fc.property(anyRules, fc.array(fc.uint8Array({ max: 3, maxLength: 1500 }), { maxLength: 8 }), (some, chunks) => {
        const packer = new Packer(some);
        const all = [...chunks.flatMap((chunk) => packer.take(chunk)), ...packer.flush()];
        expect(Buffer.concat(all).equals(Buffer.concat(chunks))).toBe(true);
        expect(all.every(({ length }) => length > 0 && length <= 1024)).toBe(true);
        expect(packer.held).toBe(0);
      }),
    );
  });

  test('where the bytes are cut changes no packet, once there is a rule', () => {
    const ruled = anyRules.filter((some) => some.packetLength + some.delimiter.length + some.forceTransmit > 0);
    fc.assert(
      fc.property(
        ruled,
        fc.uint8Array({ max: 3, maxLength: 3000 }),
        fc.integer({ min: 1, max: 700 }),
        (some, bytes, cut) => {
          const whole = new Packer(some);
          const pieces = new Packer(some);
          const chunks: Uint8Array[] = [];
          for (let at = 0; at < bytes.length; at += cut) chunks.push(bytes.subarray(at, at + cut));
          expect(packets(pieces, ...chunks)).toEqual(packets(whole, bytes));
        },
      ),
    );
  });
});

describe('silence', () => {
  function started(some: Partial<PackingRules>, settings = DEFAULT_SETTINGS) {
    const clock = new ManualClock();
    const packing = new Packing(rules(some), clock);
    const sent: string[] = [];
    packing.start(
      () => settings,
      (packet) => sent.push(Buffer.from(packet).toString()),
    );
    return { clock, packing, sent };
  }

  test('bytes with shorter gaps go together; the gap is between bytes, not from the first', () => {
    const { clock, packing, sent } = started({ forceTransmit: 20 });
    for (const part of ['a', 'b', 'c']) {
      packing.take(Buffer.from(part));
      clock.advance(19);
    }
    expect(sent).toEqual([]);
    clock.advance(1);
    expect(sent).toEqual(['abc']);
    packing.take(Buffer.from('d'));
    clock.advance(20);
    expect(sent).toEqual(['abc', 'd']);
  });

  test('a delimiter does not wait for it, and what silence has sent waits for no further byte', () => {
    const { clock, packing, sent } = started({ forceTransmit: 20, delimiter: [3], delimiterProcess: 1 });
    packing.take(Buffer.from('ab\x03Xc'));
    expect(sent).toEqual(['ab\x03X']);
    packing.take(Buffer.from('\x03'));
    clock.advance(20);
    packing.take(Buffer.from('de'));
    clock.advance(20);
    expect(sent).toEqual(['ab\x03X', 'c\x03', 'de']);
  });

  test('the end sends what waits; what is dropped is not sent', () => {
    const { clock, packing, sent } = started({ forceTransmit: 20 });
    packing.take(Buffer.from('ab'));
    packing.drop();
    clock.advance(100);
    packing.take(Buffer.from('cd'));
    packing.flush();
    clock.advance(100);
    expect(sent).toEqual(['cd']);
  });

  test('a frame goes on in the next process: what is not read is no silence, before and after', () => {
    const one = started({ forceTransmit: 'modbus-rtu' });
    one.packing.take(Buffer.from('fra'));
    one.packing.pause();
    one.clock.advance(1000);
    expect(one.sent).toEqual([]);
    const next = started({ forceTransmit: 'modbus-rtu' });
    next.packing.goOn(one.packing.handOver());
    next.clock.advance(50);
    next.packing.take(Buffer.from('me'));
    next.clock.advance(5);
    expect(next.sent).toEqual(['frame']);
    next.packing.goOn(Buffer.from('all'));
    next.clock.advance(100);
    expect(next.sent).toEqual(['frame', 'all']);
  });

  test.each([
    [{ baudRate: 1200 }, 29.17],
    [{ baudRate: 9600 }, 3.65],
    [{ baudRate: 9600, parity: 'even' as const }, 4.01],
    [{ baudRate: 19_200 }, 1.82],
    [{ baudRate: 38_400 }, 1.75],
    [{ baudRate: 115_200 }, 1.75],
  ])('of Modbus RTU: %o: %d ms', (some, ms) => {
    expect(modbusSilenceMs({ ...DEFAULT_SETTINGS, ...some })).toBeCloseTo(ms, 2);
    const { clock, packing, sent } = started({ forceTransmit: 'modbus-rtu' }, { ...DEFAULT_SETTINGS, ...some });
    packing.take(Buffer.from('fra'));
    clock.advance(ms - 0.2);
    packing.take(Buffer.from('me'));
    clock.advance(ms - 0.2);
    expect(sent).toEqual([]);
    clock.advance(0.5);
    expect(sent).toEqual(['frame']);
  });
});
