// Whether a datagram is one's own: what is sent to a group or to everybody on a network comes back to who hears there, too, and a line
// that got it would answer itself for ever.
import { networkInterfaces } from 'node:os';
import type { Clock } from '../base/clock.js';
import { isAny } from './udp-groups.js';

/** Addresses come and go; looking each time would be work that anybody can cause. */
const LOOK_MS = 5000;

export class OwnAddress {
  readonly #clock: Clock;
  readonly #address: string;
  #all: ReadonlySet<string> = new Set();
  #lookedMs = Number.NEGATIVE_INFINITY;

  /** @param address where the socket is bound */
  constructor(address: string, clock: Clock) {
    this.#address = address;
    this.#clock = clock;
  }

  is(address: string): boolean {
    const plain = address.replace(/^::ffff:/, '').replace(/%.*$/, '');
    if (!isAny(this.#address)) return plain === this.#address.replace(/%.*$/, '');
    const now = this.#clock.now();
    if (now - this.#lookedMs >= LOOK_MS) {
      const own = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
      this.#all = new Set(own.map((entry) => entry.address.replace(/%.*$/, '')));
      this.#lookedMs = now;
    }
    return isAny(plain) || this.#all.has(plain);
  }
}
