// A serial port as an RFC 2217 server: one TCP port, one client at a time, which has the data and the line's settings.
// A telnet client, and one that knows no telnet, get the bytes; their lines are raised as if they had opened the port.
// Never lets a second client disturb the first, nor the next one inherit anything but the settings and what still leaves.
// Follows docs/protocol/rfc2217.md section 5.
import type { Socket } from 'node:net';
import { messageOf } from '../base/fault.js';
import type { OutputLines } from '../serial/line.js';
import type { Uart, UartEvents } from '../uart/uart.js';
import {
  Arriving,
  endSocket,
  type KeptRfc2217Client,
  type KeptServer,
  Leaving,
  NOT_READ,
  type ServerHandover,
  type ServerState,
  soon,
} from './handover.js';
import { LineOutput } from './line-output.js';
import { Listener } from './listener.js';
import { OwnLines } from './own-lines.js';
import { Packing } from './packing.js';
import type { PortEvent, PortServer, PortServerOptions, ServedClient } from './port-server.js';
import { Rfc2217Client } from './rfc2217-client.js';
import { WaitingRoom } from './waiting-room.js';

/** `aliveCheckMs` is 7 minutes and `linesWhenFree` 'low' where they are absent. Times in milliseconds. */
export interface Rfc2217Options extends PortServerOptions {
  /** 0: any free one. */
  readonly port: number;
  /** DTR and RTS when a client comes; default: up, as open(2) does with a port of this machine. */
  readonly linesWhenTaken?: OutputLines;
  /** What a client that asks is told; default "ttynp". */
  readonly signature?: string;
}

const READ_AHEAD = 4096;
/** As of a Real COM data socket: what the kernel holds for a client before its window shuts. */
const RECEIVE_BUFFER = 8192;
const DEFAULT_ALIVE_MS = 7 * 60_000;
/** What a client left behind may leave with the lines up for so long, before the next client is taken. */
const LEAVING_MS = 3000;
const UP: OutputLines = { dtr: true, rts: true };
const DOWN: OutputLines = { dtr: false, rts: false };

export class Rfc2217Port implements PortServer {
  readonly #options: Rfc2217Options;
  readonly #uart: Uart;
  readonly #lines: OwnLines;
  readonly #output: LineOutput;
  readonly #packing: Packing | undefined;
  readonly #listener: Listener;
  readonly #waiting: WaitingRoom;
  /** It has the port until nothing of it is left, a little longer than it is connected. */
  #client: Rfc2217Client | undefined;
  /** It hands over. */
  #stopped = false;
  #closed = false;

  constructor(options: Rfc2217Options) {
    this.#options = options;
    this.#uart = options.uart;
    this.#lines = new OwnLines(options.uart, (error) => this.#note(error));
    this.#output = new LineOutput(options.uart, options.clock);
    this.#packing = options.packing && new Packing(options.packing, options.clock);
    this.#waiting = new WaitingRoom(options.clock, options.busyHoldMs ?? 500);
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
    const client = this.#client;
    if (client === undefined || client.ended) return [];
    const { peer: address, sinceMs, received, sent } = client;
    return [{ address, sinceMs, received, sent, dropped: 0 }];
  }

  get descriptors(): PortServer['descriptors'] {
    const { descriptor } = this.#listener;
    return { uart: this.#uart.descriptor, listeners: descriptor === undefined ? [] : [descriptor] };
  }

  async open(kept?: KeptServer): Promise<void> {
    const arriving = kept && new Arriving(kept);
    const packing = this.#packing;
    packing?.start(
      () => this.#uart.settings,
      (packet) => this.#give(packet),
    );
    try {
      const events: UartEvents = {
        received: (bytes) => this.#received(bytes),
        report: (report) => this.#client?.report(report),
        writable: () => {
          this.#output.portWritable();
          this.#client?.portWritable();
        },
        drained: () => this.#output.portDrained(),
        failed: (fault) => {
          this.#tell({ type: 'failed', fault });
          this.#client?.end(fault.message);
        },
      };
      await this.#uart.open(events, arriving?.uart);
      if (arriving !== undefined) this.#goOn(kept?.state?.server, arriving);
      if (arriving === undefined) await this.#uart.request({ type: 'lines', lines: this.#freeLines });
      else if (this.#client === undefined) await this.#free();
      await this.#listener.open(arriving?.listener(0));
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      arriving?.endRest();
    }
  }

  async handOver(atMostMs: number): Promise<ServerHandover | undefined> {
    const listener = this.#listener.leave();
    const listeners = listener === undefined ? [] : [listener];
    this.#waiting.close();
    this.#stopped = true;
    this.#uart.pauseInput();
    this.#packing?.pause();
    this.#output.stopWaiting();
    this.#client?.stop();
    const isIdle = () => this.#client?.idle !== false;
    await soon(this.#options.clock, atMostMs, () => this.#lines.idle && isIdle());
    if (!isIdle()) this.#client?.end(NOT_READ);
    this.#closed = true;
    const leaving = new Leaving();
    const client = this.#client?.handOver(leaving);
    const uart = this.#uart.handOver?.();
    if (uart?.state !== undefined) {
      const packing = this.#packing?.handOver() ?? new Uint8Array(0);
      const server = { mode: 'rfc2217' as const, packing, output: this.#output.handOver(), client };
      return { uart: uart.fd, listeners, sockets: leaving.sockets, state: { uart: uart.state, server } };
    }
    for (const fd of [...listeners, ...leaving.sockets]) endSocket(fd);
    await this.close();
    return undefined;
  }

  #goOn(state: ServerState | undefined, arriving: Arriving): void {
    if (state?.mode !== 'rfc2217') return;
    this.#output.goOn(state.output);
    const { client: kept } = state;
    const socket = kept && arriving.socket(kept.socket);
    if (kept === undefined || socket === undefined) return;
    const client = this.#newClient(socket, kept.address, kept);
    this.#packing?.goOn(state.packing);
    client.goOn(kept);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#waiting.close();
    this.#packing?.flush();
    this.#client?.end('the server is closing');
    this.#output.close();
    await Promise.all([this.#listener.close(), this.#uart.close()]);
  }

  /** What the line says while nobody is there is nobody's. */
  #received(bytes: Uint8Array): void {
    const heard = this.#client !== undefined && !this.#client.ended;
    if (this.#packing !== undefined && heard) this.#packing.take(bytes);
    else this.#give(bytes);
  }

  #give(bytes: Uint8Array): void {
    const client = this.#client?.ended === false ? this.#client : undefined;
    const { trace } = this.#options;
    if (trace?.on) trace.bytes('received', bytes, client?.place);
    client?.fromPort(bytes);
  }

  get #freeLines(): OutputLines {
    return this.#options.linesWhenFree === 'high' ? UP : DOWN;
  }

  get #takenLines(): OutputLines {
    return this.#options.linesWhenTaken ?? UP;
  }

  #arrived(socket: Socket): void {
    socket.on('error', () => {}); // 'close' follows
    const peer = socket.remoteAddress;
    if (peer === undefined || this.#closed) {
      socket.destroy();
    } else if (this.#options.admits?.(peer) === false) {
      this.#tell({ type: 'denied', kind: 'data', peer });
      socket.destroy();
    } else if (this.#client === undefined) {
      this.#admit(socket, peer);
    } else {
      this.#tell({ type: 'waits', kind: 'data', peer });
      this.#waiting.hold(socket, () => this.#tell({ type: 'busy', kind: 'data', peer }));
    }
  }

  #admit(socket: Socket, peer: string): void {
    const { aliveCheckMs = DEFAULT_ALIVE_MS } = this.#options;
    if (aliveCheckMs > 0) socket.setKeepAlive(true, aliveCheckMs);
    this.#lines.set(this.#takenLines);
    this.#tell({ type: 'connected', kind: 'data', peer: this.#newClient(socket, peer).place });
  }

  #newClient(socket: Socket, peer: string, kept?: KeptRfc2217Client): Rfc2217Client {
    const { clock, signature = 'ttynp' } = this.#options;
    const place = `${peer}:${socket.remotePort ?? 0}`;
    const client: Rfc2217Client = new Rfc2217Client(socket, {
      clock,
      uart: this.#uart,
      output: this.#output,
      lines: this.#takenLines,
      signature,
      packets: this.#packing !== undefined,
      peer,
      place,
      trace: this.#options.trace,
      event: (event) => this.#tell(event),
      ended: (reason) => void this.#left(client, reason),
      kept,
    });
    this.#client = client;
    return client;
  }

  /** Nothing of this client reaches the next one: no byte, no break, no raised line. */
  async #left(client: Rfc2217Client, reason: string): Promise<void> {
    this.#tell({ type: 'disconnected', peer: client.peer, reason });
    if (this.#closed) return;
    await this.#free();
    if (this.#stopped) return;
    this.#client = undefined;
    const next = this.#closed ? undefined : this.#waiting.take();
    if (next?.remoteAddress !== undefined) this.#admit(next, next.remoteAddress);
  }

  async #free(): Promise<void> {
    try {
      await this.#uart.request({ type: 'break', on: false });
      await this.#output.gone('transmitted', LEAVING_MS);
      if (this.#closed || this.#stopped) return;
      await this.#uart.request({ type: 'flush', queue: 'rx' });
      this.#packing?.drop();
      await this.#uart.request({ type: 'lines', lines: this.#freeLines });
    } catch (error) {
      this.#note(error);
    }
  }

  #note(error: unknown): void {
    this.#tell({ type: 'note', text: `the port could not be reset: ${messageOf(error)}` });
  }

  #tell(event: PortEvent): void {
    this.#options.event?.(event);
  }
}
