// The bench's results as text: numbers, a histogram of bars, and what the line itself took. Pure; --json prints the same
// values as they are.
import type { Difference } from '../../native/load.js';
import { formatSettings } from '../../serial/format.js';
import type { LineSettings } from '../../serial/line.js';
import type { LatencyRun } from './latency.js';
import { type Bucket, histogramOf, less, type Quantiles, quantilesOf } from './statistics.js';
import type { ThroughputRun } from './throughput.js';

export interface LatencyReport {
  readonly tty: string;
  readonly settings: string;
  readonly kind: 'loop plug' | 'request';
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly count: number;
  readonly lost: number;
  readonly mismatched: number;
  /** What the bytes of one round trip take on the line; 0: no rate is known. */
  readonly lineMs: number;
  readonly roundTripMs: Quantiles | null;
  /** The same without the line's own time. */
  readonly addedMs: Quantiles | null;
  readonly histogram: readonly Bucket[];
}

type Exchanged = Pick<LatencyReport, 'tty' | 'kind' | 'requestBytes' | 'replyBytes' | 'lineMs'>;

export function latencyReport(exchanged: Exchanged, settings: LineSettings, run: LatencyRun): LatencyReport {
  const times = quantilesOf(run.timesMs);
  return {
    ...exchanged,
    settings: formatSettings(settings),
    count: run.timesMs.length,
    lost: run.lost,
    mismatched: run.mismatched,
    roundTripMs: times ?? null,
    addedMs: times === undefined ? null : less(times, exchanged.lineMs),
    histogram: histogramOf(run.timesMs),
  };
}

export function latencyText(r: LatencyReport): string[] {
  const what =
    r.kind === 'loop plug'
      ? `${r.requestBytes} bytes through a loop plug`
      : `${r.requestBytes} bytes out, ${r.replyBytes} bytes back`;
  const lines = [`${r.tty} at ${r.settings}: ${r.count} round trips of ${what}`];
  if (r.roundTripMs !== null && r.addedMs !== null) {
    const row = (name: string, q: number) => `  ${name.padEnd(6)}${ms(q).padStart(11)}`;
    const { min, p50, p99, p999, max } = r.roundTripMs;
    lines.push('', row('min', min), row('p50', p50), row('p99', p99), row('p99.9', p999), row('max', max), '');
    lines.push(...bars(r.histogram), '', lineTimeText(r), ...addedText(r.kind, r.addedMs));
    if (r.count < 1000) lines.push(`p99.9 says little of fewer than 1000 round trips: --count 1000`);
  }
  if (r.lost > 0) lines.push(`${r.lost} round trips had no whole answer in time`);
  if (r.mismatched > 0)
    lines.push(`${r.mismatched} answers were not what was sent: check rate, format and flow control`);
  return lines;
}

function lineTimeText(r: LatencyReport): string {
  if (r.lineMs === 0) return 'no rate is set, so the time on the line is not known';
  if (r.kind === 'loop plug')
    return `${r.requestBytes} bytes at ${r.settings} take ${ms(r.lineMs)} on the line, out and back at once`;
  return `${r.requestBytes} bytes out and ${r.replyBytes} back at ${r.settings} take ${ms(r.lineMs)} on the line`;
}

function addedText(kind: LatencyReport['kind'], { p50, p99 }: Quantiles): string[] {
  if (p50 < 0) return ['it was faster than that: the far end does not keep the time of the line'];
  const who = kind === 'loop plug' ? 'the tunnel' : 'the tunnel and the device';
  const added = `${who} added ${ms(p50)} (p50), ${ms(Math.max(0, p99))} (p99)`;
  return [kind === 'loop plug' ? `${added}, device server included` : added];
}

const BAR = 36;

function bars(histogram: readonly Bucket[]): string[] {
  const most = Math.max(1, ...histogram.map(({ count }) => count));
  return histogram.map(({ fromMs, toMs, count }) => {
    const range = toMs === null ? `${ms(fromMs)} and more` : `${ms(fromMs)} to ${ms(toMs)}`;
    const bar = '#'.repeat(count === 0 ? 0 : Math.max(1, Math.round((count * BAR) / most)));
    return `  ${range.padEnd(26)}${String(count).padStart(7)}  ${bar}`.trimEnd();
  });
}

/** Three significant places below a millisecond too: "0.021 ms", "8.33 ms", "250 ms". */
export function ms(value: number): string {
  const size = Math.abs(value);
  return `${value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : size >= 1 ? 2 : 3)} ms`;
}

export interface ThroughputReport extends Omit<ThroughputRun, 'firstDifference'> {
  readonly tty: string;
  readonly settings: string;
  readonly percentOfLineRate: number | null;
  readonly missing: number;
  readonly firstDifference: Difference | null;
}

export function throughputReport(tty: string, settings: LineSettings, run: ThroughputRun): ThroughputReport {
  const { bytesPerSecond, lineBytesPerSecond } = run;
  return {
    tty,
    settings: formatSettings(settings),
    ...run,
    percentOfLineRate: lineBytesPerSecond > 0 ? (bytesPerSecond * 100) / lineBytesPerSecond : null,
    missing: Math.max(0, run.sent - run.received),
    firstDifference: run.firstDifference ?? null,
  };
}

export function throughputText(r: ThroughputReport): string[] {
  const share =
    r.percentOfLineRate === null
      ? 'no rate is set'
      : `${r.percentOfLineRate.toFixed(1)} % of the ${r.lineBytesPerSecond.toFixed(0)} B/s that the line carries`;
  const lines = [
    `${r.tty} at ${r.settings}: ${r.received} bytes back in ${(r.elapsedMs / 1000).toFixed(1)} s`,
    `${r.bytesPerSecond.toFixed(0)} B/s, ${share}`,
  ];
  if (r.percentOfLineRate !== null && r.percentOfLineRate > 105)
    lines.push('the far end does not keep the time of the line');
  const { firstDifference: d } = r;
  if (d !== null)
    lines.push(
      `byte ${d.offset} came back as ${hex(d.got)} in place of ${hex(d.expected)}: check rate, format and flow control`,
    );
  if (r.missing > 0) lines.push(`${r.missing} of ${r.sent} bytes did not come back`);
  if (r.missing === 0 && d === null) lines.push('every byte came back as it was sent');
  return lines;
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, '0')}`;
}
