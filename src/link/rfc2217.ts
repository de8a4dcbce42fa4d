// One port of a server that speaks RFC 2217: one telnet connection, on which data and commands go in turn. Here are the
// connection and the timer; what is said is protocol/rfc2217/client.ts, and the bytes go through data-relay.ts.
// Follows docs/protocol/rfc2217.md. Not handed over to another process: who has half of an escape knows it alone.
import type { Clock, Timer } from '../base/clock.js';
import { Fault } from '../base/fault.js';
import { type Log, silentLog } from '../base/log.js';
import { closeFd } from '../native/socket.js';
import { ClientEngine, type ClientOutput } from '../protocol/rfc2217/client.js';
import { describeComPort } from '../protocol/rfc2217/describe.js';
import { encodeComPort } from '../protocol/rfc2217/messages.js';
import { type LineRequest, lookAheadBytes, type ModemLines } from '../serial/line.js';
import { abortable } from './abortable.js';
import { DataRelay } from './data-relay.js';
import { dialSingle, place } from './dial.js';
import { endFault } from './errno.js';
import { LinkLife } from './life.js';
import { type Link, type LinkCapabilities, type LinkEvents, type LinkHandover, NEEDED } from './link.js';

export interface Rfc2217LinkOptions {
  /** Numeric addresses (IPv6 may carry %scope) in the order to try them, or what finds them at each connect. */
  readonly addresses: readonly string[] | (() => Promise<readonly string[]>);
  readonly dataPort: number;
  readonly clock: Clock;
  readonly log?: Log;
  /** For each address. */
  readonly connectTimeoutMs?: number;
  readonly commandTimeoutMs?: number;
  readonly negotiationTimeoutMs?: number;
}

export const RFC2217_CAPABILITIES: LinkCapabilities = {
  settings: true,
  outputLines: true,
  modemLines: true,
  lineErrors: true,
  breaks: true,
  flush: true,
  // It has no question for what is still to be transmitted, none for a FIFO, and suspends the network, not the line.
  drain: false,
  transmitter: false,
  fifo: false,
};

const CONNECT_TIMEOUT_MS = 5000;

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (fault: Fault) => void;
  readonly askedAt: number;
}

export class Rfc2217Link implements Link {
  readonly capabilities = RFC2217_CAPABILITIES;
  readonly handover = undefined;
  traced = false;

  readonly #options: Rfc2217LinkOptions;
  readonly #log: Log;
  readonly #life = new LinkLife();
  readonly #waiting = new Map<number, Waiting>();
  #events: LinkEvents | undefined;
  #engine: ClientEngine | undefined;
  #relay: DataRelay | undefined;
  #opening: { resolve: () => void; reject: (fault: Fault) => void } | undefined;
  #peer: string | undefined;
  #nextId = 1;
  #timer: Timer | undefined;
  #roundTripMs: number | undefined;

  constructor(options: Rfc2217LinkOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
  }

  get peer(): string | undefined {
    return this.#peer;
  }

  get dataFd(): number {
    return this.#relay?.dataFd ?? -1;
  }

  get unsent(): number {
    return this.#relay?.unsent ?? 0;
  }

  get modemLines(): ModemLines | undefined {
    return this.#engine?.modemLines;
  }

  get lastRoundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  async connect(events: LinkEvents, signal: AbortSignal): Promise<void> {
    await this.#life.connect(
      signal,
      (aborted) => this.#establish(aborted),
      () => this.#release(),
    );
    this.#events = events;
  }

  adopt(_events: LinkEvents, { data, command }: LinkHandover): void {
    this.#life.begin('up');
    this.#life.lose();
    for (const fd of [data, command]) if (fd !== undefined) closeFd(fd);
    throw new Fault('NOT_SUPPORTED', 'a connection of RFC 2217 cannot be gone on with');
  }

  async request(request: LineRequest): Promise<void> {
    const engine = this.#engine;
    if (!this.#life.isUp || engine === undefined) throw new Fault('CANCELED', 'the link is not connected');
    if (!this.capabilities[NEEDED[request.type]]) throw this.#refusal(request.type);
    if (request.type === 'settings') this.#setLookAhead(request);
    // What is not on the connection yet need not be purged behind it.
    if (request.type === 'flush' && request.queue !== 'rx') this.#relay?.discardOutput();
    const id = this.#nextId++;
    await new Promise<void>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject, askedAt: this.#options.clock.now() });
      this.#perform(engine.request(id, request));
    });
    if (request.type === 'flush' && request.queue !== 'tx') await this.#relay?.clearInput();
  }

  async outputQueue(): Promise<number> {
    throw this.#life.isUp ? this.#refusal('drain') : new Fault('CANCELED', 'the link is not connected');
  }

  discardInput(): number {
    return this.#relay?.discardInput() ?? 0;
  }

  close(): Promise<void> {
    return this.#life.close(() => this.#end());
  }

  #end(): Promise<void> {
    this.#events = undefined;
    if (this.#engine) this.#perform(this.#engine.end(new Fault('CANCELED', 'the link was closed')));
    return this.#release();
  }

  #refusal(what: string): Fault {
    return new Fault('NOT_SUPPORTED', `${this.#peer}: RFC 2217 has no way to ask for ${what}`);
  }

  #setLookAhead({ settings }: Extract<LineRequest, { type: 'settings' }>): void {
    if (this.#relay) this.#relay.lookAhead = lookAheadBytes(settings);
  }

  async #establish(signal: AbortSignal): Promise<void> {
    const { addresses, clock, dataPort, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options;
    const found = typeof addresses === 'function' ? await abortable(addresses(), signal) : addresses;
    const { address, fd } = await dialSingle(found, dataPort, connectTimeoutMs, signal);
    const peer = place(address, dataPort);
    this.#peer = peer;
    const { commandTimeoutMs, negotiationTimeoutMs } = this.#options;
    const engine = new ClientEngine({
      peer,
      ...(commandTimeoutMs === undefined ? {} : { commandTimeoutMs }),
      ...(negotiationTimeoutMs === undefined ? {} : { negotiationTimeoutMs }),
    });
    this.#engine = engine;
    this.#relay = new DataRelay(fd, clock, {
      received: (chunk) => this.#perform(engine.receive(chunk)),
      sent: (bytes) => engine.sent(bytes),
      held: (on) => this.#perform(engine.holdInput(on)),
      ended: (error) => this.#lost(endFault(error, peer, engine.answered)),
    });
    const opened = new Promise<void>((resolve, reject) => {
      this.#opening = { resolve, reject };
    });
    this.#perform(engine.start());
    await abortable(opened, signal).finally(() => {
      this.#opening = undefined;
    });
  }

  #perform(outputs: readonly ClientOutput[]): void {
    for (const output of outputs) this.#performOne(output);
  }

  #performOne(output: ClientOutput): void {
    switch (output.type) {
      case 'write':
        this.#write(output);
        break;
      case 'data':
        this.#relay?.deliver(output.bytes);
        break;
      case 'timer':
        this.#setTimer(output.afterMs);
        break;
      case 'ready':
        if (this.#relay) this.#relay.joined = true;
        this.#opening?.resolve();
        break;
      case 'received':
        if (!this.traced) break;
        this.#events?.command?.('received', encodeComPort(output.message, 'server'), describeComPort(output.message));
        break;
      case 'settled':
        this.#settle(output);
        break;
      case 'failed':
        this.#waiter(output.id)?.reject(output.fault);
        break;
      case 'report':
        this.#events?.report(output.report);
        break;
      case 'suspended':
        this.#relay?.suspend(output.on);
        break;
      case 'log':
        this.#log.log(output.level, output.message);
        break;
      case 'close':
        this.#lost(output.fault);
        break;
      default:
        output satisfies never;
    }
  }

  #write({ bytes, messages }: Extract<ClientOutput, { type: 'write' }>): void {
    this.#relay?.write(bytes);
    if (!this.traced || messages.length === 0) return;
    // A request writes from inside a call of the link; events never come from there.
    queueMicrotask(() => {
      for (const message of messages) {
        this.#events?.command?.('sent', encodeComPort(message, 'client'), describeComPort(message));
      }
    });
  }

  #settle({ id, answered }: Extract<ClientOutput, { type: 'settled' }>): void {
    const waiting = this.#waiter(id);
    if (waiting && answered) {
      this.#roundTripMs = this.#options.clock.now() - waiting.askedAt;
      this.#events?.answered?.(this.#roundTripMs);
    }
    waiting?.resolve();
  }

  #setTimer(afterMs: number | undefined): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (afterMs === undefined) return;
    this.#timer = this.#options.clock.after(afterMs, () => {
      this.#timer = undefined;
      if (this.#engine) this.#perform(this.#engine.timeout());
    });
  }

  #waiter(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /** The connection is over. Its descriptors stay until `close`: the pump may still be joined to one. */
  #lost(fault: Fault): void {
    const events = this.#events;
    this.#events = undefined;
    if (this.#engine) this.#perform(this.#engine.end(fault));
    this.#opening?.reject(fault);
    if (!this.#life.lose()) return;
    events?.down(fault);
  }

  async #release(): Promise<void> {
    const relay = this.#relay;
    this.#relay = undefined;
    this.#setTimer(undefined);
    await relay?.close();
  }
}
