// What of a tty's configuration its session obeys. Times in milliseconds.
import type { LineSettings, OutputLines } from '../serial/line.js';
import type { MachinePolicy } from './machine.js';

export interface PortPolicy extends MachinePolicy {
  /** What is written before the first connect is kept for at least this long. */
  readonly connectTimeoutMs: number;
  /** A drain at close gives up after this long without progress. */
  readonly closingWaitMs: number;
  /** The connection is kept this long for a reopen. */
  readonly disconnectDelayMs: number;
  /** offlineData: hold keeps what is not older than this. */
  readonly holdTimeMs: number;
  /** DTR and RTS while an application has the tty open. */
  readonly lines: OutputLines;
  /** TX_FIFO: 16, or 1 for off. */
  readonly fifoBytes: number;
}

/** Bytes kept by `offlineData: hold`. */
export const HOLD_BYTES = 65536;

const LINES_LOW: OutputLines = { dtr: false, rts: false };

/**
 * What the device should be told: without an application, and at B0, both lines are low (termios(3): B0 drops the
 * modem control lines).
 */
export function desiredLines(policy: PortPolicy, settings: LineSettings, open: boolean): OutputLines {
  return open && settings.baudRate > 0 ? policy.lines : LINES_LOW;
}

export { lookAheadBytes } from '../serial/line.js';
