// Names that are resolved for one owner, who wants one at a time. A question cannot be called off, and name servers that do not answer
// take half a minute: who gives up and asks again gets the answer to the question that is on its way, and never are there more than two.
// The process has few places for all questions, two where nobody sets UV_THREADPOOL_SIZE; names that had no answer the last time share one of them.
import { lookup } from 'node:dns';
import type { LookupFunction } from 'node:net';

interface Wanted {
  readonly name: string;
  readonly options: Parameters<LookupFunction>[1];
  readonly answered: Parameters<LookupFunction>[2];
}

const MOST = 2;
/** Names of one owner. */
const REMEMBERED = 16;

/** One after the other, whoever asks. */
export class Lane {
  readonly #waiting: ((done: () => void) => void)[] = [];
  #isBusy = false;

  /** `begin` is to call what it is given, once. */
  take(begin: (done: () => void) => void): void {
    this.#waiting.push(begin);
    this.#next();
  }

  #next(): void {
    if (this.#isBusy) return;
    const begin = this.#waiting.shift();
    if (begin === undefined) return;
    this.#isBusy = true;
    begin(() => {
      this.#isBusy = false;
      this.#next();
    });
  }
}

const DOUBTFUL = new Lane();

export class Lookups {
  readonly #resolve: LookupFunction;
  readonly #doubtful: Lane;
  /** On their way. */
  readonly #asked = new Set<string>();
  /** Had no answer the last time. */
  readonly #failed = new Set<string>();
  #wanted: Wanted | undefined;

  constructor(resolve: LookupFunction = lookup, doubtful: Lane = DOUBTFUL) {
    this.#resolve = resolve;
    this.#doubtful = doubtful;
  }

  /** Of `net.connect`. Who wanted a name before is told nothing any more. */
  readonly lookup: LookupFunction = (name, options, answered) => {
    this.#wanted = { name, options, answered };
    this.#ask();
  };

  /** All of a name; never settles for who wanted it before another. Rejects with a SystemError. */
  addresses(name: string): Promise<string[]> {
    return new Promise((resolve, reject) => {
      this.lookup(name, { all: true }, (error, found) => {
        if (error !== null) reject(error);
        else resolve(typeof found === 'string' ? [found] : found.map(({ address }) => address));
      });
    });
  }

  #ask(): void {
    if (this.#wanted === undefined) return;
    const { name, options } = this.#wanted;
    if (this.#asked.has(name) || this.#asked.size >= MOST) return;
    this.#asked.add(name);
    const question = (done: () => void) => {
      this.#resolve(name, options, (...answer) => {
        done();
        this.#answered(name, answer);
      });
    };
    if (this.#failed.has(name)) this.#doubtful.take(question);
    else question(() => {});
  }

  #answered(name: string, answer: Parameters<Wanted['answered']>): void {
    this.#asked.delete(name);
    this.#failed.delete(name);
    if (this.#failed.size >= REMEMBERED) this.#failed.clear();
    if (answer[0] !== null) this.#failed.add(name);
    const wanted = this.#wanted;
    if (wanted?.name !== name) {
      this.#ask();
      return;
    }
    this.#wanted = undefined;
    wanted.answered(...answer);
  }
}
