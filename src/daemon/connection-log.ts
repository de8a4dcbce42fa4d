// What the log says of connections: one line when a port's trouble begins, one when its cause changes, one when it ends;
// and ports of one server that fare alike within two seconds share the line.
import type { Clock } from '../base/clock.js';
import type { Fault } from '../base/fault.js';
import type { Log } from '../base/log.js';
import { FailureLog } from '../observe/coalesce.js';

export class ConnectionLog {
  readonly #lines: FailureLog;
  /** The trouble of each port that was told, by tty. */
  readonly #troubles = new Map<string, string>();

  constructor(log: Log, clock: Clock) {
    this.#lines = new FailureLog(log, clock);
  }

  faulted(server: string, tty: string, fault: Fault): void {
    if (fault.code === 'CANCELED' || this.#troubles.get(tty) === fault.code) return;
    this.#troubles.set(tty, fault.code);
    this.#lines.failed({ server, tty, code: fault.code, message: fault.message });
  }

  recovered(server: string, tty: string): void {
    if (!this.#troubles.delete(tty)) return;
    this.#lines.failed({ server, tty, code: 'RECOVERED', message: `${server}: connected again` }, 'info');
  }

  /** Says what is waiting; before the program ends. */
  flush(): void {
    this.#lines.flush();
  }
}
