// A Link without network: the device is an object of the same process, whose data end is the other end of a socketpair.
// Keeps the whole contract of link.ts; used to drive a session step by step. Never retries, never resolves names.
import type { Clock } from '../base/clock.js';
import { Fault } from '../base/fault.js';
import { closeFd, discardInput, outputQueue, socketPair } from '../native/socket.js';
import type { LineReport, LineRequest, LineSettings, ModemLines, OutputLines } from '../serial/line.js';
import { type Link, type LinkCapabilities, type LinkEvents, type LinkHandover, NEEDED } from './link.js';

const MUTE_MS = 10_000;
const ALL: LinkCapabilities = {
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

/** How the device behaves; every field may be changed at any time. */
export interface MemoryDeviceScript {
  capabilities: LinkCapabilities;
  /** Why a connect fails; undefined: it succeeds. */
  connectFault: Fault | undefined;
  /** Milliseconds until a connect ends, and until a request is acknowledged. */
  connectMs: number;
  answerMs: number;
  /** Nothing is acknowledged: after 10 s the link is lost, as a real one is. */
  mute: boolean;
  /** Settings that the device refuses. */
  refuses: (settings: LineSettings) => boolean;
  /** Bytes left to transmit, asked by outputQueue. */
  left: () => number;
  modemLines: ModemLines;
}

/** The far end: what it got, in order, and what it tells. Outlives its links: one device, many connections. */
export class MemoryDevice {
  readonly script: MemoryDeviceScript = {
    capabilities: ALL,
    connectFault: undefined,
    connectMs: 0,
    answerMs: 0,
    mute: false,
    refuses: () => false,
    left: () => 0,
    modemLines: { cts: true, dsr: true, dcd: true, ri: false },
  };
  /** Acknowledged requests, of all connections. */
  readonly requests: LineRequest[] = [];
  settings: LineSettings | undefined;
  lines: OutputLines = { dtr: false, rts: false };
  /** Connections that came to be. */
  connects = 0;
  /** The device's end of the data connection, while connected. Whoever wraps it in a Socket takes it over by `takeDataFd`. */
  #dataFd = -1;
  #link: MemoryLink | undefined;

  constructor(readonly clock: Clock) {}

  /** A fresh link to this device. */
  link(): MemoryLink {
    return new MemoryLink(this);
  }

  get connected(): boolean {
    return this.#link !== undefined;
  }

  /** Gives away the device's data end; the caller closes it. -1 where there is none. */
  takeDataFd(): number {
    const fd = this.#dataFd;
    this.#dataFd = -1;
    return fd;
  }

  /** Told on the next turn of the event loop, as from a socket. */
  report(report: LineReport): void {
    if (report.type === 'lines') this.script.modemLines = report.lines;
    const link = this.#link;
    setImmediate(() => link?.tell(report));
  }

  /** The device ends the connection. */
  drop(fault: Fault = new Fault('PEER_CLOSED', 'memory: closed by the device')): void {
    const link = this.#link;
    setImmediate(() => link?.lose(fault));
  }

  /** For MemoryLink only. */
  accept(link: MemoryLink, dataFd: number): void {
    this.connects++;
    this.#link = link;
    this.#dataFd = dataFd;
  }

  /** For MemoryLink only. */
  ended(link: MemoryLink): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    const fd = this.takeDataFd();
    if (fd >= 0) closeFd(fd);
  }

  /** For MemoryLink only: carries out what is acknowledged; returns what the device tells of it. */
  perform(request: LineRequest): LineReport[] {
    this.requests.push(request);
    if (request.type === 'lines') this.lines = request.lines;
    if (request.type !== 'settings') return [];
    if (this.script.refuses(request.settings)) return [{ type: 'refused', settings: request.settings }];
    this.settings = request.settings;
    this.lines = request.lines;
    return [{ type: 'lines', lines: this.script.modemLines }];
  }
}

interface Waiting {
  readonly perform: () => void;
  readonly reject: (fault: Fault) => void;
}

export class MemoryLink implements Link {
  readonly #device: MemoryDevice;
  readonly #queue: Waiting[] = [];
  #phase: 'new' | 'connecting' | 'up' | 'spent' = 'new';
  #events: LinkEvents | undefined;
  #dataFd = -1;
  #modemLines: ModemLines | undefined;
  #cancelConnect: ((fault: Fault) => void) | undefined;
  #stopAnswer: (() => void) | undefined;
  #askedAt = 0;
  #roundTripMs: number | undefined;
  traced = false;

  constructor(device: MemoryDevice) {
    this.#device = device;
  }

  get capabilities(): LinkCapabilities {
    return this.#device.script.capabilities;
  }

  get peer(): string | undefined {
    return this.#phase === 'new' || this.#phase === 'connecting' ? undefined : 'memory';
  }

  get dataFd(): number {
    return this.#dataFd;
  }

  get unsent(): number {
    return this.#dataFd < 0 ? 0 : outputQueue(this.#dataFd);
  }

  get modemLines(): ModemLines | undefined {
    return this.#modemLines;
  }

  get lastRoundTripMs(): number | undefined {
    return this.#roundTripMs;
  }

  /** Its other end is in this process. */
  readonly handover = undefined;

  adopt(_events: LinkEvents, { data, command }: LinkHandover): void {
    this.#phase = 'spent';
    closeFd(data);
    if (command !== undefined) closeFd(command);
    throw new Fault('NOT_SUPPORTED', 'memory: nothing to go on with');
  }

  async connect(events: LinkEvents, signal: AbortSignal): Promise<void> {
    if (this.#phase !== 'new') throw new Fault('CANCELED', 'this link was connected or closed before');
    this.#phase = 'connecting';
    const { connectMs } = this.#device.script;
    try {
      if (signal.aborted) throw canceled();
      await new Promise<void>((resolve, reject) => {
        const timer = this.#device.clock.after(connectMs, resolve);
        const cancel = (fault: Fault) => {
          timer.cancel();
          reject(fault);
        };
        this.#cancelConnect = cancel;
        signal.addEventListener('abort', () => cancel(canceled()), { once: true });
      });
      if (this.#device.script.connectFault !== undefined) throw this.#device.script.connectFault;
    } catch (error) {
      this.#phase = 'spent';
      throw error;
    } finally {
      this.#cancelConnect = undefined;
    }
    const [near, far] = socketPair();
    this.#dataFd = near;
    this.#events = events;
    this.#phase = 'up';
    this.#device.accept(this, far);
  }

  request(request: LineRequest): Promise<void> {
    if (!this.capabilities[NEEDED[request.type]]) {
      return Promise.reject(new Fault('NOT_SUPPORTED', `memory: ${request.type} is not supported`));
    }
    return this.#ask(request.type, () => {
      for (const report of this.#device.perform(request)) this.tell(report);
    });
  }

  outputQueue(waitMs: number): Promise<number> {
    if (!this.capabilities.drain) return Promise.reject(new Fault('NOT_SUPPORTED', 'memory: drain is not supported'));
    return this.#ask(`outputQueue ${Math.min(waitMs, 100)}`, () => this.#device.script.left());
  }

  discardInput(): number {
    return this.#dataFd < 0 ? 0 : discardInput(this.#dataFd);
  }

  async close(): Promise<void> {
    this.#cancelConnect?.(canceled());
    this.#events = undefined;
    this.#end(new Fault('CANCELED', 'the link was closed'));
    if (this.#dataFd >= 0) closeFd(this.#dataFd);
    this.#dataFd = -1;
    this.#device.ended(this);
  }

  /** For MemoryDevice only. */
  tell(report: LineReport): void {
    if (this.#phase !== 'up') return;
    if (report.type === 'lines') this.#modemLines = report.lines;
    this.#events?.report(report);
  }

  /** For MemoryDevice only. */
  lose(fault: Fault): void {
    if (this.#phase !== 'up') return;
    const events = this.#events;
    this.#events = undefined;
    this.#end(fault);
    this.#device.ended(this);
    events?.down(fault);
  }

  /** One at a time, in order, each acknowledged after `answerMs`. */
  #ask<T>(text: string, answer: () => T): Promise<T> {
    if (this.#phase !== 'up') return Promise.reject(new Fault('CANCELED', 'the link is not connected'));
    return new Promise((resolve, reject) => {
      const perform = () => {
        this.#trace('received', `${text} OK`);
        resolve(answer());
      };
      this.#queue.push({ perform, reject });
      queueMicrotask(() => this.#trace('sent', text));
      if (this.#queue.length === 1) this.#answerNext();
    });
  }

  #answerNext(): void {
    const { clock, script } = this.#device;
    this.#askedAt = clock.now();
    const timer = clock.after(script.answerMs, () => {
      this.#stopAnswer = undefined;
      if (script.mute) return this.#waitInVain();
      this.#roundTripMs = clock.now() - this.#askedAt;
      this.#events?.answered?.(this.#roundTripMs);
      this.#queue.shift()?.perform();
      if (this.#queue.length > 0) this.#answerNext();
    });
    this.#stopAnswer = () => timer.cancel();
  }

  #waitInVain(): void {
    const fault = new Fault('PEER_MUTE', `memory: not answered within ${MUTE_MS} ms`);
    const timer = this.#device.clock.after(MUTE_MS, () => this.lose(fault));
    this.#stopAnswer = () => timer.cancel();
  }

  #trace(direction: 'sent' | 'received', text: string): void {
    if (this.traced) this.#events?.command?.(direction, new Uint8Array(0), text);
  }

  #end(fault: Fault): void {
    this.#phase = 'spent';
    this.#stopAnswer?.();
    this.#stopAnswer = undefined;
    for (const { reject } of this.#queue.splice(0)) reject(fault);
  }
}

function canceled(): Fault {
  return new Fault('CANCELED', 'memory: connect canceled');
}
