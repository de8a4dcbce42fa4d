import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseWithBytes, stringifyWithBytes } from '../../../src/base/bytes-json.js';

const through = (value: unknown) => parseWithBytes(stringifyWithBytes(value));

test('bytes anywhere come back as bytes, and everything else as JSON has it', () => {
  const bytes = fc.uint8Array({ maxLength: 40 });
  const value = fc.record({
    a: fc.array(bytes, { maxLength: 3 }),
    b: fc.record({ c: bytes }),
    d: fc.string(),
    e: fc.nat(),
  });
  fc.assert(
    fc.property(value, (value) => {
      expect(through(value)).toEqual(value);
    }),
  );
});

test('a Buffer and a view of one are bytes too', () => {
  const all = Buffer.from('0123456789');
  expect(through({ all, part: all.subarray(2, 4) })).toEqual({
    all: new Uint8Array(all),
    part: Uint8Array.of(0x32, 0x33),
  });
});

test('what is no JSON is a SyntaxError', () => {
  expect(() => parseWithBytes('{')).toThrow(SyntaxError);
});
