// A Real COM device on loopback, for tests of a host: two TCP servers and the device engine, or a script instead of it.
// Shows what arrived; has no serial line.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { DeviceEngine, type DeviceOutput } from '../../src/protocol/realcom/device.js';
import type { LineReport, LineRequest, LineSettings, ModemLines } from '../../src/serial/line.js';

export interface PeerOptions {
  readonly host?: string;
  /** What the command side does instead of being a device. Called for each connection. */
  readonly command?: (socket: Socket) => void;
  readonly preamble?: 'auto' | 'on' | 'off';
}

export class RealComPeer {
  readonly requests: LineRequest[] = [];
  /** Bytes on the command connection, of all connections. */
  readonly commandBytes: number[] = [];
  readonly dataBytes: number[] = [];
  /** Order of what happened: 'command', 'data' for connects, '-command', '-data' for their ends. */
  readonly order: string[] = [];
  mute = false;
  refuses: (settings: LineSettings) => boolean = () => false;
  left: () => number = () => 0;
  modemLines: ModemLines = { cts: true, dsr: true, dcd: true, ri: false };
  commandSocket: Socket | undefined;
  dataSocket: Socket | undefined;
  #engine: DeviceEngine | undefined;

  private constructor(
    readonly options: PeerOptions,
    readonly commandServer: Server,
    readonly dataServer: Server,
  ) {
    commandServer.on('connection', (socket) => this.#command(socket));
    dataServer.on('connection', (socket) => this.#data(socket));
  }

  static async listen(options: PeerOptions = {}): Promise<RealComPeer> {
    const peer = new RealComPeer(options, createServer({ noDelay: true }), createServer({ noDelay: true }));
    for (const server of [peer.commandServer, peer.dataServer]) {
      server.listen(0, options.host ?? '127.0.0.1');
      await once(server, 'listening');
    }
    return peer;
  }

  get commandPort(): number {
    return portOf(this.commandServer);
  }

  get dataPort(): number {
    return portOf(this.dataServer);
  }

  report(report: LineReport): void {
    if (this.#engine) this.#perform(this.#engine.report(report));
  }

  poll(): void {
    if (this.#engine) this.#perform(this.#engine.poll());
  }

  drop(): void {
    this.commandSocket?.destroy();
    this.dataSocket?.destroy();
  }

  async close(): Promise<void> {
    this.drop();
    for (const server of [this.commandServer, this.dataServer]) {
      if (!server.listening) continue;
      server.close();
      await once(server, 'close');
    }
  }

  #command(socket: Socket): void {
    this.order.push('command');
    this.commandSocket = socket;
    socket.on('error', () => {});
    socket.on('close', () => this.order.push('-command'));
    socket.on('data', (bytes) => this.commandBytes.push(...bytes));
    if (this.options.command) {
      this.options.command(socket);
      return;
    }
    const engine = new DeviceEngine({ modemLines: this.modemLines, preamble: this.options.preamble ?? 'off' });
    this.#engine = engine;
    socket.on('data', (bytes) => this.#perform(engine.receive(bytes)));
  }

  #data(socket: Socket): void {
    this.order.push('data');
    this.dataSocket = socket;
    socket.on('error', () => {});
    socket.on('close', () => this.order.push('-data'));
    socket.on('data', (bytes) => this.dataBytes.push(...bytes));
  }

  #perform(first: DeviceOutput[]): void {
    for (let outputs = first; outputs.length > 0; ) {
      for (const output of outputs) if (output.type === 'write' && !this.mute) this.commandSocket?.write(output.bytes);
      const last = outputs.at(-1);
      if (last?.type === 'request') {
        this.requests.push(last.request);
        const refused = last.request.type === 'settings' && this.refuses(last.request.settings);
        outputs = this.#engine?.applied({ lines: this.modemLines, refused }) ?? [];
      } else if (last?.type === 'queue') outputs = this.#engine?.queueIs(this.left()) ?? [];
      else outputs = [];
    }
  }
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
