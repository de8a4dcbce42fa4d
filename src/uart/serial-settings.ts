// What line settings mean on a real port's termios, and whether the driver has carried them out. Pure.
// Follows termios(3) and ioctl_tty(2).
import type { LineSettings } from '../serial/line.js';
import { TERMIOS, type Termios, toLineSettings, withLineSettings } from '../serial/termios.js';

const { CLOCAL, CREAD, HUPCL, VMIN, VTIME } = TERMIOS;
const PARMRK = 0o10;

const MIN_BAUD_RATE = 1;
/** The fastest that adapters have; what a port cannot do shows when it has been asked. */
const MAX_BAUD_RATE = 12_000_000;
/** A UART that is off by more than this does not understand its peer. */
const RATE_TOLERANCE = 0.03;

export function isPossible({ baudRate, stopBits, dataBits }: LineSettings): boolean {
  if (!Number.isInteger(baudRate) || baudRate < 0 || baudRate > MAX_BAUD_RATE) return false;
  if (baudRate !== 0 && baudRate < MIN_BAUD_RATE) return false;
  return stopBits !== 1.5 || dataBits === 5;
}

/** A UART knows one stop bit, and more: 1.5 with 5 data bits, 2 with all others. */
export function asUart(settings: LineSettings): LineSettings {
  return settings.dataBits === 5 && settings.stopBits === 2 ? { ...settings, stopBits: 1.5 } : settings;
}

/**
 * Raw, whatever was there before; DTR falls at the last close.
 * @param marksBreaks a received break is marked among the bytes (break-marks.ts): the driver counts breaks, so it is told anyway
 */
export function rawTermios(before: Termios, settings: LineSettings, marksBreaks: boolean): Termios {
  const cc = [...before.cc];
  cc[VMIN] = 1;
  cc[VTIME] = 0;
  const raw = { ...before, iflag: marksBreaks ? PARMRK : 0, oflag: 0, lflag: 0, cflag: CREAD | CLOCAL | HUPCL, cc };
  return withLineSettings(raw, settings);
}

export function isCarried(wanted: LineSettings, inForce: Termios): boolean {
  const got = toLineSettings(inForce);
  return (
    Math.abs(got.baudRate - wanted.baudRate) <= wanted.baudRate * RATE_TOLERANCE &&
    got.dataBits === wanted.dataBits &&
    got.parity === wanted.parity &&
    got.stopBits === wanted.stopBits &&
    got.flowControl.rtsCts === wanted.flowControl.rtsCts &&
    got.flowControl.xonXoffIn === wanted.flowControl.xonXoffIn &&
    got.flowControl.xonXoffOut === wanted.flowControl.xonXoffOut
  );
}
