// Connects to one destination, again and again for as long as it is wanted, and less and less often while that fails. A name is resolved
// at each try. Keeps no connection: whoever is told of one owns it, and says when it has ended.
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.js';
import { type Destination, destinationText } from '../config/destination.js';
import { Dialling } from './dialling.js';
import { Lookups } from './lookups.js';

export interface DialerOptions {
  readonly clock: Clock;
  readonly destination: Destination;
  readonly connectTimeoutMs?: number;
  /** Default: what the system knows of names. */
  readonly lookups?: Lookups;
  /** 0 to 1; how much of a fifth of a delay is added. */
  readonly random?: () => number;
  /** Not read from yet. */
  connected(socket: Socket): void;
  /** Told once for each cause, until there is a connection. */
  trouble(text: string): void;
}

const CONNECT_TIMEOUT_MS = 5000;
/** Of several name servers the first may be dead: five seconds for each try of it. */
const LOOKUP_TIMEOUT_MS = 60_000;
const FIRST_DELAY_MS = 1000;
const MOST_DELAY_MS = 30_000;

export class Dialer {
  readonly #o: DialerOptions;
  readonly text: string;
  #wanted = false;
  readonly #lookups: Lookups;
  #dialling: Dialling | undefined;
  #sinceMs: number | undefined;
  #delayMs = 0;
  /** Of the clock: no try before. */
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #told: string | undefined;

  constructor(options: DialerOptions) {
    this.#o = options;
    this.#lookups = options.lookups ?? new Lookups();
    this.text = destinationText(options.destination);
  }

  /** Idempotent. */
  want(wanted: boolean): void {
    if (this.#wanted === wanted) return;
    this.#wanted = wanted;
    if (wanted) this.#next();
    else this.#cancel();
  }

  /** The connection that it had made, or one that was adopted, is there. */
  adopted(): void {
    this.#wanted = true;
    this.#sinceMs = this.#o.clock.now();
  }

  /**
   * The connection has ended. Where it is wanted still, another one is made.
   * @param useful bytes went over it, so that it was no failure: the next one is a second after it at the soonest
   */
  ended(useful: boolean): void {
    const { clock } = this.#o;
    const sinceMs = this.#sinceMs ?? clock.now();
    this.#sinceMs = undefined;
    if (useful) {
      this.#delayMs = 0;
      this.#notBeforeMs = sinceMs + FIRST_DELAY_MS;
    } else this.#later();
    if (this.#wanted) this.#next();
  }

  #next(): void {
    if (this.#sinceMs !== undefined || this.#dialling !== undefined || this.#timer !== undefined) return;
    const { clock } = this.#o;
    this.#timer = clock.after(Math.max(0, this.#notBeforeMs - clock.now()), () => {
      this.#timer = undefined;
      this.#dial();
    });
  }

  #dial(): void {
    const { clock, destination, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#o;
    // Wanted and not wanted by a line that never rests it is one try a second, too.
    this.#notBeforeMs = clock.now() + FIRST_DELAY_MS;
    this.#dialling = new Dialling({
      clock,
      destination,
      connectTimeoutMs,
      lookupTimeoutMs: LOOKUP_TIMEOUT_MS,
      lookups: this.#lookups,
      failed: (why) => this.#failed(why),
      connected: (socket) => {
        this.#dialling = undefined;
        this.#told = undefined;
        this.#sinceMs = clock.now();
        this.#o.connected(socket);
      },
    });
  }

  #failed(why: string): void {
    this.#dialling = undefined;
    this.#later();
    if (this.#told !== why) this.#o.trouble(`${this.text}: ${why}; it is tried again`);
    this.#told = why;
    if (this.#wanted) this.#next();
  }

  #later(): void {
    const { clock, random = Math.random } = this.#o;
    this.#delayMs = Math.min(MOST_DELAY_MS, Math.max(FIRST_DELAY_MS, this.#delayMs * 2));
    this.#notBeforeMs = clock.now() + this.#delayMs * (1 + 0.2 * random());
  }

  #cancel(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#dialling?.giveUp();
    this.#dialling = undefined;
  }
}
