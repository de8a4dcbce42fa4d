// What the log says of connections: one line when trouble begins, one when it ends. Ports of one server that fare alike
// within two seconds share the line, and a port that finds a server in the trouble already told says nothing more.
import type { Clock } from '../base/clock.js';
import type { Fault, FaultCode } from '../base/fault.js';
import type { Log } from '../base/log.js';
import { FailureLog } from '../observe/coalesce.js';

/** One server's trouble that was told, and the ports that are in it. */
interface Trouble {
  readonly code: FaultCode;
  readonly event: 'link-down' | 'disconnect';
  readonly peer: string | undefined;
  readonly ttys: Set<string>;
}

export class ConnectionLog {
  readonly #log: Log;
  readonly #lines: FailureLog;
  readonly #clock: Clock;
  readonly #troubles = new Map<string, { trouble: Trouble; atMs: number }[]>();

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#lines = new FailureLog(log, clock);
    this.#clock = clock;
  }

  /**
   * @param serverDown no port of the server is connected: one line stands for all of them
   * @param peer the server's address
   */
  faulted(server: string, tty: string, fault: Fault, serverDown: boolean, peer?: string): void {
    if (fault.code === 'CANCELED') return;
    const { code, message } = fault;
    const event = serverDown ? 'link-down' : 'disconnect';
    const known = this.#troubles.get(server) ?? [];
    this.#troubles.set(server, known);
    const same = known.find(({ trouble }) => trouble.code === code);
    for (const { trouble } of known) if (trouble.code !== code) trouble.ttys.delete(tty);
    if (!same) {
      known.push({ trouble: { code, event, peer, ttys: new Set([tty]) }, atMs: this.#clock.now() });
    } else {
      // Within the window it joins the line that is waiting.
      const told = same.trouble.ttys.has(tty) || (serverDown && this.#clock.now() - same.atMs > FailureLog.WINDOW_MS);
      same.trouble.ttys.add(tty);
      if (told) return;
    }
    this.#lines.failed({ server, tty, code, message, event, peer });
  }

  recovered(server: string, tty: string): void {
    const known = this.#troubles.get(server);
    if (!known) return;
    const [over] = known.filter(({ trouble }) => trouble.ttys.delete(tty));
    const left = known.filter(({ trouble }) => trouble.ttys.size > 0);
    if (left.length === 0) this.#troubles.delete(server);
    else this.#troubles.set(server, left);
    if (!over) return;
    const event = over.trouble.event === 'link-down' ? 'link-up' : 'connect';
    const message = `${server}: connected again`;
    this.#lines.failed({ server, tty, code: 'RECOVERED', message, event, peer: over.trouble.peer }, 'info');
  }

  /** A tty that could not be made: no connection, so nothing recovers. */
  unmade(server: string, tty: string, { code, message }: Fault): void {
    // What lies in the way of one name says nothing of the next.
    if (code === 'LINK_PATH_TAKEN') this.#log.log('error', message, { tty, server, code, event: 'tty-failed' });
    else this.#lines.failed({ server, tty, code, message, event: 'tty-failed' }, 'error');
  }

  /** Says what is waiting; before the program ends. */
  flush(): void {
    this.#lines.flush();
  }
}
