/** Towards a socket: what is said in one turn of the event loop goes in one write, and so in one segment. */
export class TurnWriter {
  readonly #write: (bytes: Uint8Array) => void;
  #parts: Uint8Array[] = [];
  #waiting = 0;
  #flushing: NodeJS.Immediate | undefined;

  constructor(write: (bytes: Uint8Array) => void) {
    this.#write = write;
  }

  /** Bytes that were not written yet. */
  get waiting(): number {
    return this.#waiting;
  }

  add(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.#waiting += bytes.length;
    this.#flushing ??= setImmediate(() => this.flush());
  }

  /** Writes at once what waits, if anything does. */
  flush(): void {
    const [first, ...more] = this.#parts;
    const bytes = more.length === 0 ? first : Buffer.concat(this.#parts);
    this.drop();
    if (bytes !== undefined) this.#write(bytes);
  }

  drop(): void {
    clearImmediate(this.#flushing);
    this.#flushing = undefined;
    this.#parts = [];
    this.#waiting = 0;
  }
}
