// Who may connect, by address. Several lists narrow each other; an empty one admits everybody.
import { BlockList } from 'node:net';
import type { AddressRange } from '../config/address-range.js';

export class AccessList {
  readonly #lists: readonly BlockList[];

  constructor(lists: readonly (readonly AddressRange[])[]) {
    this.#lists = lists
      .filter((list) => list.length > 0)
      .map((list) => {
        const ranges = new BlockList();
        for (const { address, prefix, family } of list) ranges.addSubnet(address, prefix, family);
        return ranges;
      });
  }

  /** An IPv4 client of an IPv6 listener, ::ffff:192.0.2.1, is judged by its IPv4 address. */
  admits(address: string): boolean {
    const [plain = ''] = address.split('%');
    const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(plain)?.[1] ?? plain;
    return this.#lists.every((list) => list.check(mapped, mapped.includes(':') ? 'ipv6' : 'ipv4'));
  }
}
