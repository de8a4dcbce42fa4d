// The way to the service manager for what must arrive in order: one datagram at a time to $NOTIFY_SOCKET, and whether there
// was room for it. Knows nothing of what is said (that is descriptor-store.ts), and queues nothing.
import { awaitDatagramRoom, awaitEnd, beginBarrier, notify } from '../../native/notify.js';
import { isSystemError } from '../../native/socket.js';

export interface ManagerWire {
  /** Never waits. False: no room now, the same may be tried again. Throws a SystemError where trying again is no use. */
  send(state: string, fds: readonly number[]): boolean;
  /** Waits until another try may have success; false when the time is over. Throws as `send` does. */
  awaitRoom(timeoutMs: number): boolean;
  /** Sends BARRIER=1: a descriptor for `awaitEnd`, which the caller closes; undefined: no room now. */
  beginBarrier(): number | undefined;
  /** Waits until the manager has handled everything that was sent before; false when the time is over. */
  awaitEnd(barrier: number, timeoutMs: number): boolean;
}

/**
 * EAGAIN: the receiver's queue is full (net.unix.max_dgram_qlen). ETOOMANYREFS: as many descriptors as RLIMIT_NOFILE are on
 * their way (unix(7)). The rest is the kernel's memory.
 */
const TRANSIENT = new Set(['EAGAIN', 'ENOBUFS', 'ENOMEM', 'ETOOMANYREFS']);

const RETRY_MS = 1;

/** No turn of the event loop: for a process that is about to end. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

export class NotifyWire implements ManagerWire {
  readonly #path: string;
  /** The last refusal was for another reason than the receiver's queue, whose room says nothing then. */
  #shortOfMemory = false;

  constructor(path: string) {
    this.#path = path;
  }

  send(state: string, fds: readonly number[]): boolean {
    return this.#attempt(() => notify(state, fds, { NOTIFY_SOCKET: this.#path })) !== undefined;
  }

  awaitRoom(timeoutMs: number): boolean {
    if (this.#shortOfMemory) pause(Math.min(RETRY_MS, Math.max(0, timeoutMs)));
    return timeoutMs > 0 && awaitDatagramRoom(this.#path, timeoutMs);
  }

  beginBarrier(): number | undefined {
    return this.#attempt(() => beginBarrier(this.#path));
  }

  awaitEnd(barrier: number, timeoutMs: number): boolean {
    return awaitEnd(barrier, timeoutMs);
  }

  #attempt<T>(send: () => T): T | undefined {
    try {
      return send();
    } catch (error) {
      if (!isSystemError(error) || !TRANSIENT.has(error.code)) throw error;
      this.#shortOfMemory = error.code !== 'EAGAIN';
      return undefined;
    }
  }
}
