// The last bytes of clients that are gone already: they go to the line in their turn, and nothing else is ever told of them.
import type { DataIntake } from './data-intake.js';
import type { KeptIntake } from './handover.js';
import type { LineShare, SharedLine } from './shared-line.js';

/** Where the line stands, not those of ever more clients. */
const MOST_CLIENTS = 8;

/** What it needs of a client. */
export type Speaker = Pick<DataIntake, 'waiting' | 'close' | 'finish' | 'handOver'>;

/** All of one port. */
export class LastWordsOfClients {
  readonly #all = new Map<Pick<DataIntake, 'waiting' | 'close' | 'handOver'>, LineShare>();

  /** Bytes for the line. */
  get waiting(): number {
    return [...this.#all.keys()].reduce((sum, { waiting }) => sum + waiting, 0);
  }

  /** Whoever sets the line flushes it. */
  drop(): void {
    for (const [words, share] of [...this.#all]) {
      this.#all.delete(words);
      words.close();
      share.leave();
    }
  }

  /** Its connection is gone. @param wanted what of it the line has no room for yet goes there still */
  end(intake: Speaker, share: LineShare, wanted: boolean): void {
    if (!wanted || intake.waiting === 0 || this.#all.size >= MOST_CLIENTS) {
      intake.close();
      share.leave();
      return;
    }
    this.#all.set(intake, share);
    share.deafen();
    intake.finish(() => {
      this.#all.delete(intake);
      share.leave();
    });
  }

  /** What another process had left; the caller begins. */
  goOn(line: SharedLine, bytes: Uint8Array): LastWords {
    const words = new LastWords(line, bytes, () => this.#all.delete(words));
    this.#all.set(words, words.share);
    return words;
  }

  /** Does no more. */
  handOver(): { readonly share: LineShare; readonly kept: KeptIntake }[] {
    return [...this.#all].map(([words, share]) => ({ share, kept: words.handOver(new Uint8Array(0)) }));
  }
}

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

  get waiting(): number {
    return this.#rest.length;
  }

  close(): void {
    this.#rest = new Uint8Array(0);
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
