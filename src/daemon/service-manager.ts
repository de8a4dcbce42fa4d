// What the service manager is told (sd_notify(3)): READY when every link exists, STATUS in a sentence, WATCHDOG while both
// the event loop and the pump thread live. Does nothing where no manager listens.
import type { Clock, Timer } from '../base/clock.js';
import { messageOf } from '../base/fault.js';
import type { Log } from '../base/log.js';
import { notify } from '../native/notify.js';
import { isSystemError } from '../native/socket.js';

/** The pump turns at least once a second; one that did not for this long is stuck. */
const PUMP_STUCK_MS = 5000;
/** The queue of its socket may be as short as 10 (net.unix.max_dgram_qlen), and a start stores many descriptors. */
const RETRY_MS = 20;
const MAX_WAITING = 16;

export interface ServiceManagerOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** $NOTIFY_SOCKET is set: somebody listens. */
  readonly present: boolean;
  /** $WATCHDOG_USEC, microseconds, where the manager wants heartbeats. */
  readonly watchdogUsec: string | undefined;
  /** Milliseconds for which the pump thread has not turned though it was asked to. */
  readonly pumpUnansweredMs: () => number;
  readonly status: () => string;
}

export class ServiceManager {
  readonly #o: ServiceManagerOptions;
  #timer: Timer | undefined;
  #status = '';
  #stuck = false;
  #stopping = false;
  /** Not sent yet. */
  readonly #waiting: string[] = [];
  #retry: Timer | undefined;

  constructor(options: ServiceManagerOptions) {
    this.#o = options;
  }

  /** Half of the watchdog's period, as sd_watchdog_enabled(3) recommends; a status every 10 s where it is off. */
  get #periodMs(): number {
    const usec = Number(this.#o.watchdogUsec);
    return Number.isFinite(usec) && usec > 0 ? usec / 2000 : 10_000;
  }

  /** Also after a reload: that feeds no watchdog, so the heartbeats go on as they were. */
  ready(): void {
    // An idle daemon that nobody asks does nothing.
    if (!this.#o.present) return;
    this.#status = this.#o.status();
    this.#tell(`READY=1\nSTATUS=${this.#status}`);
    if (this.#timer === undefined) this.#next();
  }

  reloading(): void {
    this.#tell(`RELOADING=1\nMONOTONIC_USEC=${process.hrtime.bigint() / 1000n}`);
  }

  stopping(): void {
    this.#timer?.cancel();
    // It sees us end anyway.
    this.#stopping = true;
    this.#tell('STOPPING=1');
  }

  #next(): void {
    this.#timer = this.#o.clock.after(this.#periodMs, () => {
      this.#beat();
      this.#next();
    });
  }

  #beat(): void {
    const age = this.#o.pumpUnansweredMs();
    if (age > PUMP_STUCK_MS) {
      if (!this.#stuck)
        this.#o.log.log('error', `the pump thread has not turned for ${Math.round(age)} ms: the watchdog is not fed`);
      this.#stuck = true;
      return;
    }
    this.#stuck = false;
    const lines: string[] = [];
    if (this.#o.watchdogUsec) lines.push('WATCHDOG=1');
    const status = this.#o.status();
    if (status !== this.#status) lines.push(`STATUS=${status}`);
    this.#status = status;
    if (lines.length > 0) this.#tell(lines.join('\n'));
  }

  #tell(state: string): void {
    if (this.#waiting.at(-1) !== state) this.#waiting.push(state);
    if (this.#waiting.length > MAX_WAITING) this.#waiting.shift();
    this.#send();
  }

  /** A READY=1 that is not heard ends us: what a busy manager has no room for now is told later, in order. */
  #send(): void {
    this.#retry?.cancel();
    this.#retry = undefined;
    for (let state = this.#waiting[0]; state !== undefined; state = this.#waiting[0]) {
      try {
        notify(state);
      } catch (error) {
        if (isSystemError(error) && error.code === 'EAGAIN' && !this.#stopping) {
          this.#retry = this.#o.clock.after(RETRY_MS, () => this.#send());
          return;
        }
        this.#o.log.log('warn', `service manager not told: ${messageOf(error)}`);
      }
      this.#waiting.shift();
    }
  }
}
