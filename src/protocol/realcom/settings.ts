// LineSettings and LineRequest values <-> the fields of PORT_INIT, IOCTL, FLOWCTRL. Pure; never decides what a
// device or host does with them. Follows docs/protocol/realcom.md sections 2.3 to 2.6 and 6.
import type {
  DataBits,
  FlowControl,
  LineErrors,
  LineReport,
  LineSettings,
  ModemLines,
  OutputLines,
  Parity,
} from '../../serial/line.js';
import * as c from './constants.js';
import type { Command, FlowFlags, PortInit } from './messages.js';

const DATA_BITS: readonly DataBits[] = [5, 6, 7, 8];
const PARITY_BITS: Readonly<Record<Parity, number>> = {
  none: c.MODE_PARITY_NONE,
  even: c.MODE_PARITY_EVEN,
  odd: c.MODE_PARITY_ODD,
  mark: c.MODE_PARITY_MARK,
  space: c.MODE_PARITY_SPACE,
};
const PARITIES: ReadonlyMap<number, Parity> = new Map([
  [c.MODE_PARITY_NONE, 'none'],
  [c.MODE_PARITY_EVEN, 'even'],
  [c.MODE_PARITY_ODD, 'odd'],
  [c.MODE_PARITY_MARK, 'mark'],
  [c.MODE_PARITY_SPACE, 'space'],
]);

type CharacterFormat = Pick<LineSettings, 'dataBits' | 'parity' | 'stopBits'>;

/** The table's index of a rate, FF where the table has none, and for B0 (0). */
export function baudIndexOf(baudRate: number): number {
  const index = c.BAUD_RATES.indexOf(baudRate);
  return index < 0 ? c.BAUD_INDEX_CUSTOM : index;
}

/** The rate of an index: `current` for FF (a SETBAUD may follow), undefined for an index that does not exist. */
export function baudRateOf(index: number, current: number): number | undefined {
  return index === c.BAUD_INDEX_CUSTOM ? current : c.BAUD_RATES[index];
}

export function modeOf(s: CharacterFormat): number {
  return (s.dataBits - 5) | (s.stopBits === 1 ? 0 : c.MODE_STOP_BITS_2) | PARITY_BITS[s.parity];
}

/** undefined for a parity that does not exist. With 5 data bits the second stop bit is a half one, as in a 16550. */
export function characterFormatOf(mode: number): CharacterFormat | undefined {
  const dataBits = DATA_BITS[mode & c.MODE_DATA_BITS_MASK];
  const parity = PARITIES.get(mode & c.MODE_PARITY_MASK);
  if (dataBits === undefined || parity === undefined) return undefined;
  const stopBits = (mode & c.MODE_STOP_BITS_2) === 0 ? 1 : dataBits === 5 ? 1.5 : 2;
  return { dataBits, parity, stopBits };
}

export function flowFlagsOf(flow: FlowControl): FlowFlags {
  return { hwA: flow.rtsCts, hwB: flow.rtsCts, ixon: flow.xonXoffOut, ixoff: flow.xonXoffIn };
}

export function flowControlOf(flags: FlowFlags, base: FlowControl): FlowControl {
  return { ...base, rtsCts: flags.hwA || flags.hwB, xonXoffOut: flags.ixon, xonXoffIn: flags.ixoff };
}

export function portInitOf(settings: LineSettings, lines: OutputLines): PortInit {
  return {
    baudIndex: baudIndexOf(settings.baudRate),
    mode: modeOf(settings),
    dtr: lines.dtr,
    rts: lines.rts,
    ...flowFlagsOf(settings.flowControl),
  };
}

/** The commands that carry settings, in the vendor's order (4.1): PORT_INIT, SETBAUD where needed, XONXOFF if used. */
export function settingsCommands(settings: LineSettings, lines: OutputLines): Command[] {
  const init = portInitOf(settings, lines);
  const commands: Command[] = [{ type: 'PORT_INIT', init, hostName: '' }];
  // B0 has no SETBAUD: the device keeps its rate (2.3).
  if (init.baudIndex === c.BAUD_INDEX_CUSTOM && settings.baudRate > 0) {
    commands.push({ type: 'SETBAUD', baudRate: settings.baudRate });
  }
  if (init.ixon || init.ixoff) {
    commands.push({ type: 'XONXOFF', xon: settings.flowControl.xon, xoff: settings.flowControl.xoff });
  }
  return commands;
}

/** What a PORT_INIT asks for, laid over the present settings; undefined where it names what does not exist. */
export function settingsOf(init: PortInit, present: LineSettings): LineSettings | undefined {
  const baudRate = baudRateOf(init.baudIndex, present.baudRate);
  const format = characterFormatOf(init.mode);
  if (baudRate === undefined || format === undefined) return undefined;
  return { baudRate, ...format, flowControl: flowControlOf(init, present.flowControl) };
}

export function msrOf(lines: ModemLines): number {
  return (
    (lines.cts ? c.MSR_CTS : 0) | (lines.dsr ? c.MSR_DSR : 0) | (lines.ri ? c.MSR_RI : 0) | (lines.dcd ? c.MSR_DCD : 0)
  );
}

export function modemLinesOf(msr: number): ModemLines {
  return {
    cts: (msr & c.MSR_CTS) !== 0,
    dsr: (msr & c.MSR_DSR) !== 0,
    dcd: (msr & c.MSR_DCD) !== 0,
    ri: (msr & c.MSR_RI) !== 0,
  };
}

export function errorMaskOf(errors: LineErrors): number {
  return (
    (errors.parity ? c.NOTIFY_PARITY : 0) |
    (errors.framing ? c.NOTIFY_FRAMING : 0) |
    (errors.overrun ? c.NOTIFY_HW_OVERRUN : 0) |
    (errors.bufferOverrun ? c.NOTIFY_SW_OVERRUN : 0)
  );
}

/** What a NOTIFY tells, lines first. A mask of 0 tells nothing (3.4, 11.2). */
export function reportsOf(mask: number, msr: number): LineReport[] {
  const reports: LineReport[] = [];
  if ((mask & c.NOTIFY_MSR_CHG) !== 0) reports.push({ type: 'lines', lines: modemLinesOf(msr) });
  const errors: LineErrors = {
    parity: (mask & c.NOTIFY_PARITY) !== 0,
    framing: (mask & c.NOTIFY_FRAMING) !== 0,
    overrun: (mask & c.NOTIFY_HW_OVERRUN) !== 0,
    bufferOverrun: (mask & c.NOTIFY_SW_OVERRUN) !== 0,
  };
  if (errorMaskOf(errors) !== 0) reports.push({ type: 'errors', errors });
  if ((mask & c.NOTIFY_BREAK) !== 0) reports.push({ type: 'break' });
  return reports;
}
