// One port of an FTDI chip as its driver sees it: vendor requests in, what the application asks out; and what the line tells as
// the status bytes that begin every packet. No IO, no clock. Source: drivers/usb/serial/ftdi_sio.c; docs/protocol/usbip.md.
import {
  type DataBits,
  DEFAULT_SETTINGS,
  type LineErrors,
  type LineSettings,
  type ModemLines,
  type OutputLines,
  type Parity,
} from '../../serial/line.js';
import type { Setup } from '../usbip/setup.js';
import { rateOfCode } from './baud-rate.js';
import * as c from './constants.js';

/** What the driver's user did. */
export type FtdiEvent =
  | { readonly type: 'opened' }
  | { readonly type: 'settings'; readonly settings: LineSettings }
  | { readonly type: 'lines'; readonly lines: OutputLines }
  | { readonly type: 'break'; readonly on: boolean };

/** What a port goes on from in another process. */
export interface FtdiState {
  readonly settings: LineSettings;
  readonly lines: OutputLines;
  readonly break: boolean;
}

const PARITIES: readonly Parity[] = ['none', 'odd', 'even', 'mark', 'space'];
const EMPTY = new Uint8Array(0);

const INITIAL: FtdiState = { settings: DEFAULT_SETTINGS, lines: { dtr: false, rts: false }, break: false };

export class FtdiPort {
  /** Another value whenever something changed. */
  #state: FtdiState;
  #latency = 1;

  constructor(state: FtdiState = INITIAL) {
    this.#state = state;
  }

  get state(): FtdiState {
    return this.#state;
  }

  get settings(): LineSettings {
    return this.#state.settings;
  }

  get lines(): OutputLines {
    return this.#state.lines;
  }

  /** Its power went: the lines drop. What is plugged next is told all else anew. */
  reset(): void {
    this.#state = { ...INITIAL, settings: this.settings };
  }

  /** undefined: the request stalls. `tell` is called for what the application did. */
  control({ request, value, index }: Setup, tell: (event: FtdiEvent) => void): Uint8Array | undefined {
    switch (request) {
      case c.RESET:
        if (value === c.RESET_PORT) tell({ type: 'opened' });
        return EMPTY;
      case c.MODEM_CONTROL:
        this.#setLines(value, tell);
        return EMPTY;
      case c.FLOW_CONTROL:
        this.#setFlow(value, index, tell);
        return EMPTY;
      case c.BAUD_RATE:
        this.#set({ baudRate: rateOfCode(value | ((index >> 8) << 16)) }, tell);
        return EMPTY;
      case c.LINE:
        return this.#setLine(value, tell);
      case c.EVENT_CHARACTER:
      case c.ERROR_CHARACTER:
        return EMPTY;
      case c.SET_LATENCY:
        this.#latency = value & 0xff;
        return EMPTY;
      case c.GET_LATENCY:
        return Uint8Array.from([this.#latency]);
      default:
        return undefined;
    }
  }

  #setLines(value: number, tell: (event: FtdiEvent) => void): void {
    const old = this.lines;
    const dtr = value & c.DTR_MEANT ? (value & c.DTR) !== 0 : old.dtr;
    const rts = value & c.RTS_MEANT ? (value & c.RTS) !== 0 : old.rts;
    if (dtr === old.dtr && rts === old.rts) return;
    this.#state = { ...this.#state, lines: { dtr, rts } };
    tell({ type: 'lines', lines: this.lines });
  }

  #setFlow(value: number, index: number, tell: (event: FtdiEvent) => void): void {
    const rtsCts = (index & c.FLOW_RTS_CTS) !== 0;
    const xonXoffOut = (index & c.FLOW_XON_XOFF) !== 0;
    const { flowControl: old } = this.settings;
    const characters = xonXoffOut ? { xon: value & 0xff, xoff: (value >> 8) & 0xff } : { xon: old.xon, xoff: old.xoff };
    this.#set({ flowControl: { ...old, ...characters, rtsCts, xonXoffOut } }, tell);
  }

  #setLine(value: number, tell: (event: FtdiEvent) => void): Uint8Array | undefined {
    const parity = PARITIES[(value >> 8) & 7];
    const stopBits = ([1, 1.5, 2] as const)[(value >> 11) & 7];
    const dataBits = dataBitsOf(value & 0xff);
    if (parity === undefined || stopBits === undefined || dataBits === undefined) return undefined;
    this.#set({ dataBits, parity, stopBits }, tell);
    const on = (value & c.LINE_BREAK) !== 0;
    if (on !== this.#state.break) {
      this.#state = { ...this.#state, break: on };
      tell({ type: 'break', on });
    }
    return EMPTY;
  }

  #set(change: Partial<LineSettings>, tell: (event: FtdiEvent) => void): void {
    const settings = { ...this.settings, ...change };
    if (JSON.stringify(settings) === JSON.stringify(this.settings)) return;
    this.#state = { ...this.#state, settings };
    tell({ type: 'settings', settings });
  }
}

/** The first status byte. */
export function modemStatus({ cts, dsr, dcd, ri }: ModemLines): number {
  return c.RESERVED | (cts ? c.CTS : 0) | (dsr ? c.DSR : 0) | (ri ? c.RI : 0) | (dcd ? c.DCD : 0);
}

/** Flags of the second status byte: something was wrong on the line, nobody knows with which byte. */
export function errorStatus({ parity, framing, overrun, bufferOverrun }: LineErrors): number {
  return (parity ? c.PARITY : 0) | (framing ? c.FRAMING : 0) | (overrun || bufferOverrun ? c.OVERRUN : 0);
}

/** The driver sends 0 for CS5, and never asks for CS6. */
function dataBitsOf(value: number): DataBits | undefined {
  if (value === 0) return 5;
  return value === 5 || value === 6 || value === 7 || value === 8 ? value : undefined;
}
