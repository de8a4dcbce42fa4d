import { describe, expect, test } from 'vitest';
import { durationText, parseDuration } from '../../../src/base/duration.js';

describe('durations', () => {
  const table: [string | number, number | undefined][] = [
    ['10s', 10_000],
    ['500ms', 500],
    ['1m', 60_000],
    ['1.5s', 1_500],
    [10, 10_000],
    [0.25, 250],
    [0, 0],
    ['24h', 86_400_000],
    ['25h', 90_000_000],
    ['-1s', undefined],
    [-1, undefined],
    ['', undefined],
    ['s', undefined],
    ['10 parsecs', undefined],
  ];
  for (const [text, ms] of table) test(`${JSON.stringify(text)} is ${ms}`, () => expect(parseDuration(text)).toBe(ms));
});

test('as text: the two largest units', () => {
  const texts = [0, 850, 12_900, 200_000, 3_600_000, 7_500_000, 356_400_000].map(durationText);
  expect(texts).toEqual(['0 ms', '850 ms', '12 s', '3 min 20 s', '1 h', '2 h 5 min', '4 d 3 h']);
});
