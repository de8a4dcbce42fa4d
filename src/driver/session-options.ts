// What a session is made of: the parts that it joins and whom it tells.
import type { Clock } from '../base/clock.js';
import type { Fault } from '../base/fault.js';
import type { Log } from '../base/log.js';
import type { Link, LinkHandover } from '../link/link.js';
import type { Tty } from '../tty/tty.js';
import type { PortPolicy } from './policy.js';
import type { GateTicket } from './server-gate.js';

export interface SessionOptions {
  readonly tty: Tty;
  readonly policy: PortPolicy;
  readonly ticket: GateTicket;
  /** A fresh, unconnected link to this port. */
  readonly makeLink: () => Link;
  readonly clock: Clock;
  readonly log: Log;
  /** Something that a status shows has changed. */
  readonly changed: () => void;
  /** A connect failed or a connection was lost; the owner logs it (several ports at once are one line). */
  readonly faulted: (fault: Fault) => void;
  /** The port is connected and the device has acknowledged its line state. */
  readonly recovered: () => void;
  /** Absent: nothing outlives this process. */
  readonly keeper?: ConnectionKeeper;
}

/** Who holds the descriptors of a connection beside us, so that it outlives this process. */
export interface ConnectionKeeper {
  /** Names what this port connects to: an adopted connection to something else is ended. */
  readonly target: string;
  /** In place of those before. */
  made(connection: Pick<LinkHandover, 'data' | 'command'>): void;
  gone(): void;
}

/** What an earlier process left of a port. */
export interface AdoptedPort {
  /** The record that its tty remembered. */
  readonly record: unknown;
  /** Its sockets, the session's from now on. */
  readonly connection: Pick<LinkHandover, 'data' | 'command'> | undefined;
}
