// Brings a device into the tty's line state before the first byte. One at a time: what an earlier one still reports is void.
import type { Link } from '../link/link.js';
import type { Tty } from '../tty/tty.js';
import type { LineSync } from './line-sync.js';
import type { PortPolicy } from './policy.js';
import type { PortRecord } from './port-record.js';

export class Initialiser {
  #generation = 0;

  constructor(
    readonly tty: Tty,
    readonly policy: PortPolicy,
    readonly record: PortRecord,
    readonly lines: LineSync,
  ) {}

  cancel(): void {
    this.#generation++;
  }

  /** Calls one of the two, once, unless it is canceled or begun again before. */
  begin(link: Link, reconnect: boolean, ready: () => void, failed: (error: unknown) => void): void {
    const generation = ++this.#generation;
    // A reply to a request from before the cut must never be taken for one to a later request.
    const discard = reconnect && this.policy.offlineData === 'discard';
    this.tty.channel.stop('down');
    // A reopen finds the connection of the last use: see LineSync.initialise.
    this.tty.channel.stop('up');
    this.lines.initialise(link, this.policy.fifoBytes, discard, reconnect).then(
      () => {
        if (generation !== this.#generation) return;
        if (discard) this.record.dropped('stale', link.discardInput());
        ready();
      },
      (error: unknown) => {
        if (generation === this.#generation) failed(error);
      },
    );
  }
}
