// A tty as the bench uses it: raw, one descriptor that never waits, for the load engine, which waits in the kernel on a thread of its
// own as an application in C would. Only what is not measured is read and written here. VMIN=1, VTIME=0: see termios(3).
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Fault, messageOf } from '../../base/fault.js';
import { getTermios, setTermios } from '../../native/termios.js';
import type { LineSettings } from '../../serial/line.js';
import { TERMIOS, type Termios, toLineSettings, withLineSettings } from '../../serial/termios.js';

const { O_NOCTTY, O_NONBLOCK, O_RDWR } = constants;
const LOOK_AGAIN_MS = 1;

export class BenchTty {
  readonly settings: LineSettings;
  readonly fd: number;
  readonly #path: string;
  readonly #before: Termios;
  readonly #scratch = new Uint8Array(4096);

  /** Throws a Fault. Raw, without local XON/XOFF, at `baudRate` where it is given; RTS/CTS stays as it was. */
  constructor(path: string, baudRate?: number) {
    this.#path = path;
    this.fd = openTty(path);
    try {
      this.#before = getTermios(this.fd);
      setTermios(this.fd, raw(this.#before, baudRate));
      this.settings = toLineSettings(getTermios(this.fd));
    } catch (error) {
      closeSync(this.fd);
      throw new Fault('SYSTEM', `${path}: ${messageOf(error)}`, { cause: error });
    }
  }

  /** False where the tty did not take all of it until the deadline (performance.now). */
  async write(bytes: Uint8Array, deadline: number): Promise<boolean> {
    let rest = bytes;
    for (;;) {
      rest = rest.subarray(this.#attempt(() => writeSync(this.fd, rest)));
      if (rest.length === 0) return true;
      if (performance.now() >= deadline) return false;
      await sleep(LOOK_AGAIN_MS);
    }
  }

  /** Reads until so many bytes came, or the deadline, and throws them away; returns how many came. */
  async take(bytes: number, deadline: number): Promise<number> {
    let came = 0;
    while (came < bytes) {
      const n = this.#read(bytes - came);
      came += n;
      if (n > 0) continue;
      if (performance.now() >= deadline) break;
      await sleep(LOOK_AGAIN_MS);
    }
    return came;
  }

  /** Throws away what comes until nothing came for so long. */
  async discard(quietMs: number, limitMs: number): Promise<void> {
    const end = performance.now() + limitMs;
    for (let last = performance.now(); performance.now() < end; ) {
      if (this.#read(this.#scratch.length) > 0) last = performance.now();
      else if (performance.now() - last >= quietMs) return;
      else await sleep(LOOK_AGAIN_MS);
    }
  }

  /** What the load engine gives as a reason, as a Fault where the tty went away. */
  fault(error: unknown): unknown {
    return ['EPIPE', 'EIO'].includes(codeOf(error) ?? '') ? this.#gone(error) : error;
  }

  /** Puts the settings back. */
  close(): void {
    try {
      setTermios(this.fd, this.#before);
    } catch (error) {
      // EIO: hung up meanwhile, there is nothing to put back.
      if (codeOf(error) !== 'EIO') throw error;
    } finally {
      closeSync(this.fd);
    }
  }

  #read(most: number): number {
    let end = false;
    const n = this.#attempt(() => {
      const bytes = readSync(this.fd, this.#scratch, 0, Math.min(most, this.#scratch.length), null);
      end = bytes === 0;
      return bytes;
    });
    if (end) throw this.#gone(undefined);
    return n;
  }

  /** 0 where it would have to wait. */
  #attempt(call: () => number): number {
    try {
      return call();
    } catch (error) {
      if (codeOf(error) === 'EAGAIN' || codeOf(error) === 'EINTR') return 0;
      throw this.#gone(error);
    }
  }

  #gone(cause: unknown): Fault {
    return new Fault('TTY_GONE', `${this.#path} was hung up: see ttynp doctor ${this.#path}`, { cause });
  }
}

const HINTS: ReadonlyMap<string, string> = new Map([
  ['EACCES', 'this user may not open it: join its group, or run with sudo'],
  ['EBUSY', 'another program has it for itself (TIOCEXCL): close that program'],
  ['ENXIO', 'there is no device behind it'],
  ['EIO', 'there is no device behind it'],
]);

function openTty(path: string): number {
  try {
    return openSync(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
  } catch (error) {
    throw new Fault('SYSTEM', `${path}: ${HINTS.get(codeOf(error) ?? '') ?? messageOf(error)}`, { cause: error });
  }
}

/** As cfmakeraw(3) does: EXTPROC, which a PTY's other end needs, stays. */
function raw(before: Termios, baudRate: number | undefined): Termios {
  const { CLOCAL, CREAD, ECHO, ICANON, ICRNL, INLCR, ISIG, ISTRIP, IXOFF, IXON, OPOST, PARMRK, VMIN, VTIME } = TERMIOS;
  const cc = [...before.cc];
  cc[VMIN] = 1;
  cc[VTIME] = 0;
  const IGNCR = 0o200;
  const IEXTEN = 0o100000;
  const plain = {
    ...before,
    iflag: (before.iflag & ~(ISTRIP | INLCR | IGNCR | ICRNL | IXON | IXOFF | PARMRK)) >>> 0,
    oflag: (before.oflag & ~OPOST) >>> 0,
    lflag: (before.lflag & ~(ECHO | ICANON | ISIG | IEXTEN)) >>> 0,
    cflag: (before.cflag | CLOCAL | CREAD) >>> 0,
    cc,
  };
  return baudRate === undefined ? plain : withLineSettings(plain, { ...toLineSettings(plain), baudRate });
}

function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}
