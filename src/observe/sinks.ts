// Where log lines end: a descriptor that may be slow (terminal, pipe), or a file that is rotated by size.
// A sink never throws at its user, never waits and never queues without bound; what does not fit is dropped and counted.
import {
  closeSync,
  constants,
  fstatSync,
  mkdirSync,
  openSync,
  renameSync,
  rmSync,
  type Stats,
  statSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import type { Clock, Timer } from '../base/clock.js';
import { messageOf } from '../base/fault.js';

export interface Sink {
  /** Whole lines, each with its line feed. */
  write(text: string): void;
  /** Writes what can be written at once, and gives the rest up. */
  close(): void;
}

const RETRY_MS = 20;

/**
 * Writes to a descriptor without ever blocking the event loop on it. Node makes terminals and pipes blocking, and a
 * description that is shared with other processes must not be made non-blocking: so pipes and terminals are opened anew.
 * Sockets and files are written as they are.
 */
export class DescriptorSink implements Sink {
  readonly #fd: number;
  readonly #own: boolean;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #dropped = 0;
  #timer: Timer | undefined;
  #broken = false;

  constructor(
    fd: number,
    private readonly clock: Clock,
    private readonly maxQueuedBytes = 256 * 1024,
  ) {
    const reopened = reopen(fd);
    this.#own = reopened !== undefined;
    this.#fd = reopened ?? fd;
  }

  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  write(text: string): void {
    if (this.#broken) return;
    const bytes = Buffer.from(text);
    // The notice of what was dropped goes before what follows it, so nothing is queued while there is no room for it.
    if (this.#queuedBytes + bytes.length > this.maxQueuedBytes || (this.#dropped > 0 && this.#queuedBytes > 0)) {
      this.#dropped++;
      return;
    }
    this.#announce();
    this.#push(bytes);
    this.#drain();
  }

  close(): void {
    if (!this.#broken) this.#drain();
    this.#cancelRetry();
    this.#giveUp();
    if (this.#own) closeSync(this.#fd);
  }

  #cancelRetry(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #giveUp(): void {
    this.#broken = true;
    this.#queue = [];
    this.#queuedBytes = 0;
  }

  #announce(): void {
    if (this.#dropped === 0) return;
    this.#push(Buffer.from(`... ${this.#dropped} log lines dropped: the reader of the log is slow\n`));
    this.#dropped = 0;
  }

  #push(bytes: Buffer): void {
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
  }

  #drain(): void {
    for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
      const written = this.#tryWrite(head);
      if (written === undefined) return;
      this.#queuedBytes -= written;
      if (written < head.length) this.#queue[0] = head.subarray(written);
      else this.#queue.shift();
      if (this.#queue.length === 0) this.#announce();
    }
  }

  /** How much was taken; undefined when there is no room, or nobody any more. */
  #tryWrite(bytes: Buffer): number | undefined {
    try {
      return writeSync(this.#fd, bytes);
    } catch (error) {
      if (codeOf(error) === 'EAGAIN') {
        this.#timer ??= this.clock.after(RETRY_MS, () => {
          this.#timer = undefined;
          this.#drain();
        });
      } else {
        // EPIPE, EIO: whoever read the log is gone, and there is nobody left to tell.
        this.#giveUp();
      }
      return undefined;
    }
  }
}

function reopen(fd: number): number | undefined {
  try {
    const stats: Stats = fstatSync(fd);
    if (!stats.isFIFO() && !stats.isCharacterDevice()) return undefined;
    return openSync(`/proc/self/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return undefined; // no /proc, or no right to: written as it is
  }
}

export interface RotatedFileOptions {
  readonly path: string;
  readonly maxSizeBytes: number;
  /** The current one included. */
  readonly maxFiles: number;
}

const FILE_RETRY_MS = 30_000;

/**
 * A file that is renamed to PATH.1 when it is full, PATH.1 to PATH.2 and so on. When it cannot be written (full disk, no
 * permission), lines go to `fallback`, which is told once, and the file is tried again now and then.
 */
export class RotatedFileSink implements Sink {
  #fd = -1;
  #size = 0;
  #failedAtMs: number | undefined;

  constructor(
    private readonly options: RotatedFileOptions,
    private readonly fallback: Sink,
    private readonly clock: Clock,
  ) {}

  write(text: string): void {
    const waiting = this.#failedAtMs !== undefined && this.clock.now() - this.#failedAtMs < FILE_RETRY_MS;
    if (waiting) {
      this.fallback.write(text);
      return;
    }
    try {
      this.#append(Buffer.from(text));
      if (this.#failedAtMs !== undefined) this.fallback.write(`log file ${this.options.path}: written again\n`);
      this.#failedAtMs = undefined;
    } catch (error) {
      const again = this.#failedAtMs !== undefined;
      this.#failedAtMs = this.clock.now();
      this.#closeFile();
      const notice = `log file ${this.options.path} cannot be written (${messageOf(error)}), logging here instead\n`;
      this.fallback.write(again ? text : notice + text);
    }
  }

  close(): void {
    this.#closeFile();
    this.fallback.close();
  }

  #append(bytes: Buffer): void {
    if (this.#fd < 0) this.#open();
    if (this.#size > 0 && this.#size + bytes.length > this.options.maxSizeBytes) {
      this.#closeFile();
      this.#rotate();
      this.#open();
    }
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    this.#size += bytes.length;
  }

  #open(): void {
    makeFolder(dirname(this.options.path));
    this.#fd = openSync(this.options.path, 'a', 0o640);
    this.#size = statSync(this.options.path).size;
  }

  #rotate(): void {
    const { path, maxFiles } = this.options;
    const nameOf = (i: number) => (i === 0 ? path : `${path}.${i}`);
    rmSync(nameOf(maxFiles - 1), { force: true });
    for (let i = maxFiles - 2; i >= 0; i--) {
      try {
        renameSync(nameOf(i), nameOf(i + 1));
      } catch (error) {
        if (codeOf(error) !== 'ENOENT') throw error;
      }
    }
  }

  #closeFile(): void {
    if (this.#fd >= 0) closeSync(this.#fd);
    this.#fd = -1;
  }
}

/** Not recursive: that makes Node 20 spin for ever where a folder refuses new entries with ENOENT, as /proc does. */
function makeFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o750 });
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
  }
}

function codeOf(error: unknown): unknown {
  return error instanceof Error ? Reflect.get(error, 'code') : undefined;
}
