// The telnet codec against vectors written down from RFC 854, 855 and 2217, whole and cut everywhere, and against anything.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { DO, IAC, SB, SE, WILL } from '../../../../src/protocol/telnet/constants.js';
import { escapeData, negotiation, subnegotiation } from '../../../../src/protocol/telnet/encoder.js';
import { concat, cut, decodeAll, hex, toHex } from './support.js';

// [what it shows, bytes on the wire, events expected]
const vectors: [string, string, string[]][] = [
  ['data is data', '41 0d 00 0a', ['data 41 0d 00 0a']],
  ['a doubled IAC is one 0xff (RFC 854)', '41 ff ff 42', ['data 41 ff 42']],
  ['a run of 0xff', 'ff ff ff ff ff ff', ['data ff ff ff']],
  ['a command between data', '41 ff f6 42', ['data 41', 'command 246', 'data 42']],
  ['WILL BINARY, DO SGA (RFC 855)', 'ff fb 00 ff fd 03', ['251 0', '253 3']],
  ['an option may be 255', 'ff fb ff 41', ['251 255', 'data 41']],
  ['SET-BAUDRATE 9600 (RFC 2217)', 'ff fa 2c 01 00 00 25 80 ff f0', ['sub 44: 01 00 00 25 80']],
  ['an IAC within a subnegotiation is doubled', 'ff fa 2c 0b ff ff ff f0', ['sub 44: 0b ff']],
  ['a subnegotiation of nothing but its option', 'ff fa 2c ff f0', ['sub 44: ']],
  ['one without an option is none', 'ff fa ff f0 41', ['malformed', 'data 41']],
  ['one that another command breaks off', 'ff fa 2c 01 ff fb 00 41', ['malformed', '251 0', 'data 41']],
  ['one that begins within another', 'ff fa 2c 01 ff fa 2c 02 08 ff f0', ['malformed', 'sub 44: 02 08']],
  ['SE without SB is a command like others', 'ff f0', ['command 240']],
];

describe('telnet decoder', () => {
  for (const [shows, wire, events] of vectors) {
    test(shows, () => {
      const bytes = hex(wire);
      expect(decodeAll([bytes])).toEqual(events);
      for (let at = 1; at < bytes.length; at++) {
        expect(decodeAll([bytes.subarray(0, at), bytes.subarray(at)])).toEqual(events);
      }
      expect(decodeAll(cut(bytes, [1]))).toEqual(events);
    });
  }

  test('a subnegotiation of any length takes no more memory than allowed, and the next one is whole', () => {
    const long = concat([Uint8Array.of(IAC, SB, 44), new Uint8Array(100_000), Uint8Array.of(IAC, SE)]);
    const good = subnegotiation(44, Uint8Array.of(2, 8));
    expect(decodeAll([long, good])).toEqual(['malformed', 'sub 44: 02 08']);
    const just = subnegotiation(44, new Uint8Array(7));
    expect(decodeAll([just], 8)).toEqual([`sub 44: ${toHex(new Uint8Array(7))}`]);
    expect(decodeAll([just], 7)).toEqual(['malformed']);
  });

  test('any bytes, cut anywhere: the same events', () => {
    const likely = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(IAC, SB, SE, WILL, DO, 44));
    fc.assert(
      fc.property(fc.array(likely, { maxLength: 200 }), fc.array(fc.integer({ min: 1, max: 9 })), (bytes, sizes) => {
        const whole = Uint8Array.from(bytes);
        expect(decodeAll(cut(whole, sizes))).toEqual(decodeAll([whole]));
      }),
      { numRuns: 2000 },
    );
  });
});

describe('telnet encoder', () => {
  const bytes = fc.uint8Array({ maxLength: 300 }).map((a) => a.map((byte) => (byte > 200 ? IAC : byte)));

  test('data come back as they went, and the buffer may be used again', () => {
    fc.assert(
      fc.property(bytes, fc.boolean(), (plain, asBuffer) => {
        const data = asBuffer ? Buffer.from(plain) : plain;
        const wire = escapeData(data);
        expect(wire.length).toBe(data.length + data.filter((byte) => byte === IAC).length);
        const before = new Uint8Array(data);
        data.fill(0);
        expect(decodeAll([wire])).toEqual(before.length === 0 ? [] : [`data ${toHex(before)}`]);
      }),
    );
  });

  test('subnegotiations come back as they went, the option 255 too', () => {
    fc.assert(
      fc.property(bytes, fc.integer({ min: 0, max: 255 }), (body, option) => {
        expect(decodeAll([subnegotiation(option, body)])).toEqual([`sub ${option}: ${toHex(body)}`]);
      }),
    );
  });

  test('on the wire', () => {
    expect(toHex(negotiation(WILL, 44))).toBe('ff fb 2c');
    expect(toHex(subnegotiation(44, hex('0b ff')))).toBe('ff fa 2c 0b ff ff ff f0');
    expect(toHex(escapeData(hex('01 ff 02')))).toBe('01 ff ff 02');
  });
});
