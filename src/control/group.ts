// A group's number by its name: /etc/group first, then what else the system is configured to ask (getent).
// Throws a Fault when there is no such group.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { Fault } from '../base/fault.js';

export function groupId(group: string | number): number {
  if (typeof group === 'number') return group;
  const line = lines(() => readFileSync('/etc/group', 'utf8')).find((l) => l.startsWith(`${group}:`));
  const found =
    line ??
    lines(() => execFileSync('getent', ['group', '--', group], { encoding: 'utf8', timeout: 2000, stdio: 'pipe' }))[0];
  const id = Number(found?.split(':')[2]);
  if (!Number.isInteger(id)) throw new Fault('CONFIG_INVALID', `no group ${group}`);
  return id;
}

function lines(read: () => string): string[] {
  try {
    return read().split('\n');
  } catch {
    return []; // no such file, or getent found nothing
  }
}
