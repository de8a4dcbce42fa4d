// What the service manager is told (sd_notify(3)): READY when every link exists, STATUS in a sentence, WATCHDOG while both
// the event loop and the pump thread live. Does nothing where no manager listens.
import type { Clock, Timer } from '../base/clock.js';
import { messageOf } from '../base/fault.js';
import type { Log } from '../base/log.js';
import { notify } from '../native/notify.js';

/** The pump turns at least once a second; one that did not for this long is stuck. */
const PUMP_STUCK_MS = 5000;

export interface ServiceManagerOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** $NOTIFY_SOCKET is set: somebody listens. */
  readonly present: boolean;
  /** $WATCHDOG_USEC, microseconds, where the manager wants heartbeats. */
  readonly watchdogUsec: string | undefined;
  /** Milliseconds since the pump thread's last turn. */
  readonly pumpAgeMs: () => number;
  readonly status: () => string;
}

export class ServiceManager {
  readonly #o: ServiceManagerOptions;
  #timer: Timer | undefined;
  #status = '';
  #stuck = false;

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
    this.#tell('STOPPING=1');
  }

  #next(): void {
    this.#timer = this.#o.clock.after(this.#periodMs, () => {
      this.#beat();
      this.#next();
    });
  }

  #beat(): void {
    const age = this.#o.pumpAgeMs();
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
    try {
      notify(state);
    } catch (error) {
      this.#o.log.log('warn', `service manager not told: ${messageOf(error)}`);
    }
  }
}
