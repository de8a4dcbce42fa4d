// Holds bytes back for a fixed time, in order: a device that thinks before it answers. Bounded; never early.
import type { Clock, Timer } from '../base/clock.js';

interface Delayed {
  readonly dueMs: number;
  bytes: Uint8Array;
}

export class DelayLine {
  readonly #items: Delayed[] = [];
  #bytes = 0;
  #timer: Timer | undefined;
  #disposed = false;

  /** @param take how many of the bytes, which are due, the other end takes; the rest waits for `retry`. */
  constructor(
    private readonly clock: Clock,
    private readonly delayMs: number,
    readonly capacity: number,
    private readonly take: (bytes: Uint8Array) => number,
  ) {}

  get room(): number {
    return Math.max(0, this.capacity - this.#bytes);
  }

  push(bytes: Uint8Array): void {
    if (this.#disposed || bytes.length === 0) return;
    this.#items.push({ dueMs: this.clock.now() + this.delayMs, bytes });
    this.#bytes += bytes.length;
    this.#arm();
  }

  /** The other end has room again. */
  retry(): void {
    this.#arm();
  }

  dispose(): void {
    this.#disposed = true;
    this.#timer?.cancel();
    this.#items.length = 0;
    this.#bytes = 0;
  }

  #arm(): void {
    const first = this.#items[0];
    if (this.#disposed || this.#timer !== undefined || first === undefined) return;
    this.#timer = this.clock.after(Math.max(0, first.dueMs - this.clock.now()), () => {
      this.#timer = undefined;
      if (this.#passOn()) this.#arm();
    });
  }

  /** False where the other end has no room. */
  #passOn(): boolean {
    for (;;) {
      const first = this.#items[0];
      if (first === undefined || first.dueMs > this.clock.now()) return true;
      const taken = this.take(first.bytes);
      this.#bytes -= taken;
      if (taken < first.bytes.length) {
        first.bytes = first.bytes.subarray(taken);
        return false;
      }
      this.#items.shift();
    }
  }
}
