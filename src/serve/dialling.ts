// One try to connect to one destination, which is over when it is told: connected, failed or given up. Whoever is told of a connection
// owns it.
import { connect, isIP, type Socket } from 'node:net';
import type { Clock } from '../base/clock.js';
import { type Destination, parseDestination } from '../config/destination.js';
import type { Lookups } from './lookups.js';

export interface DiallingOptions {
  readonly clock: Clock;
  readonly destination: Destination;
  /** From when the address is known. */
  readonly connectTimeoutMs: number;
  /** For the address to be known; absent: that is part of `connectTimeoutMs`. */
  readonly lookupTimeoutMs?: number;
  readonly lookups: Lookups;
  /** Not read from yet. */
  connected(socket: Socket): void;
  /** Told what people are told. */
  failed(why: string): void;
}

const READ_AHEAD = 4096;
const UNRESOLVED = 'no name server answers';
const MUTE = 'no answer';

export class Dialling {
  readonly #socket: Socket;
  readonly #over: () => boolean;

  constructor(options: DiallingOptions) {
    const { clock, destination, connectTimeoutMs, lookupTimeoutMs, lookups, connected, failed } = options;
    const { host, port, localPort } = destination;
    const local = localPort === 0 ? {} : { localPort };
    // The types know `highWaterMark` for streams only; a socket is one.
    const where = { host, port, ...local, lookup: lookups.lookup, noDelay: true, highWaterMark: READ_AHEAD };
    const socket = connect(where);
    this.#socket = socket;
    const within = (ms: number, why: string) => clock.after(ms, () => socket.destroy(new Error(why)));
    const isName = isIP(host) === 0;
    let patience = within(
      isName ? (lookupTimeoutMs ?? connectTimeoutMs) : connectTimeoutMs,
      isName ? UNRESOLVED : MUTE,
    );
    const beganMs = clock.now();
    socket.once('lookup', () => {
      if (!isName || isOver) return;
      patience.cancel();
      const spentMs = lookupTimeoutMs === undefined ? clock.now() - beganMs : 0;
      patience = within(Math.max(0, connectTimeoutMs - spentMs), MUTE);
    });
    let isOver = false;
    this.#over = () => {
      const was = isOver;
      isOver = true;
      patience.cancel();
      return !was;
    };
    socket.on('error', (error) => {
      if (this.#over()) failed(reasonOf(error, destination));
    });
    socket.once('connect', () => {
      if (this.#over()) connected(socket);
    });
  }

  /** Nothing is told any more. */
  giveUp(): void {
    this.#over();
    this.#socket.destroy();
  }
}

/** One address or name, as it is dialled; undefined: it is none. */
export function destinationOf(text: string): Destination | undefined {
  const destination = parseDestination(text);
  return destination?.lastHost === null ? destination : undefined;
}

/** Of a name with several addresses it is that of the first. */
function reasonOf(error: Error, { localPort }: Destination): string {
  const code: unknown = Reflect.get(error, 'code');
  switch (code) {
    case 'ECONNREFUSED':
      return 'connection refused';
    case 'ENOTFOUND':
      return 'no such name';
    case 'EAI_AGAIN':
      return UNRESOLVED;
    case 'EADDRINUSE':
    case 'EADDRNOTAVAIL':
      return localPort === 0 ? 'this machine has no address or port for it' : `the local port ${localPort} is in use`;
    case 'ENETUNREACH':
    case 'EHOSTUNREACH':
      return 'cannot be reached';
    case 'ETIMEDOUT':
      return MUTE;
    default:
      return error.message === '' ? String(code) : error.message;
  }
}
