// Names of one device server, resolved again at each connect. Ports that connect at the same moment share one look-up;
// nothing is cached beyond it, so a changed DNS entry counts from the next connect on.
import { isIP } from 'node:net';
import { Fault, messageOf } from '../base/fault.js';

export type Lookup = (name: string) => Promise<readonly string[]>;

export class Resolver {
  #pending: Promise<readonly string[]> | undefined;

  /**
   * @param address what the config says: IPv4, IPv6 (with %scope) or a host name
   * @param lookup asks the system's resolver; all addresses, in the order to try them
   */
  constructor(
    readonly address: string,
    readonly lookup: Lookup,
  ) {}

  /** The addresses to try, in order. Rejects with NAME_UNRESOLVED. */
  addresses(): Promise<readonly string[]> {
    if (isIP(this.address.replace(/%.*$/, '')) !== 0) return Promise.resolve([this.address]);
    this.#pending ??= this.#resolve().finally(() => {
      this.#pending = undefined;
    });
    return this.#pending;
  }

  async #resolve(): Promise<readonly string[]> {
    let found: readonly string[];
    try {
      found = await this.lookup(this.address);
    } catch (cause) {
      throw new Fault('NAME_UNRESOLVED', `${this.address}: name not resolved: ${messageOf(cause)}`, { cause });
    }
    if (found.length === 0) throw new Fault('NAME_UNRESOLVED', `${this.address}: name has no address`);
    return found;
  }
}
