// The transmit side of a real serial port: a bounded queue before the driver's own, what holds it back, breaks, and when
// the last bit has left. Never waits in a call: where the kernel would, it is asked again later, or on another thread.
import type { Clock, Timer } from '../base/clock.js';
import { beginBreak, drainPort, endBreak, untransmittedBytes, writeNow } from '../native/serial-port.js';
import { type LineSettings, lineTimeMs } from '../serial/line.js';
import { ByteQueue } from './byte-queue.js';
import type { UartState } from './uart.js';

export interface OutputOptions {
  readonly clock: Clock;
  /** Bytes take time to leave; a PTY has none that would. */
  readonly hasTransmitter: boolean;
  settings(): LineSettings;
  /** `wantsToWrite` may have changed. */
  wantWritable(): void;
  writable(): void;
  drained(): void;
  failed(error: unknown): void;
}

const CAPACITY = 4096;
/** Of a break that waits for the driver's queue: beyond the time that it should take. A held transmitter refuses it then. */
const BREAK_GRACE_MS = 1000;
const LONGEST_LOOK_MS = 250;
/** While nothing leaves (CTS, XOFF) the looks become rarer, up to this: what is left may be one byte. */
const STANDING_LOOK_MS = 50;

export class SerialOutput {
  readonly #fd: number;
  readonly #options: OutputOptions;
  readonly #queue = new ByteQueue(CAPACITY);
  readonly #held = new Set<'host' | 'break'>();
  #wantsRoom = false;
  #busy = false;
  /** Counts what was written and flushed, so that a wait knows whether it is still about the same bytes. */
  #round = 0;
  /** The driver had nothing more in this round, and its transmitter has not said that it is empty. */
  #draining: number | undefined;
  #timer: Timer | undefined;
  /** In the driver at the last look, and how long the next one waits at least. */
  #lastLeft = 0;
  #standingMs = 0;
  #break: 'off' | 'waiting' | 'on' = 'off';
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
    this.#busy = true;
    this.#options.wantWritable();
    this.#lookLater();
  }

  /** Does no more, and leaves the driver as it is. A break that waits for it has not begun. */
  handOver(): Pick<UartState, 'output' | 'stopped' | 'breaking'> {
    const output = this.#queue.peek(this.#queue.length);
    const breaking = this.#break === 'on';
    this.close();
    return { output, stopped: this.#held.has('host'), breaking };
  }

  /** At least 1 until the transmitter is known to be empty: what an adapter has in its own buffer no driver counts. */
  get queued(): number {
    if (this.#closed) return 0;
    const counted = this.#queue.length + this.#inDriver();
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

  hold(reason: 'host' | 'break', on: boolean): void {
    if (on) this.#held.add(reason);
    else this.#held.delete(reason);
    this.#options.wantWritable();
    if (!on) this.#lookLater();
  }

  /** Drops what the driver has not got; its own queue is the caller's to flush. */
  clear(): void {
    this.#queue.clear();
    this.#round++;
    queueMicrotask(() => this.#tellRoom());
    this.#lookLater();
  }

  /** Resolves with false where the transmitter is held up, so that no break can begin. */
  async beginBreak(): Promise<boolean> {
    if (this.#break !== 'off') return true;
    this.#break = 'waiting';
    this.hold('break', true);
    const grace = lineTimeMs(this.#options.settings(), this.#inDriver()) + BREAK_GRACE_MS;
    const until = this.#options.clock.now() + grace;
    while (this.#break === 'waiting' && this.#inDriver() > 0 && this.#options.clock.now() < until) await this.#wait(5);
    // Ended meanwhile: it was none then.
    if (this.#break !== 'waiting' || this.#closed) return true;
    const empty = this.#inDriver() === 0;
    const begun = empty && (await succeeds(beginBreak(this.#fd)));
    if (this.#closed) return true;
    if (!begun) {
      this.#break = 'off';
      this.hold('break', false);
      return false;
    }
    if (this.#break === 'waiting') this.#break = 'on';
    else await endBreak(this.#fd);
    return true;
  }

  /** Rejects where the port is gone. */
  async endBreak(): Promise<boolean> {
    const was = this.#break;
    this.#break = 'off';
    this.#endWait?.();
    try {
      if (was === 'on') await endBreak(this.#fd);
    } finally {
      this.hold('break', false);
    }
    return true;
  }

  /** Returns whether a break was on, or about to be. */
  close(): boolean {
    this.#closed = true;
    this.#timer?.cancel();
    this.#endWait?.();
    this.#queue.clear();
    return this.#break !== 'off';
  }

  #give(bytes: Uint8Array): number {
    try {
      return writeNow(this.#fd, bytes);
    } catch (error) {
      this.#options.failed(error);
      return 0;
    }
  }

  #inDriver(): number {
    try {
      return this.#closed ? 0 : untransmittedBytes(this.#fd);
    } catch (error) {
      this.#options.failed(error);
      return 0;
    }
  }

  #tellRoom(): void {
    if (this.#closed || !this.#wantsRoom || this.#queue.room === 0) return;
    this.#wantsRoom = false;
    this.#options.writable();
  }

  /** When the queue should be empty: nobody tells. */
  #lookLater(): void {
    if (this.#closed || !this.#busy || this.#timer !== undefined || this.#queue.length > 0) return;
    const left = this.#options.hasTransmitter ? lineTimeMs(this.#options.settings(), this.#inDriver()) : 0;
    const afterMs = Math.max(this.#standingMs, Math.min(LONGEST_LOOK_MS, Math.ceil(left)));
    this.#timer = this.#options.clock.after(afterMs, () => {
      this.#timer = undefined;
      void this.#look();
    });
  }

  async #look(): Promise<void> {
    if (this.#closed || this.#queue.length > 0 || this.#draining !== undefined) return;
    const left = this.#inDriver();
    this.#standingMs = left > 0 && left === this.#lastLeft ? Math.min(STANDING_LOOK_MS, 2 * this.#standingMs + 1) : 0;
    this.#lastLeft = left;
    if (left > 0) {
      this.#lookLater();
      return;
    }
    if (this.#options.hasTransmitter) {
      const round = this.#round;
      this.#draining = round;
      await succeeds(drainPort(this.#fd));
      this.#draining = undefined;
      if (this.#closed) return;
      if (this.#round !== round) {
        this.#lookLater();
        return;
      }
    }
    this.#busy = false;
    this.#options.drained();
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

function succeeds(call: Promise<void>): Promise<boolean> {
  return call.then(
    () => true,
    () => false,
  );
}
