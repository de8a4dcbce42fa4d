// What a server of a serial port leaves to the next process, which goes on with it as if nothing had happened: its descriptors, and
// where each of its clients was. Plain values and bytes (base/bytes-json.ts); sockets are told by their place in a list.
// Never ends a connection by itself: whoever hands over nobody takes ends it.
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.js';
import { adoptSocket, socketDescriptor, stopReading } from '../native/net-socket.js';
import { closeFd, dup, endConnection } from '../native/socket.js';
import type { DeviceOutput, ConversationState as RealComState } from '../protocol/realcom/device.js';
import type { ConversationState as Rfc2217State, ServerOutput } from '../protocol/rfc2217/server.js';
import type { EndpointState } from '../protocol/telnet/endpoint.js';
import type { LineReport } from '../serial/line.js';
import type { KeptUart, UartState } from '../uart/uart.js';

/** Of a data connection. */
export interface KeptIntake {
  /** From the client, not accepted by the port. */
  readonly waiting: Uint8Array;
  readonly received: number;
  readonly sent: number;
}

interface KeptBase {
  readonly address: string;
  readonly sinceMs: number;
  /** Bytes of the line that it did not get, because it did not read. */
  readonly dropped: number;
}

export interface KeptTcpClient extends KeptBase, KeptIntake {
  /** undefined: it is gone, and these were its last bytes. */
  readonly socket: number | undefined;
}

export interface KeptRealComClient extends KeptBase {
  readonly data: { readonly socket: number; readonly intake: KeptIntake } | undefined;
  readonly command: { readonly socket: number; readonly unread: Uint8Array } | undefined;
  readonly conversation: RealComState;
  /** What the engine said, and nobody has performed. */
  readonly outputs: readonly DeviceOutput[];
  readonly reports: readonly LineReport[];
  readonly asked: { readonly queue: 'tx' | 'rx'; readonly leftMs: number } | undefined;
}

export interface KeptRfc2217Client extends KeptBase {
  readonly socket: number;
  readonly unread: Uint8Array;
  readonly conversation: Rfc2217State;
  readonly outputs: readonly ServerOutput[];
  readonly reports: readonly LineReport[];
  readonly suspended: boolean;
  readonly askedToSuspend: boolean;
  readonly breaking: boolean;
  readonly received: number;
  readonly sent: number;
}

export interface KeptReverseTelnetClient extends KeptBase, KeptIntake {
  readonly socket: number;
  readonly unread: Uint8Array;
  readonly conversation: EndpointState;
  /** The last byte was a CR: of the client, and of the device. */
  readonly afterCr: { readonly client: boolean; readonly device: boolean };
}

/** In the order of their turns to write, where several share the line. `packing`: what waits for the end of its packet. */
export type ServerState =
  | {
      readonly mode: 'tcp-server';
      readonly packing: Uint8Array;
      readonly clients: readonly KeptTcpClient[];
      readonly commanders: readonly KeptRealComClient[];
    }
  /** By destination; undefined: it was not connected. */
  | {
      readonly mode: 'tcp-client';
      readonly packing: Uint8Array;
      readonly clients: readonly (KeptTcpClient | undefined)[];
      /** By destination: what the line said that waits for its connection. */
      readonly waiting?: readonly Uint8Array[];
      /** For the line, of connections that are over. */
      readonly last?: readonly Uint8Array[];
    }
  | { readonly mode: 'pair-master' }
  | {
      readonly mode: 'reverse-telnet';
      readonly client: KeptReverseTelnetClient | undefined;
      /** For the line, of clients that are gone. */
      readonly last?: readonly Uint8Array[];
    }
  /** `output`: for the line. */
  | { readonly mode: 'udp'; readonly packing: Uint8Array; readonly output: Uint8Array }
  | { readonly mode: 'real-com'; readonly packing: Uint8Array; readonly clients: readonly KeptRealComClient[] }
  | {
      readonly mode: 'rfc2217';
      readonly packing: Uint8Array;
      /** For the line. */
      readonly output: Uint8Array;
      readonly client: KeptRfc2217Client | undefined;
    };

/** The descriptors are the caller's. */
export interface ServerHandover {
  readonly uart: number;
  /** In the order of its TCP ports. */
  readonly listeners: readonly number[];
  readonly sockets: readonly number[];
  readonly state: { readonly uart: UartState; readonly server: ServerState };
}

/** Of an earlier process. `state` undefined: it was killed; then no client is left. */
export interface KeptServer {
  readonly uart: number;
  readonly listeners: readonly number[];
  readonly sockets: readonly number[];
  readonly state: { readonly uart: UartState; readonly server: ServerState } | undefined;
}

/** Collects the sockets of those who leave. */
export class Leaving {
  readonly sockets: number[] = [];

  /** Nothing is told of it any more. undefined: it was closed already. */
  leave(socket: Socket): { readonly socket: number; readonly unread: Uint8Array } | undefined {
    const unread = Buffer.concat(stopReading(socket));
    const fd = socket.destroyed ? undefined : socketDescriptor(socket);
    if (fd === undefined) return undefined;
    this.sockets.push(dup(fd));
    socket.removeAllListeners();
    socket.on('error', () => {});
    socket.destroy();
    return { socket: this.sockets.length - 1, unread };
  }
}

const READ_AHEAD = 4096;

/** Gives out the sockets of those who come; what nobody took is ended. */
export class Arriving {
  readonly uart: KeptUart;
  readonly #listeners: (number | undefined)[];
  readonly #sockets: (number | undefined)[];

  constructor(kept: KeptServer) {
    this.uart = { fd: kept.uart, state: kept.state?.uart };
    this.#listeners = [...kept.listeners];
    this.#sockets = [...kept.sockets];
  }

  listener(index: number): number | undefined {
    const fd = this.#listeners[index];
    this.#listeners[index] = undefined;
    return fd;
  }

  /** undefined: it was never there, or its peer has ended it so thoroughly that it has no address any more. */
  socket(index: number): Socket | undefined {
    const fd = this.#sockets[index];
    this.#sockets[index] = undefined;
    if (fd === undefined) return undefined;
    const socket = adoptSocket(fd, READ_AHEAD);
    socket.on('error', () => {}); // 'close' follows
    if (socket.remoteAddress !== undefined) return socket;
    socket.destroy();
    return undefined;
  }

  /** Idempotent. The port's descriptor is not ended by it: its owner is the port. */
  endRest(): void {
    for (const fd of [...this.#listeners, ...this.#sockets]) if (fd !== undefined) endSocket(fd);
    this.#listeners.fill(undefined);
    this.#sockets.fill(undefined);
  }
}

/** For everybody who has a descriptor of it. */
export function endSocket(fd: number): void {
  endConnection(fd);
  closeFd(fd);
}

/** Why a client is ended that could not be kept. */
export const NOT_READ = 'it reads nothing, and the daemon restarts';

const LOOK_MS = 5;

/** Resolves when it holds, or at the latest after so long; whether it did. */
export async function soon(clock: Clock, atMostMs: number, holds: () => boolean): Promise<boolean> {
  const until = clock.now() + atMostMs;
  while (!holds()) {
    if (clock.now() >= until) return false;
    await new Promise<void>((resolve) => clock.after(LOOK_MS, resolve));
  }
  return true;
}
