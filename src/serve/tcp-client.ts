// A serial port that connects by itself: to up to four servers, by the rules of its connection control. What the line says goes to all that
// are connected; what they send goes to the line in the order of its arrival. Follows the device servers' TCP Client mode.
import type { Socket } from 'node:net';
import { messageOf } from '../base/fault.js';
import type { Destination } from '../config/destination.js';
import type { ConnectionControl } from '../config/resolved.js';
import type { LineReport, OutputLines } from '../serial/line.js';
import { ConnectionRules } from './connection-rules.js';
import { DataIntake } from './data-intake.js';
import { Dialer } from './dialer.js';
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
import { Packing } from './packing.js';
import type { PortEvent, PortServer, PortServerOptions, ServedClient } from './port-server.js';
import { type LineShare, SharedLine } from './shared-line.js';

/** `aliveCheckMs` is 7 minutes and `linesWhenFree` 'low' where they are absent. Times in milliseconds. */
export interface TcpClientOptions extends PortServerOptions {
  readonly destinations: readonly Destination[];
  readonly connectionControl: ConnectionControl;
  /** Of rule any-character/inactivity-time. */
  readonly inactivityMs?: number;
  /** A server that does not read loses data; default: it holds up the line, and so the others. */
  readonly ignoreJammedIp?: boolean;
  readonly connectTimeoutMs?: number;
}

/** A connection, and what of it is with the line. */
interface Connection {
  readonly socket: Socket;
  readonly address: string;
  readonly sinceMs: number;
  readonly share: LineShare;
  readonly intake: DataIntake;
  /** Why it is over, where that is not the server's doing. */
  ended?: string;
}

interface Server {
  readonly dialer: Dialer;
  connection: Connection | undefined;
  /** The line's bytes that asked for the connection, and came until it was there: the newest. */
  waiting: Uint8Array;
}

type KeptState = Extract<ServerState, { mode: 'tcp-client' }>;

const DEFAULT_ALIVE_MS = 7 * 60_000;
const MOST_WAITING = 4096;
const UP: OutputLines = { dtr: true, rts: true };
const DOWN: OutputLines = { dtr: false, rts: false };

export class TcpClientPort implements PortServer {
  readonly #o: TcpClientOptions;
  readonly #line: SharedLine;
  readonly #lines: OwnLines;
  readonly #rules: ConnectionRules;
  readonly #inactivity: Inactivity;
  readonly #servers: readonly Server[];
  /** Of connections that are over, with bytes that the line has no room for yet. */
  readonly #lastWords = new LastWordsOfClients();
  /** It connects no more. */
  #leaving = false;
  #closed = false;

  constructor(options: TcpClientOptions) {
    const { clock, uart, packing, trace, destinations, connectionControl } = options;
    this.#o = options;
    this.#rules = new ConnectionRules(connectionControl);
    const inactivityMs = this.#rules.endsByInactivity ? (options.inactivityMs ?? 0) : 0;
    this.#inactivity = new Inactivity(clock, inactivityMs, () => this.#inactive());
    this.#line = new SharedLine({
      uart,
      trace,
      ignoreJammedIp: options.ignoreJammedIp ?? false,
      driverControl: false,
      packing: packing && new Packing(packing, clock),
      failed: (fault) => this.#tell({ type: 'failed', fault }),
      active: () => {
        if (this.#isConnected) this.#inactivity.active();
      },
    });
    this.#lines = new OwnLines(options.uart, (error) =>
      this.#tell({ type: 'note', text: `lines: ${messageOf(error)}` }),
    );
    this.#servers = destinations.map((destination) => {
      const { connectTimeoutMs } = options;
      const dialer = new Dialer({
        clock,
        destination,
        ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
        connected: (socket) => this.#connected(server, socket),
        trouble: (text) => this.#tell({ type: 'note', text }),
      });
      const server: Server = { dialer, connection: undefined, waiting: new Uint8Array(0) };
      return server;
    });
  }

  get tcpPorts(): readonly number[] {
    return [];
  }

  get clients(): readonly ServedClient[] {
    return this.#connections.map(({ address, sinceMs, intake: { received, sent }, share: { dropped } }) => ({
      address,
      sinceMs,
      received,
      sent,
      dropped,
    }));
  }

  get descriptors(): PortServer['descriptors'] {
    return { uart: this.#line.uart.descriptor, listeners: [] };
  }

  async open(kept?: KeptServer): Promise<void> {
    const arriving = kept && new Arriving(kept);
    try {
      await this.#line.open(arriving?.uart);
      // Hears the line, connected or not.
      this.#line.join({
        place: 'who is connected next',
        received: (bytes) => {
          if (this.#rules.byCharacter) this.#heard(bytes);
        },
        report: (report) => this.#reported(report),
        writable: () => {},
        drained: () => {},
        unsent: 0,
        hears: this.#rules.byCharacter,
      });
      const state = kept?.state?.server;
      if (state?.mode === 'tcp-client' && arriving !== undefined) this.#goOn(state, arriving);
      if (state?.mode === 'tcp-client') this.#line.goOn(state.packing);
      if (!this.#isConnected) await this.#line.uart.request({ type: 'lines', lines: this.#freeLines });
      this.#rules.lines(this.#line.uart.modemLines);
      this.#want();
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      arriving?.endRest();
    }
  }

  async handOver(atMostMs: number): Promise<ServerHandover | undefined> {
    this.#inactivity.end();
    this.#leaving = true;
    for (const { dialer } of this.#servers) dialer.want(false);
    this.#line.stopInput();
    // Those are not to be gone on with.
    for (const { socket } of this.#connections) if (socket.writableEnded) socket.destroy();
    const isReady = () => this.#lines.idle && this.#connections.every(({ intake }) => intake.unsent === 0);
    if (!(await soon(this.#o.clock, atMostMs, isReady)))
      for (const { socket, intake } of this.#connections) if (intake.unsent > 0) socket.destroy(new Error(NOT_READ));
    this.#closed = true;
    const leaving = new Leaving();
    const clients = this.#servers.map(({ connection }) => connection && keptOf(connection, leaving));
    const last = this.#lastWords.handOver().map(({ kept }) => kept.waiting);
    const line = this.#line.handOver();
    if (line?.uart.state === undefined) {
      for (const fd of leaving.sockets) endSocket(fd);
      await this.close();
      return undefined;
    }
    const waiting = this.#servers.map((server) => server.waiting);
    const server = { mode: 'tcp-client' as const, packing: line.packing, clients, waiting, last };
    return { uart: line.uart.fd, listeners: [], sockets: leaving.sockets, state: { uart: line.uart.state, server } };
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#inactivity.end();
    for (const { dialer, connection } of this.#servers) {
      dialer.want(false);
      connection?.socket.destroy();
    }
    await this.#line.close();
  }

  get #connections(): Connection[] {
    return this.#servers.flatMap(({ connection }) => connection ?? []);
  }

  get #isConnected(): boolean {
    return this.#servers.some(({ connection }) => connection !== undefined);
  }

  get #freeLines(): OutputLines {
    return this.#o.linesWhenFree === 'high' ? UP : DOWN;
  }

  #goOn({ clients, waiting = [], last = [] }: KeptState, arriving: Arriving): void {
    for (const bytes of last) this.#sayLast(bytes);
    for (const [i, server] of this.#servers.entries()) {
      server.waiting = waiting[i] ?? new Uint8Array(0);
      if (server.waiting.length > 0) this.#rules.goOn();
      // What was undefined in a list is null behind JSON.
      const kept = clients[i] ?? undefined;
      if (kept === undefined) continue;
      const socket = kept.socket === undefined ? undefined : arriving.socket(kept.socket);
      if (socket === undefined) {
        this.#sayLast(kept.waiting);
        continue;
      }
      this.#rules.goOn();
      server.dialer.adopted();
      this.#join(server, socket, kept).intake.portWritable();
    }
  }

  #sayLast(bytes: Uint8Array): void {
    this.#lastWords.goOn(this.#line, bytes).portWritable();
  }

  /** Each destination is connected, or tried, where the rules want that. */
  #want(): void {
    const { wanted } = this.#rules;
    for (const { dialer, connection } of this.#servers) {
      dialer.want(wanted && !this.#closed && !this.#leaving);
      if (!wanted && connection !== undefined) this.#hangUp(connection, 'the modem lines ended it');
    }
  }

  #heard(bytes: Uint8Array): void {
    this.#rules.character();
    for (const server of this.#servers) {
      if (server.connection?.socket.writableEnded === false) continue;
      const all = Buffer.concat([server.waiting, bytes]);
      server.waiting = all.subarray(Math.max(0, all.length - MOST_WAITING));
    }
    this.#want();
  }

  #reported(report: LineReport): void {
    // Who was asked for by a character is wanted until it is there.
    if (report.type !== 'lines' || this.#rules.byCharacter) return;
    this.#rules.lines(report.lines);
    this.#want();
  }

  #connected(server: Server, socket: Socket): void {
    const { aliveCheckMs = DEFAULT_ALIVE_MS } = this.#o;
    if (this.#closed) {
      socket.destroy();
      return;
    }
    if (aliveCheckMs > 0) socket.setKeepAlive(true, aliveCheckMs);
    if (!this.#isConnected) this.#lines.set(UP);
    const { intake, share } = this.#join(server, socket);
    this.#tell({ type: 'connected', kind: 'data', peer: share.client.place, outgoing: true });
    const { waiting } = server;
    server.waiting = new Uint8Array(0);
    if (waiting.length > 0) intake.fromPort(waiting);
  }

  #join(server: Server, socket: Socket, kept?: KeptTcpClient): Connection {
    const { text: place } = server.dialer;
    const share = this.#line.join({
      place,
      received: (bytes) => {
        if (!socket.writableEnded) connection.intake.fromPort(bytes);
      },
      report: () => {}, // raw TCP has no word for it
      writable: () => connection.intake.portWritable(),
      drained: () => {},
      hears: true,
      get unsent() {
        return connection.intake.unsent;
      },
    });
    let reason = 'it closed the connection';
    socket.on('error', (error) => {
      reason = messageOf(error);
    });
    socket.on('close', () => this.#left(server, connection, reason));
    share.dropped = kept?.dropped ?? 0;
    const connection: Connection = {
      socket,
      address: place,
      sinceMs: kept?.sinceMs ?? this.#o.clock.wallTime(),
      share,
      // Last: a socket that has bytes already is read from here on.
      intake: new DataIntake(socket, share, kept),
    };
    server.connection = connection;
    this.#inactivity.active();
    return connection;
  }

  #left(server: Server, connection: Connection, reason: string): void {
    server.connection = undefined;
    const { socket, intake, share, address: peer, ended = reason } = connection;
    this.#lastWords.end(intake, share, !this.#closed && !socket.errored);
    if (!this.#closed) this.#tell({ type: 'disconnected', peer, reason: ended });
    if (this.#closed) return;
    if (!this.#isConnected) {
      this.#inactivity.end();
      this.#lines.set(this.#freeLines);
      this.#rules.ended();
    }
    // A character asks for all, and one that has ended waits for the next; which may have come already.
    const isAsked = server.waiting.length > 0;
    if (isAsked) this.#rules.character();
    server.dialer.want(!this.#leaving && this.#rules.wanted && (isAsked || !this.#rules.byCharacter));
    const { received, sent } = intake;
    server.dialer.ended(received + sent > 0);
  }

  #inactive(): void {
    this.#tell({ type: 'note', text: `no data for ${this.#o.inactivityMs ?? 0} ms: its connections are ended` });
    for (const connection of this.#connections) this.#hangUp(connection, 'no data');
  }

  /** What the line said before goes to the server still, and nothing that it says from here on. */
  #hangUp(connection: Connection, why: string): void {
    const { socket, share } = connection;
    if (connection.ended !== undefined) return;
    connection.ended = why;
    hangUp(socket, this.#o.clock);
    share.resumeInput();
  }

  #tell(event: PortEvent): void {
    this.#o.event?.(event);
  }
}

function keptOf({ socket, address, sinceMs, share, intake }: Connection, leaving: Leaving): KeptTcpClient {
  const left = leaving.leave(socket);
  const kept = intake.handOver(left?.unread ?? new Uint8Array(0));
  return { address, sinceMs, dropped: share.dropped, socket: left?.socket, ...kept };
}
