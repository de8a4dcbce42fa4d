// A tty as the bench uses it: one descriptor that never waits, to write, and one whose read(2) waits in the kernel, to
// read. A waiting read wakes as soon as a byte is there, with no event loop in between, which is what an application in
// C would measure. VMIN=0, VTIME=1: a read without bytes returns after a tenth of a second, so a deadline can be kept.
// Blocks the event loop while it measures, on purpose. See termios(3), "Canonical and noncanonical mode".
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { Fault, messageOf } from '../../base/fault.js';
import { getTermios, setTermios } from '../../native/termios.js';
import type { LineSettings } from '../../serial/line.js';
import { TERMIOS, type Termios, toLineSettings, withLineSettings } from '../../serial/termios.js';

const { O_NOCTTY, O_NONBLOCK, O_RDWR } = constants;
const READ_SLICE_MS = 100;
const RETRY_WRITE_MS = 1;
/** Reads that return nothing at once: the tty was hung up. One may be a signal. */
const HUNG_UP_AFTER = 5;

export class BenchTty {
  readonly settings: LineSettings;
  readonly #path: string;
  readonly #before: Termios;
  readonly #writer: number;
  readonly #reader: number;
  readonly #scratch = new Uint8Array(4096);

  /** Throws a Fault. Raw, without local XON/XOFF, at `baudRate` where it is given; RTS/CTS stays as it was. */
  constructor(path: string, baudRate?: number) {
    this.#path = path;
    this.#writer = openTty(path);
    try {
      this.#before = getTermios(this.#writer);
      setTermios(this.#writer, raw(this.#before, baudRate));
      this.settings = toLineSettings(getTermios(this.#writer));
      // A descriptor of its own, because O_NONBLOCK belongs to the open file and not to the number.
      this.#reader = openSync(`/proc/self/fd/${this.#writer}`, O_RDWR | O_NOCTTY);
    } catch (error) {
      closeSync(this.#writer);
      throw new Fault('SYSTEM', `${path}: ${messageOf(error)}`, { cause: error });
    }
  }

  /** False where the tty did not take all of it until the deadline (performance.now). */
  write(bytes: Uint8Array, deadline: number): boolean {
    let rest = bytes;
    for (;;) {
      rest = rest.subarray(this.writeSome(rest));
      if (rest.length === 0) return true;
      if (performance.now() >= deadline) return false;
      pause(RETRY_WRITE_MS);
    }
  }

  /** What the tty takes without waiting; 0 where it is full. */
  writeSome(bytes: Uint8Array): number {
    try {
      return writeSync(this.#writer, bytes);
    } catch (error) {
      if (codeOf(error) === 'EAGAIN') return 0;
      throw this.#gone(error);
    }
  }

  /** Waits for bytes until the deadline; 0 where none came. */
  readSome(into: Uint8Array, deadline: number): number {
    for (let empty = 0; ; ) {
      const from = performance.now();
      const n = this.#read(into);
      if (n > 0) return n;
      const now = performance.now();
      empty = now - from < READ_SLICE_MS / 2 ? empty + 1 : 0;
      if (empty >= HUNG_UP_AFTER) throw this.#gone(undefined);
      if (now >= deadline) return 0;
    }
  }

  /** Reads until `into` is full, or the deadline; returns how many bytes came. */
  readAll(into: Uint8Array, deadline: number): number {
    let at = 0;
    while (at < into.length) {
      const n = this.readSome(into.subarray(at), deadline);
      if (n === 0) break;
      at += n;
    }
    return at;
  }

  /** Throws away what comes until nothing came for so long; returns how many bytes that were. */
  discard(quietMs: number, limitMs: number): number {
    const end = performance.now() + limitMs;
    let dropped = 0;
    for (;;) {
      const n = this.readSome(this.#scratch, performance.now() + quietMs);
      dropped += n;
      if (n === 0 || performance.now() > end) return dropped;
    }
  }

  /** Puts the settings back. */
  close(): void {
    try {
      setTermios(this.#writer, this.#before);
    } catch (error) {
      // EIO: hung up meanwhile, there is nothing to put back.
      if (codeOf(error) !== 'EIO') throw error;
    } finally {
      closeSync(this.#reader);
      closeSync(this.#writer);
    }
  }

  #read(into: Uint8Array): number {
    try {
      return readSync(this.#reader, into);
    } catch (error) {
      if (codeOf(error) === 'EINTR') return 0;
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
  cc[VMIN] = 0;
  cc[VTIME] = 1;
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

const CELL = new Int32Array(new SharedArrayBuffer(4));

/** Sleeps without the event loop. */
function pause(ms: number): void {
  Atomics.wait(CELL, 0, 0, ms);
}
