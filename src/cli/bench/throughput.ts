// A stream through a loop plug: every byte compared, bytes per second against the line's rate. Never has more on the way
// than the tty can hold for a reader, so that writing and reading in turn cannot wait for each other for ever.
import { bitsPerCharacter, type LineSettings } from '../../serial/line.js';
import type { BenchTty } from './bench-tty.js';
import { type Difference, firstDifference, pattern } from './pattern.js';

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

export function measureThroughput(tty: BenchTty, settings: LineSettings, forMs: number): ThroughputRun {
  const { baudRate, dataBits } = settings;
  const lineRate = baudRate / bitsPerCharacter(settings);
  const window = Math.trunc(Math.max(MIN_WINDOW, Math.min(MAX_WINDOW, (lineRate * WINDOW_MS) / 1000)));
  const buffer = new Uint8Array(4096);
  const from = performance.now();
  const end = from + forMs;
  let sent = 0;
  let received = 0;
  let last = from;
  let difference: Difference | undefined;
  for (;;) {
    const now = performance.now();
    if (now < end && sent - received < window) {
      const wanted = Math.min(CHUNK, window - (sent - received));
      const taken = tty.writeSome(pattern(sent, wanted, dataBits));
      sent += taken;
      if (taken > 0 && sent - received < window) continue;
    }
    if (sent === received && performance.now() >= end) break;
    const patience = (window * 1000) / Math.max(1, lineRate) + LAST_BYTES_MS;
    const n = tty.readSome(buffer, performance.now() + patience);
    if (n === 0) break; // what is missing by now will not come
    difference ??= firstDifference(buffer.subarray(0, n), received, dataBits);
    received += n;
    last = performance.now();
    if (received > sent) break; // more than was sent: the difference is in what came last
  }
  const elapsedMs = last - from;
  const bytesPerSecond = elapsedMs > 0 ? (received * 1000) / elapsedMs : 0;
  return { sent, received, elapsedMs, bytesPerSecond, lineBytesPerSecond: lineRate, firstDifference: difference };
}
