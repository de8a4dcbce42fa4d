// Ports of one server that fail for the same cause within two seconds are one line of the log, not sixteen.
// Holds no more than one entry per server, cause and tty. Time comes from the Clock.
import type { Clock, Timer } from '../base/clock.js';
import type { Log, LogLevel } from '../base/log.js';

export interface Failure {
  readonly server: string;
  readonly tty: string;
  /** The cause: what has the same code is the same cause. */
  readonly code: string;
  readonly message: string;
  /** Of events.ts. */
  readonly event?: string | undefined;
  readonly peer?: string | undefined;
}

interface Group {
  readonly first: Failure;
  readonly level: LogLevel;
  readonly ttys: Set<string>;
  readonly timer: Timer;
}

const NAMED = 3;

export class FailureLog {
  /** Failures within this time are one line. */
  static readonly WINDOW_MS = 2000;
  readonly #groups = new Map<string, Group>();

  constructor(
    private readonly log: Log,
    private readonly clock: Clock,
    private readonly windowMs = FailureLog.WINDOW_MS,
  ) {}

  /** Said `windowMs` later, together with what else failed alike until then. */
  failed(failure: Failure, level: LogLevel = 'warn'): void {
    const key = `${failure.server} ${failure.code}`;
    const group = this.#groups.get(key);
    if (group !== undefined) {
      group.ttys.add(failure.tty);
      return;
    }
    const timer = this.clock.after(this.windowMs, () => this.#say(key));
    this.#groups.set(key, { first: failure, level, ttys: new Set([failure.tty]), timer });
  }

  /** Says at once what is waiting; before the program ends. */
  flush(): void {
    for (const key of [...this.#groups.keys()]) this.#say(key);
  }

  #say(key: string): void {
    const group = this.#groups.get(key);
    if (group === undefined) return;
    this.#groups.delete(key);
    group.timer.cancel();
    const { server, code, event, peer } = group.first;
    const fields = { server, code, ...(event === undefined ? {} : { event }), ...(peer === undefined ? {} : { peer }) };
    // The line names its ports itself.
    const own = `${group.first.tty}: `;
    const message = group.first.message.startsWith(own) ? group.first.message.slice(own.length) : group.first.message;
    const ttys = [...group.ttys];
    if (ttys.length === 1) {
      this.log.log(group.level, message, { tty: ttys[0], ...fields });
      return;
    }
    const more = ttys.length > NAMED ? ` and ${ttys.length - NAMED} more` : '';
    const names = ttys.slice(0, NAMED).join(', ');
    this.log.log(group.level, `${ttys.length} ports of ${server} (${names}${more}): ${message}`, fields);
  }
}
