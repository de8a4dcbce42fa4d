// What is to go out on a line and the port has no room for yet, in order, and the wait until it has gone: for protocols in
// which a command comes behind the data on one connection. Bounded by its user, who reads no more while it is full.
// Never waits for ever: a line that stands (CTS, XOFF) would keep the command waiting that sets it free.
import type { Clock } from '../base/clock.js';
import type { Uart } from '../uart/uart.js';

const FULL_BYTES = 64 * 1024;
/** Views of what was received, which may be short. */
const FULL_PIECES = 4096;
/** Nothing leaves for so long: it stands. */
const STANDS_MS = 1000;
const PATIENCE_MS = 10_000;

/** What it needs of the port. */
export type OutputPort = Pick<Uart, 'write' | 'outputQueue'>;

export class LineOutput {
  readonly #uart: OutputPort;
  readonly #clock: Clock;
  #pieces: Uint8Array[] = [];
  #first = 0;
  #bytes = 0;
  /** Waited for in vain: what follows does not wait as long again, until the line is empty. */
  #stands = false;
  readonly #waiting = new Set<() => void>();
  #closed = false;

  constructor(uart: OutputPort, clock: Clock) {
    this.#uart = uart;
    this.#clock = clock;
  }

  /** Bytes that the port has not accepted yet. */
  get waiting(): number {
    return this.#bytes;
  }

  get full(): boolean {
    return this.#bytes >= FULL_BYTES || this.#pieces.length - this.#first >= FULL_PIECES;
  }

  /** Takes all, and keeps the view. */
  write(bytes: Uint8Array): void {
    const accepted = this.#bytes === 0 ? this.#uart.write(bytes) : 0;
    if (accepted === bytes.length) return;
    this.#pieces.push(bytes.subarray(accepted));
    this.#bytes += bytes.length - accepted;
  }

  /** The port has room again. */
  portWritable(): void {
    for (let piece = this.#pieces[this.#first]; piece !== undefined; piece = this.#pieces[this.#first]) {
      const accepted = this.#uart.write(piece);
      this.#bytes -= accepted;
      if (accepted < piece.length) {
        this.#pieces[this.#first] = piece.subarray(accepted);
        break;
      }
      this.#first++;
    }
    if (this.#bytes === 0) this.drop();
    this.#wake();
  }

  /** The port has nothing left to transmit. */
  portDrained(): void {
    if (this.#bytes === 0) this.#stands = false;
    this.#wake();
  }

  /** Drops what the port has not accepted. */
  drop(): void {
    this.#pieces = [];
    this.#first = 0;
    this.#bytes = 0;
  }

  /**
   * Resolves when all of it has been accepted, or has left; earlier where the line stands, and where it takes too long.
   * What is written meanwhile counts too.
   */
  async gone(how: 'accepted' | 'transmitted', atMostMs = PATIENCE_MS): Promise<void> {
    if (this.#left('transmitted') === 0) this.#stands = false;
    const until = this.#clock.now() + atMostMs;
    let left = this.#left(how);
    while (left > 0 && !this.#stands && !this.#closed) {
      const patience = until - this.#clock.now();
      if (patience <= 0) {
        this.#stands = true;
        return;
      }
      const woken = await this.#moved(Math.min(STANDS_MS, patience));
      const now = this.#left(how);
      if (!woken && now >= left) this.#stands = true;
      left = now;
    }
  }

  /** What another one had, before anything is written. */
  goOn(bytes: Uint8Array): void {
    if (bytes.length > 0) this.write(bytes);
  }

  /** Whoever waits for the line waits no more. What it has stays. */
  stopWaiting(): void {
    this.#closed = true;
    this.#wake();
  }

  /** Does no more; returns what the port has not accepted. */
  handOver(): Uint8Array {
    const bytes = Buffer.concat(this.#pieces.slice(this.#first));
    this.close();
    return bytes;
  }

  /** Nothing waits any more. */
  close(): void {
    this.#closed = true;
    this.drop();
    this.#wake();
  }

  #left(how: 'accepted' | 'transmitted'): number {
    return this.#bytes + (how === 'transmitted' ? this.#uart.outputQueue : 0);
  }

  /** False where nobody said in that time that something had. */
  #moved(withinMs: number): Promise<boolean> {
    return new Promise((resolve) => {
      const end = (woken: boolean) => {
        timer.cancel();
        this.#waiting.delete(wake);
        resolve(woken);
      };
      const wake = () => end(true);
      const timer = this.#clock.after(withinMs, () => end(false));
      this.#waiting.add(wake);
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}
