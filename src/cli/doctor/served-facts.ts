// What the doctor finds out about a serial port of this machine that the daemon offers, before it judges. Reads only: never
// opens the device, which would take it from the daemon, and never connects to it. See docs/serial-ports.md.
import { readdirSync, readFileSync, realpathSync } from 'node:fs';
import type { SerialPortView } from '../../api/types.js';
import { Fault } from '../../base/fault.js';
import type { AddressRange } from '../../config/address-range.js';
import type { ResolvedConfig, ResolvedSerialPort } from '../../config/resolved.js';
import { tcpPortsOf } from '../../config/serial-ports.js';
import type { AccessFacts, Asked, DaemonFacts, HolderFacts, KernelLock, LinkFacts, LockFile } from './facts.js';
import { readKernelLocks, readLockFiles } from './locks.js';
import { accessFacts, followLink, holderFacts } from './port-facts.js';

/** What the kernel lets the daemon do. */
export interface DaemonRights {
  readonly uid: number;
  readonly gids: readonly number[];
  /** CAP_DAC_OVERRIDE: modes of files do not matter. */
  readonly anyFile: boolean;
  /** CAP_NET_BIND_SERVICE. */
  readonly lowPorts: boolean;
}

/** An entry of the configuration file, as far as it can be compared. */
export interface ServedEntry {
  readonly device: string;
  readonly mode: SerialPortView['mode'];
  readonly listen: string;
  readonly tcpPorts: readonly number[];
  readonly accessibleIps: readonly (readonly AddressRange[])[];
}

export interface DeviceFacts {
  readonly link: LinkFacts;
  /** Of the calling user; undefined: nothing there to look at. */
  readonly access: (AccessFacts & { readonly uid: number; readonly gid: number }) | undefined;
  readonly lockFiles: readonly LockFile[];
  readonly kernelLocks: readonly KernelLock[];
  readonly holders: HolderFacts | undefined;
  /** A name of it that stays when adapters are plugged in another order. */
  readonly stable: string | undefined;
}

export interface ServedFacts extends DeviceFacts {
  readonly port: number;
  readonly daemon: DaemonFacts;
  /** undefined: no daemon that can be asked, or it does not have the port. */
  readonly view: SerialPortView | undefined;
  /** A second after `view`, where that had line errors. */
  readonly later: SerialPortView | undefined;
  /** undefined: the configuration file does not have it, or cannot be read. */
  readonly entry: ServedEntry | undefined;
  /** undefined: there is no daemon. */
  readonly rights: DaemonRights | undefined;
  /** The lowest port that needs no right: net.ipv4.ip_unprivileged_port_start. */
  readonly firstFreePort: number;
}

const ARGUMENT = /^serial:(\d{1,5})$/;

/** The number of the serial port that a user means by `serial:1`, or by its device; undefined: it is a tty's name. */
export function servedNumber(
  wanted: string,
  config: ResolvedConfig | undefined,
  { serial }: Asked,
): number | undefined {
  const number = ARGUMENT.exec(wanted)?.[1];
  const known = servedNumbers(config, serial);
  if (number === undefined) {
    const all = [...serial, ...(config?.serialPorts ?? [])];
    return all.find(({ device }) => device === wanted)?.port;
  }
  if (known.includes(Number(number))) return Number(number);
  throw new Fault('NO_SUCH_TTY', `no serial port ${number}: see them all: ttynp ports --serial`);
}

export function servedNumbers(config: ResolvedConfig | undefined, serial: readonly SerialPortView[]): number[] {
  const numbers = [...serial, ...(config?.serialPorts ?? [])].map(({ port }) => port);
  return [...new Set(numbers)].sort((a, b) => a - b);
}

/** @param later the views a second later, where they were asked for */
export function servedFacts(
  port: number,
  config: ResolvedConfig | undefined,
  asked: Asked,
  later: readonly SerialPortView[] = [],
): ServedFacts {
  const of = (views: readonly SerialPortView[]) => views.find((one) => one.port === port);
  const view = of(asked.serial);
  const configured = config?.serialPorts.find((one) => one.port === port);
  const pid = asked.status?.pid;
  return {
    port,
    daemon: asked.daemon,
    view,
    later: of(later),
    entry: configured === undefined ? undefined : entryOf(configured),
    ...deviceFacts(view?.device ?? configured?.device ?? '', pid),
    rights: pid === undefined ? undefined : parseRights(contentOf(`/proc/${pid}/status`)),
    firstFreePort: Number(contentOf('/proc/sys/net/ipv4/ip_unprivileged_port_start').trim() || 1024),
  };
}

function entryOf({ device, served, listen, accessibleIps }: ResolvedSerialPort): ServedEntry {
  return { device, mode: served.mode, listen, tcpPorts: tcpPortsOf(served).map(([, port]) => port), accessibleIps };
}

/** @param daemon its pid: that it has the device is no news */
function deviceFacts(path: string, daemon: number | undefined): DeviceFacts {
  const link = followLink(path);
  const device = link.chain.at(-1);
  const lockFiles = readLockFiles(link.chain).filter(({ pid }) => pid === undefined || pid !== daemon);
  if (link.end !== 'character device' || device === undefined)
    return { link, access: undefined, lockFiles, kernelLocks: [], holders: undefined, stable: undefined };
  const { stat, ...access } = accessFacts(device);
  return {
    link,
    access: { ...access, uid: stat.uid, gid: stat.gid },
    lockFiles,
    kernelLocks: readKernelLocks(stat).filter(({ pid }) => pid !== daemon),
    holders: holderFacts(stat.rdev, daemon),
    stable: stableName(device),
  };
}

/** As udev names it: by what is plugged in, else by where. */
export function stableName(
  device: string,
  directories: readonly string[] = ['/dev/serial/by-id', '/dev/serial/by-path'],
) {
  for (const directory of directories) {
    try {
      for (const name of readdirSync(directory))
        if (realpathSync(`${directory}/${name}`) === device) return `${directory}/${name}`;
    } catch {
      // no udev, or nothing plugged in; or unplugged meanwhile
    }
  }
  return undefined;
}

/** Of proc(5)'s status; undefined: it is no process's. */
export function parseRights(status: string): DaemonRights | undefined {
  const field = (name: string) => new RegExp(`^${name}:[ \\t]*(.*)$`, 'm').exec(status)?.[1]?.trim().split(/\s+/);
  const uid = field('Uid')?.[1];
  const gid = field('Gid')?.[1];
  const capabilities = field('CapEff')?.[0];
  if (uid === undefined || gid === undefined || capabilities === undefined) return undefined;
  const has = (bit: bigint) => ((BigInt(`0x${capabilities}`) >> bit) & 1n) === 1n;
  const groups = (field('Groups') ?? []).filter((one) => one !== '');
  return { uid: Number(uid), gids: [gid, ...groups].map(Number), anyFile: has(1n), lowPorts: has(10n) };
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
