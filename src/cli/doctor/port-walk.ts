// Gathers all facts about one port, with a connection of its own only where --probe asks for it and nothing uses the port.
// Rejects with NO_SUCH_TTY where neither the daemon nor the configuration knows the tty.
import { isIP } from 'node:net';
import type { PortView } from '../../api/types.js';
import { Fault } from '../../base/fault.js';
import type { ResolvedTty } from '../../config/resolved.js';
import { applyFormat, parseFormat } from '../../serial/format.js';
import type { LineSettings } from '../../serial/line.js';
import type { Asked, LinkFacts, NameFacts, PortFacts, ProbeFacts, Target } from './facts.js';
import { readKernelLocks, readLockFiles } from './locks.js';
import { backendFacts, type ConfigRead, inUse } from './machine-survey.js';
import { type NameOwnerFacts, nameOwnerFacts, surveyNames } from './names.js';
import {
  accessFacts,
  findPort,
  findTty,
  followLink,
  holderFacts,
  nameFacts,
  routeFacts,
  targetOfTty,
  targetOfView,
} from './port-facts.js';
import { type ProbeOptions, probePort, probeSingle } from './probe.js';

export interface WalkOptions extends ProbeOptions {
  readonly probe: boolean;
}

export async function walkPort(
  wanted: string,
  read: ConfigRead,
  asked: Asked,
  options: WalkOptions,
): Promise<PortFacts> {
  const view = findPort(asked.ports, wanted);
  const tty = read.config === undefined ? undefined : findTty(read.config, view?.name ?? wanted);
  const target = targetOf(wanted, view, tty, read, asked);
  const link = followLink(target.path);
  const name = await nameFacts(target.address, options.clock);
  const address =
    name.result === 'resolved' ? name.addresses[0] : name.result === 'numeric' ? target.address : undefined;
  return {
    target,
    daemon: asked.daemon,
    view,
    backends: backendFacts(read.config?.usbip.socket),
    nameOwner: ownerOf(view, asked),
    ...deviceFacts(link, target, view, asked.status?.pid),
    name,
    route: address === undefined ? undefined : await routeFacts(address),
    probe: options.probe ? await probe(target, view, tty, asked, name, options) : undefined,
  };
}

/** Of a tty that was made. */
function ownerOf(view: PortView | undefined, { status }: Asked): NameOwnerFacts | undefined {
  if (view === undefined || status === undefined || view.backend === 'none') return undefined;
  return nameOwnerFacts(view, surveyNames({ dev: '/dev', sys: '/sys', runtimeDir: status.runtimeDir }));
}

function targetOf(
  wanted: string,
  view: PortView | undefined,
  tty: ResolvedTty | undefined,
  read: ConfigRead,
  asked: Asked,
): Target {
  if (view !== undefined) return targetOfView(view);
  if (tty !== undefined && read.config !== undefined) return targetOfTty(tty, read.config);
  const { file, state } = read.facts;
  const hint =
    asked.daemon.state === 'running'
      ? 'see them all: ttynp ports'
      : `neither a daemon answers nor does ${file} name it (${state})`;
  throw new Fault('NO_SUCH_TTY', `no tty ${wanted}: ${hint}`);
}

function deviceFacts(link: LinkFacts, target: Target, view: PortView | undefined, daemon: number | undefined) {
  const device = link.chain.at(-1);
  const names = [target.path, ...link.chain, ...(view === undefined ? [] : view.aliases)];
  const lockFiles = readLockFiles(names);
  if (link.end !== 'character device' || device === undefined) {
    return { link, access: undefined, lockFiles, kernelLocks: [], holders: undefined };
  }
  const { stat, ...access } = accessFacts(device);
  return { link, access, lockFiles, kernelLocks: readKernelLocks(stat), holders: holderFacts(stat.rdev, daemon) };
}

/** The reason, where no connection may be made. */
async function probe(
  target: Target,
  view: PortView | undefined,
  tty: ResolvedTty | undefined,
  { daemon }: Asked,
  name: NameFacts,
  options: ProbeOptions,
): Promise<ProbeFacts | string> {
  if (view !== undefined && inUse(view)) return `not probed: the daemon uses the port (${view.state})`;
  if (target.protocol === 'udp') return 'not probed: UDP has no connection, and nobody answers for one';
  if (daemon.state === 'unreachable')
    return 'not probed: whether the daemon uses the port cannot be seen; run with sudo';
  if (name.result === 'failed') return 'not probed: there is no address to connect to';
  const addresses = name.result === 'resolved' ? name.addresses : [target.address];
  const settings = settingsOf(view, tty);
  const preamble = tty?.ipv6Preamble ?? 'auto';
  let found: ProbeFacts | undefined;
  for (const address of addresses) {
    if (isIP(address.split('%')[0] ?? '') === 0) continue;
    const { dataPort, commandPort } = target;
    found =
      commandPort === null
        ? await probeSingle(address, dataPort, options)
        : await probePort({ address, dataPort, commandPort, settings, preamble }, options);
    const { result } = commandPort === null ? found.data : found.command;
    if (result === 'connected' || result === 'closed') break;
  }
  return found ?? 'not probed: there is no address to connect to';
}

function settingsOf(view: PortView | undefined, tty: ResolvedTty | undefined): LineSettings {
  const format = view === undefined ? undefined : parseFormat(view.asked.format);
  if (format !== undefined) return applyFormat(format, tty?.settings);
  return tty?.settings ?? applyFormat({});
}
