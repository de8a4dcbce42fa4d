// What a port remembers of itself for status and metrics: state and since when, faults, acknowledged settings, lines,
// errors, drops by cause, and totals that survive the replacement of the tty's channel. Decides nothing.
import type { DropsView, LinesView, PortState, ProblemView } from '../api/types.js';
import type { Clock } from '../base/clock.js';
import type { Fault, FaultCode } from '../base/fault.js';
import type { Link } from '../link/link.js';
import type { ChannelCounters } from '../native/channel.js';
import { Histogram } from '../observe/prometheus.js';
import type { LineReport, LineSettings, ModemLines, OutputLines } from '../serial/line.js';
import type { Tty } from '../tty/tty.js';
import type { State } from './machine.js';

/** Totals of channels that were replaced. */
type Totals = Pick<
  ChannelCounters,
  | 'downTaken'
  | 'downSent'
  | 'upTaken'
  | 'upDelivered'
  | 'downDiscarded'
  | 'downOverflowed'
  | 'downDropped'
  | 'downLost'
  | 'downSuspected'
  | 'upSuspected'
  | 'upDropped'
  | 'upUnread'
  | 'downStalls'
  | 'upStalls'
>;

const ZERO: Totals = {
  downTaken: 0,
  downSent: 0,
  upTaken: 0,
  upDelivered: 0,
  downDiscarded: 0,
  downOverflowed: 0,
  downDropped: 0,
  downLost: 0,
  downSuspected: 0,
  upSuspected: 0,
  upDropped: 0,
  upUnread: 0,
  downStalls: 0,
  upStalls: 0,
};

const STATES: Readonly<Record<State['name'], PortState>> = {
  idle: 'idle',
  connecting: 'connecting',
  initialising: 'connecting',
  up: 'up',
  closing: 'closing',
  lingering: 'up',
  kept: 'up',
  failed: 'failed',
};

/** Of a round trip, in seconds: from a device on the same switch to one behind a modem, and those that nearly failed. */
const ROUND_TRIP_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];

export class PortRecord {
  /** Its channel changes when the tty is replaced. */
  readonly #tty: Pick<Tty, 'channel'>;
  readonly #clock: Clock;
  #past: Totals = ZERO;
  /** Dropped by the session's own word; the rest of downDropped was flushed by the application. */
  #dropped = { closing: 0, held: 0, stale: 0, abandoned: 0 };
  #state: PortState = 'idle';
  #since: number;
  #fault: { fault: Fault; at: number } | undefined;
  #down = false;
  #waiting = false;
  /** Why the connection was lost that is being made again. */
  #lostBy: FaultCode | undefined;
  /** Connections made again, by why the last one was lost. No more entries than there are codes. */
  readonly reconnects = new Map<FaultCode, number>();
  /** Attempts to connect that failed, by cause. */
  readonly connectFailures = new Map<FaultCode, number>();
  readonly roundTrips = new Histogram(ROUND_TRIP_BOUNDS);
  connects = 0;
  peer: string | undefined;
  roundTripMs: number | undefined;
  acknowledged: LineSettings | undefined;
  refused: LineSettings | undefined;
  modemLines: ModemLines | undefined;
  readonly errors = { parity: 0, framing: 0, overrun: 0, breaks: 0 };

  constructor(tty: Pick<Tty, 'channel'>, clock: Clock) {
    this.#tty = tty;
    this.#clock = clock;
    this.#since = clock.wallTime();
  }

  get state(): PortState {
    return this.#state === 'connecting' && this.#waiting ? 'waiting' : this.#state;
  }

  get since(): string {
    return new Date(this.#since).toISOString();
  }

  /** Why it is not connected; null where it is or need not be. */
  get reason(): ProblemView | null {
    return this.#down && this.#state !== 'idle' ? this.lastError : null;
  }

  get lastError(): ProblemView | null {
    if (!this.#fault) return null;
    const { fault, at } = this.#fault;
    return { code: fault.code, message: fault.message, at: new Date(at).toISOString() };
  }

  get totals(): Totals {
    const now = this.#tty.channel.counters;
    const sum = { ...ZERO };
    for (const key of Object.keys(ZERO) as (keyof Totals)[]) sum[key] = this.#past[key] + now[key];
    return sum;
  }

  get drops(): DropsView {
    const t = this.totals;
    const { closing, held, stale, abandoned } = this.#dropped;
    return {
      offline: t.downDiscarded,
      held: t.downOverflowed + held,
      flushed: Math.max(0, t.downDropped - closing - held),
      closing: closing + abandoned,
      linkLost: t.downLost,
      unread: t.upUnread + t.upDropped,
      stale,
      suspected: t.downSuspected + t.upSuspected,
    };
  }

  lines(output: OutputLines): LinesView {
    const modem = this.modemLines;
    return {
      dtr: output.dtr,
      rts: output.rts,
      cts: modem?.cts ?? null,
      dsr: modem?.dsr ?? null,
      dcd: modem?.dcd ?? null,
      ri: modem?.ri ?? null,
    };
  }

  entered(name: State['name']): void {
    const next = STATES[name];
    this.#waiting = false;
    // Nobody waits for it any more: the next connection is a new one.
    if (next === 'idle') this.#lostBy = undefined;
    if (next === this.#state) return;
    this.#state = next;
    this.#since = this.#clock.wallTime();
  }

  connected(peer: string | undefined): void {
    this.peer = peer;
    this.#waiting = false;
  }

  ready(): void {
    this.connects++;
    if (this.#lostBy) count(this.reconnects, this.#lostBy);
    this.#lostBy = undefined;
    this.#down = false;
  }

  disconnected(link: Link): void {
    this.peer = undefined;
    this.roundTripMs = link.lastRoundTripMs ?? this.roundTripMs;
    this.acknowledged = undefined;
    this.modemLines = undefined;
  }

  /** Goes on with the connection of an earlier process. */
  adopted(link: Link, acknowledged: LineSettings | undefined): void {
    this.peer = link.peer;
    this.roundTripMs = link.lastRoundTripMs;
    this.acknowledged = acknowledged;
    this.modemLines = link.modemLines;
    this.connects++;
  }

  answered(roundTripMs: number): void {
    this.roundTrips.observe(roundTripMs / 1000);
  }

  /** The device had acknowledged the line state, and the connection is gone. */
  lost(fault: Fault): void {
    this.#lostBy = fault.code;
    this.failed(fault);
  }

  connectFailed(fault: Fault): void {
    count(this.connectFailures, fault.code);
    this.failed(fault);
  }

  failed(fault: Fault): void {
    this.#fault = { fault, at: this.#clock.wallTime() };
    this.#down = true;
    this.#waiting = true;
  }

  /** `abandoned`: given to the device, which did not transmit it before the close was over. */
  dropped(cause: 'closing' | 'held' | 'stale' | 'abandoned', bytes: number): void {
    this.#dropped[cause] += bytes;
  }

  /** The channel with these counters is about to be replaced. */
  absorb(counters: ChannelCounters): void {
    const sum = { ...ZERO };
    for (const key of Object.keys(ZERO) as (keyof Totals)[]) sum[key] = this.#past[key] + counters[key];
    this.#past = sum;
  }

  reported(report: LineReport): void {
    switch (report.type) {
      case 'lines':
        this.modemLines = report.lines;
        return;
      case 'errors':
        if (report.errors.parity) this.errors.parity++;
        if (report.errors.framing) this.errors.framing++;
        if (report.errors.overrun || report.errors.bufferOverrun) this.errors.overrun++;
        return;
      case 'break':
        this.errors.breaks++;
        return;
      case 'refused':
        this.refused = report.settings;
        return;
      default:
        report satisfies never;
    }
  }
}

function count(counts: Map<FaultCode, number>, code: FaultCode): void {
  counts.set(code, (counts.get(code) ?? 0) + 1);
}
