// Connections that wait a moment for a place at a port that is in use: a client that reconnects at once may be accepted
// before the end of its old connection is seen, and one that is closed at once tries again at once. Never many, never long.
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.js';

/** More than this do not wait: they are closed at once. */
const PLACES = 8;

export class WaitingRoom {
  readonly #clock: Clock;
  readonly #holdMs: number;
  readonly #waiting = new Map<Socket, { readonly timer: Timer; refused(): void }>();

  constructor(clock: Clock, holdMs: number) {
    this.#clock = clock;
    this.#holdMs = holdMs;
  }

  /**
   * Takes a socket that does not read, and closes it unless it is taken in time.
   * @param refused called once where it was not taken, whoever ended it
   */
  hold(socket: Socket, refused: () => void, holdMs = this.#holdMs): void {
    if (this.#waiting.size >= PLACES) {
      refused();
      socket.destroy();
      return;
    }
    const timer = this.#clock.after(holdMs, () => this.#release(socket));
    this.#waiting.set(socket, { timer, refused });
    socket.once('close', () => this.#release(socket));
  }

  /** The one that waits longest, is still there, and is from an address that has a place. */
  take(hasPlace: (address: string) => boolean = () => true): Socket | undefined {
    for (const [socket, { timer }] of this.#waiting) {
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
    for (const [socket, { timer }] of this.#waiting) {
      timer.cancel();
      socket.destroy();
    }
    this.#waiting.clear();
  }

  #release(socket: Socket): void {
    const waiting = this.#waiting.get(socket);
    if (waiting === undefined) return;
    waiting.timer.cancel();
    this.#waiting.delete(socket);
    waiting.refused();
    socket.destroy();
  }
}
