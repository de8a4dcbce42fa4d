// Connections that wait a moment for a place at a port that is in use: a client that reconnects at once may be accepted
// before the end of its old connection is seen, and one that is closed at once tries again at once. Never many, never long.
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.js';

/** More than this do not wait: they are closed at once. */
const PLACES = 8;

export class WaitingRoom {
  readonly #clock: Clock;
  readonly #holdMs: number;
  readonly #waiting = new Map<Socket, Timer>();

  constructor(clock: Clock, holdMs: number) {
    this.#clock = clock;
    this.#holdMs = holdMs;
  }

  /** Takes a socket that does not read, and closes it unless it is taken in time. */
  hold(socket: Socket, holdMs = this.#holdMs): void {
    if (this.#waiting.size >= PLACES) {
      socket.destroy();
      return;
    }
    this.#waiting.set(
      socket,
      this.#clock.after(holdMs, () => this.#release(socket)),
    );
    socket.once('close', () => this.#release(socket));
  }

  /** The one that waits longest, is still there, and is from an address that has a place. */
  take(hasPlace: (address: string) => boolean = () => true): Socket | undefined {
    for (const [socket, timer] of this.#waiting) {
      const address = socket.destroyed ? undefined : socket.remoteAddress;
      if (address !== undefined && !hasPlace(address)) continue;
      timer.cancel();
      this.#waiting.delete(socket);
      if (address !== undefined) return socket;
      socket.destroy();
    }
    return undefined;
  }

  close(): void {
    for (const socket of [...this.#waiting.keys()]) this.#release(socket);
  }

  #release(socket: Socket): void {
    this.#waiting.get(socket)?.cancel();
    if (this.#waiting.delete(socket)) socket.destroy();
  }
}
