// What PARMRK makes of bytes and breaks, taken apart again, wherever a read cuts it.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { BreakMarks } from '../../../src/uart/break-marks.js';

const BREAK = 'break';

/** As n_tty(4) queues it. */
function marked(input: readonly (number | typeof BREAK)[]): number[] {
  return input.flatMap((one) => (one === BREAK ? [0xff, 0, 0] : one === 0xff ? [0xff, 0xff] : [one]));
}

test.each<[string, (number | typeof BREAK)[]]>([
  ['data', [1, 2, 3]],
  ['ff and zeros that are data', [0xff, 0, 0, 0xff, 0xff]],
  ['a break', [1, BREAK, 2]],
  ['breaks and data that look alike', [BREAK, 0, 0, BREAK, 0xff, 0, BREAK]],
])('%s', (_, input) => {
  const marks = new BreakMarks();
  expect([...marks.remove(Uint8Array.from(marked(input)))]).toEqual(input.filter((one) => one !== BREAK));
});

test('wherever it is cut', () => {
  const one = fc.oneof(fc.constantFrom(0, 0xff, 1), fc.constant(BREAK));
  fc.assert(
    fc.property(
      fc.array(one as fc.Arbitrary<number | typeof BREAK>),
      fc.array(fc.integer({ min: 1, max: 4 })),
      (input, cuts) => {
        const marks = new BreakMarks();
        const bytes = marked(input);
        const got: number[] = [];
        for (const cut of [...cuts, bytes.length]) got.push(...marks.remove(Uint8Array.from(bytes.splice(0, cut))));
        expect(got).toEqual(input.filter((what) => what !== BREAK));
      },
    ),
  );
});

test('bytes without a mark are not copied', () => {
  const bytes = Uint8Array.of(1, 2, 3);
  expect(new BreakMarks().remove(bytes)).toBe(bytes);
});
