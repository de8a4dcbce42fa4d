// What the bench must know before it opens a tty: that nobody else uses it. Throws a Fault with who does. Opens nothing.
import { realpathSync, type Stats, statSync } from 'node:fs';
import { basename } from 'node:path';
import type { PortView } from '../../api/types.js';
import { Fault, messageOf } from '../../base/fault.js';
import { askDaemon, socketPath } from '../doctor/ask.js';
import { readKernelLocks, readLockFiles } from '../doctor/locks.js';
import { findPort } from '../doctor/port-facts.js';
import { scanHolders } from '../holders.js';

export interface BenchTarget {
  readonly path: string;
  /** Where it is a tty of a running daemon. */
  readonly view: PortView | undefined;
}

interface Named {
  readonly socket: string | undefined;
  readonly config: string | undefined;
}

const NAMED = 4;

export async function benchTarget(wanted: string, named: Named): Promise<BenchTarget> {
  const { ports, status, daemon } = await askDaemon(socketPath(named));
  // Only the daemon knows where a bare name leads: who may not ask it must not be told that there is no such tty.
  if (!wanted.includes('/') && daemon.state === 'unreachable' && daemon.permission) {
    throw new Fault('PERMISSION', `${daemon.why}: or give the path of the tty`);
  }
  const real = realPath(wanted);
  const view = findPort(ports, wanted) ?? ports.find((port) => port.devicePath === real);
  const path = view?.path ?? (wanted.includes('/') ? wanted : `/dev/${wanted}`);
  refuseIfUsed(path, view, status?.pid);
  return { path, view };
}

/** @param daemon its pid: it holds the other end, and may hold this one to set it up */
export function refuseIfUsed(path: string, view: PortView | undefined, daemon: number | undefined): void {
  const stat = deviceStat(path);
  const { holders, complete } = scanHolders(new Set([stat.rdev]));
  const others = (holders.get(stat.rdev) ?? []).filter(({ pid }) => pid !== daemon);
  if (others.length > 0) {
    const more = others.length > NAMED ? ` and ${others.length - NAMED} more` : '';
    const list = `${others
      .slice(0, NAMED)
      .map(({ name, pid }) => `${name} (pid ${pid})`)
      .join(', ')}${more}`;
    throw new Fault('TTY_BUSY', `${path} is in use by ${list}: close it first`);
  }
  if (!complete && view?.open === true) {
    throw new Fault('TTY_BUSY', `${path} is in use by a process that is not visible: run with sudo to see it`);
  }
  const lock = readLockFiles([path, realPath(path), ...(view?.aliases ?? [])]).find(
    ({ alive, pid }) => alive || pid === undefined,
  );
  if (lock !== undefined) {
    const who = lock.pid === undefined ? '' : ` by ${lock.command ?? 'a process'} (pid ${lock.pid})`;
    throw new Fault('TTY_BUSY', `${path} is locked${who}, see ${lock.path}: close that program first`);
  }
  const [flock] = readKernelLocks(stat);
  if (flock !== undefined) {
    throw new Fault(
      'TTY_BUSY',
      `${path} is locked by ${flock.command ?? 'a process'} (pid ${flock.pid}): close it first`,
    );
  }
}

function deviceStat(path: string): Stats {
  let stat: Stats;
  try {
    stat = statSync(path);
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    const text = missing ? `there is no tty ${path}: ttynp ports lists those of the daemon` : messageOf(error);
    throw new Fault('NO_SUCH_TTY', text, { cause: error });
  }
  if (stat.isCharacterDevice()) return stat;
  throw new Fault('NO_SUCH_TTY', `${path} is no tty: is ${basename(path)} a serial port?`);
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path; // missing: said when it is opened
  }
}
