// What the doctor found out about this machine before it judges: plain values. Gathered by machine-survey.ts.
import type { ServerView, StatusView } from '../../api/types.js';
import type { BackendFacts } from './backend-advice.js';
import type { Check } from './check.js';
import type { ConnectFacts, DaemonFacts } from './facts.js';
import type { ServedFacts } from './served-facts.js';

export interface GroupFacts {
  readonly group: string;
  readonly exists: boolean;
  readonly member: boolean;
  /** How many ttys belong to it. */
  readonly ttys: number;
}

export interface DirectoryFacts {
  readonly path: string;
  readonly exists: boolean;
  readonly writable: boolean;
}

export interface ConfigFacts {
  readonly file: string;
  readonly state: 'valid' | 'invalid' | 'absent';
  readonly errors: readonly string[];
  readonly ttys: number;
  readonly servers: number;
  readonly serialPorts: number;
  /** What the serial ports may need. */
  readonly servedDescriptors: number;
}

export interface ServerProbe {
  readonly name: string;
  readonly address: string;
  /** "192.168.127.254:966" */
  readonly place: string;
  readonly connect: ConnectFacts;
}

export interface MachineFacts {
  readonly user: string;
  readonly isRoot: boolean;
  readonly backends: BackendFacts;
  readonly groups: readonly GroupFacts[];
  readonly runtimeDir: DirectoryFacts;
  readonly linkDir: DirectoryFacts;
  readonly ptyMax: { readonly max: number; readonly used: number } | undefined;
  /** Of the daemon where it can be seen, else what this shell would give it. */
  readonly descriptors: { readonly limit: number; readonly whose: 'daemon' | 'shell' } | undefined;
  readonly config: ConfigFacts;
  readonly daemon: DaemonFacts;
  readonly status: StatusView | undefined;
  /** undefined: no daemon; then what the configuration names. */
  readonly servers: readonly ServerView[] | undefined;
  readonly configuredServers: readonly { readonly name: string; readonly address: string }[];
  readonly probes: readonly ServerProbe[];
  /** This machine's serial ports that are offered, or should be. */
  readonly served: readonly ServedFacts[];
  /** How many ttys have the usbip backend. */
  readonly usbipTtys: number;
  /** Of the names in /dev; undefined: no daemon that tells which there are. */
  readonly names: Check | undefined;
}
