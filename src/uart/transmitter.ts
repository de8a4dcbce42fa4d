// The transmit side of a simulated UART: a bounded queue whose bytes leave at the line's speed. A byte is delivered
// when its last bit would have left, never earlier; a late timer delivers several at once. Knows no lines and no peer.
import type { Clock, Timer } from '../base/clock.js';
import { type LineSettings, lineTimeMs } from '../serial/line.js';
import { ByteQueue } from './byte-queue.js';

/** Why the transmitter holds its bytes back. */
export type StopReason = 'cts' | 'xoff' | 'host' | 'break' | 'sink' | 'hold';

/** One timer serves the bytes of this span; a byte is told at most so much late. */
const BATCH_MS = 4;

/** Of a byte's time: what sums of floating point times may be short of a whole byte. */
const ROUNDING = 1e-6;

export interface TransmitterOptions {
  readonly clock: Clock;
  readonly settings: LineSettings;
  readonly capacity: number;
  /** Bytes leave as soon as the queue is looked at. */
  readonly unpaced: boolean;
  /** Bytes whose last bit has left. Called from a timer, a microtask, or from inside a call. */
  deliver(bytes: Uint8Array, settings: LineSettings): void;
  /** How many bytes `deliver` may be given now. */
  sinkRoom(): number;
  /** After each delivery and each change of what stops it: whoever owns the sink ends a 'sink' stop here if it has room. */
  progressed(): void;
}

export class PacedTransmitter {
  readonly #options: TransmitterOptions;
  readonly #queue: ByteQueue;
  readonly #stopped = new Set<StopReason>();
  #settings: LineSettings;
  /** When the first bit of the oldest queued byte left; meaningful while bytes move. */
  #byteStartMs = 0;
  #timer: Timer | undefined;
  #microtaskQueued = false;
  #disposed = false;

  constructor(options: TransmitterOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#queue = new ByteQueue(options.capacity);
  }

  get queued(): number {
    return this.#queue.length;
  }

  get room(): number {
    return this.#queue.room;
  }

  get stopped(): boolean {
    return this.#stopped.size > 0;
  }

  isStoppedBy(reason: StopReason): boolean {
    return this.#stopped.has(reason);
  }

  write(bytes: Uint8Array): number {
    if (this.#disposed) return 0;
    if (this.#queue.length === 0) this.#byteStartMs = this.#options.clock.now();
    const accepted = this.#queue.push(bytes);
    this.#arm();
    return accepted;
  }

  /** Drops what has not left; returns how many bytes. */
  clear(): number {
    this.#settle();
    const dropped = this.#queue.clear();
    this.#arm();
    this.#options.progressed();
    return dropped;
  }

  /** What has left until now left with the old settings; a byte that is under way starts again with the new ones. */
  setSettings(settings: LineSettings): void {
    this.#settle();
    this.#settings = settings;
    this.#byteStartMs = this.#options.clock.now();
    this.#arm();
    this.#options.progressed();
  }

  stop(reason: StopReason): void {
    if (this.#stopped.has(reason)) return;
    this.#settle();
    this.#stopped.add(reason);
    this.#arm();
    this.#options.progressed();
  }

  resume(reason: StopReason): void {
    if (!this.#stopped.delete(reason) || this.#stopped.size > 0) return;
    this.#byteStartMs = this.#options.clock.now();
    this.#arm();
    this.#options.progressed();
  }

  /** Delivers what has left by now. Whoever calls it calls `progressed` after it: the sink may have stopped it. */
  #settle(): void {
    if (this.#disposed || this.stopped || this.#queue.length === 0) return;
    const due = this.#dueNow();
    // A sink without room holds the line, as a handshake would: the byte that finds none starts again later.
    const count = Math.min(due, this.#options.sinkRoom());
    if (count > 0) {
      const bytes = this.#queue.shift(count);
      this.#byteStartMs += lineTimeMs(this.#settings, count);
      this.#options.deliver(bytes, this.#settings);
    }
    if (count < due) this.#stopped.add('sink');
  }

  dispose(): void {
    this.#disposed = true;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#queue.clear();
  }

  #dueNow(): number {
    if (this.#options.unpaced || this.#settings.baudRate === 0) return this.#queue.length;
    const elapsedMs = this.#options.clock.now() - this.#byteStartMs;
    return Math.min(this.#queue.length, Math.floor(elapsedMs / lineTimeMs(this.#settings, 1) + ROUNDING));
  }

  #arm(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#disposed || this.stopped || this.#queue.length === 0) return;
    if (this.#options.unpaced || this.#settings.baudRate === 0) {
      this.#armMicrotask();
      return;
    }
    const byteMs = lineTimeMs(this.#settings, 1);
    const batch = Math.min(this.#queue.length, Math.max(1, Math.floor(BATCH_MS / byteMs)));
    const dueMs = this.#byteStartMs + batch * byteMs;
    this.#timer = this.#options.clock.after(Math.max(0, dueMs - this.#options.clock.now()), () => this.#run());
  }

  #armMicrotask(): void {
    if (this.#microtaskQueued) return;
    this.#microtaskQueued = true;
    queueMicrotask(() => {
      this.#microtaskQueued = false;
      this.#run();
    });
  }

  #run(): void {
    if (this.#disposed) return;
    this.#settle();
    this.#arm();
    this.#options.progressed();
  }
}
