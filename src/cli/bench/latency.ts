// Round trips: send, wait for what has to come back, take the time. Blocks while it measures (see bench-tty.ts).
// Prints nothing; what was sent and came back is judged byte by byte where it is known.
import type { BenchTty } from './bench-tty.js';
import { pattern, sameBytes } from './pattern.js';

export interface Exchange {
  /** What is sent in round `i`. */
  request(i: number): Uint8Array;
  readonly replyBytes: number;
  /** Whether this is what had to come back. */
  expected(i: number, reply: Uint8Array): boolean;
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
  const request = (i: number) => pattern(i * bytes, bytes, dataBits);
  return { request, replyBytes: bytes, expected: (i, reply) => sameBytes(reply, request(i)), lineMs };
}

export function request(bytes: Uint8Array, replyBytes: number, lineMs: number): Exchange {
  return { request: () => bytes, replyBytes, expected: () => true, lineMs };
}

/** After so many failures in a row nothing more is learned. */
const GIVE_UP_AFTER = 5;
const QUIET_MS = 100;
const MAX_QUIET_MS = 2000;
const FIRST_TRY_MS = 500;

export function measureLatency(tty: BenchTty, exchange: Exchange, options: LatencyOptions): LatencyRun {
  const times: number[] = [];
  const reply = new Uint8Array(exchange.replyBytes);
  let lost = 0;
  let mismatched = 0;
  let failures = 0;
  if (!firstAnswer(tty, exchange, reply, options)) return { timesMs: [], lost: 1, mismatched: 0, answered: false };
  for (let i = 0; i < options.count && failures < GIVE_UP_AFTER; i++) {
    const from = performance.now();
    const deadline = from + exchange.lineMs + options.timeoutMs;
    const whole = tty.write(exchange.request(i), deadline) && tty.readAll(reply, deadline) === reply.length;
    const ms = performance.now() - from;
    if (whole && exchange.expected(i, reply)) {
      times.push(ms);
      failures = 0;
      continue;
    }
    if (whole) mismatched++;
    else lost++;
    failures++;
    tty.discard(QUIET_MS, MAX_QUIET_MS); // what is late belongs to no later round
  }
  return { timesMs: times, lost, mismatched, answered: true };
}

/** Until the link is up what is written may be dropped, so the first round is tried again; it is not counted. */
function firstAnswer(
  tty: BenchTty,
  exchange: Exchange,
  reply: Uint8Array,
  { connectMs, timeoutMs }: LatencyOptions,
): boolean {
  tty.discard(0, MAX_QUIET_MS);
  const end = performance.now() + connectMs + exchange.lineMs + timeoutMs;
  while (performance.now() < end) {
    const deadline = performance.now() + exchange.lineMs + FIRST_TRY_MS;
    const came = tty.write(exchange.request(-1), deadline) ? tty.readAll(reply, deadline) : 0;
    if (came > 0) {
      tty.discard(QUIET_MS, MAX_QUIET_MS);
      return true;
    }
  }
  return false;
}
