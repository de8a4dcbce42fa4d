import type { DriverCalls } from './driver-calls.js';

interface Side {
  hold(why: 'change', on: boolean): void;
}

/** A serial port whose bytes stand while it is changed: read(2) and write(2) would wait for the change, and all others with them. */
export class Standstill {
  readonly #calls: DriverCalls;
  readonly #sides: readonly Side[];
  #changes = 0;

  constructor(calls: DriverCalls, sides: readonly Side[]) {
    this.#calls = calls;
    this.#sides = sides;
  }

  /** From now on until the change is made no byte moves. False, too, where the port was closed meanwhile. */
  async during(change: () => Promise<boolean>): Promise<boolean> {
    this.#changes++;
    for (const side of this.#sides) side.hold('change', true);
    try {
      return (await this.#calls.run(change)) ?? false;
    } finally {
      if (--this.#changes === 0) for (const side of this.#sides) side.hold('change', false);
    }
  }
}
