// Pseudo-terminals as the driver needs them: raw, silent and in packet mode before anyone can open them.
// What an opener leaves behind is cleared by PumpChannel.reset(), or by the two steps here where no channel exists.
import { binding } from './binding.js';

export interface PtyOptions {
  /** The termios that `stty` shows before the first application changes it: bits of c_cflag and c_iflag. */
  readonly baudRate: number;
  readonly cflag: number;
  readonly iflag: number;
  /** VSTART and VSTOP. */
  readonly start: number;
  readonly stop: number;
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
export function createPty({ uid, gid, mode, ...termios }: PtyOptions): Pty {
  return binding.createPty(termios, uid ?? -1, gid ?? -1, mode ?? -1);
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

/** The slave of a master that another process made. Throws ENOTTY where it is no master. */
export function slavePath(masterFd: number): string {
  return binding.slavePath(masterFd);
}

/** Nobody has the slave open. */
export function isHungUp(masterFd: number): boolean {
  return binding.isHungUp(masterFd);
}
