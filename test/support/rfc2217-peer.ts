// An RFC 2217 server on loopback, for tests of a client: a TCP server and the server engine, or a script instead of it.
// Shows what arrived; has no serial line. Also a server of raw TCP: without the engine there is nothing but bytes.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { Duplex } from 'node:stream';
import { ServerEngine, type ServerOutput } from '../../src/protocol/rfc2217/server.js';
import { escapeData } from '../../src/protocol/telnet/encoder.js';
import {
  DEFAULT_SETTINGS,
  type LineReport,
  type LineRequest,
  type LineSettings,
  type ModemLines,
} from '../../src/serial/line.js';

export interface Rfc2217PeerOptions {
  readonly host?: string;
  /** What the server does instead of being one. Called for each connection. */
  readonly script?: (socket: Socket) => void;
}

/**
 * What a client of ours asked, put together again: settings are told by five commands and two for the lines, lines by two. A
 * client that tells them otherwise is not understood here, which a test notices.
 */
export function putTogether(commands: readonly LineRequest[]): LineRequest[] {
  const told: LineRequest[] = [];
  const left = [...commands];
  for (let first = left.shift(); first !== undefined; first = left.shift()) {
    const group = [first, ...left.splice(0, first.type === 'settings' ? 6 : first.type === 'lines' ? 1 : 0)];
    const last = group.at(-1);
    const settings = group.findLast((one) => one.type === 'settings');
    if (settings && last?.type === 'lines') told.push({ ...settings, lines: last.lines });
    else if (last) told.push(last);
  }
  return told;
}

export class Rfc2217Peer {
  /** As the engine told them: one for each command. */
  readonly commands: LineRequest[] = [];
  readonly dataBytes: number[] = [];
  /** Commands and data in the order in which they came: the type of each command, and runs of data. */
  readonly happened: (string | { readonly data: string })[] = [];
  /** '+' for each connection, '-' for its end. */
  readonly order: string[] = [];
  mute = false;
  refuses: (settings: LineSettings) => boolean = () => false;
  modemLines: ModemLines = { cts: true, dsr: true, dcd: true, ri: false };
  /** Data towards the client are sent, or not. */
  suspended = false;
  socket: Socket | undefined;
  engine: ServerEngine | undefined;
  #line: Duplex | undefined;

  private constructor(
    readonly options: Rfc2217PeerOptions,
    readonly server: Server,
  ) {
    server.on('connection', (socket) => this.#accept(socket));
  }

  static async listen(options: Rfc2217PeerOptions = {}): Promise<Rfc2217Peer> {
    const peer = new Rfc2217Peer(options, createServer({ noDelay: true }));
    peer.server.listen(0, options.host ?? '127.0.0.1');
    await once(peer.server, 'listening');
    return peer;
  }

  get port(): number {
    return (this.server.address() as AddressInfo).port;
  }

  /** What the client asked. */
  get requests(): LineRequest[] {
    return putTogether(this.commands);
  }

  /** The line's end of the connection: what is written is sent escaped, what arrived is read without escapes. */
  get line(): Duplex | undefined {
    return this.#line;
  }

  report(report: LineReport): void {
    if (report.type === 'lines') this.modemLines = report.lines;
    if (this.engine) this.#perform(this.engine.report(report));
  }

  drop(): void {
    this.socket?.destroy();
  }

  async close(): Promise<void> {
    this.drop();
    if (!this.server.listening) return;
    this.server.close();
    await once(this.server, 'close');
  }

  #accept(socket: Socket): void {
    this.order.push('+');
    this.socket = socket;
    socket.on('error', () => {});
    socket.on('close', () => this.order.push('-'));
    if (this.options.script) {
      this.options.script(socket);
      return;
    }
    const engine = new ServerEngine({
      signature: 'peer',
      settings: DEFAULT_SETTINGS,
      lines: { dtr: false, rts: false },
      modemLines: this.modemLines,
    });
    this.engine = engine;
    const line = new Duplex({
      read() {},
      write: (bytes: Buffer, _encoding, done) => socket.write(escapeData(bytes), done),
    });
    this.#line = line;
    this.#perform(engine.start());
    socket.on('data', (bytes) => this.#perform(engine.receive(bytes)));
  }

  #perform(first: ServerOutput[]): void {
    for (let outputs = first; outputs.length > 0; ) {
      for (const output of outputs) this.#performOne(output);
      const last = outputs.at(-1);
      if (last?.type !== 'request') return;
      this.commands.push(last.request);
      this.happened.push(last.request.type);
      const refused = last.request.type === 'settings' && this.refuses(last.request.settings);
      outputs = this.engine?.applied(refused) ?? [];
    }
  }

  #performOne(output: ServerOutput): void {
    if (output.type === 'write' && !this.mute) this.socket?.write(output.bytes);
    if (output.type === 'suspended') this.suspended = output.on;
    if (output.type !== 'data') return;
    this.dataBytes.push(...output.bytes);
    this.happened.push({ data: Buffer.from(output.bytes).toString('latin1') });
    this.#line?.push(Buffer.from(output.bytes));
  }
}
