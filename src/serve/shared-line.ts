// One open serial port, shared by the clients that are connected to it. Each client has a share, which looks like the port
// itself: all of them hear the line, and what they send goes to it in the order of its arrival, a piece at a time. Never
// buffers: who has no room holds the line up, or loses what comes (ignoreJammedIp), and waits its turn to write.
import type { Clock } from '../base/clock.js';
import type { Fault } from '../base/fault.js';
import {
  bitsPerCharacter,
  type LineReport,
  type LineRequest,
  type LineSettings,
  lineTimeMs,
  type ModemLines,
  type OutputLines,
} from '../serial/line.js';
import type { KeptUart, Uart, UartEvents } from '../uart/uart.js';
import { Arbiter } from './arbiter.js';
import type { Packing } from './packing.js';
import type { PortTrace } from './port-trace.js';

/** The port as one client has it: open already, and perhaps not its alone. */
export type PortLine = Omit<Uart, 'open' | 'close'>;

/** A client as the port has it. */
export interface LineClient {
  /** From the line. The bytes are shared: they are not to be changed. */
  received(bytes: Uint8Array): void;
  report(report: LineReport): void;
  /** There is room again after a `write` that took less than it was given. */
  writable(): void;
  drained(): void;
  /** Bytes that its TCP has not taken yet. */
  readonly unsent: number;
  /** What the line says reaches it: one that has commands only, so far or ever, gets no bytes. */
  readonly hears: boolean;
  /** Its address and the port of its data connection. */
  readonly place: string;
}

export interface SharedLineOptions {
  readonly uart: Uart;
  /** A client that does not read loses data; else it holds up the line, and so the others. */
  readonly ignoreJammedIp: boolean;
  /** False: what clients ask for is granted in words only, the configuration's settings stay. */
  readonly driverControl: boolean;
  /** How bytes of the line are put together; absent: as they come. */
  readonly packing?: Packing | undefined;
  /** One request at a time; absent: who sends is heard, piece by piece. */
  readonly arbitration?: LineArbitration | undefined;
  readonly trace?: PortTrace | undefined;
  failed(fault: Fault): void;
  /** A byte went in either direction. */
  active?(): void;
}

export interface LineArbitration {
  readonly clock: Clock;
  /** How long the line is a request's, where no answer comes. Milliseconds. */
  readonly responseTimeoutMs: number;
  /** Whose are bytes that nobody has asked for, or no longer waits for. */
  readonly lateAnswers: 'discard' | 'last-requester' | 'all';
}

/** The silence that ends an answer: 3.5 characters (Modbus RTU), and what an adapter behind USB may hold back. */
const SILENCE_CHARACTERS = 3.5;
const SILENCE_MS = 30;
/** What a client that does not read may have ahead of it where the others do not wait for it. */
const UNREAD_LIMIT = 64 * 1024;

export class SharedLine {
  readonly #o: SharedLineOptions;
  readonly #shares = new Set<LineShare>();
  readonly #jammed = new Set<LineShare>();
  /** In the order of their turns; the first was cut off in the middle of a piece, or is next. */
  readonly #waiting: LineShare[] = [];
  readonly #arbiter: Arbiter<LineShare> | undefined;
  /** From the line, that nobody waited for. */
  #late = 0;
  #closed = false;
  #leaving = false;

  constructor(options: SharedLineOptions) {
    this.#o = options;
    const { arbitration, uart } = options;
    if (arbitration === undefined) return;
    this.#arbiter = new Arbiter({
      ...arbitration,
      lineTimeMs: (bytes) => lineTimeMs(uart.settings, bytes),
      silenceMs: () => {
        const { baudRate } = uart.settings;
        const character = baudRate > 0 ? (bitsPerCharacter(uart.settings) * 1000) / baudRate : 0;
        return Math.max(SILENCE_MS, SILENCE_CHARACTERS * character, (this.#o.packing?.silenceMs ?? 0) + SILENCE_MS);
      },
      over: () => this.#o.packing?.flush(),
      free: () => this.#nextTurn(),
    });
  }

  /** Of an arbitrated line: requests that nothing came for, and bytes of the line that nobody waited for and were dropped. */
  get arbitrated(): { readonly timeouts: number; readonly late: number } | undefined {
    return this.#arbiter && { timeouts: this.#arbiter.timeouts, late: this.#late };
  }

  get uart(): Uart {
    return this.#o.uart;
  }

  get driverControl(): boolean {
    return this.#o.driverControl;
  }

  /** Rejects with the port's Fault. */
  async open(kept?: KeptUart): Promise<void> {
    const { packing, failed, uart } = this.#o;
    packing?.start(
      () => uart.settings,
      (packet) => this.#distribute(packet),
    );
    const events: UartEvents = {
      received: (bytes) => {
        this.#o.active?.();
        this.#arbiter?.heard(uart.outputQueue);
        if (packing === undefined) this.#distribute(bytes);
        // What would wait there is for nobody, and not for the next client.
        else if (this.#heard) packing.take(bytes);
        else this.#show(bytes);
      },
      report: (report) => {
        for (const { client } of this.#shares) client.report(report);
      },
      writable: () => this.#nextTurn(),
      drained: () => {
        for (const { client } of this.#shares) client.drained();
      },
      failed,
    };
    await uart.open(events, kept);
  }

  /** Takes no more from the line. */
  stopInput(): void {
    this.#leaving = true;
    this.#o.uart.pauseInput();
    this.#o.packing?.pause();
  }

  /** Does no more. undefined: the port is gone, or cannot be kept. */
  handOver(): { readonly uart: KeptUart; readonly packing: Uint8Array } | undefined {
    const uart = this.#o.uart.handOver?.();
    this.#closed = true;
    this.#arbiter?.end();
    return uart && { uart, packing: this.#o.packing?.handOver() ?? new Uint8Array(0) };
  }

  /** What waited for the end of its packet waits on. To be called when those who hear it have joined. */
  goOn(packing: Uint8Array): void {
    this.#o.packing?.goOn(packing);
  }

  /** Where it waits for its turn to write; after all who do where it does not. */
  turn(share: LineShare): number {
    const turn = this.#waiting.indexOf(share);
    return turn < 0 ? this.#waiting.length : turn;
  }

  /** Idempotent. Never rejects. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#arbiter?.end();
    this.#o.packing?.flush();
    await this.#o.uart.close();
  }

  join(client: LineClient): LineShare {
    const share = new LineShare(this, client);
    this.#shares.add(share);
    return share;
  }

  // what a share does, in the port's name

  leave(share: LineShare): void {
    if (!this.#shares.delete(share)) return;
    this.#arbiter?.left(share);
    // What the line said to the last client is nobody's now.
    if (!this.#heard) this.#o.packing?.drop();
    const turn = this.#waiting.indexOf(share);
    if (turn >= 0) this.#waiting.splice(turn, 1);
    this.resume(share);
    if (turn === 0) queueMicrotask(() => this.#nextTurn());
  }

  /** What the line said to it is nobody's, as where it leaves; what it said before is written still. */
  deafen(share: LineShare): void {
    share.deaf = true;
    if (!this.#heard) this.#o.packing?.drop();
  }

  write(share: LineShare, bytes: Uint8Array): number {
    if (this.#closed || bytes.length === 0) return 0;
    if (this.#arbiter !== undefined) return this.#writeInTurn(share, bytes, this.#arbiter);
    const [first] = this.#waiting;
    if (first !== undefined && first !== share) {
      if (!this.#waiting.includes(share)) this.#waiting.push(share);
      return 0;
    }
    const taken = this.#writeNow(share, bytes);
    if (taken < bytes.length && first === undefined) this.#waiting.push(share);
    if (taken === bytes.length && first === share) this.#waiting.shift();
    return taken;
  }

  #writeNow(share: LineShare, bytes: Uint8Array): number {
    const taken = this.#o.uart.write(bytes);
    if (taken === 0) return 0;
    this.#o.active?.();
    const { trace } = this.#o;
    if (trace?.on) trace.bytes('sent', bytes.subarray(0, taken), share.client.place);
    return taken;
  }

  /** Who has the line goes on with its request; the others wait until it is answered, in the order in which they came. */
  #writeInTurn(share: LineShare, bytes: Uint8Array, arbiter: Arbiter<LineShare>): number {
    const [first] = this.#waiting;
    const isNext = first === undefined || first === share || arbiter.isBusyWith(share);
    if (!isNext || !arbiter.isTurnOf(share)) {
      if (!this.#waiting.includes(share)) this.#waiting.push(share);
      return 0;
    }
    const part = bytes.subarray(0, arbiter.roomOf(share));
    const taken = this.#writeNow(share, part);
    if (taken > 0) arbiter.sent(share, taken);
    const turn = this.#waiting.indexOf(share);
    if (taken === part.length && turn >= 0) this.#waiting.splice(turn, 1);
    // No request is longer: the rest is one of its own, behind those of the others.
    if (taken === part.length && taken < bytes.length) this.#waiting.push(share);
    if (taken < part.length && turn < 0) this.#waiting.unshift(share);
    return taken;
  }

  pause(share: LineShare): void {
    if (this.#o.ignoreJammedIp || !this.#shares.has(share)) return;
    this.#jammed.add(share);
    this.#o.uart.pauseInput();
  }

  resume(share: LineShare): void {
    this.#jammed.delete(share);
    if (!this.#closed && !this.#leaving && this.#jammed.size === 0) this.#o.uart.resumeInput();
  }

  get #heard(): boolean {
    for (const { client, deaf } of this.#shares) if (client.hears && !deaf) return true;
    return false;
  }

  #nextTurn(): void {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      next.tried = false;
      next.client.writable();
      if (this.#waiting[0] !== next) continue;
      // It still waits; unless it has dropped what it had.
      if (next.tried) return;
      this.#waiting.shift();
    }
  }

  #loses(share: LineShare): boolean {
    return this.#o.ignoreJammedIp && share.client.unsent > UNREAD_LIMIT;
  }

  /** To who looks on. */
  #show(bytes: Uint8Array): void {
    const { trace } = this.#o;
    if (!trace?.on) return;
    const hearing = [...this.#shares].filter(({ client, deaf }) => client.hears && !deaf);
    const given = hearing.filter((share) => !this.#loses(share)).map(({ client }) => client.place);
    trace.bytes('received', bytes, given.length === 0 ? undefined : given.join(', '));
    for (const share of hearing) {
      if (this.#loses(share)) trace.event(`${share.client.place} does not read: ${bytes.length} bytes are lost to it`);
    }
  }

  /** An answer is for who asked; what nobody waits for is as configured. */
  #isForAll(bytes: Uint8Array, arbiter: Arbiter<LineShare>): boolean {
    const { arbitration } = this.#o;
    const owner = arbiter.answered;
    if (arbitration?.lateAnswers === 'all' && owner === undefined) return true;
    const share = owner ?? (arbitration?.lateAnswers === 'last-requester' ? arbiter.lastRequester : undefined);
    if (share === undefined) this.#late += bytes.length;
    else if (this.#loses(share)) share.dropped += bytes.length;
    else share.client.received(bytes);
    return false;
  }

  #distribute(bytes: Uint8Array): void {
    this.#show(bytes);
    if (this.#arbiter !== undefined && !this.#isForAll(bytes, this.#arbiter)) return;
    for (const share of this.#shares) {
      if (this.#loses(share)) share.dropped += bytes.length;
      else share.client.received(bytes);
    }
  }
}

export class LineShare implements PortLine {
  readonly client: LineClient;
  readonly #line: SharedLine;
  /** From the line, while its client did not read. */
  dropped = 0;
  /** A write was tried in this turn. */
  tried = false;
  /** Its client is gone, and its last bytes wait for the line. */
  deaf = false;

  constructor(line: SharedLine, client: LineClient) {
    this.#line = line;
    this.client = client;
  }

  get name(): string {
    return this.#line.uart.name;
  }

  get settings(): LineSettings {
    return this.#line.uart.settings;
  }

  get outputLines(): OutputLines {
    return this.#line.uart.outputLines;
  }

  get modemLines(): ModemLines {
    return this.#line.uart.modemLines;
  }

  get outputQueue(): number {
    return this.#line.uart.outputQueue;
  }

  get inputQueue(): number {
    return this.#line.uart.inputQueue;
  }

  /** Without control of the port everything is granted, and nothing is done. */
  request(request: LineRequest): Promise<boolean> {
    return this.#line.driverControl ? this.#line.uart.request(request) : Promise.resolve(true);
  }

  write(bytes: Uint8Array): number {
    this.tried = true;
    return this.#line.write(this, bytes);
  }

  pauseInput(): void {
    this.#line.pause(this);
  }

  resumeInput(): void {
    this.#line.resume(this);
  }

  /** Its client is gone, and not all that it said has been written. */
  deafen(): void {
    this.#line.deafen(this);
  }

  /** Its client is gone. Idempotent. */
  leave(): void {
    this.#line.leave(this);
  }
}
