// Tells once when no byte has gone for so long. A byte costs a look at the clock, no timer of its own.
import type { Clock, Timer } from '../base/clock.js';

export class Inactivity {
  readonly #clock: Clock;
  readonly #afterMs: number;
  readonly #over: () => void;
  #timer: Timer | undefined;
  #lastMs = 0;

  /** @param afterMs 0: never */
  constructor(clock: Clock, afterMs: number, over: () => void) {
    this.#clock = clock;
    this.#afterMs = afterMs;
    this.#over = over;
  }

  /** A byte, or a client that came. */
  active(): void {
    if (this.#afterMs === 0) return;
    this.#lastMs = this.#clock.now();
    if (this.#timer === undefined) this.#arm(this.#afterMs);
  }

  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #arm(afterMs: number): void {
    this.#timer = this.#clock.after(afterMs, () => {
      this.#timer = undefined;
      const left = this.#lastMs + this.#afterMs - this.#clock.now();
      if (left > 0) this.#arm(left);
      else this.#over();
    });
  }
}
