// A program on a pseudo-terminal of its own, in raw mode: its output is told, its input is written without blocking.
// Never writes through node-pty: libuv writes to a PTY master with blocking calls, so one program that does not read
// would hang this whole process. The descriptor is non-blocking; what it does not take is the caller's to keep.
import { writeSync } from 'node:fs';
import { type Pty, spawn } from 'node-pty';
import { Fault, messageOf } from '../base/fault.js';

/** Printed by the shell when the terminal is raw: what comes before it was the terminal's, not the program's. */
const READY = 0x06;
const SETUP = 'stty raw -echo || exit 127; printf "\\006"; exec /bin/sh -c "$1"';

export interface ChildEvents {
  ready(): void;
  output(bytes: Uint8Array): void;
  /** At most once; nothing follows. */
  exited(text: string): void;
}

export class Child {
  readonly #pty: Pty;
  readonly #events: ChildEvents;
  readonly exit: Promise<void>;
  #ready = false;
  #gone = false;

  constructor(program: string, events: ChildEvents) {
    this.#events = events;
    try {
      this.#pty = spawn('/bin/sh', ['-c', SETUP, 'sh', program], { encoding: null });
    } catch (error) {
      throw new Fault('SYSTEM', `cannot start '${program}': ${messageOf(error)}`, { cause: error });
    }
    this.#pty.onData((data) => this.#heard(data));
    this.exit = new Promise((resolve) => {
      this.#pty.onExit(({ exitCode, signal }) => {
        this.#gone = true;
        resolve();
        this.#events.exited(signal ? `ended by signal ${signal}` : `exit code ${exitCode}`);
      });
    });
  }

  get pid(): number {
    return this.#pty.pid;
  }

  /** Returns how many bytes the terminal took; 0 while the program does not read, or is gone. */
  write(bytes: Uint8Array): number {
    if (this.#gone || !this.#ready) return 0;
    try {
      return writeSync(this.#pty.fd, bytes);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'EAGAIN') return 0;
      // EIO: the program closed its terminal; `exited` follows. EBADF: node-pty has closed the master already.
      if (code === 'EIO' || code === 'EBADF') {
        this.#gone = true;
        return 0;
      }
      throw error;
    }
  }

  pause(): void {
    if (!this.#gone) this.#pty.pause();
  }

  resume(): void {
    if (!this.#gone) this.#pty.resume();
  }

  kill(signal: 'SIGHUP' | 'SIGKILL'): void {
    if (!this.#gone) this.#pty.kill(signal);
  }

  #heard(data: Uint8Array): void {
    if (this.#ready) {
      this.#events.output(data);
      return;
    }
    const mark = data.indexOf(READY);
    if (mark < 0) return;
    this.#ready = true;
    this.#events.ready();
    if (mark + 1 < data.length) this.#events.output(data.subarray(mark + 1));
  }
}
