// Whose datagrams were heard lately, for those who look at the port: UDP has no connections. Bounded whoever sends.
import type { Clock } from '../base/clock.js';
import type { ServedClient } from './port-server.js';

/** As many are told of; of more, the counters alone are lost. */
const MOST = 16;
/** Who is silent for so long is gone. */
const SILENT_MS = 60_000;

interface Peer {
  readonly address: string;
  readonly sinceMs: number;
  lastMs: number;
  received: number;
  sent: number;
  dropped: number;
}

export class UdpPeers {
  readonly #clock: Clock;
  readonly #peers = new Map<string, Peer>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get all(): readonly ServedClient[] {
    this.#prune();
    return [...this.#peers.values()].map(({ lastMs: _, ...client }) => client);
  }

  /** Whether it was not known. */
  heard(address: string, port: number, bytes: number): boolean {
    const known = this.#peers.get(keyOf(address, port));
    if (known === undefined) this.#prune();
    if (known === undefined && this.#peers.size >= MOST) return false;
    const peer = known ?? { address, sinceMs: this.#clock.wallTime(), lastMs: 0, received: 0, sent: 0, dropped: 0 };
    peer.received += bytes;
    peer.lastMs = this.#clock.now();
    this.#peers.set(keyOf(address, port), peer);
    return known === undefined;
  }

  sent(address: string, port: number, bytes: number): void {
    const peer = this.#peers.get(keyOf(address, port));
    if (peer !== undefined) peer.sent += bytes;
  }

  /** Either way. */
  dropped(address: string, port: number, bytes: number): void {
    const peer = this.#peers.get(keyOf(address, port));
    if (peer !== undefined) peer.dropped += bytes;
  }

  #prune(): void {
    const now = this.#clock.now();
    for (const [key, { lastMs }] of this.#peers) if (now - lastMs > SILENT_MS) this.#peers.delete(key);
  }
}

const keyOf = (address: string, port: number) => `${address} ${port}`;
