// What a row of times says: quantiles and a histogram. Pure numbers, milliseconds.

export interface Quantiles {
  readonly min: number;
  readonly mean: number;
  readonly p50: number;
  readonly p99: number;
  readonly p999: number;
  readonly max: number;
}

export interface Bucket {
  readonly fromMs: number;
  /** Exclusive; null for the last one, which has all that is slower. */
  readonly toMs: number | null;
  readonly count: number;
}

/** undefined of no times at all. */
export function quantilesOf(times: readonly number[]): Quantiles | undefined {
  const sorted = [...times].sort((a, b) => a - b);
  const [min] = sorted;
  const max = sorted.at(-1);
  if (min === undefined || max === undefined) return undefined;
  const at = (q: number) => sorted[Math.ceil(q * sorted.length) - 1] ?? max;
  const mean = sorted.reduce((sum, ms) => sum + ms, 0) / sorted.length;
  return { min, mean, p50: at(0.5), p99: at(0.99), p999: at(0.999), max };
}

const BUCKETS = 10;

/** Equal buckets from the fastest to the 99th percentile, and one for the rest. */
export function histogramOf(times: readonly number[]): Bucket[] {
  const q = quantilesOf(times);
  if (q === undefined) return [];
  const width = (q.p99 - q.min) / BUCKETS;
  if (width <= 0) return [{ fromMs: q.min, toMs: null, count: times.length }];
  const counts = new Array<number>(BUCKETS + 1).fill(0);
  for (const ms of times) {
    const i = Math.min(BUCKETS, Math.floor((ms - q.min) / width));
    counts[i] = (counts[i] ?? 0) + 1;
  }
  const edge = (i: number) => q.min + i * width;
  return counts.map((count, i) => ({ fromMs: edge(i), toMs: i < BUCKETS ? edge(i + 1) : null, count }));
}

/** The quantiles with the same time taken off each. */
export function less(q: Quantiles, ms: number): Quantiles {
  return { min: q.min - ms, mean: q.mean - ms, p50: q.p50 - ms, p99: q.p99 - ms, p999: q.p999 - ms, max: q.max - ms };
}
