// Connects to one destination, again and again for as long as it is wanted, and less and less often while that fails. A name is resolved
// at each try. Keeps no connection: whoever is told of one owns it, and says when it has ended.
import { connect, type Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.js';
import { type Destination, destinationText } from '../config/destination.js';

export interface DialerOptions {
  readonly clock: Clock;
  readonly destination: Destination;
  readonly connectTimeoutMs?: number;
  /** 0 to 1; how much of a fifth of a delay is added. */
  readonly random?: () => number;
  /** Not read from yet. */
  connected(socket: Socket): void;
  /** Told once for each cause, until there is a connection. */
  trouble(text: string): void;
}

const CONNECT_TIMEOUT_MS = 5000;
const FIRST_DELAY_MS = 1000;
const MOST_DELAY_MS = 30_000;
const READ_AHEAD = 4096;

export class Dialer {
  readonly #o: DialerOptions;
  readonly text: string;
  #wanted = false;
  #socket: Socket | undefined;
  #sinceMs: number | undefined;
  #delayMs = 0;
  /** Of the clock: no try before. */
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #told: string | undefined;

  constructor(options: DialerOptions) {
    this.#o = options;
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
    if (this.#sinceMs !== undefined || this.#socket !== undefined || this.#timer !== undefined) return;
    const { clock } = this.#o;
    this.#timer = clock.after(Math.max(0, this.#notBeforeMs - clock.now()), () => {
      this.#timer = undefined;
      this.#dial();
    });
  }

  #dial(): void {
    const { clock, destination, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#o;
    const { host, port, localPort } = destination;
    const local = localPort === 0 ? {} : { localPort };
    // The types know `highWaterMark` for streams only; a socket is one.
    const options = { host, port, ...local, noDelay: true, highWaterMark: READ_AHEAD };
    const socket = connect(options);
    this.#socket = socket;
    const patience = clock.after(connectTimeoutMs, () => socket.destroy(new Error('no answer')));
    socket.once('error', (error) => {
      patience.cancel();
      if (this.#socket === socket) this.#failed(error);
    });
    socket.once('connect', () => {
      patience.cancel();
      if (this.#socket !== socket) return;
      socket.removeAllListeners('error');
      this.#socket = undefined;
      this.#told = undefined;
      this.#sinceMs = clock.now();
      this.#o.connected(socket);
    });
  }

  #failed(error: Error): void {
    this.#socket = undefined;
    this.#later();
    const why = reasonOf(error, this.#o.destination);
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
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.on('error', () => {});
    socket?.destroy();
  }
}

function reasonOf(error: Error, { localPort }: Destination): string {
  switch (Reflect.get(error, 'code')) {
    case 'ECONNREFUSED':
      return 'connection refused';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'no such name';
    case 'EADDRINUSE':
    case 'EADDRNOTAVAIL':
      return localPort === 0 ? 'this machine has no address or port for it' : `the local port ${localPort} is in use`;
    case 'ENETUNREACH':
    case 'EHOSTUNREACH':
      return 'cannot be reached';
    default:
      return error.message;
  }
}
