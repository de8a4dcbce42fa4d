// What each command means to a device: a request for the line, a question about a queue, or an answer at once. Pure; the
// engine (device.ts) gives it out and answers. Follows docs/protocol/realcom.md sections 2 and 12.
import type { LineRequest, LineSettings, ModemLines, OutputLines } from '../../serial/line.js';
import * as c from './constants.js';
import { codeOf } from './encoder.js';
import type { Command, Frame } from './messages.js';
import { baudRateOf, characterFormatOf, flowControlOf, settingsOf } from './settings.js';

/** The line as the host was told it is. */
export interface DeviceState {
  readonly settings: LineSettings;
  readonly outputs: OutputLines;
  readonly lines: ModemLines;
}

export type Plan =
  | { readonly type: 'request'; readonly request: LineRequest }
  | { readonly type: 'queue'; readonly queue: 'tx' | 'rx'; readonly maxMs: number }
  | { readonly type: 'answer'; readonly frame: Frame }
  /** It names a setting that does not exist. */
  | { readonly type: 'refuse' }
  /** Nothing that a host would wait for. */
  | { readonly type: 'nothing' };

/** Moxa's driver gives up after t, so the answer comes at 80 % of it, and never later than this (2.8). */
const WAIT_SHARE = 0.8;
const MAX_WAIT_MS = 3000;

export function planOf(command: Command, state: DeviceState): Plan {
  switch (command.type) {
    case 'PORT_INIT': {
      const lines = { dtr: command.init.dtr, rts: command.init.rts };
      return settingsPlan(settingsOf(command.init, state.settings), lines);
    }
    case 'IOCTL':
    case 'FLOWCTRL':
    case 'SETBAUD':
    case 'XONXOFF':
      return settingsPlan(changed(command, state.settings), state.outputs);
    case 'LINECTRL':
      return ask({ type: 'lines', lines: { dtr: command.dtr, rts: command.rts } });
    case 'START_BREAK':
    case 'STOP_BREAK':
      return ask({ type: 'break', on: command.type === 'START_BREAK' });
    case 'SETXON':
    case 'SETXOFF':
      return ask({ type: 'transmitter', on: command.type === 'SETXON' });
    case 'FLUSH':
      return ask({ type: 'flush', queue: flushedQueue(command.which) });
    case 'TX_FIFO':
      return ask({ type: 'fifo', bytes: command.bytes });
    case 'WAIT_OQUEUE':
      return { type: 'queue', queue: 'tx', maxMs: Math.floor(Math.min(command.timeout * WAIT_SHARE, MAX_WAIT_MS)) };
    case 'OQUEUE':
      return { type: 'queue', queue: 'tx', maxMs: 0 };
    case 'IQUEUE':
      return { type: 'queue', queue: 'rx', maxMs: 0 };
    case 'LSTATUS':
      return { type: 'answer', frame: { type: 'lines', code: c.ASPP_CMD_LSTATUS, ...state.lines } };
    case 'OPEN':
      return { type: 'answer', frame: { type: 'ok', code: codeOf(command) } };
    case 'ALIVE':
      return { type: 'nothing' };
    case 'other':
      return otherPlan(command.code, state.lines);
    default:
      return command satisfies never;
  }
}

/** Real devices say OK to nearly everything (12), but the length of an answer is part of the framing (3.1). */
function otherPlan(code: number, lines: ModemLines): Plan {
  switch (code) {
    case c.ASPP_CMD_NOTIFY:
    case c.ASPP_CMD_POLLING:
    case c.ASPP_CMD_ALIVE:
      return { type: 'nothing' };
    case c.ASPP_CMD_PORT_INIT: // too short to mean anything; a refusal would say that there is something to keep
      return { type: 'answer', frame: { type: 'lines', code, ...lines } };
    case c.ASPP_CMD_WAIT_OQUEUE:
      return { type: 'queue', queue: 'tx', maxMs: 0 };
    default:
      return { type: 'answer', frame: { type: 'ok', code } };
  }
}

function ask(request: LineRequest): Plan {
  return { type: 'request', request };
}

function settingsPlan(settings: LineSettings | undefined, lines: OutputLines): Plan {
  return settings === undefined ? { type: 'refuse' } : ask({ type: 'settings', settings, lines });
}

type PartialSettings = Extract<Command, { type: 'IOCTL' | 'FLOWCTRL' | 'SETBAUD' | 'XONXOFF' }>;

/** The settings after a command that changes some of them; undefined where it names what does not exist. */
function changed(command: PartialSettings, present: LineSettings): LineSettings | undefined {
  const { flowControl } = present;
  switch (command.type) {
    case 'IOCTL': {
      const baudRate = baudRateOf(command.baudIndex, present.baudRate);
      const format = characterFormatOf(command.mode);
      return baudRate === undefined || format === undefined ? undefined : { ...present, ...format, baudRate };
    }
    case 'FLOWCTRL':
      return { ...present, flowControl: flowControlOf(command.flow, flowControl) };
    case 'SETBAUD':
      return command.baudRate === 0 ? undefined : { ...present, baudRate: command.baudRate };
    case 'XONXOFF':
      return { ...present, flowControl: { ...flowControl, xon: command.xon, xoff: command.xoff } };
    default:
      return command satisfies never;
  }
}

function flushedQueue(which: number): 'rx' | 'tx' | 'both' {
  if (which === c.ASPP_FLUSH_RX_BUFFER) return 'rx';
  return which === c.ASPP_FLUSH_TX_BUFFER ? 'tx' : 'both';
}
