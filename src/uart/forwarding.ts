// A port in front of another one, which does all of it: what changes something of a port overrides that alone.
import type { LineRequest, LineSettings, ModemLines, OutputLines } from '../serial/line.js';
import type { KeptUart, Uart, UartEvents } from './uart.js';

export abstract class ForwardingUart implements Uart {
  protected readonly uart: Uart;

  constructor(uart: Uart) {
    this.uart = uart;
  }

  get name(): string {
    return this.uart.name;
  }

  get settings(): LineSettings {
    return this.uart.settings;
  }

  get outputLines(): OutputLines {
    return this.uart.outputLines;
  }

  get modemLines(): ModemLines {
    return this.uart.modemLines;
  }

  get outputQueue(): number {
    return this.uart.outputQueue;
  }

  get inputQueue(): number {
    return this.uart.inputQueue;
  }

  get descriptor(): number | undefined {
    return this.uart.descriptor;
  }

  open(events: UartEvents, kept?: KeptUart): Promise<void> {
    return this.uart.open(events, kept);
  }

  handOver(): KeptUart | undefined {
    return this.uart.handOver?.();
  }

  request(request: LineRequest): Promise<boolean> {
    return this.uart.request(request);
  }

  write(bytes: Uint8Array): number {
    return this.uart.write(bytes);
  }

  pauseInput(): void {
    this.uart.pauseInput();
  }

  resumeInput(): void {
    this.uart.resumeInput();
  }

  close(): Promise<void> {
    return this.uart.close();
  }
}
