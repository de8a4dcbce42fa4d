// The pump: one native thread for all channels. It decides nothing; it opens channels and hands their events on.
// While it has channels it keeps the process alive, as an open socket would.
import { binding, type LiveCounts } from './binding.js';
import type { KeepFile } from './keep-file.js';
import { type AdapterKeep, PumpAdapter } from './pump-adapter.js';
import { type ChannelKind, type ChannelOptions, PumpChannel } from './pump-channel.js';

export type { LiveCounts } from './binding.js';
export { ADAPTER_KEPT_BYTES, type AdapterKeep, type ControlRequest, PumpAdapter } from './pump-adapter.js';
export { type ChannelOptions, PumpChannel, type ResetResult } from './pump-channel.js';

const EVENTS_PER_CALL = 256;

export class Pump {
  readonly #channels = new Map<number, PumpChannel>();
  readonly #adapters = new Map<number, PumpAdapter>();
  readonly #pairs = new Uint32Array(2 * EVENTS_PER_CALL);
  readonly #handle: number;
  #closed = false;
  #frozen = false;

  /** @param hand where the bytes between a read and a write are kept, for a later process; what an earlier one left is read */
  constructor(hand?: KeepFile) {
    this.#handle = binding.createPump(() => this.#takeEvents(), hand?.fd ?? -1);
  }

  /** The descriptor stays owned by the caller, who closes the channel before it. Throws a SystemError. */
  open(ttyFd: number, options: ChannelOptions): PumpChannel {
    return this.#open(ttyFd, options);
  }

  /** A virtual USB adapter, unplugged; its ports are opened as channels. Throws a SystemError. */
  openAdapter(keep?: AdapterKeep): PumpAdapter {
    const adapter = new PumpAdapter(this.#handle, keep, ({ id }) => this.#adapters.delete(id));
    this.#adapters.set(adapter.id, adapter);
    return adapter;
  }

  /** Calls `ready` once when a connecting socket is connected or has failed. Close the channel that it gives. */
  watchConnect(fd: number, ready: () => void): PumpChannel {
    const channel = this.#open(fd, { kind: 'connect' });
    channel.onReady = ready;
    return channel;
  }

  /**
   * Milliseconds for which the thread has not turned since it was asked to, and asks it again; 0: it has. A stuck one shows at the
   * second look.
   */
  get unansweredMs(): number {
    return binding.unanswered(this.#handle);
  }

  /** Ends the thread: nothing moves any more, and all state stays as it is, for a process that adopts it. */
  freeze(): void {
    this.#frozen = true;
    binding.freezePump(this.#handle);
  }

  /** Closes what channels are left, and joins the thread. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const channel of [...this.#channels.values()]) channel.close();
    for (const adapter of [...this.#adapters.values()]) adapter.close();
    binding.destroyPump(this.#handle);
  }

  #open(ttyFd: number, options: Omit<ChannelOptions, 'kind'> & { readonly kind: ChannelKind }): PumpChannel {
    const channel = new PumpChannel(this.#handle, ttyFd, options, (c) => this.#channels.delete(c.id));
    this.#channels.set(channel.id, channel);
    return channel;
  }

  #find(id: number): Deliverable | undefined {
    const { firstAdapter } = binding;
    return id < firstAdapter ? this.#channels.get(id) : this.#adapters.get(id - firstAdapter);
  }

  #takeEvents(): void {
    if (this.#closed || this.#frozen) return;
    for (;;) {
      const count = binding.takeEvents(this.#handle, this.#pairs);
      const batch: [Deliverable, number][] = [];
      for (let i = 0; i < count; i++) {
        const source = this.#find(this.#pairs[2 * i] ?? -1);
        if (source !== undefined) batch.push([source, this.#pairs[2 * i + 1] ?? 0]);
      }
      for (const [source, bits] of batch) deliver(source, bits);
      if (count < EVENTS_PER_CALL || this.#closed) return;
    }
  }
}

interface Deliverable {
  deliver(bits: number): void;
}

/** One listener that throws takes no event from another; the error ends the process as any uncaught one. */
function deliver(source: Deliverable, bits: number): void {
  try {
    source.deliver(bits);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

/** Native objects alive now, in all pumps: for tests that end with what they began with. */
export function liveCounts(): LiveCounts {
  return binding.liveCounts();
}
