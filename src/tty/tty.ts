// One virtual TTY, behind one interface: what an application opens. Its bytes go through `channel`, whose tty side it
// is; what the application asks beyond bytes comes as events, and what a backend cannot carry its capabilities say.
import type { Channel, ChannelCounters, ChannelEvent } from '../native/channel.js';
import type { LineReport, LineSettings, OutputLines, Queue } from '../serial/line.js';

export interface TtyCapabilities {
  /** The name of the backend: pty, usbip, memory. */
  readonly backend: string;
  readonly parity: boolean;
  readonly dataBits: boolean;
  /** TIOCMGET, TIOCMSET and friends reach us, and what the device tells reaches the application. */
  readonly modemLines: boolean;
  readonly lineErrors: boolean;
  readonly breaks: boolean;
  /** tcdrain waits for the device. */
  readonly drain: boolean;
  /** tcflush(TCOFLUSH) reaches us. */
  readonly flush: boolean;
  /** One application can be hung up without the others. */
  readonly hangUp: boolean;
  /** One line per limit, for status and doctor: what it is and what to do about it. */
  readonly limits: readonly string[];
}

export type TtyEvent =
  | { readonly type: 'opened' }
  /**
   * The last close; every byte written before has been taken by the channel (it may be parked there). Input that was
   * not read is gone already: nothing of one opener reaches the next.
   */
  | { readonly type: 'closed' }
  /** Line settings changed. The channel's `down` direction is stopped until `channel.resume('down')`; so it is by the next two. */
  | { readonly type: 'settings'; readonly settings: LineSettings }
  | { readonly type: 'lines'; readonly lines: OutputLines }
  | { readonly type: 'break'; readonly on: boolean }
  /** `rx`: done here already. `tx`: parked bytes are dropped and `down` is stopped until resumed. */
  | { readonly type: 'flush'; readonly queue: Queue }
  /** The application waits in tcdrain: `drained` is to be called once the device has transmitted all that it wrote. */
  | { readonly type: 'drain' }
  /** tcflow: the application suspended (false) or resumed its output. */
  | { readonly type: 'transmitter'; readonly on: boolean }
  /** The tty is gone and could not be made again; the port has failed. */
  | { readonly type: 'failed'; readonly reason: string };

/** What the channel tells of its network side; the tty hands it on. */
export type NetworkEvent = Extract<ChannelEvent, 'net-end' | 'net-error' | 'tap'>;

export interface Tty {
  readonly name: string;
  /** What an application opens: the link where there is one. */
  readonly path: string;
  /** The device node behind the link, e.g. /dev/pts/7; changes when the backend replaces it. */
  readonly devicePath: string;
  readonly capabilities: TtyCapabilities;
  /** Changes when the backend replaces its device (hang-up); read it anew after each `opened`. */
  readonly channel: Channel;
  readonly isOpen: boolean;
  /** What the application has set, as far as the backend can see it; the rest comes from the tty's configured format. */
  readonly settings: LineSettings;
  /** DTR and RTS as the application has them; undefined where it cannot set them: then the configuration says. */
  readonly outputLines: OutputLines | undefined;
  /** HUPCL: lower DTR and RTS at the last close. */
  readonly hangUpOnClose: boolean;
  /** "line mode on" and the like: what the application set that will surprise its user. */
  readonly warnings: readonly string[];

  /**
   * Keeps a record (a JSON value) for a later process that goes on with this tty, in place of the one before. undefined
   * where there will be no such process, or the backend cannot outlive one.
   */
  readonly remember: ((record: unknown) => void) | undefined;

  onEvent: (event: TtyEvent) => void;
  onNetwork: (event: NetworkEvent) => void;
  /** `channel` is another one now, unattached and blocking; these were the last counters of the one before. */
  onReplaced: (last: ChannelCounters) => void;

  /** What the device told: modem lines, errors, break, refused settings. A backend without them ignores it. */
  report(report: LineReport): void;
  /** The application sees a hang-up (EIO, SIGHUP); the next open of `path` works. Parked bytes are dropped and counted. */
  hangUp(): void;
  /** Answers a `drain`. True: nothing of what was written before it is left anywhere; false: it is, and is asked for again. */
  drained(empty: boolean): void;
  /** The last opener's output is gone: a backend that has to replace its device between two openers does it now. */
  settle(): void;
  /** Removes the tty; an application that has it open sees a hang-up. Idempotent. */
  close(): void;
}
