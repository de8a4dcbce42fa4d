// A serial port that people reach by telnet: the console of what is behind it. One client at a time. Follows the device servers' Reverse
// Telnet mode, and RFC 854 for the wire.
import type { Socket } from 'node:net';
import { messageOf } from '../base/fault.js';
import type { DeviceNewline } from '../protocol/telnet/newline.js';
import type { OutputLines } from '../serial/line.js';
import { ClientGate } from './client-gate.js';
import {
  Arriving,
  endSocket,
  type KeptReverseTelnetClient,
  type KeptServer,
  Leaving,
  NOT_READ,
  type ServerHandover,
  soon,
} from './handover.js';
import { hangUp } from './hang-up.js';
import { Inactivity } from './inactivity.js';
import { LastWordsOfClients } from './last-words.js';
import { OwnLines } from './own-lines.js';
import { OwnRequests } from './own-requests.js';
import type { PortEvent, PortServer, PortServerOptions, ServedClient } from './port-server.js';
import { ReverseTelnetClient } from './reverse-telnet-client.js';
import { type LineShare, SharedLine } from './shared-line.js';

/** `aliveCheckMs` is 7 minutes and `linesWhenFree` 'low' where they are absent. Times in milliseconds. */
export interface ReverseTelnetOptions extends PortServerOptions {
  /** 0: any free one. */
  readonly port: number;
  readonly newline?: DeviceNewline;
  /** The client is disconnected after so long without a byte in either direction; 0, the default: never. */
  readonly inactivityMs?: number;
}

interface Console {
  readonly socket: Socket;
  readonly address: string;
  readonly sinceMs: number;
  readonly share: LineShare;
  readonly telnet: ReverseTelnetClient;
}

const DEFAULT_ALIVE_MS = 7 * 60_000;
/** Of the break that a client asks for: longer than a character at 50 baud. */
const BREAK_MS = 250;
const UP: OutputLines = { dtr: true, rts: true };
const DOWN: OutputLines = { dtr: false, rts: false };

export class ReverseTelnetPort implements PortServer {
  readonly #o: ReverseTelnetOptions;
  readonly #line: SharedLine;
  readonly #lines: OwnLines;
  readonly #requests: OwnRequests;
  readonly #gate: ClientGate;
  readonly #inactivity: Inactivity;
  readonly #lastWords = new LastWordsOfClients();
  #console: Console | undefined;
  #breaking: { cancel(): void } | undefined;
  #closed = false;

  constructor(options: ReverseTelnetOptions) {
    const { clock, uart, trace, inactivityMs = 0 } = options;
    this.#o = options;
    this.#inactivity = new Inactivity(clock, inactivityMs, () => this.#inactive());
    this.#line = new SharedLine({
      uart,
      trace,
      ignoreJammedIp: false,
      driverControl: false,
      failed: (fault) => this.#tell({ type: 'failed', fault }),
      active: () => {
        if (this.#console !== undefined) this.#inactivity.active();
      },
    });
    this.#lines = new OwnLines(options.uart, (error) =>
      this.#tell({ type: 'note', text: `lines: ${messageOf(error)}` }),
    );
    this.#requests = new OwnRequests(options.uart, ({ type }, error) =>
      this.#tell({ type: 'note', text: `${type}: ${messageOf(error)}` }),
    );
    this.#gate = new ClientGate({
      clock,
      address: options.address,
      port: options.port,
      maxConnection: 1,
      aliveCheckMs: options.aliveCheckMs ?? DEFAULT_ALIVE_MS,
      busyHoldMs: options.busyHoldMs ?? 500,
      admits: options.admits,
      hints: options.hints,
      admitted: (socket, address) => this.#admitted(socket, address),
      refused: (type, peer) => this.#tell({ type, kind: 'data', peer }),
      waits: (peer) => this.#tell({ type: 'waits', kind: 'data', peer }),
      undone: () => this.#requests.answered(),
    });
  }

  get tcpPorts(): readonly number[] {
    return [this.#gate.port];
  }

  get clients(): readonly ServedClient[] {
    if (this.#console === undefined) return [];
    const { address, sinceMs, telnet, share } = this.#console;
    return [{ address, sinceMs, received: telnet.received, sent: telnet.sent, dropped: share.dropped }];
  }

  get descriptors(): PortServer['descriptors'] {
    const { descriptor } = this.#gate;
    return { uart: this.#line.uart.descriptor, listeners: descriptor === undefined ? [] : [descriptor] };
  }

  async open(kept?: KeptServer): Promise<void> {
    const arriving = kept && new Arriving(kept);
    try {
      await this.#line.open(arriving?.uart);
      const state = kept?.state?.server;
      if (state?.mode === 'reverse-telnet') {
        for (const bytes of state.last ?? []) this.#lastWords.goOn(this.#line, bytes).portWritable();
        if (state.client !== undefined && arriving !== undefined) this.#goOn(state.client, arriving);
      }
      if (this.#console === undefined) await this.#line.uart.request({ type: 'lines', lines: this.#freeLines });
      await this.#gate.open(arriving?.listener(0));
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      arriving?.endRest();
    }
  }

  async handOver(atMostMs: number): Promise<ServerHandover | undefined> {
    const listener = this.#gate.leave();
    const listeners = listener === undefined ? [] : [listener];
    this.#endBreak();
    this.#line.stopInput();
    const isRead = () => (this.#console?.telnet.unsent ?? 0) === 0;
    await soon(this.#o.clock, atMostMs, () => this.#lines.idle && isRead());
    if (!isRead()) this.#console?.socket.destroy(new Error(NOT_READ));
    // The client may have asked for another one meanwhile.
    this.#endBreak();
    this.#end();
    const leaving = new Leaving();
    const client = this.#console && keptOf(this.#console, leaving);
    const last = this.#lastWords.handOver().map(({ kept }) => kept.waiting);
    const line = this.#line.handOver();
    if (line?.uart.state !== undefined) {
      const server = { mode: 'reverse-telnet' as const, client, last };
      return { uart: line.uart.fd, listeners, sockets: leaving.sockets, state: { uart: line.uart.state, server } };
    }
    for (const fd of [...listeners, ...leaving.sockets]) endSocket(fd);
    await this.close();
    return undefined;
  }

  async close(): Promise<void> {
    this.#end();
    await Promise.all([this.#gate.close(), this.#line.close()]);
  }

  #end(): void {
    this.#closed = true;
    this.#inactivity.end();
    this.#breaking?.cancel();
    this.#breaking = undefined;
  }

  get #freeLines(): OutputLines {
    return this.#o.linesWhenFree === 'high' ? UP : DOWN;
  }

  #goOn(kept: KeptReverseTelnetClient, arriving: Arriving): void {
    const socket = arriving.socket(kept.socket);
    if (socket === undefined) return;
    const { telnet } = this.#join(socket, kept.address, kept);
    this.#gate.takeOver(socket, kept.address);
    telnet.portWritable();
  }

  #admitted(socket: Socket, address: string): void {
    this.#lines.set(UP);
    this.#tell({ type: 'connected', kind: 'data', peer: this.#join(socket, address).share.client.place });
  }

  #join(socket: Socket, address: string, kept?: KeptReverseTelnetClient): Console {
    const place = `${address}:${socket.remotePort ?? 0}`;
    const share = this.#line.join({
      place,
      received: (bytes) => telnet.fromPort(bytes),
      report: () => {}, // telnet has no word for it
      writable: () => telnet.portWritable(),
      drained: () => {},
      hears: true,
      get unsent() {
        return telnet.unsent;
      },
    });
    let reason = 'it closed the connection';
    socket.on('error', (error) => {
      reason = messageOf(error);
    });
    socket.on('close', () => this.#left(console, reason));
    share.dropped = kept?.dropped ?? 0;
    const options = {
      newline: this.#o.newline ?? 'cr-lf',
      breaks: () => this.#break(),
      malformed: () => this.#tell({ type: 'malformed', peer: address }),
    };
    const telnet = new ReverseTelnetClient(socket, share, options, kept);
    const console: Console = { socket, address, sinceMs: kept?.sinceMs ?? this.#o.clock.wallTime(), share, telnet };
    this.#console = console;
    this.#inactivity.active();
    return console;
  }

  #left(console: Console, reason: string): void {
    this.#console = undefined;
    const { socket, share, telnet, address } = console;
    this.#lastWords.end(telnet.lastWords, share, !this.#closed && !socket.errored);
    if (this.#closed) return;
    this.#tell({ type: 'disconnected', peer: address, reason });
    this.#inactivity.end();
    this.#endBreak();
    this.#lines.set(this.#freeLines);
  }

  /** One at a time: who asks while there is one has it. */
  #break(): void {
    if (this.#breaking !== undefined || this.#closed) return;
    this.#requests.ask({ type: 'break', on: true });
    this.#breaking = this.#o.clock.after(BREAK_MS, () => this.#endBreak());
  }

  #endBreak(): void {
    if (this.#breaking === undefined) return;
    this.#breaking.cancel();
    this.#breaking = undefined;
    this.#requests.ask({ type: 'break', on: false });
  }

  #inactive(): void {
    this.#tell({ type: 'note', text: `no data for ${this.#o.inactivityMs ?? 0} ms: its client is disconnected` });
    if (this.#console === undefined) return;
    hangUp(this.#console.socket, this.#o.clock);
    this.#console.share.resumeInput();
  }

  #tell(event: PortEvent): void {
    this.#o.event?.(event);
  }
}

function keptOf({ address, sinceMs, share, telnet }: Console, leaving: Leaving): KeptReverseTelnetClient | undefined {
  const kept = telnet.handOver(leaving);
  return kept && { address, sinceMs, dropped: share.dropped, ...kept };
}
