// Modem lines that a server moves of its own accord, as its peers come and go: asked for in order, and however fast those are, a device
// that is slow to take them has few to take.
import type { OutputLines } from '../serial/line.js';
import type { PortLine } from './shared-line.js';

/** What waits shows at least one pulse of the lines still: down and up again, as a hang-up and the next call. */
const MOST_WAITING = 3;

export class OwnLines {
  readonly #port: Pick<PortLine, 'request'>;
  readonly #failed: (error: unknown) => void;
  readonly #waiting: OutputLines[] = [];
  #isAsking = false;

  /** @param failed the port refused by an error; it is asked for the next all the same */
  constructor(port: Pick<PortLine, 'request'>, failed: (error: unknown) => void) {
    this.#port = port;
    this.#failed = failed;
  }

  /** They are as they were set last. */
  get idle(): boolean {
    return !this.#isAsking;
  }

  /** Whatever they are now: of two in a row the first may still be on its way. */
  set(lines: OutputLines): void {
    this.#waiting.push(lines);
    // The oldest two: where the lines went and whence they came.
    if (this.#waiting.length > MOST_WAITING) this.#waiting.splice(0, 2);
    if (!this.#isAsking) void this.#ask();
  }

  async #ask(): Promise<void> {
    this.#isAsking = true;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      try {
        await this.#port.request({ type: 'lines', lines: next });
      } catch (error) {
        this.#failed(error);
      }
    }
    this.#isAsking = false;
  }
}
