import fc from 'fast-check';
import { expect, test } from 'vitest';
import { trialBytes } from '../../../../src/cli/bench/pattern.js';
import {
  type LatencyReport,
  latencyReport,
  latencyText,
  ms,
  throughputReport,
  throughputText,
} from '../../../../src/cli/bench/report.js';
import { histogramOf, less, quantilesOf } from '../../../../src/cli/bench/statistics.js';
import { DEFAULT_SETTINGS, lineTimeMs } from '../../../../src/serial/line.js';

test('quantiles by nearest rank', () => {
  const times = Array.from({ length: 1000 }, (_, i) => 1000 - i);
  expect(quantilesOf(times)).toEqual({ min: 1, mean: 500.5, p50: 500, p99: 990, p999: 999, max: 1000 });
  expect(quantilesOf([7])).toEqual({ min: 7, mean: 7, p50: 7, p99: 7, p999: 7, max: 7 });
  expect(quantilesOf([])).toBeUndefined();
  expect(less({ min: 1, mean: 2, p50: 3, p99: 4, p999: 5, max: 6 }, 1)).toEqual({
    min: 0,
    mean: 1,
    p50: 2,
    p99: 3,
    p999: 4,
    max: 5,
  });
});

test('a histogram loses no time and has no gap', () => {
  fc.assert(
    fc.property(fc.array(fc.double({ min: 0.001, max: 5000, noNaN: true }), { minLength: 1 }), (times) => {
      const buckets = histogramOf(times);
      expect(buckets.reduce((sum, { count }) => sum + count, 0)).toBe(times.length);
      expect(buckets.at(-1)?.toMs).toBeNull();
      for (const [i, { fromMs }] of buckets.entries()) {
        if (i > 0) expect(buckets[i - 1]?.toMs).toBe(fromMs);
      }
    }),
  );
  expect(histogramOf([])).toEqual([]);
});

test('what is tried first has every value that the line has', () => {
  expect(new Set(trialBytes(256, 8)).size).toBe(256);
  expect(new Set(trialBytes(4095, 7))).toEqual(new Set(Array.from({ length: 128 }, (_, i) => i)));
});

const exchanged = {
  tty: '/dev/ttyNP0',
  kind: 'loop plug',
  requestBytes: 8,
  replyBytes: 8,
  lineMs: lineTimeMs(DEFAULT_SETTINGS, 8),
} as const;

function report(times: number[], change: Partial<LatencyReport> = {}): string {
  const run = { timesMs: times, lost: 0, mismatched: 0, answered: true };
  return latencyText({ ...latencyReport(exchanged, DEFAULT_SETTINGS, run), ...change }).join('\n');
}

test('the line’s own time is said and taken off', () => {
  const text = report(new Array(1000).fill(exchanged.lineMs + 0.021));
  expect(text).toContain('8 bytes at 9600,8N1 take 8.33 ms on the line');
  expect(text).toMatch(/the tunnel added 0\.021 ms \(p50\), 0\.021 ms \(p99\)/);
  expect(text).not.toContain('says little');
});

test('what a report admits', () => {
  expect(report([9])).toContain('p99.9 says little');
  expect(report([1])).toContain('does not keep the time of the line');
  expect(report([9], { lost: 2, mismatched: 1 })).toMatch(/2 round trips had no whole answer[\s\S]*1 answers were not/);
  expect(report([9], { kind: 'request', replyBytes: 20 })).toContain('the tunnel and the device added');
  expect(report([9], { lineMs: 0 })).toContain('no rate is set');
  expect(report([])).toContain('0 round trips');
});

test('fits 80 columns', () => {
  const text = report(Array.from({ length: 1000 }, (_, i) => 8.4 + i / 10));
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
});

test('milliseconds with the digits that matter', () => {
  expect([0.0212, 1.234, 12.34, 123.4].map(ms)).toEqual(['0.021 ms', '1.23 ms', '12.3 ms', '123 ms']);
});

test('throughput against the line’s rate, and what is wrong', () => {
  const run = {
    sent: 960,
    received: 960,
    elapsedMs: 1000,
    bytesPerSecond: 960,
    lineBytesPerSecond: 960,
    firstDifference: undefined,
  };
  const good = throughputReport('/dev/ttyNP0', DEFAULT_SETTINGS, run);
  expect(throughputText(good)).toEqual([
    '/dev/ttyNP0 at 9600,8N1: 960 bytes back in 1.0 s',
    '960 B/s, 100.0 % of the 960 B/s that the line carries',
    'every byte came back as it was sent',
  ]);
  const bad = throughputReport('/dev/ttyNP0', DEFAULT_SETTINGS, {
    ...run,
    received: 950,
    firstDifference: { offset: 17, expected: 0x11, got: 0x12 },
  });
  expect(bad.missing).toBe(10);
  const text = throughputText(bad).join('\n');
  expect(text).toContain('byte 17 came back as 0x12 in place of 0x11');
  expect(text).toContain('10 of 960 bytes did not come back');
  expect(text).not.toContain('every byte');
});
