// Finds out about this machine: kernel, permissions, limits, configuration. Only reads; connections only where `probe`
// says so, and never to a port that the daemon uses.
import { constants, existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { dirname } from 'node:path';
import type { PortView, SerialPortView, StatusView } from '../../api/types.js';
import { loadConfig, systemEnvironment } from '../../config/load.js';
import { ConfigFault } from '../../config/problems.js';
import { defaultRuntimeDir } from '../../config/resolve.js';
import type { ResolvedConfig } from '../../config/resolved.js';
import { descriptorsOf } from '../../config/serial-ports.js';
import { DEFAULT_SOCKET } from '../../tty/usbip/attach-line.js';
import { readOsRelease } from '../../tty/usbip/modules.js';
import { idOfName, inGroup, nameOfId, userName } from './accounts.js';
import type { BackendFacts } from './backend-advice.js';
import { placeOf } from './connect-check.js';
import type { Asked } from './facts.js';
import type { ConfigFacts, DirectoryFacts, GroupFacts, MachineFacts, ServerProbe } from './machine-facts.js';
import { namesCheck, surveyNames } from './names.js';
import { may } from './port-facts.js';
import { type ProbeOptions, probeConnect } from './probe.js';
import { servedFacts, servedNumbers } from './served-facts.js';

export interface ConfigRead {
  readonly facts: ConfigFacts;
  readonly config: ResolvedConfig | undefined;
}

export function readConfig(file: string): ConfigRead {
  const none = { file, ttys: 0, servers: 0, serialPorts: 0, servedDescriptors: 0 };
  if (!existsSync(file)) return { facts: { ...none, state: 'absent', errors: [] }, config: undefined };
  try {
    const { config } = loadConfig(file);
    const facts = {
      file,
      state: 'valid',
      errors: [],
      ttys: config.ttys.length,
      servers: config.servers.length,
      serialPorts: config.serialPorts.length,
      servedDescriptors: config.serialPorts.reduce((sum, { served }) => sum + descriptorsOf(served), 0),
    } as const;
    return { facts, config };
  } catch (error) {
    if (!(error instanceof ConfigFault)) throw error;
    return { facts: { ...none, state: 'invalid', errors: error.errors }, config: undefined };
  }
}

export async function surveyMachine(
  read: ConfigRead,
  asked: Asked,
  probing: ProbeOptions | undefined,
  later: readonly SerialPortView[],
): Promise<MachineFacts> {
  const { config, facts } = read;
  const { daemon, status } = asked;
  const environment = systemEnvironment();
  const runtimeDir = status?.runtimeDir ?? config?.runtimeDir ?? defaultRuntimeDir(environment);
  const [onePort] = asked.ports;
  const linkDir = onePort !== undefined ? dirname(onePort.path) : (config?.linkDir ?? runtimeDir);
  const ttys = Math.max(facts.ttys, status?.ports ?? 0);
  return {
    user: userName(),
    isRoot: process.geteuid?.() === 0,
    backends: backendFacts(config?.usbip.socket),
    groups: groupFacts(config),
    runtimeDir: directoryFacts(runtimeDir),
    linkDir: directoryFacts(linkDir),
    ptyMax: ptyMax(status),
    descriptors: descriptorLimit(status?.pid),
    config: { ...facts, ttys },
    daemon,
    status,
    servers: status?.servers,
    configuredServers: (config?.servers ?? []).map(({ name, address }) => ({ name, address })),
    served: servedNumbers(config, asked.serial).map((port) => servedFacts(port, config, asked, later)),
    usbipTtys: asked.ports.filter(({ backend }) => backend === 'usbip').length,
    names:
      asked.ports.length === 0
        ? undefined
        : namesCheck(asked.ports, surveyNames({ dev: '/dev', sys: '/sys', runtimeDir })),
    probes: probing === undefined ? [] : await probeServers(config, asked, probing),
  };
}

/** @param helper the socket of the root helper */
export function backendFacts(helper: string = DEFAULT_SOCKET, root = ''): BackendFacts {
  const kernel = release();
  const modules = `${root}/lib/modules/${kernel}`;
  const vhci = existsSync(`${root}/sys/devices/platform/vhci_hcd.0`) || existsSync(`${root}/sys/module/vhci_hcd`);
  const ftdi = existsSync(`${root}/sys/bus/usb-serial/drivers/ftdi_sio`);
  const cuse = existsSync(`${root}/dev/cuse`);
  const state = (loaded: boolean, name: string) =>
    loaded ? 'loaded' : hasModule(modules, name) ? 'available' : 'absent';
  return {
    ptmx: may(`${root}/dev/ptmx`, constants.R_OK | constants.W_OK),
    kernel,
    vhci: state(vhci, 'vhci-hcd'),
    ftdi: state(ftdi, 'ftdi_sio'),
    helper: existsSync(`${root}${helper}`),
    cuse: state(cuse, 'cuse'),
    osRelease: readOsRelease(),
  };
}

/** In the kernel's own lists of modules, loadable and built in; depmod writes both. */
function hasModule(modules: string, name: string): boolean {
  return ['modules.dep', 'modules.builtin'].some((list) => {
    try {
      return new RegExp(`/${name}\\.ko`).test(readFileSync(`${modules}/${list}`, 'utf8'));
    } catch {
      return false;
    }
  });
}

function groupFacts(config: ResolvedConfig | undefined): GroupFacts[] {
  const counts = new Map<string | number, number>();
  for (const { group } of config?.ttys ?? []) if (group !== null) counts.set(group, (counts.get(group) ?? 0) + 1);
  return [...counts].map(([wanted, ttys]) => {
    const gid = idOfName('group', wanted);
    const group = gid === undefined ? String(wanted) : nameOfId('group', gid);
    return { group, exists: gid !== undefined, member: gid !== undefined && inGroup(gid), ttys };
  });
}

function directoryFacts(path: string): DirectoryFacts {
  const exists = existsSync(path);
  let at = path;
  while (!existsSync(at) && at !== '/') at = dirname(at);
  return { path, exists, writable: may(at, constants.W_OK) };
}

function ptyMax(status: StatusView | undefined): MachineFacts['ptyMax'] {
  const read = (name: string) => Number(readFileSync(`/proc/sys/kernel/pty/${name}`, 'utf8'));
  try {
    // Those of the running daemon are counted among the ones that the configuration needs.
    return { max: read('max'), used: Math.max(0, read('nr') - (status?.ports ?? 0)) };
  } catch {
    return undefined;
  }
}

function descriptorLimit(pid: number | undefined): MachineFacts['descriptors'] {
  const daemon = pid === undefined ? undefined : readLimit(`/proc/${pid}/limits`);
  if (daemon !== undefined) return { limit: daemon, whose: 'daemon' };
  const shell = readLimit('/proc/self/limits');
  return shell === undefined ? undefined : { limit: shell, whose: 'shell' };
}

/** "Max open files  1024  524288  files": the soft limit. */
export function parseLimit(text: string): number | undefined {
  const soft = /^Max open files\s+(\S+)/m.exec(text)?.[1];
  if (soft === undefined) return undefined;
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
}

function readLimit(path: string): number | undefined {
  try {
    return parseLimit(readFileSync(path, 'utf8'));
  } catch {
    return undefined; // another user's process
  }
}

/** A port in use: the daemon has, or is making, a connection to it. */
export function inUse(view: PortView): boolean {
  return view.peer !== null || view.state === 'up' || view.state === 'connecting' || view.state === 'closing';
}

/** One connection to one port of each server, the command port where it has one. */
async function probeServers(
  config: ResolvedConfig | undefined,
  asked: Asked,
  options: ProbeOptions,
): Promise<ServerProbe[]> {
  if (asked.daemon.state === 'unreachable') return []; // what it uses is unknown
  const probes: ServerProbe[] = [];
  for (const [name, ports] of portsByServer(config, asked)) {
    const [any] = ports;
    if (any === undefined) continue;
    const idle = ports.find((port) => !port.used);
    const { address, tcpPort } = idle ?? any;
    const connect =
      idle === undefined ? ({ result: 'not tried' } as const) : await probeConnect(address, tcpPort, options);
    probes.push({ name, address, place: placeOf(address, tcpPort), connect });
  }
  return probes;
}

interface Probed {
  readonly address: string;
  readonly tcpPort: number;
  readonly used: boolean;
}

function portsByServer(config: ResolvedConfig | undefined, { daemon, ports }: Asked): Map<string, Probed[]> {
  const servers = new Map<string, Probed[]>();
  const add = (name: string, port: Probed) => servers.set(name, [...(servers.get(name) ?? []), port]);
  if (daemon.state === 'running') {
    for (const view of ports) {
      const { server, address, commandPort, dataPort } = view;
      add(server, { address, tcpPort: commandPort ?? dataPort, used: inUse(view) });
    }
    return servers;
  }
  for (const { serverName, address, commandPort, dataPort } of config?.ttys ?? [])
    add(serverName, { address, tcpPort: commandPort ?? dataPort, used: false });
  return servers;
}
