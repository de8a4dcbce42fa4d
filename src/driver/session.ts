// One port of the driver: performs what the machine decides, and feeds it what happened. Joins a Tty and a Link through
// the tty's channel; no byte passes here. Never decides by itself what state follows.
import type { Timer } from '../base/clock.js';
import { asFault, Fault } from '../base/fault.js';
import type { Link, LinkEvents } from '../link/link.js';
import type { ChannelCounters } from '../native/channel.js';
import { formatSettings } from '../serial/format.js';
import { type LineReport, type LineRequest, NO_MODEM_LINES, type OutputLines } from '../serial/line.js';
import type { NetworkEvent, Tty, TtyEvent } from '../tty/tty.js';
import { sayLost, takeOver } from './adoption.js';
import { Closing } from './closing.js';
import { Dialler } from './dialler.js';
import { EventQueue } from './event-queue.js';
import { Initialiser } from './initialiser.js';
import { Joint } from './joint.js';
import { formatKeptPort } from './kept-port.js';
import { LineSync } from './line-sync.js';
import { type Effect, type Event, isJoined, isLeaving, type State, type Step, step } from './machine.js';
import { adopt } from './machine-adopt.js';
import { OfflineOutput } from './offline-output.js';
import { desiredLines, lookAheadBytes } from './policy.js';
import { PortRecord } from './port-record.js';
import type { AdoptedPort, SessionOptions } from './session-options.js';
import { type SessionTrace, TraceTap } from './trace-tap.js';

export type { AdoptedPort, ConnectionKeeper, SessionOptions } from './session-options.js';
export type { SessionTrace } from './trace-tap.js';

export class Session {
  readonly tty: Tty;
  readonly record: PortRecord;
  readonly #o: SessionOptions;
  readonly #lines: LineSync;
  readonly #offline: OfflineOutput;
  readonly #closing: Closing;
  readonly #dialler: Dialler;
  readonly #initialiser: Initialiser;
  readonly #joint: Joint;
  readonly #effects: Readonly<Record<Effect, () => void>>;
  readonly #queue = new EventQueue(
    (event) => this.#become(step(this.#state, event, this.#o.policy), event.type),
    () => {
      this.keep();
      this.#o.changed();
    },
  );
  #state: State = { name: 'idle' };
  #stopped: Promise<void> | undefined;
  #link: Link | undefined;
  #holdTimer: Timer | undefined;
  /** The connection being made follows one that was lost, or a time without one in which the offline policy ruled. */
  #reconnect = false;
  readonly #trace: TraceTap;

  constructor(options: SessionOptions) {
    const { tty, policy, clock, log } = options;
    this.#o = options;
    this.tty = tty;
    this.record = new PortRecord(tty, clock);
    this.#trace = new TraceTap(tty);
    this.#offline = new OfflineOutput(tty, policy, this.record, clock, log);
    this.#lines = new LineSync({
      clock,
      log,
      link: () => (this.#linkReady() ? this.#link : undefined),
      channel: () => tty.channel,
      desired: () => this.#desired(),
      acknowledged: (settings) => {
        this.record.acknowledged = settings;
        this.#o.changed();
      },
      progressed: () => this.keep(),
      lookAhead: lookAheadBytes,
      stale: (bytes) => this.record.dropped('stale', bytes),
    });
    this.#closing = new Closing(tty, policy, this.record, this.#lines, clock, log);
    this.#joint = new Joint(tty, this.#offline, this.#lines);
    this.#initialiser = new Initialiser(tty, policy, this.record, this.#lines);
    this.#dialler = new Dialler(
      options.makeLink,
      (link) => this.#linkEvents(link),
      (link) => this.#connected(link),
      (error) => this.#attemptFailed(asFault(error)),
    );
    tty.onEvent = (event) => this.#onTty(event);
    tty.onNetwork = (event) => this.#onNetwork(event);
    tty.onReplaced = (last) => this.#onReplaced(last);
    this.#effects = this.#effectTable();
  }

  get state(): State {
    return this.#state;
  }

  get link(): Link | undefined {
    return this.#link;
  }

  /** DTR and RTS as the device was told last; before that, as they will be told. */
  get outputLines(): OutputLines {
    return this.#lines.acknowledgedLines ?? { dtr: false, rts: false };
  }

  /** Begins: dials at once where the policy keeps a connection, and notices a tty that is open already. */
  start(): void {
    this.#offline.keep();
    this.#dispatch({ type: 'start' });
    if (this.tty.isOpen) this.#dispatch({ type: 'opened' });
  }

  /**
   * Instead of `start`: goes on with what an earlier process left. The tty is adopted already; what its application did
   * meanwhile comes as events.
   */
  adopt(left: AdoptedPort): void {
    const { kept, link } = takeOver(left, this.#o, (adoptedLink) => this.#linkEvents(adoptedLink));
    this.#offline.keep();
    if (!kept) {
      if (!this.tty.isOpen) this.#offline.drop(); // for whom it was is known no more
      this.start();
      return;
    }
    this.#link = link;
    this.#reconnect = kept.reconnect;
    if (link) {
      this.#lines.adopt(kept.lines);
      this.record.adopted(link, kept.lines.settings);
      this.#o.ticket.adopted();
    }
    sayLost(this.tty.channel.counters, this.#o.log);
    const parked = this.tty.channel.counters.downParked;
    const own = { state: kept.state, linked: link !== undefined, anew: kept.link === undefined };
    const adopted = { ...own, parked, finishing: kept.lines.finishing };
    this.#queue.during(() => this.#become(adopt(adopted, this.#o.policy), 'adopted'));
    // Taken from a use that the earlier process was not told of.
    if (this.tty.isOpen || parked > 0) this.#dispatch({ type: 'opened' });
    if (!this.tty.isOpen) this.#dispatch({ type: 'closed', parked });
  }

  /** What a process that came now would need, where it is kept. */
  keep(): void {
    const { keeper } = this.#o;
    if (!this.tty.remember || !keeper) return;
    const link = this.#link?.handover?.state;
    const lines = this.#lines.kept;
    this.tty.remember(
      formatKeptPort({ state: this.#state, reconnect: this.#reconnect, target: keeper.target, lines, link }),
    );
  }

  set trace(trace: SessionTrace | undefined) {
    this.#trace.show(trace);
    if (this.#link) this.#link.traced = trace !== undefined;
  }

  /**
   * Ends the session cleanly: output gets up to `drainMs` to be transmitted, the device is flushed and its lines lowered.
   * The tty is closed too. Never rejects; idempotent.
   */
  stop(drainMs: number): Promise<void> {
    this.#stopped ??= this.#stop(drainMs);
    return this.#stopped;
  }

  async #stop(drainMs: number): Promise<void> {
    const link = this.#link;
    if (link && this.#linkReady()) await this.#closing.end(link, drainMs);
    this.#offline.end();
    // A tty that failed has no channel left to take from.
    if (this.#state.name !== 'failed') await this.#closing.discardRest();
    this.#dispatch({ type: 'stop' });
    this.#o.ticket.leave();
    await link?.close();
    this.tty.close();
  }

  #linkReady(): boolean {
    return isJoined(this.#state);
  }

  /** An application that is gone but whose bytes are not yet transmitted still needs its lines. */
  #desired() {
    const { settings } = this.tty;
    const open = this.tty.isOpen || isLeaving(this.#state);
    return { settings, lines: this.tty.outputLines ?? desiredLines(this.#o.policy, settings, open) };
  }

  #dispatch(event: Event): void {
    this.#queue.push(event);
  }

  #become([after, ...effects]: Step, why: string): void {
    const before = this.#state;
    this.#state = after;
    if (after.name !== before.name) {
      this.record.entered(after.name);
      this.#trace.event(`${before.name} -> ${after.name} (${why})`);
    }
    for (const effect of effects) this.#effects[effect]();
    if (after.name === 'idle' || after.name === 'lingering' || after.name === 'kept') this.tty.settle();
  }

  #effectTable(): Record<Effect, () => void> {
    const { clock, policy, ticket } = this.#o;
    const holdFor = (ms: number) => {
      this.#holdTimer?.cancel();
      this.#holdTimer = clock.after(ms, () => this.#dispatch({ type: 'hold-over' }));
    };
    return {
      dial: () => ticket.request(() => this.#dialler.dial(this.#trace.on)),
      'stop-dialling': () => {
        this.#dialler.abort();
        ticket.cancel();
      },
      disconnect: () => this.#disconnect(),
      'hold-output': () => {
        this.#reconnect = false;
        if (!this.#link) this.#offline.keep();
      },
      'start-hold-timer': () => holdFor(policy.connectTimeoutMs),
      'stop-hold-timer': () => this.#holdTimer?.cancel(),
      'start-closing-timer': () => holdFor(policy.closingWaitMs),
      'go-offline': () => {
        this.#reconnect = true;
        this.#offline.obeyPolicy();
      },
      'drop-output': () => this.#offline.drop(),
      initialise: () => this.#initialise(),
      attach: () => this.#joint.attach(this.#link, this.#state),
      rejoin: () => this.#joint.rejoin(this.#link, this.#state),
      'apply-settings': () => this.#lines.settingsChanged(),
      drain: () => {
        if (this.#link) this.#closing.drain(this.#link, () => this.#dispatch({ type: 'drained' }));
      },
      'stop-draining': () => this.#closing.stopDraining(),
      finish: () => this.#closing.finish(this.#link),
      'start-linger': () => this.#closing.startLinger(() => this.#dispatch({ type: 'linger-over' })),
      'stop-linger': () => this.#closing.stopLinger(),
      'hang-up': () => {
        this.record.dropped('closing', this.tty.channel.drop('down'));
        this.tty.hangUp();
        // One that cannot be hung up is served on.
        if (this.tty.isOpen) this.#dispatch({ type: 'opened', served: true });
      },
    };
  }

  #linkEvents(link: Link): LinkEvents {
    return {
      report: (report) => {
        if (this.#link === link) this.#onReport(report);
      },
      down: (fault) => {
        if (this.#link === link) this.#lost(fault);
      },
      answered: (roundTripMs) => this.record.answered(roundTripMs),
      changed: () => {
        if (this.#link === link) this.keep();
      },
      command: (direction, bytes, text) => this.#trace.command(direction, bytes, text),
    };
  }

  #connected(link: Link): void {
    this.#link = link;
    if (link.handover) this.#o.keeper?.made(link.handover);
    this.record.connected(link.peer);
    this.#dispatch({ type: 'connected' });
  }

  #attemptFailed(fault: Fault): void {
    this.record.connectFailed(fault);
    this.#trace.event(`connect failed: ${fault.message}`);
    this.#o.ticket.failed();
    this.#o.faulted(fault);
    this.#dispatch({ type: 'attempt-failed' });
  }

  #initialise(): void {
    const link = this.#link;
    if (!link) return;
    const ready = () => {
      this.#o.ticket.succeeded();
      this.#reconnect = false;
      this.record.ready();
      this.#o.recovered();
      this.#dispatch({ type: 'ready' });
    };
    this.#initialiser.begin(link, this.#reconnect, ready, (error) => this.#attemptFailed(asFault(error)));
  }

  #lost(fault: Fault): void {
    // Before the device acknowledged the line state, a lost connection is a failed attempt.
    if (this.#state.name === 'initialising') {
      this.#initialiser.cancel();
      this.#attemptFailed(fault);
      return;
    }
    this.record.lost(fault);
    this.#trace.event(`connection lost: ${fault.message}`);
    this.#o.ticket.lost();
    this.#o.faulted(fault);
    this.#reconnect = true;
    this.#dispatch({ type: 'lost', parked: this.tty.channel.counters.downParked });
  }

  #disconnect(): void {
    const link = this.#link;
    this.#link = undefined;
    this.#initialiser.cancel();
    this.#lines.forget();
    if (!link) return;
    // The pump lets go of the descriptor before the link closes it.
    if (this.tty.channel.attached) this.#offline.keep();
    this.record.disconnected(link);
    this.#o.ticket.cancel();
    void link.close();
    this.#o.keeper?.gone();
    // As a cable that is pulled.
    if (this.tty.capabilities.modemLines) this.tty.report({ type: 'lines', lines: NO_MODEM_LINES });
  }

  /** The tty has another channel: it joins the connection that there is. */
  #onReplaced(last: ChannelCounters): void {
    this.#offline.end();
    this.record.absorb(last);
    this.#trace.rejoin();
    if (this.#linkReady()) this.#joint.attach(this.#link, this.#state);
  }

  /** The data connection ended, as the pump saw it. */
  #onNetwork(event: NetworkEvent): void {
    if (event === 'tap') {
      this.#trace.read();
      return;
    }
    if (!this.#link) return;
    const peer = this.#link.peer ?? 'device server';
    const how = event === 'net-end' ? 'closed by the device' : `lost (errno ${this.tty.channel.netErrno})`;
    this.#lost(new Fault('PEER_CLOSED', `${peer}: data connection ${how}`));
  }

  #onTty(event: TtyEvent): void {
    switch (event.type) {
      case 'opened':
        this.#trace.event(`opened, ${formatSettings(this.tty.settings)}`);
        this.#dispatch({ type: 'opened' });
        break;
      case 'closed':
        this.#trace.event('closed');
        this.#dispatch({ type: 'closed', parked: this.tty.channel.counters.downParked });
        break;
      case 'settings':
        this.#trace.event(`settings ${formatSettings(event.settings)}`);
        this.#orResume(() => this.#lines.settingsChanged());
        this.#o.changed();
        break;
      case 'flush':
        this.#trace.event(`flush ${event.queue}`);
        this.#orResume(() => this.#lines.flush(event.queue));
        break;
      case 'drain':
        this.#closing.drained(this.#linkReady() ? this.#link : undefined);
        break;
      case 'lines':
      case 'break':
      case 'transmitter':
        this.#request(event);
        break;
      case 'failed':
        this.record.failed(new Fault('TTY_GONE', event.reason));
        this.#dispatch({ type: 'tty-failed', reason: event.reason });
        break;
      default:
        event satisfies never;
    }
  }

  #request(request: LineRequest): void {
    this.#trace.event(request.type);
    this.#orResume(() => this.#linkReady() && this.#lines.request(request));
  }

  /** Work for the device when it is there; else it is told all when it comes, and nothing waits for an answer now. */
  #orResume(work: () => unknown): void {
    if (this.#linkReady() || this.#state.name === 'initialising') {
      work();
      return;
    }
    this.tty.channel.resume('up');
    this.tty.channel.resume('down');
  }

  #onReport(report: LineReport): void {
    this.record.reported(report);
    if (report.type === 'refused') this.#lines.refused(this.record.acknowledged);
    this.tty.report(report);
    this.#o.changed();
  }
}
