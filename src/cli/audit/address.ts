// Where an address lies, as far as it says so itself. Resolves no name.
import { BlockList, isIP } from 'node:net';

export type Reach =
  /** This machine alone. */
  | 'loopback'
  /** 0.0.0.0 or ::, for a listener: every interface. */
  | 'any'
  /** A network that the Internet does not route: RFC 1918, RFC 6598, link-local, RFC 4193. */
  | 'private'
  | 'public'
  /** A host name: nobody knows before it is asked for. */
  | 'name';

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8);
LOOPBACK.addAddress('::1', 'ipv6');

const PRIVATE = new BlockList();
for (const [network, bits] of [
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.168.0.0', 16],
] as const) {
  PRIVATE.addSubnet(network, bits);
}
PRIVATE.addSubnet('fc00::', 7, 'ipv6');
PRIVATE.addSubnet('fe80::', 10, 'ipv6');

/** @param address as the configuration writes it; the zone of fe80::1%eth1 does not matter */
export function reachOf(address: string): Reach {
  const host = address.split('%')[0] ?? address;
  const version = isIP(host);
  if (version === 0) return 'name';
  const family = version === 6 ? 'ipv6' : 'ipv4';
  if (LOOPBACK.check(host, family)) return 'loopback';
  if (/^[0:.]+$/.test(host)) return 'any';
  return PRIVATE.check(host, family) ? 'private' : 'public';
}

/** "950-965, 4001": ascending, each once. */
export function rangesText(ports: readonly number[]): string {
  const sorted = [...new Set(ports)].sort((a, b) => a - b);
  const ranges: [number, number][] = [];
  for (const port of sorted) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] + 1 === port) last[1] = port;
    else ranges.push([port, port]);
  }
  return ranges.map(([from, to]) => (from === to ? String(from) : `${from}-${to}`)).join(', ');
}
