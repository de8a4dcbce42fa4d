// Where a served port sends to, as operators write it: "10.0.0.7:4001", "plc.example", "[2001:db8::7]:4001", of UDP also
// "10.0.0.1-10.0.0.9:4001"; or address, port and localPort as keys. Pure: no name is resolved.
import { BlockList, isIP, isIPv4 } from 'node:net';
import { z } from 'zod';
import { tcpPort } from './values.js';

export interface Destination {
  /** A name or an address. */
  readonly host: string;
  /** The last address of a range of UDP; null: there is one address. */
  readonly lastHost: string | null;
  readonly port: number;
  /** The port of this machine that it is connected from; 0: any. */
  readonly localPort: number;
}

/** NPort 5000: the destination port where none is said. */
const DEFAULT_PORT = 4001;
export const MAX_DESTINATIONS = 4;
/** Addresses of one range. */
export const MAX_RANGE = 64;
const NAME =
  /^(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?)*\.?$/;
const EXPECTED =
  'must be an address or a name, with a port where it is not 4001, such as "10.0.0.7:4001" or "[2001:db8::7]:4001"';

/** undefined: it is none. */
export function parseDestination(text: string): Destination | undefined {
  const match = /^(?:\[([^[\]]+)\]|([^[\]]*?))(?::(\d{1,5}))?$/.exec(text.trim());
  const bracketed = match?.[1];
  const plain = match?.[2] ?? '';
  // An IPv6 address without brackets has no port.
  const whole = bracketed === undefined && isIP(text.trim()) === 6 ? text.trim() : (bracketed ?? plain);
  const port = whole === text.trim() || match?.[3] === undefined ? DEFAULT_PORT : Number(match[3]);
  if (port < 1 || port > 65535) return undefined;
  const [host = '', lastHost, ...more] = whole.split(/\s*-\s*(?=\d+\.\d+\.\d+\.\d+$)/);
  if (more.length > 0 || (bracketed !== undefined && isIP(bracketed) !== 6)) return undefined;
  if (lastHost === undefined) return isHost(host) ? { host, lastHost: null, port, localPort: 0 } : undefined;
  if (!isIPv4(host) || !isIPv4(lastHost)) return undefined;
  return numberOf(lastHost) < numberOf(host) ? undefined : { host, lastHost, port, localPort: 0 };
}

const text = z.string({ error: EXPECTED }).transform((value, context): Destination => {
  const parsed = parseDestination(value);
  if (parsed !== undefined) return parsed;
  context.addIssue({ code: 'custom', message: `${EXPECTED}, got ${JSON.stringify(value)}` });
  return z.NEVER;
});

const keys = z
  .strictObject({
    address: z.string({ error: 'must be an address or a name' }),
    port: tcpPort.optional(),
    localPort: tcpPort.optional(),
  })
  .transform((value, context): Destination => {
    const parsed =
      isIP(value.address) === 6 ? { host: value.address, lastHost: null } : parseDestination(value.address);
    if (parsed !== undefined) {
      const { host, lastHost } = parsed;
      return { host, lastHost, port: value.port ?? DEFAULT_PORT, localPort: value.localPort ?? 0 };
    }
    context.addIssue({ code: 'custom', message: `address ${EXPECTED}, got ${JSON.stringify(value.address)}` });
    return z.NEVER;
  });

export const destinations = z
  .array(z.union([text, keys], { error: EXPECTED }), { error: 'must be a list of destinations' })
  .min(1, 'needs at least one destination')
  .max(MAX_DESTINATIONS, `must be at most ${MAX_DESTINATIONS} destinations`);

/** How many addresses it means. */
export function addressesOf({ host, lastHost }: Destination): number {
  return lastHost === null ? 1 : numberOf(lastHost) - numberOf(host) + 1;
}

/** Every address or name that it means, in order. */
export function hostsOf(destination: Destination): string[] {
  const { host, lastHost } = destination;
  if (lastHost === null) return [host];
  const first = numberOf(host);
  return Array.from({ length: addressesOf(destination) }, (_, i) => addressText(first + i));
}

/** As it is told to people. */
export function destinationText({ host, lastHost, port }: Destination): string {
  const where = isIP(host) === 6 ? `[${host}]` : host;
  return `${where}${lastHost === null ? '' : `-${lastHost}`}:${port}`;
}

const MULTICAST = new BlockList();
MULTICAST.addSubnet('224.0.0.0', 4, 'ipv4');
MULTICAST.addSubnet('ff00::', 8, 'ipv6');

export function isMulticast(address: string): boolean {
  const version = isIP(address);
  return version !== 0 && MULTICAST.check(address, version === 4 ? 'ipv4' : 'ipv6');
}

function isHost(host: string): boolean {
  if (isIP(host) !== 0) return true;
  // Digits and dots that are no address are a mistake, not a name.
  return NAME.test(host) && !/^[\d.]+$/.test(host);
}

function numberOf(address: string): number {
  return address.split('.').reduce((sum, byte) => sum * 256 + Number(byte), 0);
}

function addressText(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.');
}
