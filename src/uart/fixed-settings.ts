// A port whose line settings are those of its configuration: who asks for others is refused, and told of. All else is the port's.
import {
  type LineRequest,
  type LineSettings,
  type ModemLines,
  type OutputLines,
  sameSettings,
} from '../serial/line.js';
import type { KeptUart, Uart, UartEvents } from './uart.js';

export class FixedSettingsUart implements Uart {
  readonly #uart: Uart;
  readonly #refused: (asked: LineSettings) => void;

  constructor(uart: Uart, refused: (asked: LineSettings) => void) {
    this.#uart = uart;
    this.#refused = refused;
  }

  get name(): string {
    return this.#uart.name;
  }

  get settings(): LineSettings {
    return this.#uart.settings;
  }

  get outputLines(): OutputLines {
    return this.#uart.outputLines;
  }

  get modemLines(): ModemLines {
    return this.#uart.modemLines;
  }

  get outputQueue(): number {
    return this.#uart.outputQueue;
  }

  get inputQueue(): number {
    return this.#uart.inputQueue;
  }

  get descriptor(): number | undefined {
    return this.#uart.descriptor;
  }

  open(events: UartEvents, kept?: KeptUart): Promise<void> {
    return this.#uart.open(events, kept);
  }

  handOver(): KeptUart | undefined {
    return this.#uart.handOver?.();
  }

  async request(request: LineRequest): Promise<boolean> {
    if (request.type !== 'settings') return this.#uart.request(request);
    const done = await this.#uart.request({ type: 'lines', lines: request.lines });
    if (sameSettings(request.settings, this.settings)) return done;
    this.#refused(request.settings);
    return false;
  }

  write(bytes: Uint8Array): number {
    return this.#uart.write(bytes);
  }

  pauseInput(): void {
    this.#uart.pauseInput();
  }

  resumeInput(): void {
    this.#uart.resumeInput();
  }

  close(): Promise<void> {
    return this.#uart.close();
  }
}
