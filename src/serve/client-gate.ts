// Who gets in at one TCP port of a served serial port: those whose address is admitted, so many at a time, so many from
// one address. One too many waits a moment: a client that reconnects at once may come before the end of its old connection is seen.
// Never reads from a socket: whoever it is admitted to does.
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.js';
import { Listener, type ListenHints } from './listener.js';
import { WaitingRoom } from './waiting-room.js';

/** Times in milliseconds. */
export interface ClientGateOptions {
  readonly clock: Clock;
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  readonly maxConnection: number;
  /** Of them, how many from one address; default all. */
  readonly maxPerAddress?: number | undefined;
  /** TCP keep-alive begins after so long without a sign of a client; 0: never. */
  readonly aliveCheckMs: number;
  /** How long a client waits for a place while all are taken. */
  readonly busyHoldMs: number;
  readonly admits?: ((address: string) => boolean) | undefined;
  readonly hints?: ListenHints | undefined;
  /** It has a place until its socket is closed, and does not read yet. */
  admitted(socket: Socket, address: string): void;
  /** busy: it has waited in vain. */
  refused(why: 'busy' | 'denied', address: string): void;
  waits(address: string): void;
  /**
   * A client is gone: its place is free when this resolves, or at once where it is absent. So clients that come and go ask no more of a
   * device that does not answer than there are places. Never rejects.
   */
  undone?(): Promise<void>;
}

const READ_AHEAD = 4096;
/** What the kernel holds for a client before its window shuts. */
const RECEIVE_BUFFER = 8192;

export class ClientGate {
  readonly #o: ClientGateOptions;
  readonly #listener: Listener;
  /** By socket, the address, which a closed one has no more. */
  readonly #inside = new Map<Socket, string>();
  readonly #waiting: WaitingRoom;
  #closed = false;

  constructor(options: ClientGateOptions) {
    this.#o = options;
    this.#waiting = new WaitingRoom(options.clock, options.busyHoldMs);
    this.#listener = new Listener({
      address: options.address,
      port: options.port,
      highWaterMark: READ_AHEAD,
      receiveBuffer: RECEIVE_BUFFER,
      hints: options.hints,
      accepted: (socket) => this.#arrived(socket),
    });
  }

  get port(): number {
    return this.#listener.port;
  }

  /** Rejects with a Fault. */
  open(kept?: number): Promise<void> {
    return this.#listener.open(kept);
  }

  get descriptor(): number | undefined {
    return this.#listener.descriptor;
  }

  /** Takes nobody in any more; who is inside stays. Returns the descriptor that listens, which is the caller's. */
  leave(): number | undefined {
    this.#closed = true;
    this.#waiting.close();
    return this.#listener.leave();
  }

  /** One that another gate had admitted: it has a place until it is closed. */
  takeOver(socket: Socket, address: string): void {
    this.#inside.set(socket, address);
    socket.on('close', () => this.#gone(socket));
  }

  /** All sockets are destroyed. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#waiting.close();
    for (const socket of [...this.#inside.keys()]) socket.destroy();
    await this.#listener.close();
  }

  #arrived(socket: Socket): void {
    socket.on('error', () => {}); // 'close' follows
    const address = socket.remoteAddress;
    if (address === undefined || this.#closed) {
      socket.destroy();
      return;
    }
    if (this.#o.admits?.(address) === false) {
      this.#o.refused('denied', address);
      socket.destroy();
    } else if (this.#hasPlace(address)) {
      this.#admit(socket, address);
    } else {
      this.#o.waits(address);
      this.#waiting.hold(socket, () => this.#o.refused('busy', address));
    }
  }

  #hasPlace(address: string): boolean {
    const { maxConnection, maxPerAddress = maxConnection } = this.#o;
    if (this.#inside.size >= maxConnection) return false;
    return [...this.#inside.values()].filter((one) => one === address).length < maxPerAddress;
  }

  #admit(socket: Socket, address: string): void {
    this.#inside.set(socket, address);
    if (this.#o.aliveCheckMs > 0) socket.setKeepAlive(true, this.#o.aliveCheckMs);
    this.#o.admitted(socket, address);
    // After the listeners of whoever has it: its client is gone before the next comes.
    socket.on('close', () => this.#gone(socket));
  }

  #gone(socket: Socket): void {
    if (this.#o.undone === undefined) this.#free(socket);
    else void this.#o.undone().then(() => this.#free(socket));
  }

  #free(socket: Socket): void {
    this.#inside.delete(socket);
    const next = this.#closed ? undefined : this.#waiting.take((waiting) => this.#hasPlace(waiting));
    if (next?.remoteAddress !== undefined) this.#admit(next, next.remoteAddress);
  }
}
