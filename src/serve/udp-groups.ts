// The groups that a port over UDP sends to, heard too. A socket bound to one address gets no datagram that is addressed to a group
// (ip(7)): there, each group has a socket of its own at the same port. Sends nothing.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { messageOf } from '../base/fault.js';
import { isMulticast } from '../config/destination.js';
import type { Target } from './udp-targets.js';

/** Of what is sent: this network. */
const MULTICAST_HOPS = 1;

export interface UdpGroupsOptions {
  /** The one that sends, and where it is bound. */
  readonly socket: Socket;
  readonly address: string;
  readonly port: number;
  heard(bytes: Uint8Array, from: RemoteInfo): void;
  trouble(text: string): void;
}

export class UdpGroups {
  readonly #o: UdpGroupsOptions;
  /** By group; none where the socket that sends hears it. */
  readonly #joined = new Map<string, Socket | undefined>();

  constructor(options: UdpGroupsOptions) {
    this.#o = options;
  }

  /** @param now all targets: what was joined and is none of them any more is left, so that a name cannot gather groups. */
  join({ address, text }: Target, now: readonly Target[]): void {
    const group = plain(address);
    if (!isMulticast(group)) return;
    this.#leaveAllBut(new Set(now.map((target) => plain(target.address))));
    if (this.#joined.has(group)) return;
    const { address: own, heard, port, socket, trouble } = this.#o;
    const failed = (error: unknown) => trouble(`${text}: the group cannot be joined (${messageOf(error)})`);
    const via = isAny(own) ? undefined : own;
    try {
      socket.setMulticastTTL(MULTICAST_HOPS);
      socket.setMulticastLoopback(true);
      if (via !== undefined && isIP(via) === 4) socket.setMulticastInterface(via);
      if (via === undefined) {
        socket.addMembership(group);
        this.#joined.set(group, undefined);
        return;
      }
    } catch (error) {
      failed(error);
      return;
    }
    const listener = createSocket({ type: isIP(group) === 6 ? 'udp6' : 'udp4', reuseAddr: true });
    this.#joined.set(group, listener);
    listener.on('error', failed);
    listener.on('message', heard);
    listener.bind({ address: group, port, exclusive: true }, () => {
      try {
        listener.addMembership(group, via);
      } catch (error) {
        failed(error);
      }
    });
  }

  /** Resolves when none of its sockets is left. */
  async close(): Promise<void> {
    const sockets = [...this.#joined.values()];
    this.#joined.clear();
    await Promise.all(sockets.map((socket) => socket && new Promise<void>((resolve) => socket.close(resolve))));
  }

  #leaveAllBut(wanted: ReadonlySet<string>): void {
    for (const [group, listener] of this.#joined) {
      if (wanted.has(group)) continue;
      this.#joined.delete(group);
      if (listener === undefined) this.#o.socket.dropMembership(group);
      else listener.close();
    }
  }
}

export const isAny = (address: string): boolean => address === '0.0.0.0' || address === '::';
const plain = (address: string) => address.replace(/^::ffff:/, '');
