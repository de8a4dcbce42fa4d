// The last bytes of a client that is gone already: they go to the line in their turn, and nothing else is ever told of it.
import type { KeptIntake } from './handover.js';
import type { LineShare, SharedLine } from './shared-line.js';

export class LastWords {
  readonly share: LineShare;
  readonly #said: () => void;
  #rest: Uint8Array;

  /** @param said called when the port has accepted the last of them */
  constructor(line: SharedLine, bytes: Uint8Array, said: (words: LastWords) => void) {
    this.#rest = bytes;
    this.#said = () => said(this);
    this.share = line.join({
      place: 'a client that is gone',
      received: () => {},
      report: () => {},
      drained: () => {},
      writable: () => this.portWritable(),
      hears: false,
      unsent: 0,
    });
  }

  portWritable(): void {
    this.#rest = this.#rest.subarray(this.share.write(this.#rest));
    if (this.#rest.length > 0) return;
    this.share.leave();
    this.#said();
  }

  handOver(): KeptIntake {
    return { waiting: this.#rest, received: 0, sent: 0 };
  }
}
