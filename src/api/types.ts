// The daemon's control contract: what a client may know and ask, as JSON over HTTP on the unix socket.
// GET /v1/status, GET /v1/ports, GET /v1/ports/NAME, GET /v1/serial-ports, POST /v1/reload (?choose=NAME, ?choose=*,
// ?from=ADDRESS of who asks, ?force=yes),
// POST /v1/usbip/suspend, POST /v1/usbip/resume, GET /v1/watch (one JSON event per line),
// GET /v1/ports/NAME/trace and GET /v1/serial-ports/NUMBER/trace (one JSON TraceRecord per line). Errors: { error: ApiError } with a 4xx or 5xx status.
// GET /metrics answers with Prometheus' text format, which is no JSON. Only additions within version 1.

export const API_VERSION = 1;

export type PortState =
  /** Nobody has the tty open, and `connect: on-open`: no connection is kept. */
  | 'idle'
  | 'connecting'
  /** Connected and PORT_INIT answered. */
  | 'up'
  /** Down; the next attempt waits for its turn. Or no application can open the tty yet: reason TTY_WAITING. */
  | 'waiting'
  /** The application closed; what it wrote is being transmitted. */
  | 'closing'
  | 'failed';

export interface SettingsView {
  /** "9600,8N1" */
  format: string;
  /** "none", "RTS/CTS", "XON/XOFF" ... */
  flowControl: string;
}

export interface DirectionView {
  bytes: number;
  /** Milliseconds since the last byte; null: never. */
  lastByteAgeMs: number | null;
  parkedBytes: number;
  stalls: number;
}

/** Bytes dropped, by cause. All totals since the port was made. */
export interface DropsView {
  /** Written while the link was down, offlineData: discard. */
  offline: number;
  /** Written while the link was down, offlineData: hold, over its limit or its time. */
  held: number;
  /** Thrown away because the application asked (tcflush). */
  flushed: number;
  /** Written by the application and not transmitted when closingWait was over, or at a hang-up. */
  closing: number;
  /** Given to a connection that was lost before the device's TCP took them (upper bound; may have arrived). */
  linkLost: number;
  /** From the device: nobody had the tty open, or the tty was flushed or hung up. */
  unread: number;
  /** From the device: arrived after a reconnect before the state was acknowledged. */
  stale: number;
  /** In hand of a daemon that was killed, either way (may have arrived). */
  suspected: number;
}

export interface LinesView {
  dtr: boolean;
  rts: boolean;
  /** null: the device has not told yet. */
  cts: boolean | null;
  dsr: boolean | null;
  dcd: boolean | null;
  ri: boolean | null;
}

export interface ProblemView {
  code: string;
  message: string;
  /** ISO 8601. */
  at: string;
}

/** How a tty came to its backend. */
export interface ChoiceView {
  /** auto: chosen by the daemon, and kept until it is told to choose again (POST /v1/reload?choose=NAME). */
  by: 'configuration' | 'auto';
  /** When, ISO 8601, and why this one; null where the configuration names it. */
  at: string | null;
  why: string | null;
}

export interface PortView {
  name: string;
  path: string;
  devicePath: string;
  aliases: string[];
  state: PortState;
  /** ISO 8601. */
  since: string;
  /** Why it is not connected; null where it is, or need not be. */
  reason: ProblemView | null;
  open: boolean;
  server: string;
  /** The port of the device server, 1-based. */
  port: number;
  protocol: string;
  address: string;
  dataPort: number;
  commandPort: number | null;
  /** "192.168.127.254:950"; null while not connected. */
  peer: string | null;
  backend: string;
  backendChoice: ChoiceView;
  /** What this backend cannot carry, one line each. */
  limits: string[];
  /** What the application set, as far as the backend sees it. */
  asked: SettingsView;
  /** What the device acknowledged last; null: nothing yet. */
  acknowledged: SettingsView | null;
  /** Settings that the device refused last, if it did. */
  refused: SettingsView | null;
  lines: LinesView;
  lineErrors: { parity: number; framing: number; overrun: number; breaks: number };
  /** Towards the device, and from it. */
  sent: DirectionView;
  received: DirectionView;
  drops: DropsView;
  connects: number;
  commandRoundTripMs: number | null;
  /** "line mode on" and the like. */
  warnings: string[];
  lastError: ProblemView | null;
  policy: {
    connect: 'on-open' | 'always';
    onLinkLoss: 'keep' | 'hangup';
    offlineData: 'discard' | 'hold' | 'block';
    offlineOpen: 'succeed' | 'fail';
  };
}

/** A client of a served port; a Real COM host with both of its connections is one. */
export interface ServedClientView {
  address: string;
  /** ISO 8601. */
  since: string;
  /** Bytes taken from it, and given to its TCP. */
  received: number;
  sent: number;
  /** From the line, while it did not read. */
  dropped: number;
}

/** A serial port of this machine that is offered on the network. */
export interface SerialPortView {
  /** Its number in the configuration. */
  port: number;
  device: string;
  mode:
    | 'real-com'
    | 'rfc2217'
    | 'tcp-server'
    | 'tcp-client'
    | 'udp'
    | 'pair-master'
    | 'pair-slave'
    | 'ethernet-modem'
    | 'reverse-telnet'
    | 'disabled';
  /** waiting: the device, or a TCP port, cannot be had; it is tried again. */
  state: 'up' | 'waiting' | 'disabled';
  /** ISO 8601. */
  since: string;
  reason: ProblemView | null;
  listen: string;
  /** Where it listens; real-com: data, command. Empty while it does not. */
  tcpPorts: number[];
  udpPorts: number[];
  /** Where it connects or sends to: "10.0.0.7:4001". */
  destinations: string[];
  /** A client's address is in each of these lists; no list admits everybody. */
  accessibleIps: string[][];
  clients: ServedClientView[];
  settings: SettingsView;
  /** null while the device is not there. */
  lines: LinesView;
  lineErrors: { parity: number; framing: number; overrun: number; breaks: number };
  /** On the line, since the daemon has the port. */
  transmitted: { bytes: number; lastByteAgeMs: number | null };
  received: { bytes: number; lastByteAgeMs: number | null };
  /** TCP connections that were taken. */
  connects: number;
  /** TCP connections that were not: the port was in use, the address was not admitted. */
  refused: { busy: number; denied: number };
  /** What clients sent that their protocol does not have; it was ignored. */
  malformed: number;
  /** null: the line is not arbitrated. Requests without an answer in time, and bytes of the line that nobody waited for. */
  arbitrated: { timeouts: number; late: number } | null;
}

export interface ServerView {
  name: string;
  address: string;
  protocol: string;
  ports: number;
  up: number;
  /** Down: one probe a second, the others wait for it. */
  down: boolean;
  reason: ProblemView | null;
}

export interface StatusView {
  apiVersion: number;
  version: string;
  pid: number;
  /** ISO 8601. */
  startedAt: string;
  configFile: string;
  runtimeDir: string;
  ports: number;
  up: number;
  open: number;
  failed: number;
  /** Ports whose backend has no device for them yet, or whose name is not there: nobody can open them. */
  withoutDevice: number;
  servers: ServerView[];
  /** Milliseconds for which the pump thread has not turned though it was asked to; 0 where it did. */
  pumpHeartbeatAgeMs: number;
  lastReload: { at: string; ok: boolean; message: string } | null;
}

export interface ReloadResult {
  ok: boolean;
  added: string[];
  removed: string[];
  changed: string[];
  unchanged: number;
  /** Config errors, "file:line: path: text"; nothing was changed then. */
  errors: string[];
}

/** One line of /v1/watch. The first ones are `port` events of all ports, then changes as they happen. */
export type WatchEvent =
  | { type: 'port'; port: PortView }
  | { type: 'removed'; name: string }
  | { type: 'reload'; result: ReloadResult };

export type TraceRecord =
  /**
   * `data` is base64. direction: sent = to the device. atUs: microseconds since the epoch. peer, of serial ports: the
   * client, "192.0.2.1:40000"; of what the line said, all that were given it, and none where nobody was.
   */
  | { type: 'data'; atUs: number; direction: 'sent' | 'received'; data: string; peer?: string }
  | { type: 'command'; atUs: number; direction: 'sent' | 'received'; data: string; text: string; peer?: string }
  | { type: 'event'; atUs: number; text: string }
  | { type: 'dropped'; atUs: number; bytes: number };

/** Of POST /v1/usbip/suspend and /v1/usbip/resume. */
export interface UsbipResult {
  /** How many virtual adapters were unplugged, or are plugged in again. */
  adapters: number;
}

export interface ApiError {
  code: string;
  message: string;
}
