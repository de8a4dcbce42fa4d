// Who has a tty open: one scan of /proc with the caller's own rights, by device number, so that links and aliases do not
// matter. Opens no tty and sends no signal. See proc(5).
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';

export interface Holder {
  readonly pid: number;
  readonly name: string;
}

export interface HolderScan {
  /** By device number (stat's rdev). */
  readonly holders: ReadonlyMap<number, readonly Holder[]>;
  /** False: processes of other users could not be looked at; run with sudo to see them. */
  readonly complete: boolean;
}

/** @param proc where procfs is; its own process is left out. */
export function scanHolders(rdevs: ReadonlySet<number>, proc = '/proc', self = process.pid): HolderScan {
  const holders = new Map<number, Holder[]>();
  let complete = true;
  for (const entry of readdirSync(proc)) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === self) continue;
    const held = devicesOf(`${proc}/${entry}/fd`, rdevs);
    if (held === undefined) complete = false;
    for (const rdev of held ?? []) {
      const list = holders.get(rdev) ?? [];
      list.push({ pid, name: commandOf(pid, proc) ?? '?' });
      holders.set(rdev, list);
    }
  }
  return { holders, complete };
}

/** The short name of a process; undefined where there is none of that number. */
export function commandOf(pid: number, proc = '/proc'): string | undefined {
  try {
    return readFileSync(`${proc}/${pid}/comm`, 'utf8').trim();
  } catch {
    return undefined; // ended meanwhile
  }
}

/** undefined: not allowed to look. */
function devicesOf(directory: string, rdevs: ReadonlySet<number>): Set<number> | undefined {
  const found = new Set<number>();
  try {
    for (const fd of readdirSync(directory)) {
      const rdev = deviceOf(`${directory}/${fd}`);
      if (rdev !== undefined && rdevs.has(rdev)) found.add(rdev);
    }
  } catch (error) {
    // ENOENT, ESRCH: the process ended meanwhile.
    return error instanceof Error && 'code' in error && error.code === 'EACCES' ? undefined : found;
  }
  return found;
}

function deviceOf(path: string): number | undefined {
  try {
    // A pts seen from outside of its mount is "/5". Nothing else is looked at: stat of a dead network file hangs.
    const target = readlinkSync(path);
    if (!target.startsWith('/dev/') && !/^\/\d+$/.test(target)) return undefined;
    const stat = statSync(path);
    return stat.isCharacterDevice() ? stat.rdev : undefined;
  } catch {
    return undefined; // closed meanwhile
  }
}
