// What a server asks of its port of its own accord, and does not wait for at once: breaks, and what undoes what a client did.
import type { LineRequest } from '../serial/line.js';
import type { PortLine } from './shared-line.js';

export class OwnRequests {
  readonly #port: Pick<PortLine, 'request'>;
  readonly #failed: (request: LineRequest, error: unknown) => void;
  readonly #unanswered = new Set<Promise<void>>();

  /** @param failed the port refused by an error */
  constructor(port: Pick<PortLine, 'request'>, failed: (request: LineRequest, error: unknown) => void) {
    this.#port = port;
    this.#failed = failed;
  }

  /** The port has answered all of them. */
  get idle(): boolean {
    return this.#unanswered.size === 0;
  }

  ask(request: LineRequest): void {
    const answered = this.#port
      .request(request)
      .then(
        () => {},
        (error: unknown) => this.#failed(request, error),
      )
      .finally(() => this.#unanswered.delete(answered));
    this.#unanswered.add(answered);
  }

  /** Resolves when the port has answered what was asked before. Never rejects. */
  async answered(): Promise<void> {
    await Promise.all(this.#unanswered);
  }
}
