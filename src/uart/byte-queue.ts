// A ring of bytes with a fixed capacity. Never grows: what does not fit is not taken.

export class ByteQueue {
  readonly #ring: Uint8Array;
  #head = 0;
  #length = 0;

  constructor(readonly capacity: number) {
    this.#ring = new Uint8Array(capacity);
  }

  get length(): number {
    return this.#length;
  }

  get room(): number {
    return this.capacity - this.#length;
  }

  /** Copies what fits; returns how many bytes that were. */
  push(bytes: Uint8Array): number {
    const count = Math.min(bytes.length, this.room);
    const tail = (this.#head + this.#length) % this.capacity;
    const first = Math.min(count, this.capacity - tail);
    this.#ring.set(bytes.subarray(0, first), tail);
    this.#ring.set(bytes.subarray(first, count), 0);
    this.#length += count;
    return count;
  }

  /** Takes up to `count` bytes out, as a copy that the caller owns. */
  shift(count: number): Uint8Array {
    const out = this.peek(count);
    this.drop(out.length);
    return out;
  }

  /** A copy of up to `count` bytes, which stay. */
  peek(count: number): Uint8Array {
    const taken = Math.max(0, Math.min(count, this.#length));
    const out = new Uint8Array(taken);
    const first = Math.min(taken, this.capacity - this.#head);
    out.set(this.#ring.subarray(this.#head, this.#head + first), 0);
    out.set(this.#ring.subarray(0, taken - first), first);
    return out;
  }

  /** Drops the oldest `count` bytes. */
  drop(count: number): void {
    const dropped = Math.max(0, Math.min(count, this.#length));
    this.#head = (this.#head + dropped) % this.capacity;
    this.#length -= dropped;
  }

  /** Drops everything; returns how many bytes that were. */
  clear(): number {
    const dropped = this.#length;
    this.#head = 0;
    this.#length = 0;
    return dropped;
  }
}
