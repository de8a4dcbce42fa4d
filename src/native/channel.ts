// What one channel of the pump does: it joins the tty side and the network side, and bytes never visit JavaScript.
// down: from the application towards the wire (tty -> network). up: from the wire towards the application.

export type Direction = 'down' | 'up';

/** What becomes of bytes from the tty while no network side is attached. */
export type OfflineMode =
  /** Taken and counted as dropped, as a device without power would. */
  | { readonly mode: 'discard' }
  /** Kept up to `bytes`, oldest dropped and counted. The session ends a hold that lasts too long with `drop('down')`. */
  | { readonly mode: 'hold'; readonly bytes: number }
  /** Not read at all: the writer blocks. What was parked stays parked. */
  | { readonly mode: 'block' };

export type ChannelEvent =
  /** An application has the tty open (and none had before). */
  | 'opened'
  /** The last application closed it, and all it wrote has been read from the PTY (it may still be parked). */
  | 'closed'
  /** Of usbip: the last application closes it, and the kernel lets it wait until all it wrote has been taken. */
  | 'closing'
  /** Closed and opened again between two looks: treat as closed, then opened. */
  | 'reopened'
  /** A line setting changed: the pump has stopped `down` by itself; `resume('down')` when the device has acknowledged. */
  | 'settings'
  /** Another termios bit changed (ICANON, IXON, EXTPROC ...); nothing was stopped. */
  | 'termios'
  /**
   * tcflush(TCIFLUSH): `up` bytes, parked or received, were dropped by the pump, and both directions are stopped until
   * resumed: what comes before the device has flushed too is stale, and an answer to a later request would be dropped.
   */
  | 'flush-input'
  /** tcflush(TCOFLUSH): parked `down` bytes were dropped by the pump, and `down` is stopped until resumed. */
  | 'flush-output'
  /** tcflow(TCOOFF) and TCOON, or ^S/^Q: the application stopped or started its output. */
  | 'output-stopped'
  | 'output-started'
  /** The network side ended: orderly end, or an error (see `Channel.netErrno`). The pump has detached it. */
  | 'net-end'
  | 'net-error'
  /** The tty side failed (the PTY was torn down). */
  | 'tty-error'
  /** The tap has bytes to read. */
  | 'tap';

/** All numbers are totals since the channel was made unless marked gauge. Read without a system call. */
export interface ChannelCounters {
  /** Bytes taken from the tty, and of those accepted by the network socket. */
  readonly downTaken: number;
  readonly downSent: number;
  /** Bytes taken from the network, and of those accepted by the tty. */
  readonly upTaken: number;
  readonly upDelivered: number;
  /** Gauges: bytes in the pump's buffers now. */
  readonly downParked: number;
  readonly upParked: number;
  /** Dropped because no network side was attached (discard), because a hold overflowed, and by `drop`/flush. */
  readonly downDiscarded: number;
  readonly downOverflowed: number;
  readonly downDropped: number;
  /** Given to a network side but not taken by the peer's TCP when it was unjoined or lost: may or may not have arrived. */
  readonly downLost: number;
  /** Adopted from a process that was killed: bytes that a write had in hand, which may or may not have arrived. */
  readonly downSuspected: number;
  readonly upSuspected: number;
  /** 1: it was killed in the middle of a read, whose bytes, if it took any, are lost. */
  readonly downReadCut: number;
  readonly upReadCut: number;
  readonly upDropped: number;
  /** Bytes from the network that nobody had the tty open for, and that were dropped. */
  readonly upUnread: number;
  /** Times that a direction had to park because the other side had no room. */
  readonly downStalls: number;
  readonly upStalls: number;
  readonly fences: number;
  readonly fenceWaitUs: number;
  readonly tapDropped: number;
  /** Monotonic milliseconds (same clock as performance.timeOrigin-free CLOCK_MONOTONIC) of the last byte; 0: never. */
  readonly lastDownMs: number;
  readonly lastUpMs: number;
  /** Read errno of the tty as last seen; for diagnosis. */
  readonly ttyOpen: boolean;
}

export type FenceResult =
  /** Every byte taken before the fence has been taken by the peer's TCP. */
  | 'passed'
  | 'timeout'
  /** No network side, or it was lost meanwhile. */
  | 'detached';

export interface TapRecord {
  readonly direction: Direction;
  /** CLOCK_MONOTONIC microseconds when the pump moved the bytes. */
  readonly atUs: number;
  readonly bytes: Uint8Array;
}

export interface Channel {
  readonly id: number;
  readonly counters: ChannelCounters;
  /** errno of the last net-error, else 0. */
  readonly netErrno: number;
  /** A network side is joined. False again after net-end and net-error: the pump has unjoined it by itself. */
  readonly attached: boolean;
  onEvent: (event: ChannelEvent) => void;

  /**
   * Joins the network side. The descriptor stays owned by the caller, who detaches before closing it. Directions keep
   * their stop state. `onLoss` is what happens to `down` bytes from the moment that the pump itself detaches (net-end,
   * net-error); without it, `block`: nothing is lost before the caller has decided.
   */
  attach(fd: number, onLoss?: OfflineMode): void;
  /** Changes what happens to `down` bytes without a network side: now, or once it is lost (`onLoss`). */
  setOffline(offline: OfflineMode): void;
  /**
   * Unjoins the network side; what happens to later `down` bytes is `offline`. Parked `down` bytes that no socket was
   * given stay parked under `hold` and `block`, and are dropped and counted under `discard`. Parked `up` bytes stay.
   * When it returns the pump no longer touches the descriptor.
   */
  detach(offline: OfflineMode): void;
  stop(direction: Direction): void;
  /** Does nothing while the pump has stopped the direction by itself and the event that tells so is still to come. */
  resume(direction: Direction): void;
  /** Drops what is parked in a direction, or of it the oldest `bytes`; returns how many bytes. Counted. */
  drop(direction: Direction, bytes?: number): number;
  /**
   * Resolves when every byte that the pump had taken from the tty has been taken by the peer's TCP (parked 0, SIOCOUTQ 0).
   * Does not need `down` to be running: parked bytes are sent even while `down` is stopped (stop means: take no more).
   */
  fence(timeoutMs: number): Promise<FenceResult>;
  /** Bytes that may be taken ahead from the tty (parked + socket send buffer). */
  setLookAhead(bytes: number): void;
  /** Starts copying what passes into a ring of `bytes`; 0 ends it. Drops and counts when its reader is slow. */
  tap(bytes: number): void;
  /** Takes what the tap has. */
  readTap(): TapRecord[];
  /** Ends the channel; the pump no longer touches either descriptor when it returns. Gives back what was parked. */
  close(): { readonly down: Uint8Array; readonly up: Uint8Array };
}
