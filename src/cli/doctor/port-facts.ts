// Finds out about one port: the daemon's view, the way from its name to the device, rights, locks, holders, name and
// route. Never opens the tty (that would connect it) and sends nothing to the device; connections are probe.ts's.

import { createSocket } from 'node:dgram';
import { lookup } from 'node:dns/promises';
import { accessSync, constants, existsSync, lstatSync, readlinkSync, type Stats, statSync } from 'node:fs';
import { isIP } from 'node:net';
import { basename, dirname, resolve } from 'node:path';
import type { PortView } from '../../api/types.js';
import type { Clock, Timer } from '../../base/clock.js';
import { messageOf } from '../../base/fault.js';
import type { ResolvedConfig, ResolvedTty } from '../../config/resolved.js';
import { scanHolders } from '../holders.js';
import { inGroup, nameOfId, userName } from './accounts.js';
import type { AccessFacts, HolderFacts, LinkFacts, NameFacts, RouteFacts, Target } from './facts.js';

/** The port that a user means: by name, alias, path or device path. */
export function findPort(ports: readonly PortView[], wanted: string): PortView | undefined {
  return (
    ports.find((port) => port.name === wanted || port.aliases.includes(wanted)) ??
    ports.find((port) => port.path === wanted || port.devicePath === wanted) ??
    ports.find(
      (port) => wanted === `${dirname(port.path)}/${basename(wanted)}` && port.aliases.includes(basename(wanted)),
    )
  );
}

export function findTty(config: ResolvedConfig, wanted: string): ResolvedTty | undefined {
  const names = [wanted, basename(wanted)];
  return config.ttys.find((tty) => names.includes(tty.name) || tty.aliases.some((alias) => names.includes(alias)));
}

export function targetOfView(view: PortView): Target {
  const { name, path, server, address, port, protocol, dataPort, commandPort } = view;
  return { name, path, server, address, port, protocol, dataPort, commandPort };
}

export function targetOfTty(tty: ResolvedTty, config: ResolvedConfig): Target {
  const { name, serverName: server, address, port, protocol, dataPort, commandPort } = tty;
  return { name, path: `${config.linkDir}/${name}`, server, address, port, protocol, dataPort, commandPort };
}

const MAX_LINKS = 40;

export function followLink(path: string): LinkFacts {
  const chain = [path];
  for (let at = path; chain.length < MAX_LINKS; ) {
    let stat: Stats;
    try {
      stat = lstatSync(at);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : undefined;
      if (code === 'EACCES') return { chain, end: 'forbidden' };
      return { chain, end: chain.length === 1 ? 'nothing' : 'broken' };
    }
    if (!stat.isSymbolicLink()) return { chain, end: stat.isCharacterDevice() ? 'character device' : 'other' };
    at = resolve(dirname(at), readlinkSync(at));
    chain.push(at);
  }
  return { chain, end: 'broken' };
}

/** @param path of the device itself */
export function accessFacts(path: string): AccessFacts & { readonly stat: Stats } {
  const stat = statSync(path);
  return {
    user: userName(),
    readable: may(path, constants.R_OK),
    writable: may(path, constants.W_OK),
    mode: stat.mode,
    owner: nameOfId('passwd', stat.uid),
    group: nameOfId('group', stat.gid),
    inGroup: inGroup(stat.gid),
    stat,
  };
}

export function may(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}

/** @param daemon its pid: it holds the other end, and may hold this one to set it up */
export function holderFacts(rdev: number, daemon: number | undefined): HolderFacts {
  const { holders, complete } = scanHolders(new Set([rdev]));
  return { holders: (holders.get(rdev) ?? []).filter(({ pid }) => pid !== daemon), complete };
}

const LOOKUP_TIMEOUT_MS = 5000;

export async function nameFacts(address: string, clock: Clock): Promise<NameFacts> {
  if (isIP(address.split('%')[0] ?? '') !== 0) return { result: 'numeric' };
  const from = clock.now();
  let timer: Timer | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = clock.after(LOOKUP_TIMEOUT_MS, () => reject(new Error(`no answer within ${LOOKUP_TIMEOUT_MS} ms`)));
  });
  try {
    const found = await Promise.race([lookup(address, { all: true, verbatim: true }), late]);
    return { result: 'resolved', addresses: found.map((entry) => entry.address), ms: clock.now() - from };
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    return { result: 'failed', why: code === 'ENOTFOUND' ? 'no such name' : messageOf(error) };
  } finally {
    timer?.cancel();
  }
}

/** Asks the kernel which way it would go: connecting a datagram socket sends nothing. */
export function routeFacts(address: string): Promise<RouteFacts> {
  const zone = address.split('%')[1];
  if (zone !== undefined && !/^\d+$/.test(zone) && !existsSync(`/sys/class/net/${zone}`))
    return Promise.resolve({ result: 'none', why: `this machine has no network interface ${zone}` });
  return new Promise((done) => {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    const finish = (facts: RouteFacts) => socket.close(() => done(facts));
    socket.on('error', (error) => finish({ result: 'none', why: `no route to ${address} (${messageOf(error)})` }));
    socket.connect(9, address, () => finish({ result: 'from', localAddress: socket.address().address }));
  });
}
