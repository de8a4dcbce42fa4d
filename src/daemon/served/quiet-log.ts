// Lines that a network can cause as often as it likes: the first few of a kind are told as they come, the rest of the time
// as one line with their number. Holds one entry per kind.
import type { Clock, Timer } from '../../base/clock.js';
import type { Log, LogFields, LogLevel } from '../../base/log.js';

const WINDOW_MS = 60_000;
const TOLD = 5;

interface Window {
  count: number;
  readonly timer: Timer;
}

export class QuietLog {
  readonly #log: Log;
  readonly #clock: Clock;
  readonly #windows = new Map<string, Window>();
  #closed = false;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** @param kind from a closed list: each costs an entry */
  log(kind: string, level: LogLevel, message: string, fields?: LogFields): void {
    if (this.#closed) return;
    let window = this.#windows.get(kind);
    if (window === undefined) {
      window = { count: 0, timer: this.#clock.after(WINDOW_MS, () => this.#end(kind)) };
      this.#windows.set(kind, window);
    }
    window.count++;
    if (window.count <= TOLD) this.#log.log(level, message, fields);
  }

  /** Says what was held back. Nothing is told after it: that a port's clients go when it ends is no news. */
  close(): void {
    this.#closed = true;
    for (const kind of [...this.#windows.keys()]) this.#end(kind);
  }

  #end(kind: string): void {
    const window = this.#windows.get(kind);
    this.#windows.delete(kind);
    window?.timer.cancel();
    const more = (window?.count ?? 0) - TOLD;
    if (more > 0) this.#log.log('info', `${kind}: ${more} more within a minute`);
  }
}
