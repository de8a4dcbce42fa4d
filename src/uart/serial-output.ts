// The transmit side of a real serial port: a bounded queue before the driver's own, what holds it back, breaks, and when
// the last bit has left. Never waits in a call: where the kernel would, it is asked again later, or on another thread. So what the
// driver has is known as of the last look; it may be less meanwhile, never more.
import type { Clock, Timer } from '../base/clock.js';
import { beginBreak, drainPort, endBreak, isSystemError, untransmittedBytes, writeNow } from '../native/serial-port.js';
import { type LineSettings, lineTimeMs } from '../serial/line.js';
import { ByteQueue } from './byte-queue.js';
import type { UartState } from './uart.js';

export interface OutputOptions {
  readonly clock: Clock;
  /** Bytes take time to leave; a PTY has none that would. */
  readonly hasTransmitter: boolean;
  settings(): LineSettings;
  /** The driver is asked one thing at a time; undefined: not any more. */
  inOrder<T>(ask: () => Promise<T>): Promise<T | undefined>;
  /** `wantsToWrite` may have changed. */
  wantWritable(): void;
  writable(): void;
  drained(): void;
  failed(error: unknown): void;
}

const CAPACITY = 4096;
/** Of a break that waits for the driver's queue: beyond the time that it should take. A held transmitter refuses it then. */
const BREAK_GRACE_MS = 1000;
/** What a UART or an adapter may have in a buffer of its own. */
const FIFO_BYTES = 256;
const LONGEST_LOOK_MS = 250;
/** Who asks for the queue again and again has it looked at so often. */
const FRESH_MS = 10;
/** While nothing leaves (CTS, XOFF) the looks become rarer, up to this: what is left may be one byte. */
const STANDING_LOOK_MS = 50;

export class SerialOutput {
  readonly #fd: number;
  readonly #options: OutputOptions;
  readonly #queue = new ByteQueue(CAPACITY);
  readonly #held = new Set<'host' | 'break' | 'change'>();
  #wantsRoom = false;
  #busy = false;
  /** Counts what was written and flushed, so that a wait knows whether it is still about the same bytes. */
  #round = 0;
  /** The driver is being asked whether its transmitter is empty. */
  #looking = false;
  #timer: Timer | undefined;
  /** Since the beginning; and what the driver has of it at most. */
  #given = 0;
  #inDriver = 0;
  #asked: Promise<number> | undefined;
  #askedAt = Number.NEGATIVE_INFINITY;
  /** In the driver at the last look, and how long the next one waits at least. */
  #lastLeft = 0;
  #standingMs = 0;
  #break: 'off' | 'waiting' | 'on' = 'off';
  /** Counts what was asked about breaks: who waits for one knows whether it is the one that is wanted still. */
  #breakRound = 0;
  /** The driver begins and ends them in order, beside what else it is asked: a begin waits for the transmitter. */
  #breakCalls: Promise<unknown> = Promise.resolve();
  /** From before a begin until after an end. */
  #mayBreak = false;
  #endWait: (() => void) | undefined;
  #closed = false;

  constructor(fd: number, options: OutputOptions) {
    this.#fd = fd;
    this.#options = options;
  }

  /** What another process had, in the driver's queue too, is not over. To be called first. */
  goOn({ output, stopped, breaking }: Pick<UartState, 'output' | 'stopped' | 'breaking'>): void {
    this.#queue.push(output);
    if (stopped) this.#held.add('host');
    if (breaking) this.#held.add('break');
    this.#break = breaking ? 'on' : 'off';
    this.#mayBreak = breaking;
    this.#busy = true;
    this.#options.wantWritable();
    this.#lookLater();
  }

  /** Does no more, and leaves the driver as it is. A break that waits for it has not begun. */
  handOver(): Pick<UartState, 'output' | 'stopped' | 'breaking' | 'mayBreak'> {
    const output = this.#queue.peek(this.#queue.length);
    const breaking = this.#break === 'on';
    void this.close();
    return { output, stopped: this.#held.has('host'), breaking, mayBreak: this.#mayBreak && !breaking };
  }

  /** At least 1 until the transmitter is known to be empty: what an adapter has in its own buffer no driver counts. */
  get queued(): number {
    if (this.#closed) return 0;
    const isOld = this.#inDriver > 0 && this.#options.clock.now() >= this.#askedAt + FRESH_MS;
    if (isOld) void this.#ask();
    const counted = this.#queue.length + this.#inDriver;
    return counted === 0 && this.#busy && this.#options.hasTransmitter ? 1 : counted;
  }

  get wantsToWrite(): boolean {
    return this.#queue.length > 0 && this.#held.size === 0;
  }

  write(bytes: Uint8Array): number {
    if (this.#closed || bytes.length === 0) return 0;
    let taken = 0;
    // A chunk goes to the driver in one piece: whoever sends a frame wants no gap in it.
    if (this.#queue.length === 0 && this.#held.size === 0) taken = this.#give(bytes);
    taken += this.#queue.push(bytes.subarray(taken));
    this.#busy = true;
    this.#round++;
    if (taken < bytes.length) this.#wantsRoom = true;
    if (this.wantsToWrite) this.#options.wantWritable();
    this.#lookLater();
    return taken;
  }

  /** The driver has room. */
  feed(): void {
    if (this.#closed) return;
    if (this.wantsToWrite) {
      const next = this.#queue.peek(this.#queue.length);
      this.#queue.drop(this.#give(next));
    }
    this.#options.wantWritable();
    this.#tellRoom();
    this.#lookLater();
  }

  hold(reason: 'host' | 'break' | 'change', on: boolean): void {
    if (on) this.#held.add(reason);
    else this.#held.delete(reason);
    this.#options.wantWritable();
    if (!on) this.#lookLater();
  }

  /** Drops what the driver has not got; its own queue is the caller's to flush, who tells by `flushed`. */
  clear(): void {
    this.#queue.clear();
    this.#round++;
    queueMicrotask(() => this.#tellRoom());
    this.#lookLater();
  }

  /** The driver has nothing more; until then it was held. */
  flushed(): void {
    this.#inDriver = 0;
  }

  /** Resolves with false where the transmitter is held up, so that no break can begin. */
  async beginBreak(): Promise<boolean> {
    if (this.#break !== 'off') return true;
    this.#break = 'waiting';
    const round = ++this.#breakRound;
    const isWanted = () => this.#breakRound === round && !this.#closed;
    this.hold('break', true);
    let left = await this.#ask();
    const until = this.#options.clock.now() + lineTimeMs(this.#options.settings(), left + FIFO_BYTES) + BREAK_GRACE_MS;
    let begun: 'begun' | 'held' | 'failed' = 'held';
    for (;;) {
      if (isWanted() && left === 0) begun = await this.#begin(isWanted);
      if (!isWanted() || begun !== 'held' || this.#options.clock.now() >= until) break;
      await this.#wait(5);
      left = await this.#ask();
    }
    // Ended meanwhile: whoever did that ends what has begun.
    if (!isWanted()) return true;
    this.#break = begun === 'begun' ? 'on' : 'off';
    if (begun !== 'begun') this.hold('break', false);
    return begun === 'begun';
  }

  #begin(isWanted: () => boolean): Promise<'begun' | 'held' | 'failed'> {
    return this.#inTurn(async () => {
      if (!isWanted()) return 'held';
      this.#mayBreak = true;
      try {
        if (await beginBreak(this.#fd)) return 'begun';
      } catch (error) {
        if (!isSystemError(error)) throw error;
        this.#mayBreak = false;
        return 'failed';
      }
      this.#mayBreak = false;
      return 'held';
    });
  }

  /** Rejects where the port is gone. */
  async endBreak(): Promise<boolean> {
    this.#break = 'off';
    const round = ++this.#breakRound;
    this.#endWait?.();
    try {
      await this.#inTurn(async () => {
        if (!this.#mayBreak || this.#closed) return;
        await endBreak(this.#fd);
        this.#mayBreak = false;
      });
    } finally {
      if (this.#breakRound === round) this.hold('break', false);
    }
    return true;
  }

  #inTurn<T>(call: () => Promise<T>): Promise<T> {
    const done = this.#breakCalls.then(call);
    this.#breakCalls = done.catch(() => {});
    return done;
  }

  /** Resolves when the driver begins and ends no break any more, with whether one may be on. */
  async close(): Promise<boolean> {
    this.#closed = true;
    this.#timer?.cancel();
    this.#endWait?.();
    this.#queue.clear();
    await this.#breakCalls;
    return this.#mayBreak;
  }

  #give(bytes: Uint8Array): number {
    try {
      const taken = writeNow(this.#fd, bytes);
      this.#given += taken;
      // What a PTY was given is at its other side.
      if (this.#options.hasTransmitter) this.#inDriver += taken;
      return taken;
    } catch (error) {
      this.#options.failed(error);
      return 0;
    }
  }

  /** What the driver has, asked for now, or a moment ago. Never rejects. */
  #ask(): Promise<number> {
    this.#asked ??= this.#options
      .inOrder(() => this.#count())
      .then((left = 0) => {
        this.#asked = undefined;
        return left;
      });
    return this.#asked;
  }

  async #count(): Promise<number> {
    if (this.#closed || !this.#options.hasTransmitter) return 0;
    this.#askedAt = this.#options.clock.now();
    const given = this.#given;
    try {
      const left = await untransmittedBytes(this.#fd);
      this.#inDriver = left + this.#given - given;
    } catch (error) {
      if (!this.#closed) this.#options.failed(error);
      this.#inDriver = 0;
    }
    return this.#inDriver;
  }

  #tellRoom(): void {
    if (this.#closed || !this.#wantsRoom || this.#queue.room === 0) return;
    this.#wantsRoom = false;
    this.#options.writable();
  }

  /** When the queue should be empty: nobody tells. */
  #lookLater(): void {
    if (this.#closed || !this.#busy || this.#looking || this.#timer !== undefined || this.#queue.length > 0) return;
    const left = lineTimeMs(this.#options.settings(), this.#inDriver);
    const afterMs = Math.max(this.#standingMs, Math.min(LONGEST_LOOK_MS, Math.ceil(left)));
    this.#timer = this.#options.clock.after(afterMs, () => {
      this.#timer = undefined;
      void this.#look();
    });
  }

  async #look(): Promise<void> {
    if (this.#closed || this.#queue.length > 0 || this.#looking) return;
    this.#looking = true;
    const round = this.#round;
    const isEmpty = await this.#isEmpty();
    this.#looking = false;
    if (this.#closed) return;
    if (!isEmpty || this.#round !== round) {
      this.#lookLater();
      return;
    }
    this.#busy = false;
    this.#options.drained();
  }

  async #isEmpty(): Promise<boolean> {
    const left = await this.#ask();
    const longerMs = Math.min(STANDING_LOOK_MS, 2 * this.#standingMs + 1);
    this.#standingMs = left > 0 && left === this.#lastLeft ? longerMs : 0;
    this.#lastLeft = left;
    if (left > 0 || this.#closed) return false;
    if (!this.#options.hasTransmitter || (await this.#hasSent())) return true;
    // The UART or the adapter has something still, and may hold it back.
    this.#standingMs = longerMs;
    return false;
  }

  /** Whoever is gone has nothing to send. */
  #hasSent(): Promise<boolean> {
    return drainPort(this.#fd).catch(() => true);
  }

  #wait(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        timer.cancel();
        this.#endWait = undefined;
        resolve();
      };
      const timer = this.#options.clock.after(ms, done);
      this.#endWait = done;
    });
  }
}
