// A stream through a loop plug, measured by the load engine: every byte compared, bytes per second against the line's rate. Never has
// more on the way than the tty can hold for a reader.
import { type Difference, measureStream } from '../../native/load.js';
import { bitsPerCharacter, type LineSettings } from '../../serial/line.js';
import type { BenchTty } from './bench-tty.js';

export interface ThroughputRun {
  readonly sent: number;
  readonly received: number;
  /** From the first write to the last byte that came back. */
  readonly elapsedMs: number;
  readonly bytesPerSecond: number;
  /** What the line carries at most. */
  readonly lineBytesPerSecond: number;
  readonly firstDifference: Difference | undefined;
}

/** A quarter of a second of line time is on the way, as far as a PTY's input queue (4095 bytes) has room. */
const WINDOW_MS = 250;
const MAX_WINDOW = 3072;
const MIN_WINDOW = 64;
const CHUNK = 512;
/** How long the last bytes may take, beside their line time. */
const LAST_BYTES_MS = 2000;
const NS_PER_MS = 1e6;

/** Rejects with a Fault: TTY_GONE. */
export async function measureThroughput(tty: BenchTty, settings: LineSettings, forMs: number): Promise<ThroughputRun> {
  const lineRate = settings.baudRate / bitsPerCharacter(settings);
  const window = Math.trunc(Math.max(MIN_WINDOW, Math.min(MAX_WINDOW, (lineRate * WINDOW_MS) / 1000)));
  const patienceMs = (window * 1000) / Math.max(1, lineRate) + LAST_BYTES_MS;
  const { sent, received, elapsedNs, difference } = await measureStream({
    ...{ out: tty.fd, in: tty.fd, window, dataBits: settings.dataBits },
    chunk: Math.min(CHUNK, window),
    durationNs: forMs * NS_PER_MS,
    quietNs: patienceMs * NS_PER_MS,
  }).catch((error: unknown) => {
    throw tty.fault(error);
  });
  const elapsedMs = elapsedNs / NS_PER_MS;
  const bytesPerSecond = elapsedMs > 0 ? (received * 1000) / elapsedMs : 0;
  return { sent, received, elapsedMs, bytesPerSecond, lineBytesPerSecond: lineRate, firstDifference: difference };
}
