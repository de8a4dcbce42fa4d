// Names of users and groups to numbers, as the configuration may give either. Reads the files of passwd(5) and group(5);
// accounts that exist only in a directory service are given by number.
import { readFileSync } from 'node:fs';
import { Fault } from '../base/fault.js';

function idOf(file: string, kind: string, name: string | number, whose: string): number {
  if (typeof name === 'number') return name;
  if (/^\d+$/.test(name)) return Number(name);
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const fields = line.split(':');
    if (fields[0] === name) return Number(fields[2]);
  }
  throw new Fault('CONFIG_INVALID', `${whose}: no ${kind} "${name}" in ${file}: create it or give its number`);
}

/** Throws CONFIG_INVALID where there is no such user. */
export function userId(name: string | number, whose: string): number {
  return idOf('/etc/passwd', 'user', name, whose);
}

/** Throws CONFIG_INVALID where there is no such group. */
export function groupId(name: string | number, whose: string): number {
  return idOf('/etc/group', 'group', name, whose);
}
