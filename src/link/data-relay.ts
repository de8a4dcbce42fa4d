// The way of the bytes where data and commands share one connection: a socketpair, whose one end the pump joins, and the
// connection, with telnet's escaping in between. Knows no command. Bounded both ways: what has no room is not read.
// Follows docs/architecture.md "The way of a byte", docs/protocol/rfc2217.md.
import { Socket, type SocketConstructorOpts } from 'node:net';
import type { Clock, Timer } from '../base/clock.js';
import { closeFd, discardInput, inputQueue, outputQueue, setSocketOptions, socketPair } from '../native/socket.js';
import { escapeData } from '../protocol/telnet/encoder.js';

export interface RelayEvents {
  /** From the server. Valid only during the call: the buffer is used again. */
  received(chunk: Uint8Array): void;
  /** So many bytes of data went towards the server. */
  sent(bytes: number): void;
  /** What was delivered has no room at the pump, or has it again. */
  held(on: boolean): void;
  /** The server ended it, or an error did. At most once, never after `close`. */
  ended(error: Error | undefined): void;
}

const READ_BUFFER_BYTES = 16 * 1024;
const SEND_BUFFER_BYTES = 4 * 1024;
/** In the kernel, towards the pump. */
const PAIR_BUFFER_BYTES = 32 * 1024;
/** In JavaScript, either way; above it the server is not read from. A read may come on top. */
const MOST_BYTES = 64 * 1024;
/** How soon a look whether the server has taken something; at most one line time of what it is allowed to have. */
const LOOK_MS = 5;
/** Turns of the event loop in which what waits in JavaScript goes through the kernel's buffer. */
const CLEAR_TURNS = 100;
/** After the server's end: for the pump to take what it had sent. */
const REST_LOOKS = 40;

export class DataRelay {
  /** The pump's end. Closed by `close`. */
  #near: number;
  readonly #netFd: number;
  readonly #farFd: number;
  readonly #net: Socket;
  readonly #far: Socket;
  readonly #clock: Clock;
  readonly #closed: Promise<unknown>;
  #events: RelayEvents | undefined;
  #timer: Timer | undefined;
  #suspended = false;
  #held = false;
  #cleared = 0;
  /** Somebody reads `dataFd`: at the server's end, what it had sent is brought there first. */
  joined = false;
  /** What the server may have of us before it has taken it. */
  lookAhead = MOST_BYTES;

  /** Takes the connection over. */
  constructor(netFd: number, clock: Clock, events: RelayEvents) {
    this.#clock = clock;
    this.#events = events;
    this.#netFd = netFd;
    [this.#near, this.#farFd] = socketPair();
    setSocketOptions(this.#farFd, { sendBuffer: PAIR_BUFFER_BYTES });
    this.#net = reader(netFd, READ_BUFFER_BYTES, (chunk) => {
      this.#events?.received(chunk);
      return this.#hasRoom();
    });
    this.#far = reader(this.#farFd, SEND_BUFFER_BYTES, (chunk) => this.#send(chunk));
    let failure: Error | undefined;
    this.#net.on('error', (error) => {
      failure = error;
    });
    this.#far.on('error', () => {}); // the pump's end was closed, by us
    this.#net.on('drain', () => this.#readOn());
    this.#far.on('drain', () => {
      this.#hold(false);
      this.#readOn();
    });
    this.#net.on('end', () => this.#letTakeRest(REST_LOOKS));
    const end = (socket: Socket) => new Promise((resolve) => socket.on('close', resolve));
    this.#closed = Promise.all([end(this.#net).then(() => this.#end(failure)), end(this.#far)]);
  }

  get dataFd(): number {
    return this.#near;
  }

  /** Bytes that the pump has given and the server's TCP has not taken. */
  get unsent(): number {
    return this.#far.destroyed ? 0 : inputQueue(this.#farFd) + this.#onTheWay;
  }

  /** A command: after all data that was read from the pump. */
  write(bytes: Uint8Array): void {
    this.#net.write(bytes);
  }

  /** Data from the line, towards the pump. Copied. */
  deliver(bytes: Uint8Array): void {
    // A copy: the buffer is used again, and a Buffer's slice() is a view.
    if (!this.#far.destroyed && !this.#far.write(new Uint8Array(bytes))) this.#hold(true);
  }

  /** The server wants no more data, or wants it again. Commands go on. */
  suspend(on: boolean): void {
    this.#suspended = on;
    if (on) this.#far.pause();
    else if (this.#maySend()) this.#far.resume();
  }

  /** Throws away what came from the server and the pump has not read, what waits in JavaScript too; `discardInput` counts it. */
  async clearInput(): Promise<void> {
    for (let turn = 0; turn < CLEAR_TURNS && !this.#far.destroyed && this.#near >= 0; turn++) {
      this.#cleared += discardInput(this.#near);
      if (this.#far.writableLength === 0) return;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Throws away what lies ready for the pump; returns how many bytes, with those that `clearInput` threw away. */
  discardInput(): number {
    const bytes = this.#cleared + (this.#near < 0 ? 0 : discardInput(this.#near));
    this.#cleared = 0;
    return bytes;
  }

  /** What the pump has given and was not yet read here. */
  discardOutput(): number {
    return this.#far.destroyed ? 0 : discardInput(this.#farFd);
  }

  /** Idempotent; the descriptors are gone when it resolves. Nothing is told any more. */
  async close(): Promise<void> {
    this.#events = undefined;
    this.#timer?.cancel();
    if (this.#near >= 0) closeFd(this.#near);
    this.#near = -1;
    this.#net.destroy();
    this.#far.destroy();
    await this.#closed;
  }

  get #onTheWay(): number {
    return this.#net.destroyed ? 0 : this.#net.writableLength + outputQueue(this.#netFd);
  }

  #send(chunk: Uint8Array): boolean {
    if (this.#net.destroyed) return false;
    this.#net.write(escapeData(chunk));
    this.#events?.sent(chunk.length);
    return this.#maySend();
  }

  /** Nobody tells when the server's TCP has taken something: it is looked at. */
  #maySend(): boolean {
    if (this.#suspended || this.#net.destroyed) return false;
    if (this.#onTheWay < this.lookAhead) return true;
    this.#timer ??= this.#clock.after(LOOK_MS, () => {
      this.#timer = undefined;
      if (this.#maySend()) this.#far.resume();
    });
    return false;
  }

  #hasRoom(): boolean {
    return this.#far.writableLength < MOST_BYTES && this.#net.writableLength < MOST_BYTES;
  }

  #readOn(): void {
    if (this.#hasRoom()) this.#net.resume();
  }

  #hold(on: boolean): void {
    if (this.#held === on) return;
    this.#held = on;
    this.#events?.held(on);
  }

  /** The pump reads it faster than it comes; only an application that does not read can be in the way. */
  #letTakeRest(looks: number): void {
    if (this.#far.destroyed || this.#net.destroyed) return;
    const taken = this.#far.writableLength === 0 && outputQueue(this.#farFd) === 0;
    if (!this.joined || taken || looks === 0) {
      this.#net.destroy();
      return;
    }
    this.#timer?.cancel();
    this.#timer = this.#clock.after(LOOK_MS, () => this.#letTakeRest(looks - 1));
  }

  #end(error: Error | undefined): void {
    const told = this.#events;
    this.#events = undefined;
    this.#timer?.cancel();
    told?.ended(error);
  }
}

/** A socket that reads into one buffer for as long as `take` says that there is room. */
function reader(fd: number, bytes: number, take: (chunk: Uint8Array) => boolean): Socket {
  const buffer = Buffer.alloc(bytes);
  // The types know `onread` only for connect(); the constructor takes it too. An end is not answered by an end at once.
  const options: SocketConstructorOpts & { onread: object } = {
    fd,
    allowHalfOpen: true,
    onread: { buffer, callback: (length: number) => take(buffer.subarray(0, length)) },
  };
  return new Socket(options);
}
