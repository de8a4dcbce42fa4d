// The dictionary of a serial line, the same in both roles and in every protocol. Plain values, no behaviour beyond
// comparing and naming them. Terms are termios' and RS-232's.

export type Parity = 'none' | 'even' | 'odd' | 'mark' | 'space';
export type DataBits = 5 | 6 | 7 | 8;
export type StopBits = 1 | 1.5 | 2;

export interface FlowControl {
  /** RTS/CTS handshake, both directions (termios CRTSCTS). */
  readonly rtsCts: boolean;
  /** The transmitter obeys received XON/XOFF (termios IXON). */
  readonly xonXoffOut: boolean;
  /** The receiver sends XON/XOFF to throttle its peer (termios IXOFF). */
  readonly xonXoffIn: boolean;
  /** Characters, 0..255 (termios VSTART, VSTOP). */
  readonly xon: number;
  readonly xoff: number;
}

export interface LineSettings {
  /** Bits per second. 0 is termios' B0: hang up, drop DTR and RTS, keep the rate. */
  readonly baudRate: number;
  readonly dataBits: DataBits;
  readonly parity: Parity;
  readonly stopBits: StopBits;
  readonly flowControl: FlowControl;
}

/** Lines that the computer (DTE) drives. */
export interface OutputLines {
  readonly dtr: boolean;
  readonly rts: boolean;
}

/** Lines that the device (DCE) drives. */
export interface ModemLines {
  readonly cts: boolean;
  readonly dsr: boolean;
  readonly dcd: boolean;
  readonly ri: boolean;
}

/** What may have gone wrong on the line since the last report; no counts, as UARTs and Real COM tell it. */
export interface LineErrors {
  readonly parity: boolean;
  readonly framing: boolean;
  /** UART (hardware) overrun. */
  readonly overrun: boolean;
  /** The device's own buffer overran. */
  readonly bufferOverrun: boolean;
}

/** rx: from the line towards the application; tx: from the application towards the line. */
export type Queue = 'rx' | 'tx' | 'both';

/** What an application, or a network client, asks of a line. */
export type LineRequest =
  | { readonly type: 'settings'; readonly settings: LineSettings; readonly lines: OutputLines }
  | { readonly type: 'lines'; readonly lines: OutputLines }
  | { readonly type: 'break'; readonly on: boolean }
  | { readonly type: 'flush'; readonly queue: Queue }
  /** Resume or suspend the transmitter as if XON or XOFF had been received. */
  | { readonly type: 'transmitter'; readonly on: boolean }
  /** UART FIFO depth to use, bytes: 16, or 1 to switch it off. */
  | { readonly type: 'fifo'; readonly bytes: number };

/** What a line, or a device, tells. */
export type LineReport =
  | { readonly type: 'lines'; readonly lines: ModemLines }
  | { readonly type: 'errors'; readonly errors: LineErrors }
  | { readonly type: 'break' }
  /** The device refused these settings and kept what it had. */
  | { readonly type: 'refused'; readonly settings: LineSettings };

export const NO_MODEM_LINES: ModemLines = { cts: false, dsr: false, dcd: false, ri: false };

export const NO_FLOW_CONTROL: FlowControl = {
  rtsCts: false,
  xonXoffOut: false,
  xonXoffIn: false,
  xon: 0x11,
  xoff: 0x13,
};

export const DEFAULT_SETTINGS: LineSettings = {
  baudRate: 9600,
  dataBits: 8,
  parity: 'none',
  stopBits: 1,
  flowControl: NO_FLOW_CONTROL,
};

export function sameSettings(a: LineSettings, b: LineSettings): boolean {
  return (
    a.baudRate === b.baudRate &&
    a.dataBits === b.dataBits &&
    a.parity === b.parity &&
    a.stopBits === b.stopBits &&
    a.flowControl.rtsCts === b.flowControl.rtsCts &&
    a.flowControl.xonXoffOut === b.flowControl.xonXoffOut &&
    a.flowControl.xonXoffIn === b.flowControl.xonXoffIn &&
    a.flowControl.xon === b.flowControl.xon &&
    a.flowControl.xoff === b.flowControl.xoff
  );
}

/** Bits that one character takes on the line, start bit included. */
export function bitsPerCharacter(s: Pick<LineSettings, 'dataBits' | 'parity' | 'stopBits'>): number {
  return 1 + s.dataBits + (s.parity === 'none' ? 0 : 1) + s.stopBits;
}

/** Milliseconds that `bytes` take on the line; 0 where the rate is 0 (unknown). */
export function lineTimeMs(s: LineSettings, bytes: number): number {
  return s.baudRate > 0 ? (bytes * bitsPerCharacter(s) * 1000) / s.baudRate : 0;
}

/**
 * Bytes that may be taken ahead from the application: 250 ms of line time, at least 4 KiB; 64 KiB where no rate is
 * known. More, and drain, break and flush mean nothing at 4800 baud.
 */
export function lookAheadBytes(settings: LineSettings | undefined): number {
  if (!settings || settings.baudRate <= 0) return 65536;
  return Math.max(4096, Math.ceil((0.25 * settings.baudRate) / bitsPerCharacter(settings)));
}
