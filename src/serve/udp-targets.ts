// Where the datagrams of a served port go: the addresses that its destinations mean, names resolved now and again. Sends nothing.
import { lookup } from 'node:dns/promises';
import { isIP, isIPv4 } from 'node:net';
import type { Clock, Timer } from '../base/clock.js';
import { type Destination, destinationText, hostsOf } from '../config/destination.js';

export interface Target {
  /** Numeric, as the socket takes it. */
  readonly address: string;
  readonly port: number;
  /** As the operator wrote it. */
  readonly text: string;
}

export interface UdpTargetsOptions {
  readonly clock: Clock;
  readonly destinations: readonly Destination[];
  /** The family of the socket; `mapped`: one of IPv6 that reaches IPv4, too. */
  readonly family: 'ipv4' | 'ipv6' | 'mapped';
  /** Told once for each cause. */
  trouble(text: string): void;
  /** A target is there that was not. */
  added(target: Target): void;
}

/** A name may mean another address tomorrow. */
const RESOLVE_MS = 30_000;

export class UdpTargets {
  readonly #o: UdpTargetsOptions;
  /** By destination, in their order. */
  readonly #found: (readonly Target[])[];
  readonly #told = new Map<Destination, string>();
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: UdpTargetsOptions) {
    this.#o = options;
    this.#found = options.destinations.map(() => []);
  }

  get all(): readonly Target[] {
    return this.#found.flat();
  }

  /** Resolves when every name has been asked for once. Never rejects. */
  async start(): Promise<void> {
    await this.#resolveAll();
    if (!this.#closed && this.#o.destinations.some(hasName)) this.#later();
  }

  /** Idempotent. */
  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #later(): void {
    this.#timer = this.#o.clock.after(RESOLVE_MS, () => {
      void this.#resolveAll().then(() => {
        if (!this.#closed) this.#later();
      });
    });
  }

  async #resolveAll(): Promise<void> {
    const { destinations } = this.#o;
    await Promise.all(destinations.map((destination, i) => this.#resolve(destination, i)));
  }

  /** What was known of a name that does not resolve now stays. */
  async #resolve(destination: Destination, index: number): Promise<void> {
    const text = destinationText(destination);
    let problem: string | undefined;
    try {
      const addresses = hasName(destination) ? [await this.#addressOf(destination.host)] : hostsOf(destination);
      if (this.#closed) return;
      const before = this.all;
      this.#found[index] = addresses.map((address) => ({
        address: this.#asSent(address),
        port: destination.port,
        text,
      }));
      for (const target of this.#found[index] ?? [])
        if (!before.some(({ address }) => address === target.address)) this.#o.added(target);
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
      problem = code === 'FAMILY' ? `${text} cannot be reached from this socket` : `${text}: no such name (${code})`;
    }
    if (problem !== undefined && this.#told.get(destination) !== problem && !this.#closed) this.#o.trouble(problem);
    if (problem === undefined) this.#told.delete(destination);
    else this.#told.set(destination, problem);
  }

  async #addressOf(host: string): Promise<string> {
    const { family } = this.#o;
    const { address } = await lookup(host, { family: family === 'ipv4' ? 4 : family === 'ipv6' ? 6 : 0 });
    return address;
  }

  #asSent(address: string): string {
    const { family } = this.#o;
    const is4 = isIPv4(address);
    if (family === 'mapped') return is4 ? `::ffff:${address}` : address;
    if (is4 === (family === 'ipv4')) return address;
    throw Object.assign(new Error('another family'), { code: 'FAMILY' });
  }
}

const hasName = ({ host }: Destination): boolean => isIP(host) === 0;
