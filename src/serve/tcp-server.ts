// A serial port as a raw TCP server: bytes both ways and nothing else. Several clients: each gets what the line says, and
// what they send goes to the line in the order of its arrival, a chunk at a time. Never buffers without bound: a client is
// not read while the line has no room for it, and one that does not read either holds the line up, or loses data.
// Follows the device servers' TCP Server mode.
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.js';
import { messageOf } from '../base/fault.js';
import type { OutputLines } from '../serial/line.js';
import type { Uart } from '../uart/uart.js';
import { Listener, type ListenHints } from './listener.js';
import type { PortServer, ServedClient } from './port-server.js';
import type { PortEvent } from './real-com.js';

/** Times in milliseconds. */
export interface TcpServerOptions {
  readonly clock: Clock;
  readonly address: string;
  /** 0: any free one. */
  readonly port: number;
  readonly uart: Uart;
  /** Default 1. */
  readonly maxConnection?: number;
  /** A client that does not read loses data; default: it holds up the line, and so the others. */
  readonly ignoreJammedIp?: boolean;
  /** All clients are disconnected after so long without a byte in either direction; 0, the default: never. */
  readonly inactivityMs?: number;
  /** TCP keep-alive begins after so long without a sign of a client; 0: never. Default 7 minutes. */
  readonly aliveCheckMs?: number;
  /** DTR and RTS while nobody is connected; default 'high'. */
  readonly linesWhenFree?: 'low' | 'high';
  /** How long a client waits for a place while all are taken; default 500. */
  readonly busyHoldMs?: number;
  readonly admits?: (address: string) => boolean;
  readonly hints?: ListenHints;
  event?(event: PortEvent): void;
}

interface Client {
  readonly socket: Socket;
  readonly address: string;
  readonly sinceMs: number;
  received: number;
  sent: number;
  dropped: number;
  /** Its TCP has no room. */
  jammed: boolean;
  /** A chunk of its waits for the line. */
  waiting: boolean;
}

const READ_AHEAD = 4096;
/** As of a Real COM data socket: what the kernel holds for a client before its window shuts. */
const RECEIVE_BUFFER = 8192;
/** What a client that does not read may have ahead of it: its socket's buffer, and this. */
const UNREAD_LIMIT = 64 * 1024;
const MAX_HELD = 8;
const DEFAULT_ALIVE_MS = 7 * 60_000;
const UP: OutputLines = { dtr: true, rts: true };
const DOWN: OutputLines = { dtr: false, rts: false };

export class TcpServerPort implements PortServer {
  readonly #options: TcpServerOptions;
  readonly #uart: Uart;
  readonly #listener: Listener;
  readonly #clients = new Set<Client>();
  readonly #held = new Map<Socket, Timer>();
  /** Chunks that the line has no room for yet, at most one of each client. */
  readonly #chunks: { readonly client: Client; bytes: Uint8Array }[] = [];
  #inactivity: Timer | undefined;
  #lastByteMs = 0;
  #closed = false;

  constructor(options: TcpServerOptions) {
    this.#options = options;
    this.#uart = options.uart;
    this.#listener = new Listener({
      address: options.address,
      port: options.port,
      highWaterMark: READ_AHEAD,
      receiveBuffer: RECEIVE_BUFFER,
      hints: options.hints,
      accepted: (socket) => this.#arrived(socket),
    });
  }

  get tcpPorts(): readonly number[] {
    return [this.#listener.port];
  }

  get clients(): readonly ServedClient[] {
    return [...this.#clients].map(({ address, sinceMs, received, sent, dropped }) => ({
      address,
      sinceMs,
      received,
      sent,
      dropped,
    }));
  }

  async open(): Promise<void> {
    try {
      await this.#uart.open({
        received: (bytes) => this.#received(bytes),
        report: () => {}, // raw TCP has no word for it
        writable: () => this.#lineHasRoom(),
        drained: () => {},
        failed: (fault) => this.#tell({ type: 'failed', fault }),
      });
      await this.#uart.request({ type: 'lines', lines: this.#freeLines });
      await this.#listener.open();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#inactivity?.cancel();
    for (const socket of [...this.#held.keys()]) this.#release(socket);
    for (const client of this.#clients) client.socket.destroy();
    await Promise.all([this.#listener.close(), this.#uart.close()]);
  }

  get #freeLines(): OutputLines {
    return this.#options.linesWhenFree === 'low' ? DOWN : UP;
  }

  // clients

  #arrived(socket: Socket): void {
    socket.on('error', () => {}); // 'close' follows
    const address = socket.remoteAddress;
    if (address === undefined || this.#closed) {
      socket.destroy();
      return;
    }
    if (this.#options.admits?.(address) === false) {
      this.#tell({ type: 'denied', kind: 'data', peer: address });
      socket.destroy();
    } else if (this.#hasPlace()) this.#admit(socket, address);
    else this.#hold(socket, address);
  }

  #hasPlace(): boolean {
    return this.#clients.size < (this.#options.maxConnection ?? 1);
  }

  #admit(socket: Socket, address: string): void {
    const { clock, aliveCheckMs = DEFAULT_ALIVE_MS } = this.#options;
    const client: Client = {
      socket,
      address,
      sinceMs: clock.wallTime(),
      received: 0,
      sent: 0,
      dropped: 0,
      jammed: false,
      waiting: false,
    };
    if (this.#clients.size === 0) this.#lines(UP);
    this.#clients.add(client);
    if (aliveCheckMs > 0) socket.setKeepAlive(true, aliveCheckMs);
    let reason = 'it closed the connection';
    socket.on('error', (error) => {
      reason = messageOf(error);
    });
    socket.on('close', () => this.#left(client, reason));
    socket.on('drain', () => this.#unjam(client));
    this.#tell({ type: 'connected', kind: 'data', peer: `${address}:${socket.remotePort ?? 0}` });
    this.#active();
    // Last: a socket that has bytes already is read from here on.
    socket.on('readable', () => this.#pull(client));
  }

  #left(client: Client, reason: string): void {
    this.#clients.delete(client);
    this.#unjam(client);
    this.#tell({ type: 'disconnected', peer: client.address, reason: this.#closed ? 'the server is closing' : reason });
    if (this.#closed) return;
    this.#admitHeld();
    if (this.#clients.size > 0) return;
    this.#inactivity?.cancel();
    this.#inactivity = undefined;
    this.#lines(this.#freeLines);
  }

  /** A client that reconnects at once may be accepted before the end of its old connection is seen. */
  #hold(socket: Socket, peer: string): void {
    this.#tell({ type: 'busy', kind: 'data', peer });
    if (this.#held.size >= MAX_HELD) {
      socket.destroy();
      return;
    }
    const timer = this.#options.clock.after(this.#options.busyHoldMs ?? 500, () => this.#release(socket));
    this.#held.set(socket, timer);
    socket.once('close', () => this.#release(socket));
  }

  #release(socket: Socket): void {
    this.#held.get(socket)?.cancel();
    if (this.#held.delete(socket)) socket.destroy();
  }

  #admitHeld(): void {
    for (const [socket, timer] of this.#held) {
      if (!this.#hasPlace()) return;
      const address = socket.remoteAddress;
      if (address === undefined || socket.destroyed) continue;
      timer.cancel();
      this.#held.delete(socket);
      this.#admit(socket, address);
    }
  }

  #lines(lines: OutputLines): void {
    const present = this.#uart.outputLines;
    if (present.dtr === lines.dtr && present.rts === lines.rts) return;
    this.#uart
      .request({ type: 'lines', lines })
      .catch((error: unknown) => this.#tell({ type: 'note', text: `lines: ${messageOf(error)}` }));
  }

  // from the network to the line

  #pull(client: Client): void {
    while (!this.#closed && !client.waiting) {
      const chunk: unknown = client.socket.read();
      if (!(chunk instanceof Uint8Array)) return;
      client.received += chunk.length;
      this.#active();
      const taken = this.#chunks.length === 0 ? this.#uart.write(chunk) : 0;
      if (taken === chunk.length) continue;
      client.waiting = true;
      this.#chunks.push({ client, bytes: chunk.subarray(taken) });
    }
  }

  #lineHasRoom(): void {
    for (let next = this.#chunks[0]; next !== undefined; next = this.#chunks[0]) {
      const taken = this.#uart.write(next.bytes);
      next.bytes = next.bytes.subarray(taken);
      if (next.bytes.length > 0) return;
      this.#chunks.shift();
      next.client.waiting = false;
      // Its next chunk goes behind those of the others.
      this.#pull(next.client);
    }
  }

  // from the line to the network

  #received(bytes: Uint8Array): void {
    this.#active();
    for (const client of this.#clients) {
      const { socket } = client;
      if (socket.writableEnded || socket.destroyed) continue;
      if (this.#options.ignoreJammedIp && socket.writableLength > UNREAD_LIMIT) {
        client.dropped += bytes.length;
        continue;
      }
      client.sent += bytes.length;
      if (!socket.write(bytes)) client.jammed = true;
    }
    if (!this.#options.ignoreJammedIp && this.#isJammed()) this.#uart.pauseInput();
  }

  #isJammed(): boolean {
    return [...this.#clients].some((client) => client.jammed);
  }

  #unjam(client: Client): void {
    client.jammed = false;
    if (!this.#closed && !this.#isJammed()) this.#uart.resumeInput();
  }

  // inactivity

  /** A byte: the timer looks, when it is due, how long ago the last one was. */
  #active(): void {
    const { clock, inactivityMs = 0 } = this.#options;
    if (inactivityMs === 0 || this.#clients.size === 0) return;
    this.#lastByteMs = clock.now();
    if (this.#inactivity === undefined) this.#armInactivity(inactivityMs);
  }

  #armInactivity(afterMs: number): void {
    const { clock, inactivityMs = 0 } = this.#options;
    this.#inactivity = clock.after(afterMs, () => {
      this.#inactivity = undefined;
      const left = this.#lastByteMs + inactivityMs - clock.now();
      if (left > 0) {
        this.#armInactivity(left);
        return;
      }
      this.#tell({ type: 'note', text: `no data for ${inactivityMs} ms: its clients are disconnected` });
      for (const { socket, jammed } of this.#clients) {
        if (jammed) socket.destroy();
        else socket.destroySoon();
      }
    });
  }

  #tell(event: PortEvent): void {
    this.#options.event?.(event);
  }
}
