// Whether a new configuration shuts out who asks for it: an address that a listener admits now, and would admit no more. Pure.
import type { AddressRange } from '../config/address-range.js';
import type { ResolvedConfig } from '../config/resolved.js';
import { AccessList } from '../serve/access-list.js';

export interface Asker {
  /** Where the operator sits, who came in over the network; undefined: at this machine. */
  readonly address?: string | undefined;
  /** Do it all the same. */
  readonly force?: boolean;
}

type Lists = readonly (readonly AddressRange[])[];

/** Why not; undefined where nothing is in the way. */
export function lockOut(before: ResolvedConfig, after: ResolvedConfig, asker: Asker): string | undefined {
  const { address, force = false } = asker;
  if (address === undefined || force) return undefined;
  const now = listeners(before);
  const shut = [...listeners(after)].filter(([name, lists]) => {
    const present = now.get(name);
    return present !== undefined && admits(present, address) && !admits(lists, address);
  });
  if (shut.length === 0) return undefined;
  const names = shut.map(([name]) => name);
  const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
  return `accessibleIps would no longer admit ${address}, from where you ask, to ${names.slice(0, 3).join(', ')}${more} (if you mean it: ttynp reload --force)`;
}

const admits = (lists: Lists, address: string) => new AccessList(lists).admits(address);

function listeners({ serialPorts, discovery, metrics }: ResolvedConfig): Map<string, Lists> {
  const all = new Map<string, Lists>();
  for (const { port, served, accessibleIps } of serialPorts) {
    if (served.mode !== 'disabled') all.set(`serial port ${port}`, accessibleIps);
  }
  if (discovery !== null) all.set('discovery', discovery.accessibleIps);
  if (metrics !== null) all.set('metrics', metrics.accessibleIps);
  return all;
}
