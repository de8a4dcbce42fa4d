// The UDP 4800 listener of this machine's served ports: takes datagrams, and sends what protocol/dsci answers to those who may ask.
// Keeps nothing of a datagram: one answer at once, or none. Forged sources get little: no more answers a second than the
// limit, none while the socket is full. Follows docs/protocol/dsci.md.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import type { Clock } from '../base/clock.js';
import { Fault, messageOf } from '../base/fault.js';
import { answerDsci, type DsciDevice, type DsciSockets } from '../protocol/dsci/responder.js';

/** What became of datagrams. limited: more than the limit, or the socket was full. */
export interface DiscoveryCounts {
  answered: number;
  malformed: number;
  unsupported: number;
  others: number;
  denied: number;
  limited: number;
}

export type DiscoveryEvent =
  | { readonly type: Exclude<keyof DiscoveryCounts, 'answered'>; readonly peer: string; readonly bytes: number }
  | { readonly type: 'trouble'; readonly text: string };

export interface DiscoveryOptions {
  readonly clock: Clock;
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  readonly admits: (address: string) => boolean;
  /** What this machine is to who asks from there. */
  readonly device: (asker: string) => DsciDevice;
  readonly sockets: () => DsciSockets;
  readonly counts: DiscoveryCounts;
  event?(event: DiscoveryEvent): void;
}

export const newDiscoveryCounts = (): DiscoveryCounts => ({
  answered: 0,
  malformed: 0,
  unsupported: 0,
  others: 0,
  denied: 0,
  limited: 0,
});

/** Answers a second, and how many may come at once: hundreds of hosts, each with a few questions in ten seconds. */
const RATE = 100;
const BURST = 200;
/** Datagrams that wait for the network. */
const MAX_QUEUED = 64;

export class Discovery {
  readonly #o: DiscoveryOptions;
  #socket: Socket | undefined;
  #allowance = BURST;
  #countedMs: number;

  constructor(options: DiscoveryOptions) {
    this.#o = options;
    this.#countedMs = options.clock.now();
  }

  /** The real one while it is open. */
  get port(): number {
    return this.#socket?.address().port ?? this.#o.port;
  }

  /** Rejects with a Fault; nothing is left open then. */
  async open(): Promise<void> {
    const { address, port } = this.#o;
    const isIpv6 = isIP(address.split('%')[0] ?? '') === 6;
    // One of IPv6 is that alone: two listeners, on 0.0.0.0 and ::, do not meet.
    const socket = createSocket({ type: isIpv6 ? 'udp6' : 'udp4', ipv6Only: isIpv6 });
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('error', reject);
        socket.bind({ address, port, exclusive: true }, () => {
          socket.off('error', reject);
          resolve();
        });
      });
    } catch (error) {
      socket.close();
      throw new Fault('SYSTEM', `cannot listen on ${address} UDP port ${port}: ${reasonOf(error)}`, { cause: error });
    }
    socket.on('message', (bytes, from) => this.#arrived(socket, bytes, from));
    socket.on('error', (error) => this.#o.event?.({ type: 'trouble', text: messageOf(error) }));
    this.#socket = socket;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    if (socket !== undefined) await new Promise<void>((resolve) => socket.close(resolve));
  }

  #arrived(socket: Socket, bytes: Uint8Array, from: RemoteInfo): void {
    const { counts, event } = this.#o;
    const outcome = this.#answer(socket, bytes, from);
    counts[outcome]++;
    if (outcome !== 'answered') event?.({ type: outcome, peer: from.address, bytes: bytes.length });
  }

  #answer(socket: Socket, bytes: Uint8Array, from: RemoteInfo): keyof DiscoveryCounts {
    const { admits, device, sockets, event } = this.#o;
    if (!admits(from.address)) return 'denied';
    if (from.port === 0 || !this.#mayAnswer() || socket.getSendQueueCount() > MAX_QUEUED) return 'limited';
    const answer = answerDsci(bytes, device(from.address), sockets);
    if (answer.type === 'none') return answer.why;
    this.#allowance--;
    socket.send(answer.bytes, from.port, from.address, (error) => {
      if (error) event?.({ type: 'trouble', text: messageOf(error) });
    });
    return 'answered';
  }

  #mayAnswer(): boolean {
    const now = this.#o.clock.now();
    this.#allowance = Math.min(BURST, this.#allowance + ((now - this.#countedMs) * RATE) / 1000);
    this.#countedMs = now;
    return this.#allowance >= 1;
  }
}

function reasonOf(error: unknown): string {
  switch (error instanceof Error ? Reflect.get(error, 'code') : undefined) {
    case 'EADDRINUSE':
      return 'already in use (see who has it: ss -lnup)';
    case 'EADDRNOTAVAIL':
      return 'this machine has no such address (see: ip address)';
    case 'EACCES':
      return 'ports below 1024 need root or CAP_NET_BIND_SERVICE';
    default:
      return messageOf(error);
  }
}
