// A port whose line settings are those of its configuration: who asks for others is refused, and told of. All else is the port's.
import { type LineRequest, type LineSettings, sameSettings } from '../serial/line.js';
import { ForwardingUart } from './forwarding.js';
import type { Uart } from './uart.js';

export class FixedSettingsUart extends ForwardingUart {
  readonly #refused: (asked: LineSettings) => void;

  constructor(uart: Uart, refused: (asked: LineSettings) => void) {
    super(uart);
    this.#refused = refused;
  }

  override async request(request: LineRequest): Promise<boolean> {
    if (request.type !== 'settings') return this.uart.request(request);
    const done = await this.uart.request({ type: 'lines', lines: request.lines });
    if (sameSettings(request.settings, this.settings)) return done;
    this.#refused(request.settings);
    return false;
  }
}
