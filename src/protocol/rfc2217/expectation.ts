// What a client sends for a request, and what it expects to hear: which message answers which, and whether it says that
// the server did as it was asked. Pure. Follows docs/protocol/rfc2217.md.
import type { FlowControl, LineRequest, LineSettings } from '../../serial/line.js';
import { CONTROL, type ControlSubject, controlSubject, PURGE } from './constants.js';
import type { ComPortMessage } from './messages.js';
import { lineCommands, settingsCommands } from './settings.js';

/** A rate that a UART divides its clock to is as asked, if it is that near: what more loses characters. */
const RATE_TOLERANCE = 0.025;
/** A query that each server answers, in its turn: then all before it have been carried out, answered or not. */
export const BARRIER: ComPortMessage = { name: 'SET-BAUDRATE', value: 0 };
export const MODEM_POLL: ComPortMessage = { name: 'NOTIFY-MODEMSTATE', value: undefined };
const NO_FLOW: ComPortMessage = { name: 'SET-CONTROL', value: CONTROL.NO_FLOW };

export interface Asked {
  /** undefined: our own. */
  readonly id: number | undefined;
  readonly settings: LineSettings | undefined;
  /** Bytes of data that had been sent before it. */
  readonly dataBefore: number;
  refused: boolean;
  settled: boolean;
}

export interface Expected {
  readonly name: ComPortMessage['name'];
  readonly subject: ControlSubject | undefined;
  /** Anything else in the answer is a refusal; undefined: whatever it is. */
  readonly want: number | undefined;
  readonly asked: Asked;
  readonly barrier: boolean;
}

/**
 * undefined where RFC 2217 has no word for it.
 * @param flow what the server was told last
 */
export function commandsOf(request: LineRequest, flow: FlowControl | undefined): ComPortMessage[] | undefined {
  switch (request.type) {
    case 'settings': {
      const commands = [...settingsCommands(request.settings, request.lines), MODEM_POLL];
      return leavesFlow(flow, request.settings.flowControl) ? [NO_FLOW, ...commands] : commands;
    }
    case 'lines':
      return lineCommands(request.lines);
    case 'break':
      return [{ name: 'SET-CONTROL', value: request.on ? CONTROL.BREAK_ON : CONTROL.BREAK_OFF }];
    case 'flush': {
      const value = request.queue === 'rx' ? PURGE.RX : request.queue === 'tx' ? PURGE.TX : PURGE.BOTH;
      return [{ name: 'PURGE-DATA', value }];
    }
    case 'transmitter':
    case 'fifo':
      return undefined;
    default:
      return request satisfies never;
  }
}

/** Some servers turn the new kind on and leave the old one on. */
function leavesFlow(before: FlowControl | undefined, now: FlowControl): boolean {
  const kinds = ['rtsCts', 'xonXoffIn', 'xonXoffOut'] as const;
  return kinds.some((kind) => now[kind]) && kinds.some((kind) => !now[kind] && before?.[kind] !== false);
}

const SETTINGS: readonly ComPortMessage['name'][] = ['SET-BAUDRATE', 'SET-DATASIZE', 'SET-PARITY', 'SET-STOPSIZE'];

export function expectedOf(message: ComPortMessage, asked: Asked): Expected {
  const value = 'value' in message ? (message.value ?? 0) : 0;
  const subject = message.name === 'SET-CONTROL' ? controlSubject(value) : undefined;
  const asks = SETTINGS.includes(message.name) && value === 0;
  const checked = (SETTINGS.includes(message.name) && !asks) || subject === 'flow';
  return { name: message.name, subject, want: checked ? value : undefined, asked, barrier: false };
}

export function agrees({ name, value }: Extract<ComPortMessage, { value: number }>, want: number): boolean {
  return name === 'SET-BAUDRATE' ? Math.abs(value - want) <= want * RATE_TOLERANCE : value === want;
}
