// Who locked a serial port: UUCP lock files (FHS "/var/lock", LCK..NAME) and the kernel's list of flock and POSIX locks.
// Only reads; never makes or removes a lock. Parsers are pure and apart from the reading.
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { commandOf } from '../holders.js';
import type { KernelLock, LockFile } from './facts.js';

export const LOCK_DIRECTORIES = ['/var/lock', '/run/lock', '/run/lock/lockdev', '/var/lock/lockdev'] as const;

/** The pid in a UUCP lock file: ten characters of decimal (HDB), or four bytes little-endian (old Kermit). */
export function parseLockFile(content: Uint8Array): number | undefined {
  const text = new TextDecoder('latin1').decode(content);
  const decimal = /^\s*(\d{1,10})(?:\s|$)/.exec(text)?.[1];
  if (decimal !== undefined) return Number(decimal);
  if (content.length !== 4) return undefined;
  const pid = new DataView(content.buffer, content.byteOffset, 4).getInt32(0, true);
  return pid > 0 ? pid : undefined;
}

/** The names under which programs may have locked the tty: its own, its links', and of "/dev/pts/5" also "pts_5". */
export function lockNames(paths: readonly string[]): Set<string> {
  const names = new Set<string>();
  for (const path of paths) {
    names.add(`LCK..${basename(path)}`);
    if (!path.startsWith('/dev/')) continue;
    const inDev = path.slice('/dev/'.length);
    names.add(`LCK..${inDev.replaceAll('/', '_')}`);
    names.add(`LCK..${inDev.replaceAll('/', '')}`);
  }
  // "LCK..5" of /dev/pts/5 would be anything's fifth.
  for (const name of names) if (/^LCK\.\.\d+$/.test(name)) names.delete(name);
  return names;
}

export function readLockFiles(paths: readonly string[], directories: readonly string[] = LOCK_DIRECTORIES): LockFile[] {
  const names = lockNames(paths);
  const found = new Map<string, LockFile>();
  for (const directory of directories) {
    for (const entry of entriesOf(directory)) {
      if (!names.has(entry) || found.has(entry)) continue; // /var/lock is a link to /run/lock
      const path = `${directory}/${entry}`;
      const pid = pidIn(path);
      const command = pid === undefined ? undefined : commandOf(pid);
      found.set(entry, { path, pid, alive: command !== undefined, command });
    }
  }
  return [...found.values()];
}

/** One line of /proc/locks, "1: FLOCK  ADVISORY  WRITE 708 08:01:1234 0 EOF"; of waiting processes, "->" lines, none. */
export function parseKernelLocks(text: string, inode: Inode): { kind: string; pid: number }[] {
  const found: { kind: string; pid: number }[] = [];
  for (const line of text.split('\n')) {
    const match = /^\d+:\s+(FLOCK|POSIX|OFDLCK|LEASE)\s+\S+\s+\S+\s+(-?\d+)\s+([0-9a-f]+):([0-9a-f]+):(\d+)\s/.exec(
      line,
    );
    if (match === null) continue;
    const [, kind = '', pid, major, minor, ino] = match;
    const same =
      Number.parseInt(major ?? '', 16) === inode.major &&
      Number.parseInt(minor ?? '', 16) === inode.minor &&
      Number(ino) === inode.ino;
    if (same) found.push({ kind, pid: Number(pid) });
  }
  return found;
}

export interface Inode {
  readonly major: number;
  readonly minor: number;
  readonly ino: number;
}

/** Of stat's `dev` and `ino`: as makedev(3) of glibc packs them. */
export function inodeOf(stat: { readonly dev: number; readonly ino: number }): Inode {
  const dev = BigInt(stat.dev);
  return {
    major: Number(((dev >> 8n) & 0xfffn) | ((dev >> 32n) & 0xfffff000n)),
    minor: Number((dev & 0xffn) | ((dev >> 12n) & 0xffffff00n)),
    ino: stat.ino,
  };
}

export function readKernelLocks(stat: { readonly dev: number; readonly ino: number }): KernelLock[] {
  let text: string;
  try {
    text = readFileSync('/proc/locks', 'utf8');
  } catch {
    return []; // a kernel without it has no such locks to show
  }
  return parseKernelLocks(text, inodeOf(stat)).map((lock) => ({ ...lock, command: commandOf(lock.pid) }));
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function pidIn(path: string): number | undefined {
  try {
    return parseLockFile(readFileSync(path));
  } catch {
    return undefined; // not readable for this user
  }
}
