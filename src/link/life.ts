// The life that every kind of link has: it connects once, is up, and is spent. An attempt that is given up closes what it has
// opened by itself. Knows no socket.
import { Fault } from '../base/fault.js';
import { faultOf } from './errno.js';

export class LinkLife {
  readonly #abort = new AbortController();
  #phase: 'new' | 'connecting' | 'up' | 'spent' = 'new';
  #connecting: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  get isUp(): boolean {
    return this.#phase === 'up';
  }

  /** Throws CANCELED where it has begun already. */
  begin(phase: 'connecting' | 'up'): void {
    if (this.#phase !== 'new') throw new Fault('CANCELED', 'this link was connected or closed before');
    this.#phase = phase;
  }

  /** False: it was not up, so that whoever waits for it is told otherwise. */
  lose(): boolean {
    if (this.#phase !== 'up') return false;
    this.#phase = 'spent';
    return true;
  }

  /** Rejects with a Fault, after `release`; the link is spent then. */
  async connect(
    signal: AbortSignal,
    establish: (signal: AbortSignal) => Promise<void>,
    release: () => Promise<void>,
  ): Promise<void> {
    this.begin('connecting');
    this.#connecting = establish(AbortSignal.any([signal, this.#abort.signal]));
    try {
      await this.#connecting;
    } catch (error) {
      this.#phase = 'spent';
      await release();
      throw faultOf(error, 'connect');
    }
    this.#phase = 'up';
  }

  /** `release` is called at once, and again when an attempt that was under way has ended. Idempotent. */
  close(release: () => Promise<void>): Promise<void> {
    this.#closing ??= this.#close(release);
    return this.#closing;
  }

  async #close(release: () => Promise<void>): Promise<void> {
    const connecting = this.#connecting;
    this.#phase = 'spent';
    this.#abort.abort();
    await release();
    // An attempt that was under way closes its own sockets.
    await connecting?.catch(() => {});
    await release();
  }
}
