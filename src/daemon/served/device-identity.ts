// What this machine calls itself to hosts that search for device servers: its name, and the address and MAC that the asker sees.
// Remembers the machine's networks for a while: it is asked once per datagram.
import { hostname } from 'node:os';
import { packageVersion } from '../../api/version.js';
import type { Clock } from '../../base/clock.js';
import type { DsciDevice } from '../../protocol/dsci/responder.js';
import { type KernelTables, LocalNetworks, readKernelTables } from '../../serve/local-networks.js';

/** A model of 16 ports that the vendor's tools know (NPort 5610-16). Nothing but their tables comes of it. */
const AP_ID = 0x80005610;
const HW_ID = 0x5613;
const REMEMBER_MS = 10_000;
const NO_ADDRESS = new Uint8Array(4);

export interface IdentityOptions {
  readonly clock: Clock;
  /** undefined: the machine's. */
  readonly name: string | undefined;
  readonly tables?: () => KernelTables;
}

export class DeviceIdentity {
  readonly #o: IdentityOptions;
  readonly #firmware: DsciDevice['firmware'];
  #networks: { readonly atMs: number; readonly networks: LocalNetworks } | undefined;

  constructor(options: IdentityOptions) {
    this.#o = options;
    const [major = 0, minor = 0] = packageVersion().split('.').map(Number);
    this.#firmware = { major, minor };
  }

  /** @param listen the address that was asked, or that of all of them */
  device(listen: string, asker: string): DsciDevice {
    const { address, mac } = this.#present().sight(listen, asker);
    return {
      apId: AP_ID,
      hwId: HW_ID,
      mac,
      address: address ?? NO_ADDRESS,
      name: this.#o.name ?? hostname(),
      firmware: this.#firmware,
    };
  }

  #present(): LocalNetworks {
    const { clock, tables = readKernelTables } = this.#o;
    const now = clock.now();
    if (this.#networks === undefined || now - this.#networks.atMs > REMEMBER_MS)
      this.#networks = { atMs: now, networks: new LocalNetworks(tables()) };
    return this.#networks.networks;
  }
}
