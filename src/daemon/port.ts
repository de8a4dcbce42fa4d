// One configured tty of the driver, running: its virtual TTY, its session, its traces. A port whose TTY cannot be made
// is there all the same, failed, with the reason; the others do not notice.
import type { ChoiceView, PortView, TraceRecord } from '../api/types.js';
import type { Clock } from '../base/clock.js';
import { asFault, type Fault } from '../base/fault.js';
import type { Log } from '../base/log.js';
import type { ResolvedTty } from '../config/resolved.js';
import { isJoined } from '../driver/machine.js';
import { drainOutput } from '../driver/output-drain.js';
import type { PortPolicy } from '../driver/policy.js';
import type { GateTicket } from '../driver/server-gate.js';
import { type AdoptedPort, type ConnectionKeeper, Session } from '../driver/session.js';
import type { Link } from '../link/link.js';
import { closeFd } from '../native/socket.js';
import type { Tty } from '../tty/tty.js';
import type { PortMetrics } from './metrics.js';
import { failedPortView, portView, withoutDevice } from './port-view.js';
import { TraceFan } from './trace-fan.js';
import { UseLog } from './use-log.js';

export interface PortOptions {
  readonly config: ResolvedTty;
  /** What an application opens. */
  readonly path: string;
  readonly choice: () => ChoiceView;
  /** Why an application cannot open it yet, though it was made. */
  readonly missing: () => string | undefined;
  /** Throws a Fault where the TTY cannot be made. */
  readonly makeTty: () => Tty;
  readonly makeLink: () => Link;
  readonly ticket: GateTicket;
  readonly clock: Clock;
  readonly log: Log;
  readonly changed: (port: Port) => void;
  readonly faulted: (port: Port, fault: Fault) => void;
  readonly recovered: (port: Port) => void;
  /** Absent: nothing outlives this process. */
  readonly keeper?: ConnectionKeeper | undefined;
  /** What an earlier process left of the port; the tty that is made is its. */
  readonly adopted?: AdoptedPort | undefined;
}

export class Port {
  readonly config: ResolvedTty;
  readonly #o: PortOptions;
  readonly #session: Session | undefined;
  readonly #fault: { fault: Fault; at: string } | undefined;
  #missingSince: string | undefined;
  readonly #traces: TraceFan;
  readonly #uses: UseLog;

  constructor(options: PortOptions) {
    this.#o = options;
    this.config = options.config;
    this.#uses = new UseLog(options.log, options.clock);
    this.#traces = new TraceFan(options.clock, (on) => {
      if (this.#session) this.#session.trace = on ? this.#traces : undefined;
    });
    try {
      const tty = options.makeTty();
      this.#session = new Session({
        tty,
        policy: portPolicy(options.config),
        ticket: options.ticket,
        makeLink: options.makeLink,
        clock: options.clock,
        log: options.log,
        changed: () => this.#changed(),
        faulted: (fault) => options.faulted(this, fault),
        recovered: () => options.recovered(this),
        ...(options.keeper ? { keeper: options.keeper } : {}),
      });
    } catch (error) {
      const { data, command } = options.adopted?.connection ?? {};
      for (const fd of [data, command]) if (fd !== undefined) closeFd(fd);
      const fault = asFault(error);
      this.#fault = { fault, at: new Date(options.clock.wallTime()).toISOString() };
    }
  }

  #changed(): void {
    if (this.#session) this.#uses.look(this.#session.record);
    this.#o.changed(this);
  }

  get name(): string {
    return this.config.name;
  }

  /** Why the port could not be made. */
  get fault(): Fault | undefined {
    return this.#fault?.fault;
  }

  start(): void {
    if (this.#o.adopted) this.#session?.adopt(this.#o.adopted);
    else this.#session?.start();
  }

  /**
   * Before another process goes on: what a connection that it cannot go on with still has is sent, within the time. Never
   * rejects.
   */
  async sendRest(limitMs: number): Promise<void> {
    const session = this.#session;
    const link = session?.link;
    if (!session || !link || link.handover || !isJoined(session.state)) return;
    const { clock } = this.#o;
    const limit = new AbortController();
    const timer = clock.after(limitMs, () => limit.abort());
    session.tty.channel.stop('down');
    await drainOutput(session.tty.channel, link, clock, limitMs, limit.signal);
    timer.cancel();
  }

  /** Leaves the record that another process goes on from. */
  keep(): void {
    this.#session?.keep();
  }

  /** @param nowMs CLOCK_MONOTONIC */
  view(nowMs: number): PortView {
    const choice = this.#o.choice();
    if (this.#session) return this.#withDevice(portView(this.config, this.#session, choice, nowMs));
    const code = this.#fault?.fault.code ?? 'SYSTEM';
    const message = this.#fault?.fault.message ?? '';
    return failedPortView(this.config, this.#o.path, choice, { code, message, at: this.#fault?.at ?? '' });
  }

  /** A port that nobody can open is not up, whatever its connection is. */
  #withDevice(view: PortView): PortView {
    const missing = view.state === 'failed' ? undefined : this.#o.missing();
    if (missing === undefined) {
      this.#missingSince = undefined;
      return view;
    }
    this.#missingSince ??= new Date(this.#o.clock.wallTime()).toISOString();
    return withoutDevice(view, missing, this.#missingSince);
  }

  metrics(nowMs: number): PortMetrics {
    return { view: this.view(nowMs), counts: this.#session?.record };
  }

  trace(listener: (record: TraceRecord) => void): () => void {
    return this.#traces.add(listener);
  }

  /** Never rejects. */
  async stop(drainMs: number): Promise<void> {
    this.#traces.event('port stopped');
    this.#traces.close();
    if (this.#session) await this.#session.stop(drainMs);
    else this.#o.ticket.leave();
  }
}

function portPolicy(config: ResolvedTty): PortPolicy {
  return { ...config.policy, lines: config.lines, fifoBytes: config.fifoBytes };
}
