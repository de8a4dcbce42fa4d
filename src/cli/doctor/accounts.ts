// Names of users and groups, for texts and for what a user has to join. From /etc only: an account of a directory service
// shows as its number.
import { readFileSync } from 'node:fs';

type Kind = 'passwd' | 'group';

/** The name of a number; the number itself where /etc has none. */
export function nameOfId(kind: Kind, id: number, read = readEtc): string {
  for (const line of read(kind).split('\n')) {
    const [name, , number] = line.split(':');
    if (name !== undefined && number === String(id)) return name;
  }
  return String(id);
}

export function idOfName(kind: Kind, name: string | number, read = readEtc): number | undefined {
  if (typeof name === 'number') return name;
  for (const line of read(kind).split('\n')) {
    const [found, , number] = line.split(':');
    if (found === name && number !== undefined) return Number(number);
  }
  return undefined;
}

/** The calling process is in the group, as the kernel sees it (not as /etc/group says since). */
export function inGroup(gid: number): boolean {
  return process.getegid?.() === gid || (process.getgroups?.() ?? []).includes(gid);
}

export function userName(): string {
  return nameOfId('passwd', process.geteuid?.() ?? 0);
}

function readEtc(kind: Kind): string {
  try {
    return readFileSync(`/etc/${kind}`, 'utf8');
  } catch {
    return '';
  }
}
