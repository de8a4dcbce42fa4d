// A port on two wires: what is sent there is heard again, and a device that has just sent needs a moment before it hears. Takes the
// echo away where it is one, and holds back what comes too soon after a byte of the line. Changes nothing else of the port.
import type { Clock, Timer } from '../base/clock.js';
import { type LineRequest, lineTimeMs } from '../serial/line.js';
import { ForwardingUart } from './forwarding.js';
import type { KeptUart, Uart, UartEvents } from './uart.js';

export interface HalfDuplexOptions {
  readonly clock: Clock;
  /** The least time from the last byte that was received to the first that is sent; 0: none. */
  readonly turnaroundMs: number;
  readonly echoSuppression: boolean;
}

/** An echo that has not begun so long after the last of it should be there does not come: adapters behind USB hold 16 ms back. */
const ECHO_LATE_MS = 100;
/** Bytes whose echo is waited for; what is more is taken for the line's own. */
const MOST_EXPECTED = 64 * 1024;

export class HalfDuplexUart extends ForwardingUart {
  readonly #o: HalfDuplexOptions;
  #events: UartEvents | undefined;
  #expected: Uint8Array = new Uint8Array(0);
  /** Until then the echo may come. */
  #expectedUntil = 0;
  #heardAt = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;

  constructor(uart: Uart, options: HalfDuplexOptions) {
    super(uart);
    this.#o = options;
  }

  override open(events: UartEvents, kept?: KeptUart): Promise<void> {
    this.#events = events;
    this.#forget();
    return this.uart.open({ ...events, received: (bytes) => this.#received(bytes) }, kept);
  }

  override handOver(): KeptUart | undefined {
    this.#forget();
    return this.uart.handOver?.();
  }

  override request(request: LineRequest): Promise<boolean> {
    // What is dropped is not heard.
    if (request.type === 'flush') this.#expected = new Uint8Array(0);
    return this.uart.request(request);
  }

  override write(bytes: Uint8Array): number {
    if (bytes.length > 0 && this.#mustWait()) return 0;
    const taken = this.uart.write(bytes);
    if (this.#o.echoSuppression && taken > 0) this.#expect(bytes.subarray(0, taken));
    return taken;
  }

  override close(): Promise<void> {
    this.#events = undefined;
    this.#forget();
    return this.uart.close();
  }

  #forget(): void {
    this.#expected = new Uint8Array(0);
    this.#heardAt = Number.NEGATIVE_INFINITY;
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Too soon after the line: `writable` follows. Where bytes are leaving already the line is ours. */
  #mustWait(): boolean {
    const left = this.#heardAt + this.#o.turnaroundMs - this.#o.clock.now();
    // 1: it may not know yet that the last bit has left.
    if (left <= 0 || this.uart.outputQueue > 1) return false;
    this.#timer ??= this.#o.clock.after(left, () => {
      this.#timer = undefined;
      if (!this.#mustWait()) this.#events?.writable();
    });
    return true;
  }

  #expect(bytes: Uint8Array): void {
    const { clock } = this.#o;
    const now = clock.now();
    if (now > this.#expectedUntil) this.#expected = new Uint8Array(0);
    const room = MOST_EXPECTED - this.#expected.length;
    this.#expected = Buffer.concat([this.#expected, bytes.subarray(0, room)]);
    this.#expectedUntil = now + lineTimeMs(this.uart.settings, this.uart.outputQueue + bytes.length) + ECHO_LATE_MS;
  }

  #received(bytes: Uint8Array): void {
    const rest = this.#withoutEcho(bytes);
    if (rest.length === 0) return;
    this.#heardAt = this.#o.clock.now();
    this.#events?.received(rest);
  }

  /** From the first byte that is not the echo on everything is the line's: who spoke into it has spoilt both. */
  #withoutEcho(bytes: Uint8Array): Uint8Array {
    if (this.#expected.length === 0) return bytes;
    if (this.#o.clock.now() > this.#expectedUntil) {
      this.#expected = new Uint8Array(0);
      return bytes;
    }
    let same = 0;
    while (same < bytes.length && same < this.#expected.length && bytes[same] === this.#expected[same]) same++;
    const cut = same < bytes.length && same < this.#expected.length;
    this.#expected = cut ? new Uint8Array(0) : this.#expected.subarray(same);
    return bytes.subarray(same);
  }
}
