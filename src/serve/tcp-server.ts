// A serial port as a raw TCP server: bytes both ways and nothing else. Several clients share the line (shared-line.ts).
// Where drivers may control the port, commands come on a port of their own (command-port.ts).
// Follows the device servers' TCP Server mode.
import type { Socket } from 'node:net';
import { messageOf } from '../base/fault.js';
import { socketDescriptor } from '../native/net-socket.js';
import { isEstablished } from '../native/socket.js';
import type { OutputLines } from '../serial/line.js';
import { ClientGate } from './client-gate.js';
import { CommandPort } from './command-port.js';
import { DataIntake } from './data-intake.js';
import {
  Arriving,
  endSocket,
  type KeptServer,
  type KeptTcpClient,
  Leaving,
  NOT_READ,
  type ServerHandover,
  type ServerState,
  soon,
} from './handover.js';
import { hangUp } from './hang-up.js';
import { Inactivity } from './inactivity.js';
import { LastWordsOfClients } from './last-words.js';
import { OwnLines } from './own-lines.js';
import { OwnRequests } from './own-requests.js';
import { Packing } from './packing.js';
import type { PortEvent, PortServer, ServedClient, SharedPortOptions } from './port-server.js';
import type { DataSide } from './real-com-client.js';
import { type LineShare, SharedLine } from './shared-line.js';

/** `aliveCheckMs` is 7 minutes and `linesWhenFree` 'high' where they are absent. Times in milliseconds. */
export interface TcpServerOptions extends SharedPortOptions {
  /** 0: any free one. */
  readonly port: number;
  /** Where drivers set the line by the commands of Real COM; 0: any free one; absent: nowhere. */
  readonly commandPort?: number | undefined;
  /** All clients are disconnected after so long without a byte in either direction; 0, the default: never. */
  readonly inactivityMs?: number;
}

interface Client {
  readonly socket: Socket;
  readonly address: string;
  readonly sinceMs: number;
  readonly share: LineShare;
  readonly intake: DataIntake;
}

const DEFAULT_ALIVE_MS = 7 * 60_000;
const UP: OutputLines = { dtr: true, rts: true };
const DOWN: OutputLines = { dtr: false, rts: false };

export class TcpServerPort implements PortServer {
  readonly #options: TcpServerOptions;
  readonly #line: SharedLine;
  readonly #lines: OwnLines;
  readonly #gate: ClientGate;
  readonly #inactivity: Inactivity;
  readonly #clients = new Set<Client>();
  /** Of clients that are gone, with bytes that the line has no room for yet. */
  readonly #lastWords = new LastWordsOfClients();
  readonly #commands: CommandPort | undefined;
  readonly #requests: OwnRequests;
  /** Of all clients, for those who set the line. */
  readonly #data: DataSide = {
    waiting: () => this.#sum((intake) => intake.waiting) + this.#lastWords.waiting,
    unsent: () => this.#sum((intake) => intake.unsent),
    takeAll: () => Promise.all([...this.#clients].map(({ intake }) => intake.takeAll())).then(() => {}),
    drop: () => {
      this.#sum((intake) => intake.drop());
      this.#lastWords.drop();
    },
  };
  #closed = false;

  constructor(options: TcpServerOptions) {
    const { clock, uart, packing, trace, inactivityMs = 0, ignoreJammedIp = false } = options;
    this.#options = options;
    this.#inactivity = new Inactivity(clock, inactivityMs, () => this.#inactive());
    this.#line = new SharedLine({
      uart,
      ignoreJammedIp,
      trace,
      driverControl: options.commandPort !== undefined,
      packing: packing && new Packing(packing, clock),
      arbitration: options.arbitration ? { ...options.arbitration, clock } : undefined,
      failed: (fault) => this.#tell({ type: 'failed', fault }),
      active: () => {
        if (this.#clients.size > 0) this.#inactivity.active();
      },
    });
    this.#lines = new OwnLines(options.uart, (error) =>
      this.#tell({ type: 'note', text: `lines: ${messageOf(error)}` }),
    );
    this.#requests = new OwnRequests(options.uart, ({ type }, error) =>
      this.#tell({ type: 'note', text: `${type}: ${messageOf(error)}` }),
    );
    const common = {
      clock,
      address: options.address,
      maxConnection: options.maxConnection ?? 1,
      maxPerAddress: options.maxPerAddress,
      aliveCheckMs: options.aliveCheckMs ?? DEFAULT_ALIVE_MS,
      busyHoldMs: options.busyHoldMs ?? 500,
      admits: options.admits,
      hints: options.hints,
    };
    this.#gate = new ClientGate({
      ...common,
      port: options.port,
      admitted: (socket, address) => this.#admitted(socket, address),
      refused: (type, peer) => this.#tell({ type, kind: 'data', peer }),
      waits: (peer) => {
        this.#tell({ type: 'waits', kind: 'data', peer });
        this.#lookForEnds();
      },
    });
    const { commandPort } = options;
    if (commandPort !== undefined)
      this.#commands = new CommandPort({
        ...common,
        port: commandPort,
        line: this.#line,
        data: this.#data,
        trace,
        event: (event) => this.#tell(event),
        left: () => this.#commanderLeft(),
        undone: () => this.#requests.answered(),
      });
  }

  get tcpPorts(): readonly number[] {
    return [this.#gate.port, ...(this.#commands === undefined ? [] : [this.#commands.port])];
  }

  get clients(): readonly ServedClient[] {
    return [...this.#clients].map(({ address, sinceMs, intake: { received, sent }, share: { dropped } }) => ({
      address,
      sinceMs,
      received,
      sent,
      dropped,
    }));
  }

  get arbitrated(): PortServer['arbitrated'] {
    return this.#line.arbitrated;
  }

  get descriptors(): PortServer['descriptors'] {
    const listeners = [this.#gate.descriptor, this.#commands?.descriptor].filter((fd) => fd !== undefined);
    return { uart: this.#line.uart.descriptor, listeners };
  }

  async open(kept?: KeptServer): Promise<void> {
    const arriving = kept && new Arriving(kept);
    try {
      await this.#line.open(arriving?.uart);
      if (arriving !== undefined) this.#goOn(kept?.state?.server, arriving);
      if (this.#clients.size === 0) await this.#line.uart.request({ type: 'lines', lines: this.#freeLines });
      await this.#gate.open(arriving?.listener(0));
      await this.#commands?.open(arriving?.listener(1));
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      arriving?.endRest();
    }
  }

  async handOver(atMostMs: number): Promise<ServerHandover | undefined> {
    const listeners = [this.#gate.leave(), this.#commands?.leave()].filter((fd) => fd !== undefined);
    this.#inactivity.end();
    this.#line.stopInput();
    this.#commands?.stop();
    const isReady = () =>
      this.#lines.idle &&
      this.#requests.idle &&
      this.#commands?.idle !== false &&
      [...this.#clients].every(({ intake }) => intake.unsent === 0);
    if (!(await soon(this.#options.clock, atMostMs, isReady))) {
      this.#commands?.endBusy();
      for (const { socket, intake } of [...this.#clients]) if (intake.unsent > 0) socket.destroy(new Error(NOT_READ));
      await soon(this.#options.clock, atMostMs, isReady);
    }
    const leaving = new Leaving();
    const clients = this.#leave(leaving);
    const commanders = this.#commands?.handOver(leaving) ?? [];
    const line = this.#line.handOver();
    this.#closed = true;
    if (line?.uart.state !== undefined) {
      const server = { mode: 'tcp-server' as const, packing: line.packing, clients, commanders };
      return { uart: line.uart.fd, listeners, sockets: leaving.sockets, state: { uart: line.uart.state, server } };
    }
    for (const fd of [...listeners, ...leaving.sockets]) endSocket(fd);
    await this.close();
    return undefined;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#inactivity.end();
    await Promise.all([this.#gate.close(), this.#commands?.close(), this.#line.close()]);
  }

  get #freeLines(): OutputLines {
    return this.#options.linesWhenFree === 'low' ? DOWN : UP;
  }

  #leave(leaving: Leaving): KeptTcpClient[] {
    const turns: { readonly turn: number; readonly client: KeptTcpClient }[] = [];
    for (const { socket, share, intake, address, sinceMs } of this.#clients) {
      const turn = this.#line.turn(share);
      const left = leaving.leave(socket);
      const kept = intake.handOver(left?.unread ?? new Uint8Array(0));
      turns.push({ turn, client: { address, sinceMs, dropped: share.dropped, socket: left?.socket, ...kept } });
    }
    for (const { share, kept } of this.#lastWords.handOver()) {
      const client = { address: '', sinceMs: 0, dropped: 0, socket: undefined, ...kept };
      turns.push({ turn: this.#line.turn(share), client });
    }
    return turns.sort((a, b) => a.turn - b.turn).map(({ client }) => client);
  }

  #goOn(state: ServerState | undefined, arriving: Arriving): void {
    if (state?.mode !== 'tcp-server') return;
    const begin: (() => void)[] = [];
    for (const kept of state.clients) {
      const socket = kept.socket === undefined ? undefined : arriving.socket(kept.socket);
      if (socket === undefined) {
        const words = this.#lastWords.goOn(this.#line, kept.waiting);
        begin.push(() => words.portWritable());
      } else {
        const client = this.#join(socket, kept.address, kept);
        this.#gate.takeOver(socket, kept.address);
        begin.push(() => client.intake.portWritable());
      }
    }
    for (const kept of state.commanders) this.#commands?.goOn(kept, arriving);
    this.#line.goOn(state.packing);
    for (const first of begin) first();
  }

  #admitted(socket: Socket, address: string): void {
    if (this.#clients.size === 0) this.#lines.set(UP);
    this.#tell({ type: 'connected', kind: 'data', peer: this.#join(socket, address).share.client.place });
  }

  #join(socket: Socket, address: string, kept?: KeptTcpClient): Client {
    const place = `${address}:${socket.remotePort ?? 0}`;
    const share = this.#line.join({
      place,
      received: (bytes) => {
        if (!socket.writableEnded) client.intake.fromPort(bytes);
      },
      report: () => {}, // raw TCP has no word for it
      writable: () => client.intake.portWritable(),
      drained: () => {},
      hears: true,
      get unsent() {
        return client.intake.unsent;
      },
    });
    let reason = 'it closed the connection';
    socket.on('error', (error) => {
      reason = messageOf(error);
    });
    socket.on('close', () => this.#left(client, reason));
    share.dropped = kept?.dropped ?? 0;
    // Last: a socket that has bytes already is read from here on.
    const client: Client = {
      socket,
      address,
      sinceMs: kept?.sinceMs ?? this.#options.clock.wallTime(),
      share,
      intake: new DataIntake(socket, share, kept),
    };
    this.#clients.add(client);
    this.#inactivity.active();
    return client;
  }

  /** Who has closed shows behind its bytes, which are not read while the line stands: then they are. */
  #lookForEnds(): void {
    for (const { socket, intake } of this.#clients) {
      const fd = socketDescriptor(socket);
      if (fd !== undefined && !isEstablished(fd)) void intake.takeAll();
    }
  }

  #left(client: Client, reason: string): void {
    this.#clients.delete(client);
    const { socket, intake, share } = client;
    this.#lastWords.end(intake, share, !this.#closed && !socket.errored);
    this.#tell({ type: 'disconnected', peer: client.address, reason: this.#closed ? 'the server is closing' : reason });
    if (this.#closed || this.#clients.size > 0) return;
    this.#inactivity.end();
    this.#lines.set(this.#freeLines);
  }

  /** No break, no stopped transmitter, no raised line of who set the line; its settings stay. */
  #commanderLeft(): void {
    if (this.#closed) return;
    this.#requests.ask({ type: 'break', on: false });
    this.#requests.ask({ type: 'transmitter', on: true });
    if (this.#clients.size === 0) this.#lines.set(this.#freeLines);
  }

  #inactive(): void {
    this.#tell({
      type: 'note',
      text: `no data for ${this.#options.inactivityMs ?? 0} ms: its clients are disconnected`,
    });
    // Who reads gets what was sent to it.
    for (const { socket, share } of this.#clients) {
      hangUp(socket, this.#options.clock);
      share.resumeInput();
    }
  }

  #sum(of: (intake: DataIntake) => number): number {
    return [...this.#clients].reduce((sum, { intake }) => sum + of(intake), 0);
  }

  #tell(event: PortEvent): void {
    this.#options.event?.(event);
  }
}
