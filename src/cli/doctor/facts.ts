// What the doctor found out about one port before it judges: plain values, so that the judgement can be tested without a
// system. Gathered by port-facts.ts and probe.ts.
import type { PortView, SerialPortView, StatusView } from '../../api/types.js';
import type { Holder } from '../holders.js';
import type { BackendFacts } from './backend-advice.js';
import type { NameOwnerFacts } from './names.js';

/** Where the port should be, as the running daemon or, without one, the configuration says. */
export interface Target {
  readonly name: string;
  /** What an application opens. */
  readonly path: string;
  readonly server: string;
  readonly address: string;
  /** Of the device server, 1-based. */
  readonly port: number;
  readonly protocol: string;
  readonly dataPort: number;
  /** null: the protocol has none. */
  readonly commandPort: number | null;
}

export type DaemonFacts =
  | { readonly state: 'running'; readonly pid: number; readonly version: string }
  | { readonly state: 'absent'; readonly socket: string }
  /** Something is there, but this user may not ask it, or it does not answer. */
  | { readonly state: 'unreachable'; readonly socket: string; readonly why: string; readonly permission: boolean };

/** What a running daemon told. */
export interface Asked {
  readonly daemon: DaemonFacts;
  readonly status: StatusView | undefined;
  readonly ports: readonly PortView[];
  /** This machine's, that the daemon offers. */
  readonly serial: readonly SerialPortView[];
}

export interface LinkFacts {
  /** Each step from the name to the device, the name first. */
  readonly chain: readonly string[];
  /** What the chain ends at; `nothing`: the name does not exist; `broken`: a link that leads nowhere. */
  readonly end: 'character device' | 'other' | 'nothing' | 'broken' | 'forbidden';
}

export interface AccessFacts {
  readonly user: string;
  readonly readable: boolean;
  readonly writable: boolean;
  readonly mode: number;
  readonly owner: string;
  readonly group: string;
  /** The calling user is in that group, in this very process. */
  readonly inGroup: boolean;
}

export interface LockFile {
  readonly path: string;
  /** undefined: it cannot be read, or holds no number. */
  readonly pid: number | undefined;
  readonly alive: boolean;
  readonly command: string | undefined;
}

export interface KernelLock {
  readonly kind: string;
  readonly pid: number;
  readonly command: string | undefined;
}

export interface HolderFacts {
  readonly holders: readonly Holder[];
  /** Every process could be looked at. */
  readonly complete: boolean;
}

export type NameFacts =
  | { readonly result: 'numeric' }
  | { readonly result: 'resolved'; readonly addresses: readonly string[]; readonly ms: number }
  | { readonly result: 'failed'; readonly why: string };

export type RouteFacts =
  | { readonly result: 'from'; readonly localAddress: string }
  | { readonly result: 'none'; readonly why: string };

/** One TCP connection that the probe made. */
export type ConnectFacts =
  | { readonly result: 'connected'; readonly ms: number }
  | {
      readonly result: 'refused' | 'timeout' | 'no route' | 'closed' | 'error';
      readonly why: string;
    }
  | { readonly result: 'not tried' };

export type PortInitFacts =
  | {
      readonly result: 'acknowledged';
      readonly ms: number;
      readonly cts: boolean;
      readonly dsr: boolean;
      readonly dcd: boolean;
    }
  | { readonly result: 'refused' }
  | { readonly result: 'mute'; readonly afterMs: number }
  | { readonly result: 'closed' }
  /** What came instead of an answer: the first bytes, printable. */
  | { readonly result: 'not real com'; readonly looksLike: string | undefined; readonly bytes: string }
  | { readonly result: 'not tried' };

export interface ProbeFacts {
  readonly address: string;
  readonly command: ConnectFacts;
  readonly data: ConnectFacts;
  readonly portInit: PortInitFacts;
  /** "9600,8N1", what PORT_INIT asked for. */
  readonly asked: string;
}

export interface PortFacts {
  readonly target: Target;
  readonly daemon: DaemonFacts;
  /** undefined: no daemon that can be asked. */
  readonly view: PortView | undefined;
  readonly link: LinkFacts;
  readonly backends: BackendFacts;
  /** undefined: no daemon that can be asked, or no tty that was made. */
  readonly nameOwner: NameOwnerFacts | undefined;
  /** undefined: nothing there to look at. */
  readonly access: AccessFacts | undefined;
  readonly lockFiles: readonly LockFile[];
  readonly kernelLocks: readonly KernelLock[];
  readonly holders: HolderFacts | undefined;
  readonly name: NameFacts;
  readonly route: RouteFacts | undefined;
  /** A string: --probe was asked for, and why it was not done; undefined: not asked for. */
  readonly probe: ProbeFacts | string | undefined;
}
