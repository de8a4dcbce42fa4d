// One request at a time on a line that several clients share: whoever sends first has the line until the answer is over, or none
// has come in time. Knows neither the protocol nor the bytes: a request is what its sender says until the line answers, and an
// answer is over when the line is silent (or a packet of it is whole). Follows the device servers' command-by-command operation.
import type { Clock, Timer } from '../base/clock.js';

export interface ArbiterOptions {
  readonly clock: Clock;
  /** From the end of a request, where nothing is heard. */
  readonly responseTimeoutMs: number;
  /** What so many bytes take on the line now, and the silence that ends an answer. Milliseconds. */
  lineTimeMs(bytes: number): number;
  silenceMs(): number;
  /** The answer is over: what of it waits somewhere is its owner's still. Like `free` never called from inside a call. */
  over(): void;
  /** The line is the next one's. */
  free(): void;
}

/** No request is longer: who goes on waits for its next turn. */
const MOST_REQUEST_BYTES = 4096;
/** A handshake holds the line up, and no adapter or busy machine does. */
const HELD_MS = 100;

type Phase = 'idle' | 'request' | 'answer';

export class Arbiter<Client> {
  readonly #o: ArbiterOptions;
  #phase: Phase = 'idle';
  #owner: Client | undefined;
  #last: Client | undefined;
  /** When the last byte of the request has left, as far as the rate tells. */
  #sentBy = 0;
  /** Of the present request: its bytes, and until when more of it is taken. */
  #bytes = 0;
  #openUntil = 0;
  #timer: Timer | undefined;
  /** The request before had no answer in time, and may have it still. */
  #isOwed = false;
  /** When it has come, but perhaps not all of it: since then the line said nothing. */
  #lateAt: number | undefined;
  /** Requests that nothing came for in time. */
  timeouts = 0;

  constructor(options: ArbiterOptions) {
    this.#o = options;
  }

  /** Whether it may send now. */
  isTurnOf(client: Client): boolean {
    return this.#phase === 'idle' || this.isBusyWith(client);
  }

  /** In the middle of its own request, which does not go on for ever. */
  isBusyWith(client: Client): boolean {
    if (this.#phase !== 'request' || this.#owner !== client) return false;
    return this.#bytes < MOST_REQUEST_BYTES && this.#o.clock.now() < this.#openUntil;
  }

  /** How many bytes it may send now, when it is its turn. */
  roomOf(client: Client): number {
    return this.isBusyWith(client) ? MOST_REQUEST_BYTES - this.#bytes : MOST_REQUEST_BYTES;
  }

  /** It has sent so many bytes: the line is its own. To be called when it is its turn. */
  sent(client: Client, bytes: number): void {
    const now = this.#o.clock.now();
    if (this.#phase === 'idle') {
      if (this.#lateAt !== undefined && now - this.#lateAt >= this.#o.silenceMs()) this.#isOwed = false;
      this.#lateAt = undefined;
      this.#bytes = 0;
      this.#openUntil = now + this.#o.responseTimeoutMs;
    }
    this.#bytes += bytes;
    this.#sentBy = Math.max(this.#sentBy, now) + this.#o.lineTimeMs(bytes);
    this.#phase = 'request';
    this.#owner = client;
    this.#last = client;
    this.#after(this.#sentBy - now + this.#o.responseTimeoutMs, () => {
      this.timeouts++;
      this.#isOwed = true;
      this.#free();
    });
  }

  /**
   * The line says something.
   * @param queued what the port has not sent as far as it knows (Uart.outputQueue)
   */
  heard(queued: number): void {
    if (this.#phase === 'idle' && this.#isOwed) this.#lateAt = this.#o.clock.now();
    if (this.#phase === 'idle' || (this.#phase === 'request' && this.#isOwed && this.#isLeaving(queued))) return;
    this.#phase = 'answer';
    this.#after(this.#o.silenceMs(), () => this.#free());
  }

  /**
   * The request has not left yet, so that what is heard answers the one before, which waited in vain. A port knows late that nothing is
   * left: by the rate it is gone, and only what stays for longer is held up.
   */
  #isLeaving(queued: number): boolean {
    const overdueMs = this.#o.clock.now() - this.#sentBy;
    return overdueMs < 0 ? queued > 0 : queued > 1 && overdueMs > HELD_MS;
  }

  /** Whose is what the line says now; undefined: nobody's who waits for it. */
  get answered(): Client | undefined {
    return this.#phase === 'answer' ? this.#owner : undefined;
  }

  /** Who sent the last request; undefined: nobody did, or it is gone. */
  get lastRequester(): Client | undefined {
    return this.#last;
  }

  /** Its answer, if one comes, is nobody's; the line is still busy with it. */
  left(client: Client): void {
    if (this.#owner === client) this.#owner = undefined;
    if (this.#last === client) this.#last = undefined;
  }

  /** Nothing follows. */
  end(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #after(ms: number, then: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#o.clock.after(ms, then);
  }

  #free(): void {
    this.#timer = undefined;
    if (this.#phase === 'answer') this.#isOwed = false;
    this.#o.over();
    this.#phase = 'idle';
    this.#owner = undefined;
    this.#o.free();
  }
}
