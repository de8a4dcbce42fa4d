// Makes one connection attempt at a time and hands over a link that is connected. An aborted attempt tells nothing, and
// leaves no socket behind.
import type { Link, LinkEvents } from '../link/link.js';

export class Dialler {
  #abort: AbortController | undefined;

  /**
   * @param makeLink a fresh, unconnected link
   * @param events what a link tells after it was handed over; the caller knows by the link whether it still counts
   */
  constructor(
    readonly makeLink: () => Link,
    readonly events: (link: Link) => LinkEvents,
    readonly connected: (link: Link) => void,
    readonly failed: (error: unknown) => void,
  ) {}

  dial(traced: boolean): void {
    this.abort();
    const link = this.makeLink();
    const abort = new AbortController();
    this.#abort = abort;
    link.traced = traced;
    const ended = () => {
      if (this.#abort === abort) this.#abort = undefined;
    };
    link.connect(this.events(link), abort.signal).then(
      () => {
        ended();
        if (abort.signal.aborted) void link.close();
        else this.connected(link);
      },
      (error: unknown) => {
        ended();
        if (!abort.signal.aborted) this.failed(error);
      },
    );
  }

  abort(): void {
    this.#abort?.abort();
    this.#abort = undefined;
  }
}
