// One port of an FTDI chip as its driver sees it: vendor requests in, what the application asks out; what the line tells in,
// packets with two status bytes out. No IO, no clock. Source: drivers/usb/serial/ftdi_sio.c; docs/protocol/usbip.md.
import {
  type DataBits,
  DEFAULT_SETTINGS,
  type LineErrors,
  type LineSettings,
  type ModemLines,
  NO_MODEM_LINES,
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
  | { readonly type: 'break'; readonly on: boolean }
  /** The driver waits until everything has left, or reads the modem lines: it cannot be told which. */
  | { readonly type: 'asked' };

const PARITIES: readonly Parity[] = ['none', 'odd', 'even', 'mark', 'space'];
const EMPTY = new Uint8Array(0);

export class FtdiPort {
  #settings: LineSettings = DEFAULT_SETTINGS;
  #lines: OutputLines = { dtr: false, rts: false };
  #modem: ModemLines = NO_MODEM_LINES;
  #break = false;
  #latency = 1;
  /** Flags for the next data byte, and whether a packet is due though there is no data. */
  #errors = 0;
  #breaks = 0;
  #due = false;
  /** Nothing that the application wrote is anywhere between it and the wire. */
  transmitterEmpty = true;

  get settings(): LineSettings {
    return this.#settings;
  }

  get lines(): OutputLines {
    return this.#lines;
  }

  /** A packet is to be sent though there is no data: a change of lines, or a break. */
  get due(): boolean {
    return this.#due || this.#breaks > 0;
  }

  /** The next data byte is to be sent alone, with its error. */
  get marks(): boolean {
    return this.#errors !== 0;
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
      case c.MODEM_STATUS:
        tell({ type: 'asked' });
        return Uint8Array.from(this.#status(0));
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

  modemLines(lines: ModemLines): void {
    const old = this.#modem;
    if (old.cts === lines.cts && old.dsr === lines.dsr && old.dcd === lines.dcd && old.ri === lines.ri) return;
    this.#modem = lines;
    this.#due = true;
  }

  /** Something was wrong on the line, nobody knows with which byte: the next one is marked. */
  lineErrors(errors: LineErrors): void {
    if (errors.parity) this.#errors |= c.PARITY;
    if (errors.framing) this.#errors |= c.FRAMING;
    if (errors.overrun || errors.bufferOverrun) this.#errors |= c.OVERRUN;
  }

  /** No byte came that could be marked. */
  forgetErrors(): void {
    this.#errors = 0;
  }

  lineBreak(): void {
    // One is as good as many that nobody has read.
    this.#breaks = 1;
  }

  /** Nobody reads any more: what was due is due to nobody. */
  closed(): void {
    this.#due = false;
    this.#breaks = 0;
    this.#errors = 0;
  }

  /**
   * The next packet of at most `room` bytes (at least 3), with as much of `data` as it takes: how many bytes of `data` are in it.
   * Writes it to the beginning of `into`.
   */
  packet(into: Uint8Array, room: number, data: Uint8Array): { readonly length: number; readonly used: number } {
    this.#due = false;
    if (this.#breaks > 0) {
      this.#breaks = 0;
      into.set([...this.#status(c.BREAK), 0]);
      return { length: c.STATUS_BYTES + 1, used: 0 };
    }
    const flags = data.length > 0 ? this.#errors : 0;
    if (data.length > 0) this.#errors = 0;
    const used = flags === 0 ? Math.min(data.length, room - c.STATUS_BYTES) : 1;
    into.set(this.#status(flags));
    into.set(data.subarray(0, used), c.STATUS_BYTES);
    return { length: c.STATUS_BYTES + used, used };
  }

  #status(flags: number): [number, number] {
    const { cts, dsr, dcd, ri } = this.#modem;
    const modem = c.RESERVED | (cts ? c.CTS : 0) | (dsr ? c.DSR : 0) | (ri ? c.RI : 0) | (dcd ? c.DCD : 0);
    return [modem, c.HOLDING_EMPTY | (this.transmitterEmpty ? c.TRANSMITTER_EMPTY : 0) | flags];
  }

  #setLines(value: number, tell: (event: FtdiEvent) => void): void {
    const dtr = value & c.DTR_MEANT ? (value & c.DTR) !== 0 : this.#lines.dtr;
    const rts = value & c.RTS_MEANT ? (value & c.RTS) !== 0 : this.#lines.rts;
    if (dtr === this.#lines.dtr && rts === this.#lines.rts) return;
    this.#lines = { dtr, rts };
    tell({ type: 'lines', lines: this.#lines });
  }

  #setFlow(value: number, index: number, tell: (event: FtdiEvent) => void): void {
    const rtsCts = (index & c.FLOW_RTS_CTS) !== 0;
    const xonXoffOut = (index & c.FLOW_XON_XOFF) !== 0;
    const { flowControl: old } = this.#settings;
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
    if (on !== this.#break) {
      this.#break = on;
      tell({ type: 'break', on });
    }
    return EMPTY;
  }

  #set(change: Partial<LineSettings>, tell: (event: FtdiEvent) => void): void {
    const settings = { ...this.#settings, ...change };
    if (JSON.stringify(settings) === JSON.stringify(this.#settings)) return;
    this.#settings = settings;
    tell({ type: 'settings', settings });
  }
}

/** The driver sends 0 for CS5, and never asks for CS6. */
function dataBitsOf(value: number): DataBits | undefined {
  if (value === 0) return 5;
  return value === 5 || value === 6 || value === 7 || value === 8 ? value : undefined;
}
