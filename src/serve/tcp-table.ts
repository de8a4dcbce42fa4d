// The TCP sockets of this machine as the kernel lists them (proc(5), /proc/net/tcp), told apart by which listeners are ours.
// Reads, never changes. The kernel knows what a counter of connections here would have to be told: what is half gone.
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { endianness } from 'node:os';
import type { DsciSocket, DsciSockets } from '../protocol/dsci/responder.js';

const STATES: Readonly<Record<string, DsciSocket['state']>> = { '01': 'established', '0A': 'listen' };
const LINE = /^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]+):([0-9A-F]{4}) ([0-9A-F]{2}) /;
const MAPPED = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff];

/** A listener of ours. */
export interface OwnListener {
  readonly address: string;
  readonly port: number;
}

/** LISTEN first, each in the order of local and remote ports: what a second page begins with has been on none before it. */
export function ownSockets(own: readonly OwnListener[], ipv4Text: string, ipv6Text: string): DsciSockets {
  const ports = new Set(own.map(({ port }) => port));
  const specific = new Map<number, string[]>();
  for (const { address, port } of own) specific.set(port, [...(specific.get(port) ?? []), address]);
  const isOurs = (socket: DsciSocket) =>
    ports.has(socket.localPort) &&
    (specific.get(socket.localPort) ?? []).some((address) => meets(address, socket.local));
  const listed = [...parseTcpTable(ipv4Text), ...parseTcpTable(ipv6Text)].filter(isOurs);
  const sorted = listed.sort((a, b) => rank(a) - rank(b) || a.localPort - b.localPort || a.remotePort - b.remotePort);
  return {
    ipv4: sorted.filter(({ local }) => local.length === 4),
    ipv6: sorted.filter(({ local }) => local.length === 16),
  };
}

const rank = ({ state }: DsciSocket): number => (state === 'listen' ? 0 : 1);

/** Whether a socket with this local address is one of a listener on `address`. */
function meets(address: string, local: Uint8Array): boolean {
  if (address === '::') return true;
  if (address === '0.0.0.0') return local.length === 4;
  const bytes = addressBytes(address);
  return bytes?.length === local.length && bytes.every((byte, i) => byte === local[i]);
}

/** Those in LISTEN and ESTABLISHED. An IPv4 connection of an IPv6 listener is one of IPv4. */
export function parseTcpTable(text: string): DsciSocket[] {
  return text.split('\n').flatMap((line): DsciSocket[] => {
    const [, local = '', localPort = '', remote = '', remotePort = '', code = ''] = LINE.exec(line) ?? [];
    const state = STATES[code];
    if (state === undefined) return [];
    const addresses = [local, remote].map(kernelAddress);
    const isMapped = addresses.every((bytes) => bytes.length === 16 && MAPPED.every((byte, i) => bytes[i] === byte));
    const [ours, theirs] = isMapped ? addresses.map((bytes) => bytes.subarray(12)) : addresses;
    if (ours === undefined || theirs === undefined) return [];
    const port = (hex: string) => Number.parseInt(hex, 16);
    return [{ state, local: ours, localPort: port(localPort), remote: theirs, remotePort: port(remotePort) }];
  });
}

/** Words of 32 bits, each as the processor writes it. */
export function kernelAddress(hex: string): Uint8Array {
  const bytes = Uint8Array.from(Buffer.from(hex, 'hex'));
  if (endianness() === 'LE') for (let at = 0; at + 4 <= bytes.length; at += 4) bytes.subarray(at, at + 4).reverse();
  return bytes;
}

/** undefined: no address. */
export function addressBytes(address: string): Uint8Array | undefined {
  const [plain = ''] = address.split('%');
  if (isIP(plain) === 4) return Uint8Array.from(plain.split('.').map(Number));
  if (isIP(plain) !== 6) return undefined;
  // One spelling, without an IPv4 part.
  const [head = '', tail] = new URL(`http://[${plain}]/`).hostname.slice(1, -1).split('::');
  const words = (text: string) => (text === '' ? [] : text.split(':').map((word) => Number.parseInt(word, 16)));
  const [before, after] = [words(head), words(tail ?? '')];
  const all = [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
  return Uint8Array.from(all.flatMap((word) => [word >> 8, word & 0xff]));
}

export function readTcpTables(): [ipv4: string, ipv6: string] {
  return [read('/proc/self/net/tcp'), read('/proc/self/net/tcp6')];
}

/** A kernel without IPv6 has no second table; without proc there is none, and a host then finds nothing wrong. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
