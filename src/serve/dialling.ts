// One try to connect to one destination, which is over when it is told: connected, failed or given up. Whoever is told of a connection
// owns it.
import { connect, type Socket } from 'node:net';
import type { Clock } from '../base/clock.js';
import { type Destination, parseDestination } from '../config/destination.js';

export interface DiallingOptions {
  readonly clock: Clock;
  readonly destination: Destination;
  readonly connectTimeoutMs: number;
  /** Not read from yet. */
  connected(socket: Socket): void;
  failed(error: Error): void;
}

const READ_AHEAD = 4096;

export class Dialling {
  readonly #socket: Socket;
  readonly #giveUp: () => void;

  constructor({ clock, destination: { host, port }, connectTimeoutMs, connected, failed }: DiallingOptions) {
    // The types know `highWaterMark` for streams only; a socket is one.
    const options = { host, port, noDelay: true, highWaterMark: READ_AHEAD };
    const socket = connect(options);
    this.#socket = socket;
    const patience = clock.after(connectTimeoutMs, () => socket.destroy(new Error('no answer')));
    let isOver = false;
    const over = (): boolean => {
      const was = isOver;
      isOver = true;
      patience.cancel();
      return !was;
    };
    socket.on('error', (error) => {
      if (over()) failed(error);
    });
    socket.once('connect', () => {
      if (over()) connected(socket);
    });
    this.#giveUp = over;
  }

  /** Nothing is told any more. */
  giveUp(): void {
    this.#giveUp();
    this.#socket.destroy();
  }
}

/** One address or name, as it is dialled; undefined: it is none. */
export function destinationOf(text: string): Destination | undefined {
  const destination = parseDestination(text);
  return destination?.lastHost === null ? destination : undefined;
}
