// Which address and which interface of this machine somebody out there sees, from the kernel's own tables below /proc/self/net and /sys.
// Not by getifaddrs(3), which needs a netlink socket: the service may not have one. Reads, never changes.
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { addressBytes, kernelAddress } from './tcp-table.js';

export interface KernelTables {
  /** /proc/self/net/route */
  readonly route: string;
  /** /proc/self/net/fib_trie */
  readonly trie: string;
  /** /proc/self/net/if_inet6 */
  readonly inet6: string;
  /** Of an interface, "02:fc:00:00:00:01"; empty where it has none. */
  readonly mac: (name: string) => string;
}

/** What is in sight: an IPv4 address, undefined where there is none, and a MAC, of zeros where there is none. */
export interface Sight {
  readonly address: Uint8Array | undefined;
  readonly mac: Uint8Array;
}

interface Route {
  readonly name: string;
  readonly network: number;
  readonly mask: number;
  readonly direct: boolean;
}

export class LocalNetworks {
  readonly #tables: KernelTables;
  readonly #routes: readonly Route[];
  readonly #addresses: readonly number[];

  constructor(tables: KernelTables) {
    this.#tables = tables;
    this.#routes = parseRoutes(tables.route);
    this.#addresses = parseLocalAddresses(tables.trie);
  }

  /** @param listen an address of this machine, or that of all of them */
  sight(listen: string, asker: string): Sight {
    const own = ipv4(listen);
    if (own !== undefined && own !== 0) return this.#of(own, this.#interfaceOf(own));
    if (isIP(listen) === 6 && listen !== '::') {
      const name = this.#interfaceOfIpv6(listen);
      return this.#of(this.#addressAt(name), name);
    }
    const from = ipv4(asker);
    // Who is on this machine reaches it at the address that it comes from.
    if (from !== undefined && (from >>> 24 === 127 || this.#addresses.includes(from)))
      return this.#of(from, this.#interfaceOf(from));
    const name = this.#wayTo(from ?? 0)?.name;
    return this.#of(this.#addressAt(name), name);
  }

  #of(address: number | undefined, name: string | undefined): Sight {
    return { address: address === undefined ? undefined : bytesOf(address), mac: macBytes(this.#tables, name) };
  }

  /** The narrowest route there. */
  #wayTo(address: number): Route | undefined {
    const ways = this.#routes.filter(({ network, mask }) => (address & mask) >>> 0 === network);
    return ways.sort((a, b) => b.mask - a.mask)[0];
  }

  #interfaceOf(address: number): string | undefined {
    return this.#routes.find(({ network, mask, direct }) => direct && (address & mask) >>> 0 === network)?.name;
  }

  #addressAt(name: string | undefined): number | undefined {
    return this.#addresses.find((address) =>
      this.#routes.some((one) => one.direct && one.name === name && (address & one.mask) >>> 0 === one.network),
    );
  }

  #interfaceOfIpv6(address: string): string | undefined {
    const hex = Buffer.from(addressBytes(address) ?? []).toString('hex');
    const line = this.#tables.inet6.split('\n').find((one) => one.startsWith(hex));
    return line?.trim().split(/\s+/)[5];
  }
}

function parseRoutes(text: string): Route[] {
  return text.split('\n').flatMap((line): Route[] => {
    const [name = '', destination = '', gateway = '', , , , , mask = ''] = line.trim().split(/\s+/);
    const word = /^[0-9A-F]{8}$/;
    if (![destination, gateway, mask].every((one) => word.test(one))) return [];
    return [{ name, network: number(destination), mask: number(mask), direct: number(gateway) === 0 }];
  });
}

/** Those with "/32 host LOCAL" below them. */
function parseLocalAddresses(text: string): number[] {
  const found = [...text.matchAll(/\|-- ([\d.]+)\n\s+\/32 host LOCAL/g)].map(([, address = '']) => ipv4(address) ?? 0);
  return [...new Set(found)].filter((address) => address !== 0 && address >>> 24 !== 127);
}

const number = (hex: string): number => ofBytes(kernelAddress(hex));
const ofBytes = (bytes: Uint8Array): number => new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);

function ipv4(address: string): number | undefined {
  const bytes = addressBytes(address.replace(/^::ffff:(?=[\d.]+$)/i, ''));
  return bytes?.length === 4 ? ofBytes(bytes) : undefined;
}

function bytesOf(address: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, address);
  return bytes;
}

function macBytes(tables: KernelTables, name: string | undefined): Uint8Array {
  const bytes = (name === undefined ? '' : tables.mac(name))
    .trim()
    .split(':')
    .map((byte) => Number.parseInt(byte, 16));
  return bytes.length === 6 && bytes.every(Number.isInteger) ? Uint8Array.from(bytes) : new Uint8Array(6);
}

export function readKernelTables(): KernelTables {
  return {
    route: read('/proc/self/net/route'),
    trie: read('/proc/self/net/fib_trie'),
    inet6: read('/proc/self/net/if_inet6'),
    mac: (name) => read(`/sys/class/net/${name}/address`),
  };
}

/** A kernel without IPv6 has no table of it. */
function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
