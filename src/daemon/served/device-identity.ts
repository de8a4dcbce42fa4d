// What this machine calls itself to hosts that search for device servers: its name, and the address and MAC of the interface that the
// asker sees. Reads, and remembers for a while: it is asked once per datagram.
import { isIP } from 'node:net';
import { hostname, type NetworkInterfaceInfo, networkInterfaces } from 'node:os';
import { packageVersion } from '../../api/version.js';
import type { Clock } from '../../base/clock.js';
import { parseAddressRange } from '../../config/address-range.js';
import type { DsciDevice } from '../../protocol/dsci/responder.js';
import { AccessList } from '../../serve/access-list.js';
import { addressBytes } from '../../serve/tcp-table.js';

/** A model of 16 ports that the vendor's tools know (NPort 5610-16). Nothing but their tables comes of it. */
const AP_ID = 0x80005610;
const HW_ID = 0x5613;
const REMEMBER_MS = 10_000;
const NO_ADDRESS = new Uint8Array(4);

export interface IdentityOptions {
  readonly clock: Clock;
  /** undefined: the machine's. */
  readonly name: string | undefined;
  readonly interfaces?: () => NodeJS.Dict<NetworkInterfaceInfo[]>;
}

export class DeviceIdentity {
  readonly #o: IdentityOptions;
  #interfaces: readonly NetworkInterfaceInfo[] = [];
  #readMs: number | undefined;

  constructor(options: IdentityOptions) {
    this.#o = options;
  }

  /** @param listen the address that was asked; of all addresses the one is told that is in the asker's network */
  device(listen: string, asker: string): DsciDevice {
    const known = this.#known();
    const found =
      known.find(({ address }) => address === listen) ??
      known.find(({ cidr }) => isIP(asker) !== 0 && isWithin(asker, cidr)) ??
      known.find(({ internal, family }) => !internal && family === 'IPv4');
    // What asks over IPv6 is told the IPv4 address of the same interface.
    const ipv4 =
      found?.family === 'IPv4' ? found : known.find(({ family, mac }) => family === 'IPv4' && mac === found?.mac);
    const [major = 0, minor = 0] = packageVersion().split('.').map(Number);
    return {
      apId: AP_ID,
      hwId: HW_ID,
      mac: macBytes(found?.mac),
      address: addressBytes(ipv4?.address ?? '') ?? NO_ADDRESS,
      name: this.#o.name ?? hostname(),
      firmware: { major, minor },
    };
  }

  #known(): readonly NetworkInterfaceInfo[] {
    const { clock, interfaces = networkInterfaces } = this.#o;
    if (this.#readMs === undefined || clock.now() - this.#readMs > REMEMBER_MS) {
      this.#readMs = clock.now();
      this.#interfaces = Object.values(interfaces()).flatMap((list) => list ?? []);
    }
    return this.#interfaces;
  }
}

function isWithin(address: string, cidr: string | null): boolean {
  const range = cidr === null ? undefined : parseAddressRange(cidr);
  return range !== undefined && new AccessList([[range]]).admits(address);
}

function macBytes(mac: string | undefined): Uint8Array {
  const bytes = (mac ?? '').split(':').map((byte) => Number.parseInt(byte, 16));
  return bytes.length === 6 && bytes.every(Number.isInteger) ? Uint8Array.from(bytes) : new Uint8Array(6);
}
