// Round trips through a user's tty: whether anything comes back at all, then the load engine's times. Prints nothing.
import { measureLatency as measure } from '../../native/load.js';
import type { BenchTty } from './bench-tty.js';
import { trialBytes } from './pattern.js';

export interface Exchange {
  /** The user's own request; undefined: patterns through a loop plug, compared byte by byte. */
  readonly request: Uint8Array | undefined;
  readonly bytes: number;
  readonly replyBytes: number;
  readonly dataBits: number;
  /** What the bytes of one round trip take on the line. */
  readonly lineMs: number;
}

export interface LatencyRun {
  readonly timesMs: readonly number[];
  /** Rounds without a whole reply in time. */
  readonly lost: number;
  /** Rounds whose reply was not what was expected. */
  readonly mismatched: number;
  /** Something came back before the measurement began. */
  readonly answered: boolean;
}

export interface LatencyOptions {
  readonly count: number;
  readonly timeoutMs: number;
  /** How long the first answer may take: the tty connects when it is opened. */
  readonly connectMs: number;
}

export function loopPlug(bytes: number, dataBits: number, lineMs: number): Exchange {
  return { request: undefined, bytes, replyBytes: bytes, dataBits, lineMs };
}

export function request(bytes: Uint8Array, replyBytes: number, lineMs: number): Exchange {
  return { request: bytes, bytes: bytes.length, replyBytes, dataBits: 8, lineMs };
}

/** After so many failures in a row nothing more is learned. */
const GIVE_UP_AFTER = 5;
const QUIET_MS = 100;
const MAX_QUIET_MS = 2000;
const FIRST_TRY_MS = 500;
const NS_PER_MS = 1e6;

/** Rejects with a Fault: TTY_GONE. */
export async function measureLatency(tty: BenchTty, exchange: Exchange, options: LatencyOptions): Promise<LatencyRun> {
  if (!(await answers(tty, exchange, options))) return { timesMs: [], lost: 1, mismatched: 0, answered: false };
  const { request: asked, bytes, replyBytes, dataBits, lineMs } = exchange;
  const run = await measure({
    legs: [{ out: tty.fd, in: tty.fd }],
    ...{ request: asked, bytes, replyBytes, dataBits },
    count: options.count,
    timeoutNs: (lineMs + options.timeoutMs) * NS_PER_MS,
    giveUpAfter: GIVE_UP_AFTER,
    quietNs: QUIET_MS * NS_PER_MS,
  }).catch((error: unknown) => {
    throw tty.fault(error);
  });
  const timesMs = Array.from(run.timesNs, (ns) => ns / NS_PER_MS);
  return { timesMs, lost: run.lost, mismatched: run.mismatched, answered: true };
}

/** Until the link is up what is written may be dropped, so the first round is tried again; it is not counted. */
async function answers(tty: BenchTty, exchange: Exchange, { connectMs, timeoutMs }: LatencyOptions): Promise<boolean> {
  const bytes = exchange.request ?? trialBytes(exchange.bytes, exchange.dataBits);
  await tty.discard(0, MAX_QUIET_MS);
  const end = performance.now() + connectMs + exchange.lineMs + timeoutMs;
  while (performance.now() < end) {
    const deadline = performance.now() + exchange.lineMs + FIRST_TRY_MS;
    const came = (await tty.write(bytes, deadline)) ? await tty.take(exchange.replyBytes, deadline) : 0;
    if (came > 0) {
      await tty.discard(QUIET_MS, MAX_QUIET_MS);
      return true;
    }
  }
  return false;
}
