// What the service manager has not been told yet, in order. It owns the descriptors in it. Never sends, knows no time.
import { closeFd, dup } from '../../native/socket.js';

export interface StoreMessage {
  readonly name: string;
  /** To be stored; undefined: what is stored under the name is to be removed. */
  readonly fd: number | undefined;
}

/**
 * A later word on a name makes an earlier put of it void, so that a slow manager never makes the queue longer than two
 * messages a name. A removal stays where it is: the room that it makes in the store may be a later put's.
 */
export class StoreQueue {
  /** In the order of insertion. */
  readonly #messages = new Set<StoreMessage>();
  readonly #removals = new Set<string>();
  readonly #puts = new Map<string, StoreMessage>();

  get length(): number {
    return this.#messages.size;
  }

  get head(): StoreMessage | undefined {
    return this.#messages.values().next().value;
  }

  remove(name: string): void {
    const put = this.#puts.get(name);
    if (put !== undefined) this.drop(put);
    if (this.#removals.has(name)) return;
    this.#removals.add(name);
    this.#messages.add({ name, fd: undefined });
  }

  /** Keeps a descriptor of its own: the caller may close his, and the number may become another file's. Throws EMFILE. */
  put(name: string, fd: number): void {
    const message = { name, fd: dup(fd) };
    this.remove(name);
    this.#puts.set(name, message);
    this.#messages.add(message);
  }

  /** It has been sent, or never will be. */
  drop(message: StoreMessage): void {
    if (!this.#messages.delete(message)) return;
    if (message.fd === undefined) {
      this.#removals.delete(message.name);
      return;
    }
    this.#puts.delete(message.name);
    closeFd(message.fd);
  }

  clear(): void {
    for (const message of this.#messages) this.drop(message);
  }
}
