// A serial port with a loop plug: TX to RX, RTS to CTS, DTR to DSR and DCD, break seen as break; paced at the line's
// speed. Obeys RTS/CTS and XON/XOFF as a UART of a device server does. It never loses a byte unless told to (`lossy`).
// `pair` makes two of them with a null-modem cable between: the same lines, crossed, and settings that have to match.
// Tests steer it with the methods below "hooks" and watch it with an observer.
import type { Clock } from '../base/clock.js';
import {
  DEFAULT_SETTINGS,
  type LineErrors,
  type LineReport,
  type LineRequest,
  type LineSettings,
  type ModemLines,
  type OutputLines,
  type Queue,
} from '../serial/line.js';
import { DelayLine } from './delay-line.js';
import { isPossible, keepRateAtZero, LINES_DOWN, maskTo, sameLines } from './line-state.js';
import type { UartObserver } from './observer.js';
import { Receiver } from './receiver.js';
import { PacedTransmitter } from './transmitter.js';
import type { Uart, UartEvents } from './uart.js';

export interface LoopbackOptions {
  readonly clock: Clock;
  readonly name?: string;
  /** Bytes come back as fast as the event loop turns. */
  readonly unpaced?: boolean;
  /** Added to the line's time before a byte comes back. */
  readonly echoDelayMs?: number;
  /** 1024..8192; the default is 4096. */
  readonly transmitBuffer?: number;
  /** Default 4096. */
  readonly receiveBuffer?: number;
  /** A full receive buffer drops bytes and reports an overrun, as a UART without handshake does. Default: it holds the transmitter. */
  readonly lossy?: boolean;
  /** False: nothing comes back by itself; a test answers with `inject`. Default true. */
  readonly echo?: boolean;
  readonly observer?: UartObserver;
}

const DELAY_CAPACITY = 64 * 1024;
/** Of a rate: a byte of ten bits is still read right. */
const RATE_TOLERANCE = 0.04;
const NOTHING = new Uint8Array(0);

export class LoopbackUart implements Uart {
  readonly name: string;
  readonly #clock: Clock;
  readonly #options: LoopbackOptions;
  readonly #transmitter: PacedTransmitter;
  readonly #receiver: Receiver;
  readonly #delay: DelayLine | undefined;
  /** Where its TX, RTS and DTR go: to itself, or to the other end of a cable. */
  #far: LoopbackUart = this;
  #open = false;
  #events: UartEvents | undefined;
  #settings: LineSettings = DEFAULT_SETTINGS;
  #outputLines: OutputLines = LINES_DOWN;
  #modemLines: ModemLines = { cts: false, dsr: false, dcd: false, ri: false };
  #forced: Partial<ModemLines> = {};
  #wantsRoom = false;
  #wasBusy = false;
  #closed = false;

  /** Settings that it says true to are refused. */
  refuse: ((settings: LineSettings) => boolean) | undefined;

  constructor(options: LoopbackOptions) {
    this.#options = options;
    this.#clock = options.clock;
    this.name = options.name ?? 'loopback';
    this.#receiver = new Receiver({
      capacity: options.receiveBuffer ?? 4096,
      received: (bytes) => this.#events?.received(bytes),
      room: () => this.#roomToReceive(),
    });
    this.#transmitter = new PacedTransmitter({
      clock: options.clock,
      settings: this.#settings,
      capacity: Math.min(8192, Math.max(1024, options.transmitBuffer ?? 4096)),
      unpaced: options.unpaced ?? false,
      deliver: (bytes, settings) => this.#left(bytes, settings),
      sinkRoom: () => this.#sinkRoom(),
      progressed: () => this.#progressed(),
    });
    const delayMs = options.echoDelayMs ?? 0;
    if (delayMs > 0)
      this.#delay = new DelayLine(options.clock, delayMs, DELAY_CAPACITY, (bytes) => this.#far.#arrive(bytes));
  }

  /** Two ports and a null-modem cable. An end that is not open loses what it is sent, and its lines are low. */
  static pair(options: LoopbackOptions, other: LoopbackOptions = options): [LoopbackUart, LoopbackUart] {
    const [one, two] = [new LoopbackUart(options), new LoopbackUart(other)];
    one.#far = two;
    two.#far = one;
    return [one, two];
  }

  get settings(): LineSettings {
    return this.#settings;
  }

  get outputLines(): OutputLines {
    return this.#outputLines;
  }

  get modemLines(): ModemLines {
    return this.#modemLines;
  }

  get outputQueue(): number {
    return this.#transmitter.queued;
  }

  get inputQueue(): number {
    return this.#receiver.queued;
  }

  async open(events: UartEvents): Promise<void> {
    this.#events = events;
    this.#open = true;
    // What its other end shows already is no change.
    this.#modemLines = this.#plugged();
  }

  async request(request: LineRequest): Promise<boolean> {
    if (this.#closed) return false;
    switch (request.type) {
      case 'settings':
        return this.#apply(request.settings, request.lines);
      case 'lines':
        this.#setLines(request.lines);
        return true;
      case 'break':
        this.#setBreak(request.on);
        return true;
      case 'flush':
        this.#flush(request.queue);
        return true;
      case 'transmitter':
        this.#setTransmitter(request.on);
        return true;
      case 'fifo':
        return true;
      default:
        return request satisfies never;
    }
  }

  write(bytes: Uint8Array): number {
    if (this.#closed) return 0;
    const accepted = this.#transmitter.write(bytes);
    if (accepted > 0) this.#wasBusy = true;
    if (accepted < bytes.length) this.#wantsRoom = true;
    return accepted;
  }

  pauseInput(): void {
    this.#receiver.pause();
  }

  resumeInput(): void {
    this.#receiver.resume();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#events = undefined;
    this.#transmitter.dispose();
    this.#receiver.dispose();
    this.#delay?.dispose();
    this.#outputLines = LINES_DOWN;
    if (this.#far === this || !this.#open) return;
    this.#open = false;
    this.#far.#followLines();
    this.#far.#progressed();
  }

  // hooks

  /** The device at the other end takes nothing more: CTS low, and the transmitter stands whatever the flow control. */
  hold(on: boolean): void {
    if (on) this.#transmitter.stop('hold');
    this.forceLines(on ? { ...this.#forced, cts: false } : omitCts(this.#forced));
    if (!on) this.#transmitter.resume('hold');
  }

  /** Lines that show this instead of what the plug makes of RTS and DTR. CTS low stops only where RTS/CTS is on. */
  forceLines(lines: Partial<ModemLines>): void {
    this.#forced = lines;
    this.#followLines();
  }

  /** Bytes that arrive on the line by themselves. Returns how many there was room for. */
  inject(bytes: Uint8Array): number {
    return this.#arrive(bytes);
  }

  injectBreak(): void {
    this.#report({ type: 'break' });
  }

  injectErrors(errors: Partial<LineErrors>): void {
    const none: LineErrors = { parity: false, framing: false, overrun: false, bufferOverrun: false };
    this.#report({ type: 'errors', errors: { ...none, ...errors } });
  }

  // the plug

  #apply(wanted: LineSettings, lines: OutputLines): boolean {
    if (!isPossible(wanted) || this.refuse?.(wanted) === true) return false;
    this.#settings = keepRateAtZero(wanted, this.#settings);
    this.#transmitter.setSettings(this.#settings);
    this.#options.observer?.settings?.(this.#settings, this.#clock.now());
    if (!this.#settings.flowControl.xonXoffOut) this.#transmitter.resume('xoff');
    this.#setLines(wanted.baudRate === 0 ? LINES_DOWN : lines);
    return true;
  }

  #setLines(lines: OutputLines): void {
    const changed = lines.dtr !== this.#outputLines.dtr || lines.rts !== this.#outputLines.rts;
    this.#outputLines = lines;
    if (changed) this.#options.observer?.lines?.(lines, this.#clock.now());
    this.#far.#followLines();
  }

  #plugged(): ModemLines {
    const { dtr, rts } = this.#far.#outputLines;
    return { cts: rts, dsr: dtr, dcd: dtr, ri: false, ...this.#forced };
  }

  #followLines(): void {
    const lines = this.#plugged();
    const changed = !sameLines(lines, this.#modemLines);
    this.#modemLines = lines;
    if (changed) this.#report({ type: 'lines', lines });
    if (this.#settings.flowControl.rtsCts && !lines.cts) this.#transmitter.stop('cts');
    else this.#transmitter.resume('cts');
  }

  #setBreak(on: boolean): void {
    if (on === this.#transmitter.isStoppedBy('break')) return;
    this.#options.observer?.break?.(on, this.#clock.now());
    // A line that is held low carries no bytes; a UART would lose them, the plug keeps them for after the break.
    if (!on) {
      this.#transmitter.resume('break');
      return;
    }
    this.#transmitter.stop('break');
    if (this.#options.echo !== false) this.#far.#report({ type: 'break' });
  }

  #setTransmitter(on: boolean): void {
    this.#options.observer?.transmitter?.(on, this.#clock.now());
    if (!on) {
      this.#transmitter.stop('host');
      return;
    }
    this.#transmitter.resume('host');
    this.#transmitter.resume('xoff');
  }

  #flush(queue: Queue): void {
    let dropped = 0;
    if (queue !== 'rx') dropped += this.#transmitter.clear();
    if (queue !== 'tx') dropped += this.#receiver.clear();
    this.#options.observer?.flushed?.(queue, dropped, this.#clock.now());
    queueMicrotask(() => this.#progressed());
  }

  #left(bytes: Uint8Array, settings: LineSettings): void {
    const carried = maskTo(bytes, settings.dataBits);
    this.#options.observer?.transmitted?.(carried, settings, this.#clock.now());
    if (this.#options.echo === false) return;
    const far = this.#far;
    const heard = far === this ? carried : far.#heard(carried, settings);
    if (this.#delay === undefined) far.#arrive(heard);
    else this.#delay.push(heard);
  }

  /** What a port makes of bytes that were sent with other settings than its own: errors, and at another rate nothing else. */
  #heard(bytes: Uint8Array, sent: LineSettings): Uint8Array {
    const own = this.#settings;
    if (!this.#open) return NOTHING;
    if (Math.abs(sent.baudRate / own.baudRate - 1) > RATE_TOLERANCE) {
      this.injectErrors({ framing: true });
      return NOTHING;
    }
    if (sent.parity !== own.parity || sent.dataBits !== own.dataBits) this.injectErrors({ parity: true });
    return maskTo(bytes, own.dataBits);
  }

  /** Returns how many bytes are dealt with; those of a lossy port that overran are. */
  #arrive(bytes: Uint8Array): number {
    const room = this.#receiver.room;
    const offered = this.#options.lossy ? bytes : bytes.subarray(0, room);
    const accepted = this.#receiver.push(this.#withoutXonXoff(offered));
    if (this.#options.lossy && accepted < bytes.length && room < bytes.length)
      this.injectErrors({ bufferOverrun: true });
    return offered.length;
  }

  #withoutXonXoff(bytes: Uint8Array): Uint8Array {
    const { xonXoffOut, xon, xoff } = this.#settings.flowControl;
    if (!xonXoffOut || !bytes.some((byte) => byte === xon || byte === xoff)) return bytes;
    for (const byte of bytes) {
      if (byte === xoff) this.#transmitter.stop('xoff');
      else if (byte === xon) this.#transmitter.resume('xoff');
    }
    return bytes.filter((byte) => byte !== xon && byte !== xoff);
  }

  #sinkRoom(): number {
    const far = this.#far;
    if (this.#options.echo === false || far.#options.lossy) return Number.POSITIVE_INFINITY;
    if (this.#delay !== undefined) return this.#delay.room;
    return far === this || far.#open ? far.#receiver.room : Number.POSITIVE_INFINITY;
  }

  #roomToReceive(): void {
    this.#far.#delay?.retry();
    this.#far.#progressed();
  }

  #progressed(): void {
    if (this.#closed) return;
    if (this.#sinkRoom() > 0) this.#transmitter.resume('sink');
    if (this.#wantsRoom && this.#transmitter.room > 0) {
      this.#wantsRoom = false;
      queueMicrotask(() => this.#events?.writable());
    }
    if (this.#wasBusy && this.#transmitter.queued === 0) {
      this.#wasBusy = false;
      queueMicrotask(() => this.#events?.drained());
    }
  }

  #report(report: LineReport): void {
    queueMicrotask(() => this.#events?.report(report));
  }
}

function omitCts(lines: Partial<ModemLines>): Partial<ModemLines> {
  const { cts: _, ...rest } = lines;
  return rest;
}
