// The end of one application's use: its output drains, what the device does not transmit is counted, the device is told,
// and the connection stays a moment for a reopen. Performs it and says when; what follows the machine decides.
import type { Clock, Timer } from '../base/clock.js';
import { messageOf } from '../base/fault.js';
import type { Log } from '../base/log.js';
import type { Link } from '../link/link.js';
import type { Tty } from '../tty/tty.js';
import type { LineSync } from './line-sync.js';
import { drainOutput } from './output-drain.js';
import type { PortPolicy } from './policy.js';
import type { PortRecord } from './port-record.js';

/** For the last FLUSH and LINECTRL of a daemon that ends. */
const FAREWELL_MS = 1000;
/** The pump takes what a PTY holds in far less. */
const TAKE_MS = 20;

export class Closing {
  #draining: AbortController | undefined;
  #linger: Timer | undefined;
  #finished: Promise<void> = Promise.resolve();

  constructor(
    readonly tty: Tty,
    readonly policy: PortPolicy,
    readonly record: PortRecord,
    readonly lines: LineSync,
    readonly clock: Clock,
    readonly log: Log,
  ) {}

  /** Calls `drained` once: all was transmitted, or closingWait passed without progress. Not when the link is lost. */
  drain(link: Link, drained: () => void): void {
    const abort = new AbortController();
    this.#draining = abort;
    this.#drain(link, abort.signal).then(
      (ended) => {
        if (this.#draining !== abort || abort.signal.aborted) return;
        this.#draining = undefined;
        if (ended) drained();
      },
      (error: unknown) => this.log.log('error', `drain: ${messageOf(error)}`),
    );
  }

  /** For an application that waits and stays: tells the tty when all is transmitted. The direction is not stopped. */
  drained(link: Link | undefined): void {
    if (!link) {
      this.tty.drained(this.tty.channel.counters.downParked === 0);
      return;
    }
    const never = new AbortController();
    drainOutput(this.tty.channel, link, this.clock, this.policy.closingWaitMs, never.signal).then(
      (result) => this.tty.drained(result === 'drained'),
      (error: unknown) => {
        this.log.log('error', `drain: ${messageOf(error)}`);
        this.tty.drained(false);
      },
    );
  }

  stopDraining(): void {
    this.#draining?.abort();
    this.#draining = undefined;
  }

  /** FLUSH, and DTR and RTS down where HUPCL is set. What the next opener writes waits for its own line state. */
  finish(link: Link | undefined): void {
    this.tty.channel.stop('down');
    this.tty.settle();
    if (!link) return;
    this.#finished = this.lines.finish(link, this.tty.hangUpOnClose).catch((error: unknown) => {
      this.log.log('debug', `end of use: ${messageOf(error)}`);
    });
  }

  /** Calls `over` after disconnectDelay; however short that is, the device is told to lower its lines before. */
  startLinger(over: () => void): void {
    const timer = this.clock.after(this.policy.disconnectDelayMs, () => {
      void this.#finished.then(() => {
        if (this.#linger === timer) over();
      });
    });
    this.#linger = timer;
  }

  stopLinger(): void {
    this.#linger?.cancel();
    this.#linger = undefined;
  }

  /**
   * The end by our own will, with an application there or not: takes nothing more from it, lets the device transmit for at
   * most `limitMs`, counts what it did not, and tells it the end. Never rejects; over FAREWELL_MS after the limit at last.
   */
  async end(link: Link, limitMs: number): Promise<void> {
    this.stopDraining();
    this.tty.channel.stop('down');
    const limit = new AbortController();
    const drained = drainOutput(this.tty.channel, link, this.clock, limitMs, limit.signal);
    // A device that no longer answers is not waited for longer than that either.
    const result = await this.#within(limitMs, drained);
    limit.abort();
    const farewell = async () => {
      if (result !== 'drained') await this.#abandon(link);
      await this.lines.finish(link, this.tty.hangUpOnClose);
    };
    const told = farewell().catch((error: unknown) => {
      this.log.log('debug', `end of the connection: ${messageOf(error)}`);
    });
    await this.#within(FAREWELL_MS, told);
  }

  /** What lies in the tty is taken and counted: nobody will transmit it. */
  async discardRest(): Promise<void> {
    const { channel } = this.tty;
    const before = channel.counters.downDiscarded;
    channel.detach({ mode: 'discard' });
    channel.resume('down');
    await this.#within(TAKE_MS, new Promise(() => {}));
    channel.stop('down');
    const bytes = channel.counters.downDiscarded - before;
    if (bytes === 0) return;
    this.log.log('warn', `${bytes} bytes that the application wrote were not transmitted`, { event: 'dropped' });
  }

  /** What `work` gives, or undefined after `limitMs`. */
  #within<T>(limitMs: number, work: Promise<T>): Promise<T | undefined> {
    return new Promise((resolve, reject) => {
      const timer = this.clock.after(limitMs, () => resolve(undefined));
      work.then(resolve, reject).finally(() => timer.cancel());
    });
  }

  /** False where the link was lost: that is told by its own event. */
  async #drain(link: Link, signal: AbortSignal): Promise<boolean> {
    // A change of settings under way still holds bytes back.
    await this.lines.idle();
    if (signal.aborted) return false;
    // All of this use has been taken. What a next opener writes before we hear of it must not get in front of our FLUSH.
    this.tty.channel.stop('down');
    const result = await drainOutput(this.tty.channel, link, this.clock, this.policy.closingWaitMs, signal);
    if (result === 'stuck' && !signal.aborted) await this.#abandon(link);
    return result !== 'lost';
  }

  /** What the device has and does not transmit is about to be flushed: it is counted and said. */
  async #abandon(link: Link): Promise<void> {
    const left = link.capabilities.drain ? await link.outputQueue(0).catch(() => 0) : 0;
    const bytes = left + link.unsent;
    if (bytes === 0) return;
    this.record.dropped('abandoned', bytes);
    this.log.log('warn', `${bytes} bytes were not transmitted by the device, which holds back output`, {
      event: 'dropped',
    });
  }
}
