// One telnet client of a serial port's console: its bytes without telnet's, ends of lines as the device has them, and back. Knows no
// COM-PORT option. Never keeps more than it has to: a client is not read while the line is behind, or while it reads no answers.
import type { Socket } from 'node:net';
import { BRK, TELNET_OPTION } from '../protocol/telnet/constants.js';
import { escapeData } from '../protocol/telnet/encoder.js';
import { type EndpointOutput, TelnetEndpoint } from '../protocol/telnet/endpoint.js';
import { type DeviceNewline, ToClient, ToDevice } from '../protocol/telnet/newline.js';
import type { KeptReverseTelnetClient, Leaving } from './handover.js';
import type { Speaker } from './last-words.js';
import type { PortLine } from './shared-line.js';

export interface ReverseTelnetClientOptions {
  readonly newline: DeviceNewline;
  /** The client asks for one. */
  breaks(): void;
  malformed(): void;
}

const { BINARY, ECHO, SGA } = TELNET_OPTION;
/** Answers that a client does not read: it is not read either then. */
const UNREAD_LIMIT = 64 * 1024;

export class ReverseTelnetClient {
  readonly #socket: Socket;
  readonly #line: PortLine;
  readonly #o: ReverseTelnetClientOptions;
  readonly #telnet = new TelnetEndpoint({ local: [ECHO, SGA, BINARY], remote: [SGA, BINARY] });
  readonly #toDevice: ToDevice;
  readonly #toClient: ToClient;
  #waiting: Uint8Array = new Uint8Array(0);
  #closed = false;
  #done: (() => void) | undefined;
  received = 0;
  sent = 0;

  /**
   * @param socket one that does not read yet
   * @param kept goes on where another one was
   */
  constructor(socket: Socket, line: PortLine, options: ReverseTelnetClientOptions, kept?: KeptReverseTelnetClient) {
    this.#socket = socket;
    this.#line = line;
    this.#o = options;
    this.#toDevice = new ToDevice(options.newline);
    this.#toClient = new ToClient(options.newline);
    if (kept !== undefined) this.#goOn(kept);
    // As a device server does: the client sends each character, and shows what the device sends back.
    else socket.write(Buffer.concat([this.#telnet.want('local', ECHO, SGA), this.#telnet.want('remote', SGA)]));
    socket.on('readable', () => this.#pull());
    socket.on('drain', () => {
      line.resumeInput();
      this.#pull();
    });
  }

  /** For the line. */
  get waiting(): number {
    return this.#waiting.length;
  }

  /** For the client. */
  get unsent(): number {
    return this.#closed ? 0 : this.#socket.writableLength;
  }

  fromPort(bytes: Uint8Array): void {
    if (this.#closed || this.#socket.destroyed || this.#socket.writableEnded) return;
    this.sent += bytes.length;
    const mapped = this.#telnet.isOn('local', BINARY) ? bytes : this.#toClient.map(bytes);
    if (!this.#socket.write(escapeData(mapped))) this.#line.pauseInput();
  }

  portWritable(): void {
    this.#give(new Uint8Array(0));
    if (this.#waiting.length > 0) return;
    this.#done?.();
    this.#done = undefined;
    this.#pull();
  }

  /** Does no more. undefined: it is gone. */
  handOver(leaving: Leaving): Omit<KeptReverseTelnetClient, 'address' | 'sinceMs' | 'dropped'> | undefined {
    this.#closed = true;
    const left = leaving.leave(this.#socket);
    return (
      left && {
        ...left,
        conversation: this.#telnet.state,
        afterCr: { client: this.#toDevice.afterCr, device: this.#toClient.afterCr },
        waiting: this.#waiting,
        received: this.received,
        sent: this.sent,
      }
    );
  }

  #goOn({ conversation, afterCr, waiting, received, sent, unread }: KeptReverseTelnetClient): void {
    this.#telnet.goOn(conversation);
    this.#toDevice.afterCr = afterCr.client;
    this.#toClient.afterCr = afterCr.device;
    this.#waiting = waiting;
    this.received = received;
    this.sent = sent;
    if (unread.length > 0) this.#socket.unshift(unread);
  }

  /** It has closed. */
  get lastWords(): Speaker {
    return {
      waiting: this.waiting,
      finish: (done) => this.#finish(done),
      close: () => this.#close(),
      handOver: () => ({ waiting: this.#waiting, received: this.received, sent: this.sent }),
    };
  }

  #finish(done: () => void): void {
    this.#closed = true;
    this.#line.resumeInput();
    if (this.#waiting.length === 0) done();
    else this.#done = done;
  }

  #close(): void {
    this.#closed = true;
    this.#waiting = new Uint8Array(0);
    this.#line.resumeInput();
  }

  #pull(): void {
    while (!this.#closed && this.#waiting.length === 0 && this.#socket.writableLength <= UNREAD_LIMIT) {
      const chunk: unknown = this.#socket.read();
      if (!(chunk instanceof Uint8Array)) return;
      for (const output of this.#telnet.receive(chunk)) this.#perform(output);
    }
  }

  #perform(output: EndpointOutput): void {
    switch (output.type) {
      case 'data': {
        this.received += output.bytes.length;
        this.#give(this.#telnet.isOn('remote', BINARY) ? output.bytes : this.#toDevice.map(output.bytes));
        return;
      }
      case 'write':
        if (!this.#socket.writableEnded) this.#socket.write(output.bytes);
        return;
      case 'command':
        if (output.code === BRK) this.#o.breaks();
        return;
      case 'malformed':
        this.#o.malformed();
        return;
      case 'option':
      case 'subnegotiation':
        return;
      default:
        output satisfies never;
    }
  }

  #give(bytes: Uint8Array): void {
    const all = this.#waiting.length === 0 ? bytes : Buffer.concat([this.#waiting, bytes]);
    const taken = all.length === 0 ? 0 : this.#line.write(all);
    // A copy: what it is of may be a buffer that is used again.
    this.#waiting = Uint8Array.from(all.subarray(taken));
  }
}
