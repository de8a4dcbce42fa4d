// One event at a time: what happens while one is being dealt with waits its turn, however deep in a call it happens.
import type { Event } from './machine.js';

export class EventQueue {
  readonly #waiting: Event[] = [];
  readonly #deal: (event: Event) => void;
  readonly #dealt: () => void;
  #busy = false;

  /** @param dealt called when nothing waits any more */
  constructor(deal: (event: Event) => void, dealt: () => void) {
    this.#deal = deal;
    this.#dealt = dealt;
  }

  push(event: Event): void {
    this.#waiting.push(event);
    if (this.#busy) return;
    this.during(() => {
      for (let next = this.#waiting.shift(); next; next = this.#waiting.shift()) this.#deal(next);
    });
    this.#dealt();
  }

  /** Events of this time wait for the next push. */
  during(work: () => void): void {
    this.#busy = true;
    try {
      work();
    } finally {
      this.#busy = false;
    }
  }
}
