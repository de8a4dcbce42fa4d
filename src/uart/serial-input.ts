// The receive side of a real serial port: bytes as the driver has them, without what it marks breaks by, and what its counters tell of
// errors and breaks. Never waits in a call: while the driver takes a change nothing is read.
import { type LineCounters, lineCounters, readNow, unreadBytes } from '../native/serial-port.js';
import { BreakMarks } from './break-marks.js';
import type { UartEvents, UartState } from './uart.js';

export interface InputOptions {
  /** As of now; undefined: the driver counts nothing, and marks no breaks either. */
  readonly counters: LineCounters | undefined;
  /** The driver is asked one thing at a time; undefined: not any more. */
  inOrder<T>(ask: () => Promise<T>): Promise<T | undefined>;
  /** `wantsToRead` may have changed. */
  wantReadable(): void;
  received(bytes: Uint8Array): void;
  report: UartEvents['report'];
  /** undefined: it was hung up. */
  failed(error: unknown): void;
}

const READ_BYTES = 4096;

export class SerialInput {
  readonly #fd: number;
  readonly #options: InputOptions;
  readonly #scratch = new Uint8Array(READ_BYTES);
  readonly #marks = new BreakMarks();
  readonly #held = new Set<'owner' | 'change'>();
  #counters: LineCounters | undefined;
  /** In the driver when it was asked last. */
  #unread = 0;
  #asking = false;
  #closed = false;

  constructor(fd: number, options: InputOptions) {
    this.#fd = fd;
    this.#options = options;
    this.#counters = options.counters;
  }

  /** What another process had seen. To be called first. */
  goOn({ marked }: Pick<UartState, 'marked'>): void {
    this.#marks.goOn(marked);
  }

  handOver(): Pick<UartState, 'counters' | 'marked'> {
    this.#closed = true;
    return { counters: this.#counters, marked: this.#marks.seen };
  }

  get wantsToRead(): boolean {
    return this.#held.size === 0;
  }

  /** What the driver had when it was asked last, which each look at this does again. */
  get queued(): number {
    if (!this.#asking && !this.#closed) void this.#ask();
    return this.#unread;
  }

  hold(reason: 'owner' | 'change', on: boolean): void {
    if (on) this.#held.add(reason);
    else this.#held.delete(reason);
    this.#options.wantReadable();
  }

  /** The rest of what was begun is gone. */
  clear(): void {
    this.#marks.reset();
  }

  /** The driver has something. */
  feed(): void {
    if (!this.wantsToRead || this.#closed) return;
    const count = this.#try(() => readNow(this.#fd, this.#scratch));
    if (count === 'end') this.#options.failed(undefined);
    if (typeof count !== 'number') return;
    let bytes: Uint8Array = this.#scratch.slice(0, count);
    if (this.#counters !== undefined) {
      this.lookAtCounters();
      bytes = this.#marks.remove(bytes);
    }
    if (bytes.length > 0) this.#options.received(bytes);
    this.#options.wantReadable();
  }

  /** Errors and breaks since the last look. */
  lookAtCounters(): void {
    const before = this.#counters;
    if (before === undefined || this.#closed) return;
    const now = this.#try(() => lineCounters(this.#fd));
    if (now === undefined) return;
    this.#counters = now;
    const errors = {
      parity: now.parity !== before.parity,
      framing: now.framing !== before.framing,
      overrun: now.overrun !== before.overrun,
      bufferOverrun: now.bufferOverrun !== before.bufferOverrun,
    };
    if (Object.values(errors).includes(true)) this.#options.report({ type: 'errors', errors });
    if (now.breaks !== before.breaks) this.#options.report({ type: 'break' });
  }

  close(): void {
    this.#closed = true;
  }

  async #ask(): Promise<void> {
    this.#asking = true;
    try {
      await this.#options.inOrder(async () => {
        if (!this.#closed) this.#unread = await unreadBytes(this.#fd);
      });
    } catch (error) {
      if (!this.#closed) this.#options.failed(error);
    } finally {
      this.#asking = false;
    }
  }

  /** undefined where it threw: the port is gone then. */
  #try<T>(call: () => T): T | undefined {
    try {
      return call();
    } catch (error) {
      this.#options.failed(error);
      return undefined;
    }
  }
}
