// The record of a port's connections: a line when one is made and one when it ends, with the peer, the cause, how long it
// lasted and what passed. For those who ask for it (log.level: debug): a port that is opened every second would fill the log,
// and trouble has lines of its own (connection-log.ts).
import type { Clock } from '../base/clock.js';
import { durationText } from '../base/duration.js';
import type { Log } from '../base/log.js';

/** What of a port's record is looked at. */
export interface UseRecord {
  readonly peer: string | undefined;
  /** Connections made and initialised so far. */
  readonly connects: number;
  readonly reason: { readonly code: string } | null;
  readonly totals: { readonly downSent: number; readonly upTaken: number };
}

interface Use {
  readonly peer: string;
  readonly sinceMs: number;
  readonly sentBytes: number;
  readonly receivedBytes: number;
}

export class UseLog {
  readonly #log: Log;
  readonly #clock: Clock;
  #use: Use | undefined;
  /** The connection that was told last. */
  #told = 0;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** Whenever something has changed; says a line only where the connection has. */
  look(record: UseRecord): void {
    const { peer, connects } = record;
    if (this.#use && (peer === undefined || connects !== this.#told)) this.#ended(this.#use, record);
    // A connection that is not initialised yet is an attempt.
    if (peer === undefined || connects === this.#told) return;
    this.#told = connects;
    const { downSent, upTaken } = record.totals;
    this.#use = { peer, sinceMs: this.#clock.now(), sentBytes: downSent, receivedBytes: upTaken };
    this.#log.log('debug', `connected to ${peer}`, { event: 'connect', peer });
  }

  #ended(use: Use, { reason, totals }: UseRecord): void {
    this.#use = undefined;
    const durationMs = Math.round(this.#clock.now() - use.sinceMs);
    const sentBytes = totals.downSent - use.sentBytes;
    const receivedBytes = totals.upTaken - use.receivedBytes;
    const passed = `${sentBytes} bytes sent, ${receivedBytes} received`;
    this.#log.log('debug', `disconnected from ${use.peer} after ${durationText(durationMs)}, ${passed}`, {
      event: 'disconnect',
      peer: use.peer,
      cause: reason?.code ?? 'CLOSED',
      durationMs,
      sentBytes,
      receivedBytes,
    });
  }
}
