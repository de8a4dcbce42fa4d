// One port of a device server, behind one interface. A Link connects once: after `down` or `close` it is spent, and
// the session makes a new one. The data bytes never pass through here: they go through `dataFd`, which the pump joins.
import type { Fault } from '../base/fault.js';
import type { LineReport, LineRequest, ModemLines } from '../serial/line.js';

/** What the protocol can carry beyond bytes. What it cannot, `request` rejects with NOT_SUPPORTED. */
export interface LinkCapabilities {
  readonly settings: boolean;
  readonly outputLines: boolean;
  readonly modemLines: boolean;
  readonly lineErrors: boolean;
  readonly breaks: boolean;
  readonly flush: boolean;
  readonly drain: boolean;
  /** The request `transmitter`. */
  readonly transmitter: boolean;
  /** The request `fifo`. */
  readonly fifo: boolean;
}

/** What a request needs of a link. */
export const NEEDED: Readonly<Record<LineRequest['type'], keyof LinkCapabilities>> = {
  settings: 'settings',
  lines: 'outputLines',
  break: 'breaks',
  flush: 'flush',
  transmitter: 'transmitter',
  fifo: 'fifo',
};

/** Events of one connected link. Delivered on the event loop, never from inside a call of the link. */
export interface LinkEvents {
  report(report: LineReport): void;
  /**
   * The connection is lost: its sockets are closed already, or will be by `close`. At most once; nothing follows. A link
   * that only carries bytes does not see its end: who has joined `dataFd` does, and closes it.
   */
  down(fault: Fault): void;
  /** A command was answered: as long after it was sent. For metrics. */
  answered?(roundTripMs: number): void;
  /**
   * What `handover` gives is about to change on the wire: called before the bytes are written, also from inside a call of
   * the link.
   */
  changed?(): void;
  /** A command or frame on the wire, for `trace`; only while `traced` is set. */
  command?(direction: 'sent' | 'received', bytes: Uint8Array, text: string): void;
}

/** A connection as another process needs it to go on. */
export interface LinkHandover {
  /** The connected sockets; one alone where the protocol has no command connection. */
  readonly data: number;
  readonly command?: number | undefined;
  /** A JSON value. */
  readonly state: unknown;
}

export interface Link {
  readonly capabilities: LinkCapabilities;
  /** "192.168.127.254:950" of the data connection, once connected. */
  readonly peer: string | undefined;
  /**
   * Where the bytes go through, non-blocking: the data socket, or a way to it. Owned by the link: closed by `close`. -1 before
   * `connect` and after `close`.
   */
  readonly dataFd: number;
  /** Bytes that were written to `dataFd` and that the peer's TCP has not taken. */
  readonly unsent: number;
  /** The last known modem lines; undefined until the device told them. */
  readonly modemLines: ModemLines | undefined;
  /** While set, `events.command` is called for each frame. */
  traced: boolean;
  /** Round trip of the last answered command, milliseconds. */
  readonly lastRoundTripMs: number | undefined;

  /** Connects. Rejects with a Fault (PEER_*, NAME_UNRESOLVED, NO_DESCRIPTORS, CANCELED); the link is then spent and closed. */
  connect(events: LinkEvents, signal: AbortSignal): Promise<void>;
  /**
   * What another process needs to go on with this connection; undefined while it cannot: not connected, something of a
   * command still unsent, or a kind of link that cannot at all. The descriptors stay the link's.
   */
  readonly handover: LinkHandover | undefined;
  /**
   * Instead of `connect`: goes on with a connection of an earlier process. The descriptors are the link's from now on. Throws a
   * Fault (SYSTEM, NOT_SUPPORTED) where the state is none of this kind of link; the link is then spent and closed.
   */
  adopt(events: LinkEvents, handover: LinkHandover): void;
  /**
   * Resolves when the device has acknowledged; requests are carried out in order. Rejects with CANCELED or the
   * connection's fault when the link ends first. A refused setting resolves, and is told by a `refused` report.
   */
  request(request: LineRequest): Promise<void>;
  /**
   * Asks how much the device still has to transmit, allowing it up to `waitMs` (at most 100) to get to 0.
   * Resolves with the bytes left. Other requests may go between two calls.
   */
  outputQueue(waitMs: number): Promise<number>;
  /** Throws away what the device sent and nobody has read; returns how many bytes. Nothing, where it is not connected. */
  discardInput(): number;
  /** Closes its sockets; idempotent; the sockets are gone when it resolves. */
  close(): Promise<void>;
}
