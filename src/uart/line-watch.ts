// Looks at a port's modem lines whenever they may have changed: one question at a time, and a change during it is asked for after it.
import type { ModemLines } from '../serial/line.js';
import type { DriverCalls } from './driver-calls.js';
import { readLines } from './serial-device.js';

export class LineWatch {
  readonly #fd: number;
  readonly #calls: DriverCalls;
  readonly #told: (lines: ModemLines) => void;
  readonly #failed: (error: unknown) => void;
  #isLooking = false;
  #lookAgain = false;

  /** @param told what they are, changed or not; nothing is told once the calls have ended */
  constructor(fd: number, calls: DriverCalls, told: (lines: ModemLines) => void, failed: (error: unknown) => void) {
    this.#fd = fd;
    this.#calls = calls;
    this.#told = told;
    this.#failed = failed;
  }

  look(): void {
    this.#lookAgain = true;
    if (!this.#isLooking) void this.#ask();
  }

  async #ask(): Promise<void> {
    this.#isLooking = true;
    try {
      while (this.#lookAgain && !this.#calls.ended) {
        this.#lookAgain = false;
        const lines = await this.#calls.run(() => readLines(this.#fd));
        if (lines !== undefined && !this.#calls.ended) this.#told(lines);
      }
    } catch (error) {
      if (!this.#calls.ended) this.#failed(error);
    } finally {
      this.#isLooking = false;
    }
  }
}
