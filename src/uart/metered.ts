// A port that counts what passes: bytes, line errors, breaks, and how long ago the last byte was; and that tells who looks on
// what the line was asked and what it told. Changes nothing.
import type { Clock } from '../base/clock.js';
import type { LineReport, LineRequest } from '../serial/line.js';
import { ForwardingUart } from './forwarding.js';
import type { KeptUart, Uart, UartEvents } from './uart.js';

export interface LineMeter {
  transmitted: number;
  received: number;
  /** Of the clock; undefined: never. */
  lastTransmittedMs: number | undefined;
  lastReceivedMs: number | undefined;
  /** How often the driver told of each; several at once count as one. */
  parity: number;
  framing: number;
  overrun: number;
  breaks: number;
}

/** Who looks on. Called only while `on`. */
export interface LineWatch {
  readonly on: boolean;
  /** It has been carried out, or refused. */
  requested(request: LineRequest, done: boolean): void;
  reported(report: LineReport): void;
}

export function newMeter(): LineMeter {
  const none = { lastTransmittedMs: undefined, lastReceivedMs: undefined };
  return { transmitted: 0, received: 0, ...none, parity: 0, framing: 0, overrun: 0, breaks: 0 };
}

export class MeteredUart extends ForwardingUart {
  readonly #meter: LineMeter;
  readonly #clock: Clock;
  readonly #watch: LineWatch | undefined;

  /** @param meter goes on counting over the uarts that it is given to, one after the other */
  constructor(uart: Uart, meter: LineMeter, clock: Clock, watch?: LineWatch) {
    super(uart);
    this.#meter = meter;
    this.#clock = clock;
    this.#watch = watch;
  }

  override open(events: UartEvents, kept?: KeptUart): Promise<void> {
    const metered: UartEvents = {
      ...events,
      received: (bytes) => {
        this.#meter.received += bytes.length;
        this.#meter.lastReceivedMs = this.#clock.now();
        events.received(bytes);
      },
      report: (report) => {
        this.#count(report);
        if (this.#watch?.on) this.#watch.reported(report);
        events.report(report);
      },
    };
    return this.uart.open(metered, kept);
  }

  override request(request: LineRequest): Promise<boolean> {
    return this.#watch?.on ? this.#watched(request, this.#watch) : this.uart.request(request);
  }

  override write(bytes: Uint8Array): number {
    const taken = this.uart.write(bytes);
    this.#meter.transmitted += taken;
    if (taken > 0) this.#meter.lastTransmittedMs = this.#clock.now();
    return taken;
  }

  async #watched(request: LineRequest, watch: LineWatch): Promise<boolean> {
    const done = await this.uart.request(request);
    if (watch.on) watch.requested(request, done);
    return done;
  }

  #count(report: LineReport): void {
    const meter = this.#meter;
    if (report.type === 'break') meter.breaks++;
    if (report.type !== 'errors') return;
    if (report.errors.parity) meter.parity++;
    if (report.errors.framing) meter.framing++;
    if (report.errors.overrun || report.errors.bufferOverrun) meter.overrun++;
  }
}
