// Keeps the device's line in the state that the application asked for. Work is done one piece at a time and in order;
// a burst of settings becomes the last one, and nothing is sent when nothing changed. While a piece is under way the
// channel's `down` direction is stopped, so that no byte goes out at a wrong rate; it is resumed after the answer.

import type { Clock } from '../base/clock.js';
import { type Fault, isFault, messageOf } from '../base/fault.js';
import type { Log } from '../base/log.js';
import { type Link, NEEDED } from '../link/link.js';
import type { Channel } from '../native/channel.js';
import { type LineRequest, type LineSettings, type OutputLines, type Queue, sameSettings } from '../serial/line.js';
import { drainOutput } from './output-drain.js';

/** A settings change waits this long for output that makes no progress (CTS or XOFF hold), then goes ahead. */
const SETTINGS_WAIT_MS = 3000;
/** A flush of output is repeated while our own socket still has bytes for the device, so often and so long apart. */
const FLUSH_ROUNDS = 8;
const FLUSH_FENCE_MS = 250;

export interface LineSyncHost {
  readonly clock: Clock;
  readonly log: Log;
  link(): Link | undefined;
  channel(): Channel;
  desired(): { readonly settings: LineSettings; readonly lines: OutputLines };
  /** `settings` are in force at the device, as far as it says. */
  acknowledged(settings: LineSettings): void;
  lookAhead(settings: LineSettings): number;
  /** Bytes from the device were dropped: they came before it had flushed. */
  stale(bytes: number): void;
  /** What `kept` gives has changed. */
  progressed(): void;
}

/** What another process needs to know of the line to go on with its connection. */
export interface KeptLines {
  /** Told and acknowledged; undefined where that is not certain: then they are told again. */
  readonly settings: LineSettings | undefined;
  readonly lines: OutputLines | undefined;
  /** Asked by the application and not done. */
  readonly flush: Queue | undefined;
  readonly requests: readonly LineRequest[];
  /** The end of a use was being told. */
  readonly finishing: boolean;
}

/** What the device acknowledged of one connection. */
interface Acknowledged {
  settings: LineSettings | undefined;
  lines: OutputLines | undefined;
}

interface Doing {
  readonly flush?: Queue;
  readonly request?: LineRequest;
  readonly settings?: true;
  readonly finishing?: true;
}

export class LineSync {
  readonly #host: LineSyncHost;
  #acknowledged: Acknowledged = { settings: undefined, lines: undefined };
  #flush: Queue | undefined;
  #pending: LineRequest[] = [];
  #dirty = false;
  /** Under way: done again by a process that goes on from here. */
  #doing: Doing = {};
  #working: Promise<void> | undefined;
  #finishing: Promise<void> = Promise.resolve();
  #abort = new AbortController();

  constructor(host: LineSyncHost) {
    this.#host = host;
  }

  get acknowledgedLines(): OutputLines | undefined {
    return this.#acknowledged.lines;
  }

  get kept(): KeptLines {
    const { flush, request, settings, finishing } = this.#doing;
    const { settings: told, lines } = this.#acknowledged;
    return {
      settings: settings ? undefined : told,
      lines: settings || finishing ? undefined : lines,
      flush: flush && this.#flush && flush !== this.#flush ? 'both' : (flush ?? this.#flush),
      requests: request ? [request, ...this.#pending] : [...this.#pending],
      finishing: finishing === true,
    };
  }

  /** Goes on where an earlier process was. Nothing is sent before `resume`. */
  adopt(kept: KeptLines): void {
    this.#acknowledged = { settings: kept.settings, lines: kept.lines };
    this.#flush = kept.flush;
    this.#pending = [...kept.requests];
  }

  /** After `adopt`, with the channel joined and stopped: tells what is not yet told, and lets the bytes flow. */
  resume(): void {
    const { settings } = this.#host.desired();
    this.#host.channel().setLookAhead(this.#host.lookAhead(settings));
    this.#dirty = true;
    this.#start();
  }

  /** The connection is gone: what it acknowledged means nothing to the next one, and what was under way is void. */
  forget(): void {
    this.#abort.abort();
    this.#abort = new AbortController();
    this.#acknowledged = { settings: undefined, lines: undefined };
    this.#flush = undefined;
    this.#pending = [];
    this.#dirty = false;
    this.#doing = {};
  }

  /** A refused setting is not in force: the next change is sent even if it equals what was asked before. */
  refused(kept: LineSettings | undefined): void {
    this.#acknowledged.settings = kept;
  }

  /**
   * Tells a fresh connection, or a reopened tty, the whole line state. Rejects with the link's fault.
   * @param flushFirst drop what the device still holds from before
   * @param full send the lines by LINECTRL too, as after a reconnect
   */
  async initialise(link: Link, fifoBytes: number, flushFirst: boolean, full: boolean): Promise<void> {
    const { signal } = this.#abort;
    // The end of the last use comes whole before the next: its DTR and RTS low must not follow our high.
    await this.#finishing;
    // So must what the device sent before that FLUSH: it was for the last opener.
    if (this.#host.channel().attached) this.#host.stale(link.discardInput());
    if (flushFirst && link.capabilities.flush) await link.request({ type: 'flush', queue: 'both' });
    let told = this.#host.desired();
    await this.#tellSettings(link, told.settings, told.lines);
    if (link.capabilities.fifo) await link.request({ type: 'fifo', bytes: fifoBytes });
    if (full && link.capabilities.outputLines) await link.request({ type: 'lines', lines: told.lines });
    for (;;) {
      signal.throwIfAborted();
      this.#dirty = false;
      const flush = this.#takeFlush();
      if (flush !== undefined) await this.#during({ flush }, () => this.#flushDevice(link, flush));
      // Compared with what was told, not with what was acknowledged: a refusal is not repeated.
      const now = this.#host.desired();
      const same = sameSettings(now.settings, told.settings) && sameLines(now.lines, told.lines);
      if (same && this.#flush === undefined) return;
      told = now;
      if (!same) await this.#sendSettings(link, now.settings, now.lines);
    }
  }

  /** The application changed settings or lines; the channel's `down` is stopped already. */
  settingsChanged(): void {
    this.#dirty = true;
    this.#start();
  }

  /** The application flushed; the channel has dropped what was parked. Before the first answer, `initialise` tells it. */
  flush(queue: Queue): void {
    this.#flush = this.#flush === undefined || this.#flush === queue ? queue : 'both';
    this.#host.progressed();
    this.#start();
  }

  /** Resolves when nothing is under way: then no byte is held back for an answer. */
  async idle(): Promise<void> {
    while (this.#working) await this.#working;
  }

  /** Break, transmitter: after the bytes written before, and in order. */
  request(request: LineRequest): void {
    // What the protocol has no word for is not asked; what waits behind it goes on.
    if (this.#host.link()?.capabilities[NEEDED[request.type]] === false) {
      this.#start();
      return;
    }
    // Bounded: an application that toggles faster than the network answers loses pairs in the middle, never the last.
    if (this.#pending.length >= 64) this.#pending.splice(0, 2);
    this.#pending.push(request);
    this.#host.progressed();
    this.#start();
  }

  /** FLUSH, and DTR and RTS down: the end of one application's use. */
  finish(link: Link, hangUp: boolean): Promise<void> {
    const finishing = this.#finish(link, hangUp);
    this.#finishing = finishing.catch(() => {});
    return finishing;
  }

  async #finish(link: Link, hangUp: boolean): Promise<void> {
    await this.#during({ finishing: true }, async () => {
      // Nobody can say that what the device still has to transmit is transmitted: it is left to it.
      await this.#flushDevice(link, link.capabilities.drain ? 'both' : 'rx');
      if (!hangUp || !link.capabilities.outputLines) return;
      const lines: OutputLines = { dtr: false, rts: false };
      await link.request({ type: 'lines', lines });
      this.#acknowledged.lines = lines;
    });
  }

  /** `doing` is what an adopter would do again if it came now. */
  async #during(doing: Doing, work: () => Promise<void>): Promise<void> {
    const generation = this.#abort;
    this.#doing = { ...this.#doing, ...doing };
    try {
      await work();
    } finally {
      if (generation === this.#abort) this.#doing = without(this.#doing, doing);
      this.#host.progressed();
    }
  }

  #start(): void {
    if (this.#working || !this.#host.link()) return;
    const { signal } = this.#abort;
    this.#working = this.#work(signal)
      .catch((error: unknown) => this.#gaveUp(error, signal))
      .finally(() => {
        this.#working = undefined;
        // Asked while the last piece was ending, or for the next connection.
        if (this.#flush !== undefined || this.#dirty || this.#pending.length > 0) this.#start();
      });
  }

  async #work(signal: AbortSignal): Promise<void> {
    // What the application did at one go is told one by one: nothing is resumed before all of it is known.
    await Promise.resolve();
    for (;;) {
      const link = this.#host.link();
      if (!link || signal.aborted) return;
      const flush = this.#takeFlush();
      if (flush !== undefined) {
        await this.#during({ flush }, () => this.#flushDevice(link, flush));
      } else if (this.#dirty) {
        this.#dirty = false;
        await this.#changeSettings(link, signal);
      } else {
        const request = this.#pending.shift();
        if (!request) break;
        if (!(await this.#carryOut(link, request, signal))) return;
      }
      signal.throwIfAborted();
    }
    this.#resume();
  }

  /** False where the link has ended. */
  async #carryOut(link: Link, request: LineRequest, signal: AbortSignal): Promise<boolean> {
    let there = true;
    await this.#during({ request }, async () => {
      there = await this.#afterOutput(link, signal);
      if (there) await link.request(request);
    });
    return there;
  }

  #takeFlush(): Queue | undefined {
    const queue = this.#flush;
    this.#flush = undefined;
    return queue;
  }

  /** Both directions are stopped meanwhile, as far as they are flushed. */
  async #flushDevice(link: Link, queue: Queue): Promise<void> {
    if (link.capabilities.flush) {
      await link.request({ type: 'flush', queue });
      if (queue !== 'rx') await this.#flushUnsent(link);
    }
    if (queue === 'tx' || link.dataFd < 0) return;
    // What the device sent before it answered is as stale as what it has dropped.
    const channel = this.#host.channel();
    channel.stop('up');
    this.#host.stale(link.discardInput());
    channel.drop('up');
  }

  /** A device whose window was shut takes the rest of our socket's queue now that it has room: that goes too. */
  async #flushUnsent(link: Link): Promise<void> {
    for (let round = 0; round < FLUSH_ROUNDS && link.unsent > 0; round++) {
      if ((await this.#host.channel().fence(FLUSH_FENCE_MS)) === 'detached') return;
      await link.request({ type: 'flush', queue: 'tx' });
    }
  }

  /** Waits, within bounds, until what was written before has left the device. False where the link has ended. */
  async #afterOutput(link: Link, signal: AbortSignal): Promise<boolean> {
    this.#host.channel().stop('down');
    const drained = await drainOutput(this.#host.channel(), link, this.#host.clock, SETTINGS_WAIT_MS, signal);
    signal.throwIfAborted();
    if (drained === 'stuck') {
      this.#host.log.log(
        'warn',
        'the device holds back output: what is unsent may follow a change of settings or break',
      );
    }
    return drained !== 'lost';
  }

  /** Flushed input has stopped `up` too. */
  #resume(): void {
    this.#host.channel().resume('up');
    this.#host.channel().resume('down');
  }

  async #changeSettings(link: Link, signal: AbortSignal): Promise<void> {
    const { settings, lines } = this.#host.desired();
    const { capabilities } = link;
    if (!capabilities.settings && !capabilities.outputLines) return;
    if (!this.#differs(settings, lines) || !(await this.#afterOutput(link, signal))) return;
    // What was asked while draining is sent at once, and only it.
    this.#dirty = false;
    const now = this.#host.desired();
    if (this.#differs(now.settings, now.lines)) await this.#sendSettings(link, now.settings, now.lines);
  }

  #differs(settings: LineSettings, lines: OutputLines): boolean {
    const known = this.#acknowledged;
    return !known.settings || !known.lines || !sameSettings(known.settings, settings) || !sameLines(known.lines, lines);
  }

  async #sendSettings(link: Link, settings: LineSettings, lines: OutputLines): Promise<void> {
    await this.#during({ settings: true }, async () => {
      if (settings.baudRate > 0) return this.#tellSettings(link, settings, lines);
      // B0 keeps the rate and drops the lines: there is no rate to tell.
      if (link.capabilities.outputLines) await link.request({ type: 'lines', lines });
      this.#acknowledged = { settings, lines };
    });
  }

  async #tellSettings(link: Link, settings: LineSettings, lines: OutputLines): Promise<void> {
    this.#acknowledged = { settings, lines };
    if (!link.capabilities.settings) return;
    this.#host.channel().setLookAhead(this.#host.lookAhead(settings));
    await link.request({ type: 'settings', settings, lines });
    // A refusal was reported before the request ended, and has replaced this.
    if (this.#acknowledged.settings === settings) this.#host.acknowledged(settings);
  }

  #gaveUp(error: unknown, signal: AbortSignal): void {
    if (signal.aborted || (isFault(error) && endsTheLink(error))) return;
    this.#host.log.log('warn', `line request failed: ${messageOf(error)}`);
    this.#resume();
  }
}

function without(all: Doing, done: Doing): Doing {
  return Object.fromEntries(Object.entries(all).filter(([key]) => !(key in done)));
}

/** The session is told of the link's end by the link's own event. */
function endsTheLink(fault: Fault): boolean {
  return fault.code === 'CANCELED' || fault.blame === 'peer';
}

function sameLines(a: OutputLines, b: OutputLines): boolean {
  return a.dtr === b.dtr && a.rts === b.rts;
}
