// Names of users and groups, as a configuration gives them, to numbers: /etc/passwd and /etc/group first, then whatever the
// system is configured to ask, a directory service say (getent(1)).
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Fault } from '../base/fault.js';

const LOOKUP_MS = 2000;

function linesOf(read: () => string): string[] {
  try {
    return read().split('\n');
  } catch {
    return []; // no such file, or getent found nothing
  }
}

function idOf(database: 'passwd' | 'group', kind: string, name: string | number, whose: string): number {
  if (typeof name === 'number') return name;
  if (/^\d+$/.test(name)) return Number(name);
  const ask = () =>
    execFileSync('getent', [database, '--', name], { encoding: 'utf8', timeout: LOOKUP_MS, stdio: 'pipe' });
  const line =
    linesOf(() => readFileSync(`/etc/${database}`, 'utf8')).find((l) => l.startsWith(`${name}:`)) ?? linesOf(ask)[0];
  const id = Number(line?.split(':')[2]);
  if (!line || !Number.isInteger(id)) {
    throw new Fault('CONFIG_INVALID', `${whose}: no ${kind} "${name}": create it or give its number`);
  }
  return id;
}

/** `whose` names the tty or socket in the error. Throws CONFIG_INVALID where there is no such user. */
export function userId(name: string | number, whose: string): number {
  return idOf('passwd', 'user', name, whose);
}

/** Throws CONFIG_INVALID where there is no such group. */
export function groupId(name: string | number, whose: string): number {
  return idOf('group', 'group', name, whose);
}
