// A serial line for tests of real ports: a PTY whose slave is the port, and whose master is the device at the other end.
// It shows the termios that the port has, as a UART would obey it; a PTY has no modem lines, no break and always 8N.
import { closeSync, existsSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { createPty } from '../../src/native/pty.js';
import { getTermios } from '../../src/native/termios.js';
import { DEFAULT_SETTINGS, type LineSettings } from '../../src/serial/line.js';
import { initialTermios, toLineSettings } from '../../src/serial/termios.js';
import { LOCK_DIRECTORY, lockName } from '../../src/uart/lock-file.js';

export class SerialLine {
  readonly path: string;
  readonly #fd: number;
  readonly #received: Buffer[] = [];
  readonly #buffer = Buffer.alloc(65_536);
  readonly #timer: NodeJS.Timeout;
  #unsent = Buffer.alloc(0);
  #open = true;
  /** The device sends back what it gets. */
  echo: boolean;
  /** The device takes nothing. */
  deaf = false;

  constructor(options: { echo?: boolean } = {}) {
    const { fd, path } = createPty(initialTermios({ ...DEFAULT_SETTINGS, baudRate: 1200 }));
    this.#fd = fd;
    this.path = path;
    this.echo = options.echo ?? false;
    this.#timer = setInterval(() => this.#turn(), 1);
  }

  /** All that the device got. */
  get received(): Buffer {
    return Buffer.concat(this.#received);
  }

  /** How the bytes came: one entry for each read that had any. */
  get pieces(): readonly Buffer[] {
    return this.#received;
  }

  /** What came until now never did: `received` begins with what comes next. */
  forget(): void {
    this.#received.length = 0;
  }

  /** What the port has set. */
  get settings(): LineSettings {
    return toLineSettings(getTermios(this.#fd));
  }

  get termios() {
    return getTermios(this.#fd);
  }

  /** From the device. */
  send(bytes: Uint8Array | string): void {
    this.#unsent = Buffer.concat([this.#unsent, Buffer.from(bytes)]);
    this.#turn();
  }

  get unsent(): number {
    return this.#unsent.length;
  }

  /** As an adapter that is pulled out: whoever has the port open is told the end. Idempotent. */
  unplug(): void {
    if (!this.#open) return;
    this.#open = false;
    clearInterval(this.#timer);
    removeStaleLock(this.path);
    closeSync(this.#fd);
  }

  #turn(): void {
    if (!this.#open) return;
    for (let bytes = this.#read(); bytes !== undefined; bytes = this.#read()) {
      if (bytes.length === 0) continue;
      this.#received.push(bytes);
      if (this.echo) this.#unsent = Buffer.concat([this.#unsent, bytes]);
    }
    if (this.#unsent.length > 0) this.#unsent = this.#unsent.subarray(this.#write(this.#unsent));
  }

  /** Without the byte that packet mode puts before them; empty where that was all. */
  #read(): Buffer | undefined {
    if (this.deaf) return undefined;
    try {
      const count = readSync(this.#fd, this.#buffer);
      if (count === 0) return undefined;
      return this.#buffer[0] === 0 ? Buffer.from(this.#buffer.subarray(1, count)) : Buffer.alloc(0);
    } catch (error) {
      if (errnoOf(error) === 'EAGAIN' || errnoOf(error) === 'EIO') return undefined; // EIO: nobody has it open
      throw error;
    }
  }

  #write(bytes: Buffer): number {
    try {
      return writeSync(this.#fd, bytes);
    } catch (error) {
      if (errnoOf(error) === 'EAGAIN' || errnoOf(error) === 'EIO') return 0;
      throw error;
    }
  }
}

function errnoOf(error: unknown): unknown {
  return error instanceof Error ? Reflect.get(error, 'code') : undefined;
}

/** What a process that was killed has left would be the next PTY's of this number. */
function removeStaleLock(path: string): void {
  const lock = join(LOCK_DIRECTORY, lockName(path));
  try {
    if (!existsSync(`/proc/${readFileSync(lock, 'latin1').trim()}`)) rmSync(lock);
  } catch {} // it is gone
}
