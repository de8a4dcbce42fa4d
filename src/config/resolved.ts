// What the configuration means: the values that the daemon builds on, with nothing left to look up or to default.
// Holds types and their comparison only.
import { isDeepStrictEqual } from 'node:util';
import type { LineSettings, OutputLines } from '../serial/line.js';
import type { AddressRange } from './address-range.js';
import type { Destination } from './destination.js';
import type { PackingRules } from './packing.js';

export interface Environment {
  readonly uid: number;
  /** $XDG_RUNTIME_DIR */
  readonly runtimeHome: string | undefined;
  /** Runs as root and may make entries in /dev. */
  readonly devWritable: boolean;
}

export interface Source {
  readonly file: string;
  readonly line: number;
}

export interface TtyPolicy {
  readonly connect: 'on-open' | 'always';
  readonly connectTimeoutMs: number;
  readonly closingWaitMs: number;
  readonly disconnectDelayMs: number;
  readonly onLinkLoss: 'keep' | 'hangup';
  readonly offlineData: 'discard' | 'hold' | 'block';
  readonly holdTimeMs: number;
  readonly offlineOpen: 'succeed' | 'fail';
}

/** realcom: two connections a port; rfc2217: one, data and commands; tcp: one, data alone; udp: none, datagrams. */
export type Protocol = 'realcom' | 'rfc2217' | 'tcp' | 'udp';

/** What an application may not be able to do without. */
export type Need = 'parity' | 'modem-lines' | 'drain' | 'break';

export interface ResolvedTty {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly serverName: string;
  readonly address: string;
  readonly protocol: Protocol;
  readonly ipv6Preamble: 'auto' | 'on' | 'off';
  /** Port of the device server, 1-based. */
  readonly port: number;
  readonly dataPort: number;
  /** null: the protocol has none. */
  readonly commandPort: number | null;
  /** UDP: the port of this machine; 0: any free one. */
  readonly localPort: number;
  /** The initial settings. */
  readonly settings: LineSettings;
  /** Which of them the configuration names: a backend that cannot carry them takes them from here. */
  readonly formatFixed: { readonly dataBits: boolean; readonly parity: boolean };
  readonly lines: OutputLines;
  readonly policy: TtyPolicy;
  /** Name or number; null: as the daemon. */
  readonly owner: string | number | null;
  readonly group: string | number | null;
  readonly mode: number;
  readonly fifoBytes: 16 | 1;
  readonly backend: 'auto' | 'pty' | 'usbip';
  readonly needs: readonly Need[];
  readonly source: Source;
}

export interface ResolvedServer {
  readonly name: string;
  readonly address: string;
  readonly protocol: Protocol;
  readonly ipv6Preamble: 'auto' | 'on' | 'off';
  /** How many ports the file says it has; null: it does not say. */
  readonly ports: number | null;
  /** The name of port 1's tty, from which the others count up; null: it makes no names. */
  readonly firstTty: string | null;
  readonly source: Source;
}

/** One request at a time on a line that several clients share. */
export interface Arbitration {
  /** How long the line is a request's, where no answer comes. */
  readonly responseTimeoutMs: number;
  /** Whose are bytes that nobody has asked for, or no longer waits for. */
  readonly lateAnswers: 'discard' | 'last-requester' | 'all';
}

/** When a port that connects does so, and when it ends that: the device servers' connection control. */
export type ConnectionControl =
  | 'startup'
  | 'any-character'
  | 'any-character/inactivity-time'
  | 'dsr-on'
  | 'dsr-on/dsr-off'
  | 'dcd-on'
  | 'dcd-on/dcd-off';

/** What modes with several clients have. */
interface SharedMode {
  /** null: who sends first is first, byte by byte. */
  readonly arbitration: Arbitration | null;
  readonly maxConnection: number;
  /** Of them, from one address. */
  readonly maxPerAddress: number;
  readonly ignoreJammedIp: boolean;
  readonly allowDriverControl: boolean;
}

export type ServedMode =
  | { readonly mode: 'disabled' }
  | ({ readonly mode: 'real-com'; readonly dataPort: number; readonly commandPort: number } & SharedMode)
  | { readonly mode: 'rfc2217'; readonly tcpPort: number }
  | ({
      readonly mode: 'tcp-server';
      readonly tcpPort: number;
      /** null: where drivers do not control the port. */
      readonly commandPort: number | null;
      /** 0: never. */
      readonly inactivityTimeMs: number;
    } & SharedMode)
  | {
      readonly mode: 'tcp-client';
      /** 1 to 4. */
      readonly destinations: readonly Destination[];
      readonly connectionControl: ConnectionControl;
      /** 0: never. */
      readonly inactivityTimeMs: number;
      readonly ignoreJammedIp: boolean;
    }
  | { readonly mode: 'udp'; readonly udpPort: number; readonly destinations: readonly Destination[] }
  | { readonly mode: 'pair-master'; readonly destination: Destination }
  | { readonly mode: 'pair-slave'; readonly tcpPort: number }
  | { readonly mode: 'ethernet-modem'; readonly tcpPort: number }
  | {
      readonly mode: 'reverse-telnet';
      readonly tcpPort: number;
      /** 0: never. */
      readonly inactivityTimeMs: number;
      /** What an end of a line (CR LF) of the network is on the serial line, and what of the serial line is one. */
      readonly mapCrLf: 'cr-lf' | 'cr' | 'lf';
    };

export interface ResolvedSerialPort {
  /** From 1. */
  readonly port: number;
  readonly device: string;
  readonly served: ServedMode;
  readonly listen: string;
  /** A client's address has to be in each of these lists; an empty one admits everybody. */
  readonly accessibleIps: readonly (readonly AddressRange[])[];
  /** 0: never. */
  readonly aliveCheckMs: number;
  /** Until a client changes them. */
  readonly settings: LineSettings;
  readonly rs485: boolean;
  /** The least time between what was received and what is sent then. */
  readonly turnaroundDelayMs: number;
  /** What was sent comes back, as on two wires, and is taken away. */
  readonly echoSuppression: boolean;
  /** null: bytes go as they come. */
  readonly packing: PackingRules | null;
  /** DTR and RTS while nobody is connected. */
  readonly connectionGoesDown: 'low' | 'high';
  readonly source: Source;
}

/** UDP 4800. */
export interface ResolvedDiscovery {
  readonly listen: readonly string[];
  readonly port: number;
  /** null: the machine's. */
  readonly name: string | null;
  /** Whether it tells which TCP connections there are. */
  readonly connections: boolean;
  /** As of a serial port. */
  readonly accessibleIps: readonly (readonly AddressRange[])[];
}

export interface ResolvedLog {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly file: string | null;
  readonly maxSizeBytes: number;
  readonly maxFiles: number;
  readonly format: 'plain' | 'json';
  /** null: where stderr is the journal and no file is named. */
  readonly journal: boolean | null;
}

export interface ResolvedConfig {
  readonly version: 1;
  readonly runtimeDir: string;
  readonly linkDir: string;
  readonly control: { readonly group: string | number | null; readonly mode: number };
  /** Where /metrics is answered over TCP; null: nowhere. */
  readonly metrics: {
    readonly listen: { readonly host: string; readonly port: number };
    /** As of a serial port. */
    readonly accessibleIps: readonly (readonly AddressRange[])[];
  } | null;
  readonly discovery: ResolvedDiscovery | null;
  readonly usbip: { readonly socket: string };
  readonly log: ResolvedLog;
  readonly servers: readonly ResolvedServer[];
  readonly ttys: readonly ResolvedTty[];
  /** This machine's, that we offer. */
  readonly serialPorts: readonly ResolvedSerialPort[];
}

/** Whether a running port may stay as it is. Where an entry stands in the file does not matter. */
export function sameTty(a: ResolvedTty, b: ResolvedTty): boolean {
  return isDeepStrictEqual({ ...a, source: undefined }, { ...b, source: undefined });
}

export function sameSerialPort(a: ResolvedSerialPort, b: ResolvedSerialPort): boolean {
  return isDeepStrictEqual({ ...a, source: undefined }, { ...b, source: undefined });
}

export function sameDiscovery(a: ResolvedDiscovery | null, b: ResolvedDiscovery | null): boolean {
  return isDeepStrictEqual(a, b);
}
