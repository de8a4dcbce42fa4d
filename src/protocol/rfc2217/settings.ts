// Line settings, lines and reports as the values of RFC 2217, and back: the tables of its commands 1 to 7. Pure.
// It has no way to tell XON and XOFF characters, to combine RTS/CTS with XON/XOFF, or to tell a buffer overrun apart.
import type {
  DataBits,
  FlowControl,
  LineErrors,
  LineReport,
  LineSettings,
  ModemLines,
  OutputLines,
  Parity,
  StopBits,
} from '../../serial/line.js';
import { CONTROL, LINE_STATE, MODEM_STATE } from './constants.js';
import type { ComPortMessage } from './messages.js';

export const PARITIES: Readonly<Record<number, Parity>> = { 1: 'none', 2: 'odd', 3: 'even', 4: 'mark', 5: 'space' };
export const STOP_SIZES: Readonly<Record<number, StopBits>> = { 1: 1, 2: 2, 3: 1.5 };
const DATA_SIZES: Readonly<Record<number, DataBits>> = { 5: 5, 6: 6, 7: 7, 8: 8 };

export function parityCode(parity: Parity): number {
  return Number(Object.keys(PARITIES).find((code) => PARITIES[Number(code)] === parity));
}

export function stopCode(stopBits: StopBits): number {
  return Number(Object.keys(STOP_SIZES).find((code) => STOP_SIZES[Number(code)] === stopBits));
}

/** The first is for both directions; a second one where inbound differs. */
export function flowControls({ rtsCts, xonXoffIn, xonXoffOut }: FlowControl): number[] {
  if (rtsCts) return [CONTROL.HARDWARE];
  if (xonXoffOut) return xonXoffIn ? [CONTROL.XON_XOFF] : [CONTROL.XON_XOFF, CONTROL.INBOUND_NO_FLOW];
  return xonXoffIn ? [CONTROL.NO_FLOW, CONTROL.INBOUND_XON_XOFF] : [CONTROL.NO_FLOW];
}

/** What a client's SET-CONTROL makes of the flow control; undefined where it is not one that we know. */
export function flowOf(control: number, now: FlowControl): FlowControl | undefined {
  switch (control) {
    case CONTROL.NO_FLOW:
      return { ...now, rtsCts: false, xonXoffIn: false, xonXoffOut: false };
    case CONTROL.XON_XOFF:
      return { ...now, rtsCts: false, xonXoffIn: true, xonXoffOut: true };
    case CONTROL.HARDWARE:
      return { ...now, rtsCts: true, xonXoffIn: false, xonXoffOut: false };
    case CONTROL.INBOUND_NO_FLOW:
      return { ...now, xonXoffIn: false };
    case CONTROL.INBOUND_XON_XOFF:
      return { ...now, xonXoffIn: true };
    case CONTROL.INBOUND_HARDWARE:
      // There is no hardware flow control of one direction alone.
      return now.rtsCts ? now : undefined;
    default:
      return undefined;
  }
}

/** The answers to the queries of both directions. */
export function flowState({ rtsCts, xonXoffIn, xonXoffOut }: FlowControl): { outbound: number; inbound: number } {
  if (rtsCts) return { outbound: CONTROL.HARDWARE, inbound: CONTROL.INBOUND_HARDWARE };
  return {
    outbound: xonXoffOut ? CONTROL.XON_XOFF : CONTROL.NO_FLOW,
    inbound: xonXoffIn ? CONTROL.INBOUND_XON_XOFF : CONTROL.INBOUND_NO_FLOW,
  };
}

export function lineCommands({ dtr, rts }: OutputLines): ComPortMessage[] {
  return [
    { name: 'SET-CONTROL', value: dtr ? CONTROL.DTR_ON : CONTROL.DTR_OFF },
    { name: 'SET-CONTROL', value: rts ? CONTROL.RTS_ON : CONTROL.RTS_OFF },
  ];
}

export function settingsCommands(settings: LineSettings, lines: OutputLines): ComPortMessage[] {
  return [
    { name: 'SET-BAUDRATE', value: Math.min(0xffffffff, Math.round(settings.baudRate)) },
    { name: 'SET-DATASIZE', value: settings.dataBits },
    { name: 'SET-PARITY', value: parityCode(settings.parity) },
    { name: 'SET-STOPSIZE', value: stopCode(settings.stopBits) },
    ...flowControls(settings.flowControl).map((value): ComPortMessage => ({ name: 'SET-CONTROL', value })),
    ...lineCommands(lines),
  ];
}

/** What a client's command makes of the settings; undefined where the value does not exist. */
export function withCommand(settings: LineSettings, message: ComPortMessage): LineSettings | undefined {
  switch (message.name) {
    case 'SET-BAUDRATE':
      return { ...settings, baudRate: message.value };
    case 'SET-DATASIZE': {
      const dataBits = DATA_SIZES[message.value];
      if (dataBits === undefined) return undefined;
      // A UART has one stop bit, or more: 1.5 with 5 data bits, 2 with all others.
      const stopBits = dataBits !== 5 && settings.stopBits === 1.5 ? 2 : settings.stopBits;
      return { ...settings, dataBits, stopBits };
    }
    case 'SET-PARITY': {
      const parity = PARITIES[message.value];
      return parity === undefined ? undefined : { ...settings, parity };
    }
    case 'SET-STOPSIZE': {
      const stopBits = STOP_SIZES[message.value];
      return stopBits === undefined ? undefined : { ...settings, stopBits };
    }
    case 'SET-CONTROL': {
      const flowControl = flowOf(message.value, settings.flowControl);
      return flowControl === undefined ? undefined : { ...settings, flowControl };
    }
    default:
      return undefined;
  }
}

export function modemLinesOf(state: number): ModemLines {
  return {
    cts: (state & MODEM_STATE.CTS) !== 0,
    dsr: (state & MODEM_STATE.DSR) !== 0,
    dcd: (state & MODEM_STATE.DCD) !== 0,
    ri: (state & MODEM_STATE.RI) !== 0,
  };
}

/** With what changed since `before`; a first one has changed nothing. */
export function modemStateOf(lines: ModemLines, before: ModemLines = lines): number {
  const { CTS, DSR, RI, DCD, DELTA_CTS, DELTA_DSR, DELTA_DCD, RI_TRAILING } = MODEM_STATE;
  return (
    (lines.cts ? CTS : 0) |
    (lines.dsr ? DSR : 0) |
    (lines.ri ? RI : 0) |
    (lines.dcd ? DCD : 0) |
    (lines.cts !== before.cts ? DELTA_CTS : 0) |
    (lines.dsr !== before.dsr ? DELTA_DSR : 0) |
    (lines.dcd !== before.dcd ? DELTA_DCD : 0) |
    (before.ri && !lines.ri ? RI_TRAILING : 0)
  );
}

/** A NOTIFY-LINESTATE as reports: errors, then a break. */
export function lineReports(state: number): LineReport[] {
  const errors: LineErrors = {
    parity: (state & LINE_STATE.PARITY) !== 0,
    framing: (state & LINE_STATE.FRAMING) !== 0,
    overrun: (state & LINE_STATE.OVERRUN) !== 0,
    bufferOverrun: false,
  };
  const reports: LineReport[] = [];
  if (errors.parity || errors.framing || errors.overrun) reports.push({ type: 'errors', errors });
  if ((state & LINE_STATE.BREAK) !== 0) reports.push({ type: 'break' });
  return reports;
}

export function lineStateOf(errors: LineErrors): number {
  return (
    (errors.parity ? LINE_STATE.PARITY : 0) |
    (errors.framing ? LINE_STATE.FRAMING : 0) |
    (errors.overrun || errors.bufferOverrun ? LINE_STATE.OVERRUN : 0)
  );
}
