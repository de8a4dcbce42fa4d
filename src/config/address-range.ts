// Ranges of addresses as operators write them: one address, CIDR, or address and netmask. Pure.
// "192.168.1.0/24", "192.168.1.0/255.255.255.0", "192.168.1.0 255.255.255.0", "192.168.1.7", "2001:db8::/32"
import { BlockList, isIP } from 'node:net';

export interface AddressRange {
  /** As it was written; bits beyond the prefix mean nothing. */
  readonly address: string;
  readonly prefix: number;
  readonly family: 'ipv4' | 'ipv6';
}

export function parseAddressRange(text: string): AddressRange | undefined {
  const [address = '', mask, ...rest] = text.trim().split(/\s*\/\s*|\s+/);
  const version = isIP(address);
  // A zone says which network of this machine: that is the listener's matter.
  if (version === 0 || rest.length > 0 || address.includes('%')) return undefined;
  const bits = version === 4 ? 32 : 128;
  const prefix = mask === undefined ? bits : prefixOf(mask, version, bits);
  return prefix === undefined ? undefined : { address, prefix, family: version === 4 ? 'ipv4' : 'ipv6' };
}

function prefixOf(mask: string, version: number, bits: number): number | undefined {
  if (/^\d{1,3}$/.test(mask)) return Number(mask) <= bits ? Number(mask) : undefined;
  if (version !== 4 || isIP(mask) !== 4) return undefined;
  const binary = mask
    .split('.')
    .map((byte) => Number(byte).toString(2).padStart(8, '0'))
    .join('');
  // A netmask with a hole is a mistake, not a range.
  return /^1*0*$/.test(binary) ? binary.replace(/0+$/, '').length : undefined;
}

export function rangeText({ address, prefix, family }: AddressRange): string {
  return prefix === (family === 'ipv4' ? 32 : 128) ? address : `${address}/${prefix}`;
}

/** The lists that a client has to be in, of a global one and a listener's own. An empty one admits everybody. */
export function narrowedBy(
  everywhere: readonly AddressRange[],
  own: readonly AddressRange[],
): readonly (readonly AddressRange[])[] {
  return [everywhere, own].filter((list) => list.length > 0);
}

/** Whether there is an address that is in both lists, as the access list of a listener judges it. */
export function haveCommon(one: readonly AddressRange[], other: readonly AddressRange[]): boolean {
  // Two ranges are apart, or one lies within the other: then the list with the wider one has every address of the narrower.
  return hasAnAddressOf(one, other) || hasAnAddressOf(other, one);
}

function hasAnAddressOf(list: readonly AddressRange[], other: readonly AddressRange[]): boolean {
  const ranges = new BlockList();
  for (const { address, prefix, family } of list) ranges.addSubnet(address, prefix, family);
  return other.some(({ address, family }) => ranges.check(address, family));
}
