// Pseudo-terminals as the driver needs them: raw, silent and in packet mode before anyone can open them.
// What an opener leaves behind is cleared by PumpChannel.reset(), or by the two steps here where no channel exists.
import type { LineSettings } from '../serial/line.js';
import { DEFAULT_SETTINGS } from '../serial/line.js';
import { binding } from './binding.js';
import { cflagOf, iflagOf, TERMIOS } from './termios.js';

export interface PtyOptions {
  /** What `stty` shows before the first application changes it. */
  readonly settings?: LineSettings;
  /** Lower DTR and RTS at the last close; true where nothing is said, as on a real tty. */
  readonly hangUpOnClose?: boolean;
  readonly uid?: number;
  readonly gid?: number;
  /** e.g. 0o660 */
  readonly mode?: number;
}

export interface Pty {
  /** The master, non-blocking, in packet mode. The caller closes it. */
  readonly fd: number;
  /** The slave: /dev/pts/7 */
  readonly path: string;
}

/** Throws a SystemError: EMFILE, ENOSPC (kernel.pty.max), EPERM (owner). */
export function createPty(options: PtyOptions = {}): Pty {
  const settings = options.settings ?? DEFAULT_SETTINGS;
  const hupcl = options.hangUpOnClose === false ? 0 : TERMIOS.HUPCL;
  const raw = {
    baudRate: settings.baudRate,
    cflag: (cflagOf(settings) | hupcl) >>> 0,
    iflag: iflagOf(settings),
    start: settings.flowControl.xon,
    stop: settings.flowControl.xoff,
  };
  return binding.createPty(raw, options.uid ?? -1, options.gid ?? -1, options.mode ?? -1);
}

/**
 * After the last close, while nobody has it open: raw, no echo, EXTPROC, no input translation, CLOCAL clear (so that the
 * next tcsetattr always changes something). Rate, stop bits, flow control and HUPCL stay.
 */
export function rearm(masterFd: number): void {
  binding.rearm(masterFd);
}

/** Drops unread input, TIOCEXCL and a stopped output. Throws EBUSY where TIOCEXCL shuts us out: replace the PTY. */
export function clearStale(slavePath: string): void {
  binding.clearStale(slavePath);
}

/** Nobody has the slave open. */
export function isHungUp(masterFd: number): boolean {
  return binding.isHungUp(masterFd);
}
