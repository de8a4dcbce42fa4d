// What every simulated port does with settings and lines, without bytes: which settings it refuses, B0, and the
// comparison of lines. Never touches a clock.
import type { LineSettings, ModemLines, OutputLines } from '../serial/line.js';

export const LINES_DOWN: OutputLines = { dtr: false, rts: false };

/** What the UART of a device server can do; realcom.md's table ends at 921600. */
export const MIN_BAUD_RATE = 50;
export const MAX_BAUD_RATE = 921_600;

export function isPossible(settings: LineSettings): boolean {
  const rate = settings.baudRate;
  if (rate === 0) return true;
  if (!Number.isFinite(rate) || rate < MIN_BAUD_RATE || rate > MAX_BAUD_RATE) return false;
  return settings.stopBits !== 1.5 || settings.dataBits === 5;
}

/** B0 keeps the rate (termios(3)). */
export function keepRateAtZero(wanted: LineSettings, present: LineSettings): LineSettings {
  return wanted.baudRate === 0 ? { ...wanted, baudRate: present.baudRate } : wanted;
}

export function sameLines(a: ModemLines, b: ModemLines): boolean {
  return a.cts === b.cts && a.dsr === b.dsr && a.dcd === b.dcd && a.ri === b.ri;
}

/** A line of 5 to 7 data bits carries no more of a byte than these. */
export function maskTo(bytes: Uint8Array, dataBits: number): Uint8Array {
  if (dataBits === 8) return bytes;
  const mask = (1 << dataBits) - 1;
  return bytes.map((byte) => byte & mask);
}
