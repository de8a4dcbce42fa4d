// What a running `trace` is shown of a session: data from the channel's tap, commands and events. Costs nothing while no
// trace runs. Never slows the channel: a trace that lags loses bytes, and is told how many.
import type { TapRecord } from '../native/channel.js';
import type { Tty } from '../tty/tty.js';

/** What `trace` shows beside the data. */
export interface SessionTrace {
  command(direction: 'sent' | 'received', bytes: Uint8Array, text: string): void;
  event(text: string): void;
  data(records: readonly TapRecord[]): void;
  /** Bytes passed that the trace was too slow for. */
  lost(bytes: number): void;
}

/** Bytes that a trace may lag behind before it loses some, and says so. */
const TAP_BYTES = 262_144;

export class TraceTap {
  #to: SessionTrace | undefined;
  #lost = 0;

  constructor(readonly tty: Pick<Tty, 'channel'>) {}

  get on(): boolean {
    return this.#to !== undefined;
  }

  show(to: SessionTrace | undefined): void {
    this.#to = to;
    this.#lost = this.tty.channel.counters.tapDropped;
    this.tty.channel.tap(to ? TAP_BYTES : 0);
  }

  /** The tty has another channel. */
  rejoin(): void {
    this.#lost = 0;
    if (this.#to) this.tty.channel.tap(TAP_BYTES);
  }

  command(direction: 'sent' | 'received', bytes: Uint8Array, text: string): void {
    this.#to?.command(direction, bytes, text);
  }

  event(text: string): void {
    this.#to?.event(text);
  }

  /** The tap has something. */
  read(): void {
    const { channel } = this.tty;
    this.#to?.data(channel.readTap());
    const lost = channel.counters.tapDropped - this.#lost;
    this.#lost += lost;
    if (lost > 0) this.#to?.lost(lost);
  }
}
