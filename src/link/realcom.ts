// One port of a device server over Real COM: two TCP connections and the host engine between them. Here are the sockets
// and the timer; what goes over the command connection is protocol/realcom/host.ts. The data bytes never pass here.
// Follows docs/protocol/realcom.md sections 1.3, 1.4 and 12; docs/architecture.md "The way of a byte".
import { isIPv6 } from 'node:net';
import type { Clock, Timer } from '../base/clock.js';
import { Fault } from '../base/fault.js';
import { type Log, silentLog } from '../base/log.js';
import { closeFd, discardInput, endConnection, outputQueue } from '../native/socket.js';
import { describeCommand, describeFrame } from '../protocol/realcom/describe.js';
import { HostEngine, type HostOutput } from '../protocol/realcom/host.js';
import type { LineRequest, ModemLines } from '../serial/line.js';
import { abortable } from './abortable.js';
import { CommandSocket } from './command-socket.js';
import { dial, dialAny, type Pair, place } from './dial.js';
import { endFault } from './errno.js';
import { LinkLife } from './life.js';
import type { Link, LinkCapabilities, LinkEvents, LinkHandover } from './link.js';
import { parseRealComState, type RealComState } from './realcom-state.js';

export type PreambleMode = 'auto' | 'on' | 'off';

export interface RealComLinkOptions {
  /** Numeric addresses (IPv6 may carry %scope) in the order to try them, or what finds them at each connect. */
  readonly addresses: readonly string[] | (() => Promise<readonly string[]>);
  readonly dataPort: number;
  readonly commandPort: number;
  readonly clock: Clock;
  readonly log?: Log;
  /** For each address and each of the two connections. */
  readonly connectTimeoutMs?: number;
  readonly commandTimeoutMs?: number;
  /** The vendor's 16-byte exchange: `auto` over IPv6, and given up where the device does not answer it; `on`: always. */
  readonly ipv6Preamble?: PreambleMode;
  readonly preambleTimeoutMs?: number;
  /** What `auto` found, so that the next link need not find it again. */
  readonly onPreamble?: (supported: boolean) => void;
  /** Another process holds the descriptors too: closing them ends no connection, so the end is told by shutdown(2). */
  readonly shared?: boolean;
}

const CONNECT_TIMEOUT_MS = 5000;

interface Waiting {
  readonly resolve: (left: number | undefined) => void;
  readonly reject: (fault: Fault) => void;
}

export class RealComLink implements Link {
  readonly capabilities: LinkCapabilities = {
    settings: true,
    outputLines: true,
    modemLines: true,
    lineErrors: true,
    breaks: true,
    flush: true,
    drain: true,
    transmitter: true,
    fifo: true,
  };
  traced = false;

  readonly #options: RealComLinkOptions;
  readonly #log: Log;
  readonly #life = new LinkLife();
  readonly #waiting = new Map<number, Waiting>();
  #events: LinkEvents | undefined;
  #engine: HostEngine | undefined;
  #socket: CommandSocket | undefined;
  #opening: { resolve: () => void; reject: (fault: Fault) => void } | undefined;
  #commandPlace = '';
  #peer: string | undefined;
  #dataFd = -1;
  #commandFd = -1;
  #nextId = 1;
  #timer: Timer | undefined;
  #sentAt: number | undefined;
  #roundTripMs: number | undefined;
  #preambleUnknown = false;

  constructor(options: RealComLinkOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
  }

  get peer(): string | undefined {
    return this.#peer;
  }

  get dataFd(): number {
    return this.#dataFd;
  }

  get unsent(): number {
    return this.#dataFd < 0 ? 0 : outputQueue(this.#dataFd);
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

  get handover(): (LinkHandover & { readonly command: number }) | undefined {
    const engine = this.#engine?.state;
    if (!this.#life.isUp || !engine || !this.#peer || this.#socket?.unsent !== false) return undefined;
    const state: RealComState = {
      peer: this.#peer,
      commandPlace: this.#commandPlace,
      roundTripMs: this.#roundTripMs,
      engine,
    };
    return { data: this.#dataFd, command: this.#commandFd, state };
  }

  adopt(events: LinkEvents, handover: LinkHandover): void {
    this.#life.begin('up');
    const state = parseRealComState(handover.state);
    const { data, command } = handover;
    if (!state || command === undefined) {
      this.#life.lose();
      closeFd(data);
      if (command !== undefined) closeFd(command);
      throw new Fault('SYSTEM', 'what was handed over is no Real COM connection');
    }
    this.#events = events;
    this.#roundTripMs = state.roundTripMs;
    const engine = this.#take(data, command, state.peer, state.commandPlace, 'off');
    this.#perform(engine.adopt(state.engine));
  }

  async request(request: LineRequest): Promise<void> {
    await this.#ask((engine, id) => engine.request(id, request));
  }

  async outputQueue(waitMs: number): Promise<number> {
    return (await this.#ask((engine, id) => engine.outputQueue(id, waitMs))) ?? 0;
  }

  discardInput(): number {
    return this.#dataFd < 0 ? 0 : discardInput(this.#dataFd);
  }

  close(): Promise<void> {
    return this.#life.close(() => this.#end());
  }

  #end(): Promise<void> {
    this.#events = undefined;
    if (this.#engine !== undefined) this.#perform(this.#engine.end(new Fault('CANCELED', 'the link was closed')));
    return this.#release();
  }

  async #establish(signal: AbortSignal): Promise<void> {
    const { addresses, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options;
    const found = typeof addresses === 'function' ? await abortable(addresses(), signal) : addresses;
    let pair = await dialAny(found, this.#options, connectTimeoutMs, signal);
    const preamble = this.#preambleFor(pair.address);
    try {
      await this.#open(pair, preamble, signal);
    } catch (error) {
      await this.#release();
      // The device took our 16 bytes for something else, or for nothing: it gets a fresh connection without them.
      if (!this.#preambleUnknown || signal.aborted) throw error;
      pair = await dial(pair.address, this.#options, connectTimeoutMs, signal);
      await this.#open(pair, 'off', signal);
    }
  }

  #preambleFor(address: string): PreambleMode {
    const mode = this.#options.ipv6Preamble ?? 'auto';
    return mode === 'auto' && !isIPv6(address) ? 'off' : mode;
  }

  /** Resolves when commands may flow. Takes over the descriptors. */
  #open(pair: Pair, preamble: PreambleMode, signal: AbortSignal): Promise<void> {
    const { commandPort, dataPort } = this.#options;
    const peer = place(pair.address, dataPort);
    const engine = this.#take(pair.dataFd, pair.commandFd, peer, place(pair.address, commandPort), preamble);
    const opened = new Promise<void>((resolve, reject) => {
      this.#opening = { resolve, reject };
    });
    this.#perform(engine.start());
    return abortable(opened, signal).finally(() => {
      this.#opening = undefined;
    });
  }

  /** The descriptors are ours from now on. */
  #take(dataFd: number, commandFd: number, peer: string, commandPlace: string, preamble: PreambleMode): HostEngine {
    const { commandTimeoutMs, preambleTimeoutMs } = this.#options;
    this.#dataFd = dataFd;
    this.#commandFd = commandFd;
    this.#peer = peer;
    this.#commandPlace = commandPlace;
    const engine = new HostEngine({
      peer: this.#commandPlace,
      preamble,
      ...(commandTimeoutMs === undefined ? {} : { commandTimeoutMs }),
      ...(preambleTimeoutMs === undefined ? {} : { preambleTimeoutMs }),
    });
    this.#engine = engine;
    this.#socket = new CommandSocket(commandFd, this.#options.shared === true, {
      bytes: (chunk) => {
        const outputs = engine.receive(chunk);
        // Also part of a frame: nobody can read it a second time.
        this.#events?.changed?.();
        this.#perform(outputs);
      },
      ended: (error) => this.#lost(endFault(error, this.#commandPlace, engine.answered)),
    });
    return engine;
  }

  #answered(roundTripMs: number): void {
    this.#roundTripMs = roundTripMs;
    this.#events?.answered?.(roundTripMs);
  }

  #ask(send: (engine: HostEngine, id: number) => HostOutput[]): Promise<number | undefined> {
    const engine = this.#engine;
    if (!this.#life.isUp || engine === undefined) {
      return Promise.reject(new Fault('CANCELED', 'the link is not connected'));
    }
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#perform(send(engine, id));
    });
  }

  #perform(outputs: readonly HostOutput[]): void {
    // The engine is where it will be once these are performed.
    if (outputs.some(({ type }) => type === 'write')) this.#events?.changed?.();
    for (const output of outputs) this.#performOne(output);
  }

  #performOne(output: HostOutput): void {
    switch (output.type) {
      case 'write':
        this.#write(output);
        break;
      case 'timer':
        this.#setTimer(output.afterMs);
        break;
      case 'ready':
        this.#opening?.resolve();
        break;
      case 'received':
        if (output.answers && this.#sentAt !== undefined) this.#answered(this.#options.clock.now() - this.#sentAt);
        if (this.traced) this.#events?.command?.('received', output.bytes, describeFrame(output.frame));
        break;
      case 'settled':
        this.#waiter(output.id)?.resolve(output.left);
        break;
      case 'failed':
        this.#waiter(output.id)?.reject(output.fault);
        break;
      case 'report':
        this.#events?.report(output.report);
        break;
      case 'preamble':
        this.#preambleUnknown = !output.supported;
        this.#options.onPreamble?.(output.supported);
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

  #write({ bytes, command }: Extract<HostOutput, { type: 'write' }>): void {
    this.#socket?.write(bytes);
    if (command === undefined) return;
    // WAIT_OQUEUE is answered late on purpose, and ALIVE not at all.
    const measured = command.type !== 'ALIVE' && command.type !== 'WAIT_OQUEUE';
    if (command.type !== 'ALIVE') this.#sentAt = measured ? this.#options.clock.now() : undefined;
    if (!this.traced) return;
    // A request writes from inside a call of the link; events never come from there.
    queueMicrotask(() => this.#events?.command?.('sent', bytes, describeCommand(command)));
  }

  #setTimer(afterMs: number | undefined): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (afterMs === undefined) return;
    this.#timer = this.#options.clock.after(afterMs, () => {
      this.#timer = undefined;
      if (this.#engine === undefined) return;
      const outputs = this.#engine.timeout();
      this.#events?.changed?.();
      this.#perform(outputs);
    });
  }

  #waiter(id: number): Waiting | undefined {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    return waiting;
  }

  /** The connection is over. The data socket stays until `close`: the pump may still be joined to it. */
  #lost(fault: Fault): void {
    const events = this.#events;
    this.#events = undefined;
    if (this.#engine !== undefined) this.#perform(this.#engine.end(fault));
    this.#opening?.reject(fault);
    if (!this.#life.lose()) return;
    void this.#socket?.close();
    events?.down(fault);
  }

  async #release(): Promise<void> {
    const socket = this.#socket;
    const dataFd = this.#dataFd;
    this.#socket = undefined;
    this.#dataFd = -1;
    this.#commandFd = -1;
    this.#setTimer(undefined);
    // Data first, as the vendor's driver does.
    if (dataFd >= 0) {
      if (this.#options.shared) endConnection(dataFd);
      closeFd(dataFd);
    }
    await socket?.close();
  }
}
