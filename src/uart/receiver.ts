// The receive side of a simulated UART: a bounded queue that is told from a microtask, and not at all while paused.
// What does not fit is the caller's to drop or to hold back.
import { ByteQueue } from './byte-queue.js';

export interface ReceiverOptions {
  readonly capacity: number;
  received(bytes: Uint8Array): void;
  /** After bytes were told or dropped. */
  room(): void;
}

export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #queue: ByteQueue;
  #paused = false;
  #scheduled = false;
  #disposed = false;

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#queue = new ByteQueue(options.capacity);
  }

  get queued(): number {
    return this.#queue.length;
  }

  get room(): number {
    return this.#queue.room;
  }

  /** Returns how many bytes there was room for. */
  push(bytes: Uint8Array): number {
    if (this.#disposed) return 0;
    const accepted = this.#queue.push(bytes);
    this.#schedule();
    return accepted;
  }

  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  /** Returns how many bytes were dropped. */
  clear(): number {
    const dropped = this.#queue.clear();
    if (dropped > 0 && !this.#disposed) this.#options.room();
    return dropped;
  }

  dispose(): void {
    this.#disposed = true;
    this.#queue.clear();
  }

  #schedule(): void {
    if (this.#scheduled || this.#paused || this.#disposed || this.#queue.length === 0) return;
    this.#scheduled = true;
    queueMicrotask(() => {
      this.#scheduled = false;
      if (this.#paused || this.#disposed || this.#queue.length === 0) return;
      this.#options.received(this.#queue.shift(this.#queue.length));
      this.#options.room();
    });
  }
}
