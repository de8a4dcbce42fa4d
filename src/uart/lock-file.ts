// UUCP lock files (FHS "/var/lock": LCK..ttyS0, ten characters of pid): how minicom, picocom and others say that they have
// a serial port. Advisory: where the directory is not there, or not ours to write in, nothing is locked this way.
import { readFileSync, unlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { Fault } from '../base/fault.js';

export const LOCK_DIRECTORY = '/var/lock';

/** Paths that this process has, which is more than that its pid is in the file: that may be of one before it. */
const held = new Set<string>();

/** "LCK..ttyS0"; "LCK..pts_7" of /dev/pts/7, since "LCK..7" would be anything's seventh. */
export function lockName(device: string): string {
  return `LCK..${device.startsWith('/dev/') ? device.slice('/dev/'.length).replaceAll('/', '_') : basename(device)}`;
}

/**
 * Returns what gives it back; idempotent. Throws TTY_BUSY where a process that lives has the port.
 * @param device the device itself, not a link to it
 */
export function lockPort(device: string, directory = LOCK_DIRECTORY): () => void {
  const path = join(directory, lockName(device));
  if (held.has(path)) throw new Fault('TTY_BUSY', `${device} is offered already, perhaps by another name (${path})`);
  for (let attempt = 0; attempt < 2; attempt++) {
    try {
      writeFileSync(path, `${String(process.pid).padStart(10)}\n`, { flag: 'wx', mode: 0o644 });
      held.add(path);
      return () => {
        if (held.delete(path)) unlock(path);
      };
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') return () => {};
      const pid = ownerOf(path);
      if (pid !== undefined && pid !== process.pid && lives(pid)) {
        throw new Fault('TTY_BUSY', `${device}: process ${pid} has locked it (${path})`, { cause: error });
      }
      unlock(path);
    }
  }
  return () => {};
}

function unlock(path: string): void {
  try {
    const pid = ownerOf(path);
    if (pid === undefined || pid === process.pid || !lives(pid)) unlinkSync(path);
  } catch (error) {
    // Somebody else's in a directory with the sticky bit: it stays, and so does its owner's word.
    if (!['ENOENT', 'EACCES', 'EPERM', 'EROFS'].includes(codeOf(error))) throw error;
  }
}

function ownerOf(path: string): number | undefined {
  try {
    const digits = /^\s*(\d{1,10})(?:\s|$)/.exec(readFileSync(path, 'latin1'))?.[1];
    return digits === undefined ? undefined : Number(digits);
  } catch {
    return undefined; // gone, or unreadable
  }
}

function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : '';
}
