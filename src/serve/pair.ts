// The two ends of a cable through the network. On the wire it is RFC 2217: the master is a client of the slave, so that any server of
// RFC 2217 can be the far end, and a capture is readable. What one device does with RTS and DTR the other sees as CTS, and as DSR and DCD.
import { formatFlowControl, formatSettings } from '../serial/format.js';
import type { LineSettings, ModemLines, OutputLines } from '../serial/line.js';
import { FixedSettingsUart } from '../uart/fixed-settings.js';
import type { PortServerOptions } from './port-server.js';
import { Rfc2217Port } from './rfc2217.js';

/** What our inputs show is what the far outputs have to be: the device here drives the one there. */
export function throughCable({ cts, dsr, dcd }: ModemLines): OutputLines {
  return { rts: cts, dtr: dsr || dcd };
}

export const settingsText = (settings: LineSettings): string => {
  const flow = formatFlowControl(settings.flowControl);
  return `${formatSettings(settings)}${flow === 'none' ? '' : ` ${flow}`}`;
};

/** One that says the same thing again and again says it once. */
export function told(tell: (text: string) => void): (text: string) => void {
  let last: string | undefined;
  return (text) => {
    if (text !== last) tell(text);
    last = text;
  };
}

export interface PairSlaveOptions extends PortServerOptions {
  /** 0: any free one. */
  readonly port: number;
}

/** A server of RFC 2217 that keeps its own settings, and whose lines are the master's device's. */
export function pairSlave(options: PairSlaveOptions): Rfc2217Port {
  const lines = options.linesWhenFree === 'high' ? { dtr: true, rts: true } : { dtr: false, rts: false };
  const note = told((text) => options.event?.({ type: 'note', text }));
  const uart: FixedSettingsUart = new FixedSettingsUart(options.uart, (asked) =>
    note(`the master has ${settingsText(asked)}, this end ${settingsText(uart.settings)}: make them the same`),
  );
  return new Rfc2217Port({ ...options, uart, linesWhenTaken: lines, signature: 'ttynp pair slave' });
}
