// The load engine (native-bindings/load): round trips, streams and paced messages between descriptors, timed on threads of its
// own, for `ttynp bench` and the benchmark suite. Every byte is compared with a pattern that says where it belongs.
// Descriptors are the caller's: non-blocking, open until the measurement is over, and nobody else's meanwhile. It sets nothing
// up: a tty is to be raw before. Times are nanoseconds. A promise rejects with a SystemError: EINVAL where an option or a
// descriptor cannot be used, EPIPE where a descriptor ended, what read(2) and write(2) say, ECANCELED after an abort.
import {
  binding,
  type LoadHandle,
  type RawDifference,
  type RawDuplex,
  type RawLatency,
  type RawLoadEnd,
  type RawStream,
  type SystemError,
} from './binding.js';

export interface Difference {
  /** Of the first byte that is not the pattern's, from the beginning of its stream. */
  readonly offset: number;
  readonly expected: number;
  readonly got: number;
}

export interface LoadControl {
  /** Of a byte on the line: only its lowest bits occur in the pattern. Default 8. */
  readonly dataBits?: number;
  readonly signal?: AbortSignal | undefined;
}

/** Written to `out`, and expected at `in`; the same descriptor where a loop plug is behind it. */
export interface Leg {
  readonly out: number;
  readonly in: number;
}

export interface LatencyOptions extends LoadControl {
  /** What came whole over the first is written to the second, where there is one: there and back again. */
  readonly legs: readonly [Leg] | readonly [Leg, Leg];
  /** Pattern bytes of a round; others in every round, so that a late answer is not taken for the next. At most 65536. */
  readonly bytes: number;
  /** In their place: these, and an answer of `replyBytes`, which is not compared. One leg only. */
  readonly request?: Uint8Array | undefined;
  readonly replyBytes?: number;
  readonly count: number;
  /** For a round; a round that is not whole by then is lost. */
  readonly timeoutNs: number;
  /** So many failed rounds in a row end the measurement. Default 5. */
  readonly giveUpAfter?: number;
  /** After a failed round, what comes is thrown away until nothing came for so long. Default 100 ms. */
  readonly quietNs?: number;
}

export interface LatencyRun {
  /** Of the rounds that were whole and right, in their order. */
  readonly timesNs: Float64Array;
  readonly lost: number;
  readonly mismatched: number;
  /** How often what came over a leg was not readable in one piece, and the longest time between two pieces of one. */
  readonly split: number;
  readonly gapNs: number;
}

export interface StreamOptions extends LoadControl, Leg {
  /** Ends after so many bytes, or so long; one of them is needed. */
  readonly bytes?: number;
  readonly durationNs?: number;
  /** Of one write, at most 65536. Default 65536. */
  readonly chunk?: number;
  /** At most so many bytes on the way; default: what the kernel takes. */
  readonly window?: number;
  /** What has not come for so long after the last write or read will not come. Default 2 s. */
  readonly quietNs?: number;
}

export interface StreamRun {
  readonly sent: number;
  readonly received: number;
  /** From the first write to the last read. */
  readonly elapsedNs: number;
  readonly difference: Difference | undefined;
}

export interface DuplexOptions extends LoadControl {
  /** Messages go from a[i] to b[i] and from b[i] to a[i]. */
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly messageBytes: number;
  /** Between two messages of one direction; the directions are spread over it. */
  readonly intervalNs: number;
  readonly durationNs: number;
  /** How long it is waited afterwards for what was sent. Default 2 s. */
  readonly drainNs?: number;
  /** 2: one for each side. Default 1. */
  readonly threads?: 1 | 2;
}

export interface DuplexRun {
  /** Bytes, both ways: that were due, that were written, that came, and that came within ten intervals of the end. */
  readonly offered: number;
  readonly sent: number;
  readonly received: number;
  readonly inTime: number;
  /** Directions with a wrong byte, and directions whose descriptor ended. */
  readonly wrong: number;
  readonly failed: number;
  readonly difference: Difference | undefined;
  /** What the generator itself ran. */
  readonly generatorCpuNs: number;
  /** From when a message was due until its last byte was read. */
  readonly aToB: LoadHistogram;
  readonly bToA: LoadHistogram;
  /** How much later than due the generator came to write: what it could not keep up with. */
  readonly late: LoadHistogram;
}

/** Counts in buckets of at most 0.8 % width, up to 4.6 minutes. */
export class LoadHistogram {
  readonly #counts: Float64Array;
  readonly count: number;

  constructor(counts: Float64Array) {
    this.#counts = counts;
    this.count = counts.reduce((sum, n) => sum + n, 0);
  }

  /** Nanoseconds; NaN of an empty one. */
  quantile(q: number): number {
    const wanted = Math.max(1, Math.ceil(q * this.count));
    let seen = 0;
    for (const [i, n] of this.#counts.entries()) {
      seen += n;
      if (seen >= wanted) return buckets()[i] ?? Number.NaN;
    }
    return Number.NaN;
  }

  plus(other: LoadHistogram): LoadHistogram {
    return new LoadHistogram(this.#counts.map((n, i) => n + (other.#counts[i] ?? 0)));
  }
}

export function measureLatency(options: LatencyOptions): Promise<LatencyRun> {
  const [first, second] = options.legs;
  const raw = {
    legs: options.legs.length,
    out0: first.out,
    in0: first.in,
    out1: second?.out ?? -1,
    in1: second?.in ?? -1,
    bytes: options.bytes,
    replyBytes: options.replyBytes ?? options.bytes,
    request: options.request ?? null,
    count: options.count,
    giveUpAfter: options.giveUpAfter ?? 5,
    timeout: options.timeoutNs,
    quiet: options.quietNs ?? 100e6,
  };
  return measured(
    options,
    (mask, over) => binding.measureLatency(raw, mask, over),
    ({ times, lost, mismatched, split, gap }: RawLatency) => ({ timesNs: times, lost, mismatched, split, gapNs: gap }),
  );
}

export function measureStream(options: StreamOptions): Promise<StreamRun> {
  const raw = {
    out: options.out,
    in: options.in,
    bytes: options.bytes ?? 0,
    duration: options.durationNs ?? 0,
    chunk: options.chunk ?? 65536,
    window: options.window ?? 0,
    quiet: options.quietNs ?? 2e9,
  };
  return measured(
    options,
    (mask, over) => binding.measureStream(raw, mask, over),
    (run: RawStream) => ({
      sent: run.sent,
      received: run.received,
      elapsedNs: run.elapsed,
      difference: differenceOf(run),
    }),
  );
}

export function measureDuplex(options: DuplexOptions): Promise<DuplexRun> {
  const raw = {
    bytes: options.messageBytes,
    interval: options.intervalNs,
    duration: options.durationNs,
    drain: options.drainNs ?? 2e9,
    threads: options.threads ?? 1,
  };
  const a = Int32Array.from(options.a);
  const b = Int32Array.from(options.b);
  return measured(options, (mask, over) => binding.measureDuplex(raw, mask, over, a, b), duplexRun);
}

/**
 * A raw PTY with nothing between its ends: the machine's own limit. `fd` is its master, non-blocking and not in packet mode; the
 * caller closes it. Throws a SystemError.
 */
export function barePty(): { readonly fd: number; readonly path: string } {
  return binding.barePty();
}

/** What all threads of a process have run, in nanoseconds, ended threads included. Throws a SystemError: ESRCH. */
export function processCpuNs(pid: number): number {
  return binding.processCpu(pid);
}

function duplexRun(run: RawDuplex): DuplexRun {
  const { offered, sent, received, inTime, wrong, failed } = run;
  return {
    ...{ offered, sent, received, inTime, wrong, failed },
    difference: differenceOf(run),
    generatorCpuNs: run.cpu,
    aToB: new LoadHistogram(run.aToB),
    bToA: new LoadHistogram(run.bToA),
    late: new LoadHistogram(run.late),
  };
}

let bucketValues: Float64Array | undefined;

function buckets(): Float64Array {
  bucketValues ??= binding.loadBuckets();
  return bucketValues;
}

function differenceOf({ differenceAt, expected, got }: RawDifference): Difference | undefined {
  return differenceAt < 0 ? undefined : { offset: differenceAt, expected, got };
}

function measured<Raw extends RawLoadEnd, Run>(
  { dataBits = 8, signal }: LoadControl,
  start: (mask: number, over: (raw: Raw) => void) => LoadHandle,
  convert: (raw: Raw) => Run,
): Promise<Run> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) throw canceled();
    const abort = () => binding.cancelLoad(handle);
    const handle = start((1 << dataBits) - 1, (raw) => {
      signal?.removeEventListener('abort', abort);
      if (raw.canceled) reject(canceled());
      else if (raw.errno !== 0) reject(systemError(raw.errno, raw.syscall));
      else resolve(convert(raw));
    });
    signal?.addEventListener('abort', abort, { once: true });
  });
}

const ECANCELED = 125;

function canceled(): SystemError {
  return systemError(ECANCELED, 'load');
}

function systemError(errno: number, syscall: string): SystemError {
  const code = binding.errnoName(errno);
  return Object.assign(new Error(`${syscall}: ${code}`), { code, errno, syscall });
}
