// One port's trace, handed to each client that watches it; the port is tapped only while there is one.
import type { TraceRecord } from '../api/types.js';
import type { Clock } from '../base/clock.js';
import type { SessionTrace } from '../driver/session.js';
import type { TapRecord } from '../native/channel.js';

type Listener = (record: TraceRecord) => void;

export class TraceFan implements SessionTrace {
  readonly #listeners = new Set<Listener>();
  /** Microseconds between CLOCK_MONOTONIC and the epoch, measured when the first listener comes. */
  #epochUs = 0;

  constructor(
    readonly clock: Clock,
    readonly tapped: (on: boolean) => void,
  ) {}

  /** Somebody looks on. */
  get on(): boolean {
    return this.#listeners.size > 0;
  }

  /** Returns how to end it. */
  add(listener: Listener): () => void {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) {
      this.#epochUs = this.clock.wallTime() * 1000 - Number(process.hrtime.bigint() / 1000n);
      this.tapped(true);
    }
    return () => {
      if (this.#listeners.delete(listener) && this.#listeners.size === 0) this.tapped(false);
    };
  }

  close(): void {
    if (this.#listeners.size === 0) return;
    this.#listeners.clear();
    this.tapped(false);
  }

  command(direction: 'sent' | 'received', bytes: Uint8Array, text: string, peer?: string): void {
    const record = { type: 'command', atUs: this.#nowUs(), direction, data: base64(bytes), text } as const;
    this.#tell(peer === undefined ? record : { ...record, peer });
  }

  /** Bytes that pass through this process, and whose they are. */
  bytes(direction: 'sent' | 'received', bytes: Uint8Array, peer: string | undefined): void {
    const record = { type: 'data', atUs: this.#nowUs(), direction, data: base64(bytes) } as const;
    this.#tell(peer === undefined ? record : { ...record, peer });
  }

  event(text: string): void {
    this.#tell({ type: 'event', atUs: this.#nowUs(), text });
  }

  data(records: readonly TapRecord[]): void {
    for (const record of records) {
      const direction = record.direction === 'down' ? 'sent' : 'received';
      const atUs = Math.round(record.atUs + this.#epochUs);
      this.#tell({ type: 'data', atUs, direction, data: base64(record.bytes) });
    }
  }

  /** The tap lost bytes because this process was too slow to read it. */
  lost(bytes: number): void {
    this.#tell({ type: 'dropped', atUs: this.#nowUs(), bytes });
  }

  #nowUs(): number {
    return Math.round(this.clock.wallTime() * 1000);
  }

  #tell(record: TraceRecord): void {
    for (const listener of this.#listeners) listener(record);
  }
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64');
}
