// A port whose line settings are those of its configuration: who asks for others is refused, and told of. All else is the port's.
import { type LineRequest, type LineSettings, sameSettings } from '../serial/line.js';
import { ForwardingUart } from './forwarding.js';
import type { Uart } from './uart.js';

export class FixedSettingsUart extends ForwardingUart {
  readonly #refused: (asked: LineSettings) => void;
  /** All that was asked for in a row: RFC 2217 asks for one setting after the other, each with the port's own for the rest. */
  #asked: LineSettings | undefined;

  /** @param refused called when something else than settings is asked: a client asks for lines after them, and its end is a request */
  constructor(uart: Uart, refused: (asked: LineSettings) => void) {
    super(uart);
    this.#refused = refused;
  }

  override async request(request: LineRequest): Promise<boolean> {
    if (request.type !== 'settings') {
      this.#tell();
      return this.uart.request(request);
    }
    const done = await this.uart.request({ type: 'lines', lines: request.lines });
    const { settings } = this;
    if (sameSettings(request.settings, settings)) return done;
    this.#asked = changed(this.#asked ?? settings, settings, request.settings);
    return false;
  }

  #tell(): void {
    const asked = this.#asked;
    this.#asked = undefined;
    if (asked !== undefined) this.#refused(asked);
  }
}

/** `before`, with what `asked` has otherwise than `own`. */
function changed(before: LineSettings, own: LineSettings, asked: LineSettings): LineSettings {
  const pick = <T>(was: T, is: T, wanted: T): T => (wanted === is ? was : wanted);
  const [was, is, wanted] = [before.flowControl, own.flowControl, asked.flowControl];
  return {
    baudRate: pick(before.baudRate, own.baudRate, asked.baudRate),
    dataBits: pick(before.dataBits, own.dataBits, asked.dataBits),
    parity: pick(before.parity, own.parity, asked.parity),
    stopBits: pick(before.stopBits, own.stopBits, asked.stopBits),
    flowControl: {
      rtsCts: pick(was.rtsCts, is.rtsCts, wanted.rtsCts),
      xonXoffOut: pick(was.xonXoffOut, is.xonXoffOut, wanted.xonXoffOut),
      xonXoffIn: pick(was.xonXoffIn, is.xonXoffIn, wanted.xonXoffIn),
      xon: pick(was.xon, is.xon, wanted.xon),
      xoff: pick(was.xoff, is.xoff, wanted.xoff),
    },
  };
}
