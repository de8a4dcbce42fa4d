// Metric families as Prometheus reads them: its text format 0.0.4. Pure: knows no port, no clock and no socket.
// Follows prometheus.io/docs/instrumenting/exposition_formats and .../best_practices/naming: base units, `_total` counters.
//
//   formatMetrics(families) -> text     new Histogram(upperBounds)     PROMETHEUS_CONTENT_TYPE

export const PROMETHEUS_CONTENT_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

export type Labels = Readonly<Record<string, string>>;

export interface Sample {
  readonly labels?: Labels;
  readonly value: number;
}

export interface HistogramSample {
  readonly labels?: Labels;
  readonly histogram: HistogramView;
}

/** A family without samples is left out. */
export type Family =
  | { readonly name: string; readonly help: string; readonly type: 'counter' | 'gauge'; readonly samples: Sample[] }
  | { readonly name: string; readonly help: string; readonly type: 'histogram'; readonly samples: HistogramSample[] };

export interface HistogramView {
  /** Ascending; what is above the last one counts in `count` only. */
  readonly upperBounds: readonly number[];
  /** How many observations fell into each bucket, not cumulated. */
  readonly counts: readonly number[];
  readonly sum: number;
  readonly count: number;
}

/** Counts observations by size. Its memory does not grow. */
export class Histogram implements HistogramView {
  readonly counts: number[];
  sum = 0;
  count = 0;

  constructor(readonly upperBounds: readonly number[]) {
    this.counts = upperBounds.map(() => 0);
  }

  observe(value: number): void {
    const bucket = this.upperBounds.findIndex((bound) => value <= bound);
    if (bucket >= 0) this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sum += value;
    this.count++;
  }
}

export function formatMetrics(families: readonly Family[]): string {
  const lines: string[] = [];
  for (const family of families) {
    if (family.samples.length === 0) continue;
    lines.push(`# HELP ${family.name} ${escaped(family.help)}`, `# TYPE ${family.name} ${family.type}`);
    if (family.type === 'histogram') {
      for (const sample of family.samples) lines.push(...histogramLines(family.name, sample));
    } else {
      for (const { labels, value } of family.samples) lines.push(line(family.name, labels, value));
    }
  }
  return lines.map((text) => `${text}\n`).join('');
}

function histogramLines(name: string, { labels, histogram }: HistogramSample): string[] {
  let below = 0;
  const buckets = histogram.upperBounds.map((bound, i) => {
    below += histogram.counts[i] ?? 0;
    return line(`${name}_bucket`, { ...labels, le: numberText(bound) }, below);
  });
  return [
    ...buckets,
    line(`${name}_bucket`, { ...labels, le: '+Inf' }, histogram.count),
    line(`${name}_sum`, labels, histogram.sum),
    line(`${name}_count`, labels, histogram.count),
  ];
}

function line(name: string, labels: Labels | undefined, value: number): string {
  const pairs = Object.entries(labels ?? {}).map(([key, text]) => `${key}="${escaped(text).replaceAll('"', '\\"')}"`);
  return `${name}${pairs.length === 0 ? '' : `{${pairs.join(',')}}`} ${numberText(value)}`;
}

/** Backslash and line feed, in a help text and in a label; a label's quotes besides. */
function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

function numberText(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  return value === Number.NEGATIVE_INFINITY ? '-Inf' : String(value);
}
