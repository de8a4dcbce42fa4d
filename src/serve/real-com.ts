// The Real COM server of one serial port: a data and a command listener, and one host at a time, or several that share the line.
// Never lets a host too many disturb the others: it waits a moment and is then closed, since the vendor's daemon tries a
// port that closes at once again every 23 ms. Follows docs/protocol/realcom.md sections 1.3, 1.4, 1.5, 12 and 13.
import type { Socket } from 'node:net';
import { messageOf } from '../base/fault.js';
import type { LineReport, LineRequest, LineSettings, OutputLines } from '../serial/line.js';
import type { Uart } from '../uart/uart.js';
import type { AnswerFaults } from './command-sender.js';
import {
  Arriving,
  endSocket,
  type KeptRealComClient,
  type KeptServer,
  Leaving,
  NOT_READ,
  type ServerHandover,
  soon,
} from './handover.js';
import { Listener } from './listener.js';
import { Packing } from './packing.js';
import type { PortEvent, PortServer, ServedClient, SharedPortOptions } from './port-server.js';
import { RealComClient, type SocketKind } from './real-com-client.js';
import { SharedLine } from './shared-line.js';
import { WaitingRoom } from './waiting-room.js';

/** `aliveCheckMs` is 10 s and `linesWhenFree` 'low' where they are absent. Times in milliseconds. */
export interface RealComOptions extends SharedPortOptions {
  /** 0: any free one. */
  readonly dataPort: number;
  readonly commandPort: number;
  /** Between POLLINGs; default 30 s. */
  readonly pollingMs?: number;
  /** POLLINGs without sign of life after which the host is dropped; 0: never. Default 3. */
  readonly maxMissedPolls?: number;
  /** Changes of the lines within this time are one NOTIFY; default 5. */
  readonly notifyDelayMs?: number;
  /** How long one connection may stay without the other; default 15 s: drivers open both at once. */
  readonly pairTimeoutMs?: number;
  /** Hosts set the line; default: where there is one at a time. Else they are told that they did. */
  readonly allowDriverControl?: boolean;
}

const UP: OutputLines = { dtr: true, rts: true };

/** Bytes that node reads ahead per socket: a data socket is read only as far as the port has room. */
const DATA_MARK = 4096;
const COMMAND_MARK = 4096;
/** What the kernel holds for a port before the window shuts: what "in the data socket" means is bounded by this. */
const DATA_RECEIVE_BUFFER = 8192;

export class RealComPort implements PortServer {
  readonly #options: RealComOptions;
  readonly #line: SharedLine;
  readonly #data: Listener;
  readonly #command: Listener;
  readonly #waiting: Readonly<Record<SocketKind, WaitingRoom>>;
  readonly #sockets = new Set<Socket>();
  readonly #clients = new Set<RealComClient>();
  #refuse: ((settings: LineSettings) => boolean) | undefined;
  /** The last host is gone, and the port is being put back: who comes now waits. */
  #leaving = false;
  /** Changes of the port for hosts that came or went, which it has not made yet. */
  #resetting = 0;
  #closed = false;

  /** For tests: how the command connection misbehaves. Takes effect at once and stays over reconnects. */
  readonly answers: AnswerFaults = { mute: false, delayMs: 0, byteByByte: false };
  /** For tests: as if another host had the port. */
  occupied = false;
  /** For tests: how long a host waits while another has the port, milliseconds; 0: closed at once. */
  busyHoldMs: number;
  /** For tests: connections that arrived, and clients that got both of theirs. */
  readonly counts = { data: 0, command: 0, paired: 0 };

  constructor(options: RealComOptions) {
    const { clock, uart, packing, trace, maxConnection = 1, ignoreJammedIp = false } = options;
    this.#options = options;
    this.#line = new SharedLine({
      uart,
      ignoreJammedIp,
      trace,
      driverControl: options.allowDriverControl ?? maxConnection === 1,
      packing: packing && new Packing(packing, clock),
      arbitration: options.arbitration ? { ...options.arbitration, clock } : undefined,
      failed: (fault) => {
        this.#tell({ type: 'failed', fault });
        for (const client of [...this.#clients]) client.end(fault.message);
      },
    });
    this.busyHoldMs = options.busyHoldMs ?? 500;
    const room = () => new WaitingRoom(clock, this.busyHoldMs);
    this.#waiting = { command: room(), data: room() };
    const listener = (kind: SocketKind, port: number, highWaterMark: number, receiveBuffer: number) =>
      new Listener({
        address: options.address,
        port,
        highWaterMark,
        receiveBuffer,
        hints: options.hints,
        accepted: (socket) => this.#arrived(kind, socket),
      });
    this.#data = listener('data', options.dataPort, DATA_MARK, DATA_RECEIVE_BUFFER);
    this.#command = listener('command', options.commandPort, COMMAND_MARK, 0);
  }

  get uart(): Uart {
    return this.#line.uart;
  }

  get dataPort(): number {
    return this.#data.port;
  }

  get commandPort(): number {
    return this.#command.port;
  }

  /** The address of the host that has the port, or one connection to it; of several, that of the first. */
  get peer(): string | undefined {
    return this.#first?.peer;
  }

  get #first(): RealComClient | undefined {
    const [first] = this.#clients;
    return first;
  }

  get tcpPorts(): readonly number[] {
    return [this.dataPort, this.commandPort];
  }

  get clients(): readonly ServedClient[] {
    return [...this.#clients].map(({ peer, sinceMs, intake, dropped }) => ({
      address: peer,
      sinceMs,
      received: intake?.received ?? 0,
      sent: intake?.sent ?? 0,
      dropped,
    }));
  }

  /** Both connections are there, and PORT_INIT has been answered. */
  get up(): boolean {
    const client = this.#first;
    return client?.has('data') === true && client.has('command') && client.initialised;
  }

  /** Bytes of the present host: taken from its data connection, and given to it. */
  get bytes(): { readonly received: number; readonly sent: number } {
    const intake = this.#first?.intake;
    return { received: intake?.received ?? 0, sent: intake?.sent ?? 0 };
  }

  get arbitrated(): PortServer['arbitrated'] {
    return this.#line.arbitrated;
  }

  get descriptors(): PortServer['descriptors'] {
    const listeners = [this.#data.descriptor, this.#command.descriptor].filter((fd) => fd !== undefined);
    return { uart: this.uart.descriptor, listeners };
  }

  async open(kept?: KeptServer): Promise<void> {
    const arriving = kept && new Arriving(kept);
    try {
      await this.#line.open(arriving?.uart);
      const state = kept?.state?.server;
      if (arriving !== undefined && state?.mode === 'real-com') this.#goOn(state.clients, state.packing, arriving);
      const moved = kept !== undefined || this.#options.linesWhenFree === 'high';
      if (moved && this.#clients.size === 0) await this.uart.request({ type: 'lines', lines: this.#freeLines });
      await this.resumeAccepting(arriving);
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      arriving?.endRest();
    }
  }

  async handOver(atMostMs: number): Promise<ServerHandover | undefined> {
    const listeners = [this.#data.leave(), this.#command.leave()].filter((fd) => fd !== undefined);
    for (const room of Object.values(this.#waiting)) room.close();
    this.#line.stopInput();
    for (const client of this.#clients) client.stop();
    const isReady = () => !this.#leaving && this.#resetting === 0 && [...this.#clients].every(({ idle }) => idle);
    if (!(await soon(this.#options.clock, atMostMs, isReady))) {
      for (const client of [...this.#clients]) if (!client.idle) client.end(NOT_READ);
      // What is done to the port after a host, or the next one would have its output, its break, its stopped transmitter.
      await soon(this.#options.clock, atMostMs, isReady);
    }
    const leaving = new Leaving();
    const turns = [...this.#clients].filter(({ ended }) => !ended).sort((a, b) => a.turn - b.turn);
    const clients = turns.map((client) => client.handOver(leaving));
    const line = this.#line.handOver();
    this.#closed = true;
    if (line?.uart.state !== undefined) {
      const server = { mode: 'real-com' as const, packing: line.packing, clients };
      return { uart: line.uart.fd, listeners, sockets: leaving.sockets, state: { uart: line.uart.state, server } };
    }
    for (const fd of [...listeners, ...leaving.sockets]) endSocket(fd);
    await this.close();
    return undefined;
  }

  #goOn(clients: readonly KeptRealComClient[], packing: Uint8Array, arriving: Arriving): void {
    const begin: (() => void)[] = [];
    for (const kept of clients) {
      const client = this.#newClient(kept.address, kept);
      for (const kind of ['data', 'command'] as const) {
        const index = kept[kind]?.socket;
        const socket = index === undefined ? undefined : arriving.socket(index);
        if (socket !== undefined) this.#takeOver(kind, socket, client);
        else if (index !== undefined) client.end(`the ${kind} connection was lost`);
      }
      begin.push(() => client.goOn(kept));
    }
    this.#line.goOn(packing);
    for (const first of begin) first();
  }

  #takeOver(kind: SocketKind, socket: Socket, client: RealComClient): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    if (client.ended) socket.destroy();
    else client.adopt(kind, socket);
  }

  get #freeLines(): OutputLines {
    const on = this.#options.linesWhenFree === 'high';
    return { dtr: on, rts: on };
  }

  /** Ends the host, the listeners and the port. Idempotent. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const room of Object.values(this.#waiting)) room.close();
    for (const client of [...this.#clients]) client.end('the server is closing');
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all([this.pauseAccepting(), this.#line.close()]);
  }

  // hooks: what goes wrong with real device servers

  /** Connections are refused until resumed. Those that exist live on. */
  async pauseAccepting(): Promise<void> {
    await Promise.all([this.#data.close(), this.#command.close()]);
  }

  /** Listens again, on the same ports. The command port last: hosts try it first. */
  async resumeAccepting(kept?: Arriving): Promise<void> {
    await this.#data.open(kept?.listener(0));
    try {
      await this.#command.open(kept?.listener(1));
    } catch (error) {
      await this.#data.close();
      throw error;
    }
  }

  /** Ends the connection(s) of every host. False where there is none. */
  kill(which: SocketKind | 'both' = 'both', how: 'reset' | 'end' = 'reset'): boolean {
    const present = [...this.#clients];
    for (const client of present) client.kill(which, how);
    return present.length > 0;
  }

  /** Settings that it says true to are refused, whatever the port can do. */
  refuseSettings(refuse: ((settings: LineSettings) => boolean) | undefined): void {
    this.#refuse = refuse;
  }

  /** As if the line had told it: NOTIFY goes to the host. */
  notify(report: LineReport): void {
    for (const client of this.#clients) client.report(report);
  }

  /** Any bytes to the host on the command connection. */
  sendRaw(bytes: Uint8Array): void {
    for (const client of this.#clients) client.sendRaw(bytes);
  }

  // hosts

  #arrived(kind: SocketKind, socket: Socket): void {
    this.counts[kind]++;
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    // Before a client owns it nobody else listens; an error is always followed by 'close'.
    socket.on('error', () => {});
    const peer = socket.remoteAddress;
    if (peer === undefined || this.#closed) {
      socket.destroy(); // gone again before we came to it
      return;
    }
    if (this.#options.admits?.(peer) === false) {
      this.#tell({ type: 'denied', kind, peer });
      socket.destroy();
      return;
    }
    if (this.#free(kind, peer)) this.#admit(kind, socket, peer);
    else this.#hold(kind, socket, peer);
  }

  /** A host that has one connection, and waits for this one. */
  #half(kind: SocketKind, peer: string): RealComClient | undefined {
    return [...this.#clients].find((client) => !client.ended && client.peer === peer && !client.has(kind));
  }

  #free(kind: SocketKind, peer: string): boolean {
    if (this.occupied || this.#leaving) return false;
    if (this.#half(kind, peer) !== undefined) return true;
    const { maxConnection = 1, maxPerAddress = maxConnection } = this.#options;
    const own = [...this.#clients].filter((client) => client.peer === peer).length;
    return this.#clients.size < maxConnection && own < maxPerAddress;
  }

  #admit(kind: SocketKind, socket: Socket, peer: string): void {
    const client = this.#half(kind, peer) ?? this.#newClient(peer);
    client.adopt(kind, socket);
    if (client.has('data') && client.has('command')) this.counts.paired++;
    this.#tell({ type: 'connected', kind, peer: `${peer}:${socket.remotePort ?? 0}` });
  }

  #newClient(peer: string, kept?: KeptRealComClient): RealComClient {
    const client: RealComClient = new RealComClient({
      clock: this.#options.clock,
      line: this.#line,
      trace: this.#options.trace,
      peer,
      kept,
      faults: this.answers,
      notifyDelayMs: this.#options.notifyDelayMs ?? 5,
      pollingMs: this.#options.pollingMs ?? 30_000,
      maxMissedPolls: this.#options.maxMissedPolls ?? 3,
      pairTimeoutMs: this.#options.pairTimeoutMs ?? 15_000,
      aliveCheckMs: this.#options.aliveCheckMs ?? 10_000,
      refuses: (settings) => this.#refuse?.(settings) ?? false,
      event: (event) => this.#tell(event),
      ended: (reason) => void this.#ended(client, reason),
    });
    // Nobody else raises them.
    if (kept === undefined && this.#clients.size === 0 && !this.#line.driverControl)
      void this.#reset({ type: 'lines', lines: UP });
    this.#clients.add(client);
    return client;
  }

  async #ended(client: RealComClient, reason: string): Promise<void> {
    this.#tell({ type: 'disconnected', peer: client.peer, reason });
    // Nothing of this host reaches the next one: no byte, no break, no stopped transmitter, no raised line.
    const last = [...this.#clients].every((other) => other === client || other.ended);
    const controlled = this.#line.driverControl;
    const reset: LineRequest[] = [];
    if (controlled) reset.push({ type: 'break', on: false });
    if (last) reset.push({ type: 'flush', queue: 'both' });
    if (controlled) reset.push({ type: 'transmitter', on: true });
    if (last) reset.push({ type: 'lines', lines: this.#freeLines });
    if (last) this.#leaving = true;
    if (!this.#closed) await this.#reset(...reset);
    if (last) this.#leaving = false;
    this.#clients.delete(client);
    this.#admitHeld();
  }

  async #reset(...requests: readonly LineRequest[]): Promise<void> {
    this.#resetting++;
    try {
      for (const request of requests) await this.uart.request(request);
    } catch (error) {
      this.#tell({ type: 'note', text: `the port could not be reset: ${messageOf(error)}` });
    } finally {
      this.#resetting--;
    }
  }

  /** A host that reconnects within milliseconds may be accepted before the end of its old connection is seen. */
  #hold(kind: SocketKind, socket: Socket, peer: string): void {
    this.#tell({ type: 'waits', kind, peer });
    this.#waiting[kind].hold(socket, () => this.#tell({ type: 'busy', kind, peer }), this.busyHoldMs);
  }

  #admitHeld(): void {
    for (const kind of ['command', 'data'] as const) {
      const take = () => (this.#closed ? undefined : this.#waiting[kind].take((peer) => this.#free(kind, peer)));
      for (let next = take(); next !== undefined; next = take()) {
        if (next.remoteAddress !== undefined) this.#admit(kind, next, next.remoteAddress);
      }
    }
  }

  #tell(event: PortEvent): void {
    this.#options.event?.(event);
  }
}
