// One line of text for each command and frame, for `trace` and the log. Never parsed by anything.
// Names are the vendor's, so that a trace greps like a capture. Follows docs/protocol/realcom.md sections 2 and 3.
import { formatSettings } from '../../serial/format.js';
import * as c from './constants.js';
import type { Command, FlowFlags, Frame } from './messages.js';
import { baudRateOf, characterFormatOf } from './settings.js';

const FLUSH_NAMES: readonly string[] = ['rx', 'tx', 'both'];

export function describeCommand(command: Command): string {
  switch (command.type) {
    case 'PORT_INIT': {
      const { init, hostName } = command;
      const lines = `dtr=${+init.dtr} rts=${+init.rts}`;
      return `PORT_INIT ${format(init.baudIndex, init.mode)} ${lines}${flow(init)}${hostName && ` host="${printable(hostName)}"`}`;
    }
    case 'IOCTL':
      return `IOCTL ${format(command.baudIndex, command.mode)}`;
    case 'FLOWCTRL':
      return `FLOWCTRL${flow(command.flow) || ' none'}`;
    case 'LINECTRL':
      return `LINECTRL dtr=${+command.dtr} rts=${+command.rts}`;
    case 'FLUSH':
      return `FLUSH ${FLUSH_NAMES[command.which] ?? command.which}`;
    case 'SETBAUD':
      return `SETBAUD ${command.baudRate}`;
    case 'XONXOFF':
      return `XONXOFF xon=${hex(command.xon)} xoff=${hex(command.xoff)}`;
    case 'ALIVE':
      return `ALIVE ${hex(command.token)}`;
    case 'WAIT_OQUEUE':
      return `WAIT_OQUEUE ${command.timeout} ms`;
    case 'TX_FIFO':
      return `TX_FIFO ${command.bytes}`;
    case 'other':
      return `${nameOf(command.code)}${command.payload.length > 0 ? ` ${hexBytes(command.payload)}` : ''}`;
    default:
      return command.type;
  }
}

export function describeFrame(frame: Frame): string {
  switch (frame.type) {
    case 'ok':
      return `${nameOf(frame.code)} OK`;
    case 'not-ok':
      return `${nameOf(frame.code)} not OK: ${hex(frame.word & 0xff)} ${hex(frame.word >> 8)}`;
    case 'lines':
      return `${nameOf(frame.code)} dsr=${+frame.dsr} cts=${+frame.cts} dcd=${+frame.dcd}`;
    case 'refused':
      return `${nameOf(frame.code)} refused`;
    case 'queue':
      return `${nameOf(frame.code)} ${frame.bytes} bytes left`;
    case 'notify':
      return describeNotify(frame.mask, frame.msr);
    case 'polling':
      return `POLLING ${hex(frame.token)}`;
    case 'malformed':
      return `${nameOf(frame.code)} malformed`;
    case 'unknown':
      return `unknown byte ${hex(frame.byte)}`;
    default:
      return frame satisfies never;
  }
}

/** "PORT_INIT", or "command 1f" for a number without a name. */
export function nameOf(code: number): string {
  return c.COMMAND_NAMES.get(code) ?? `command ${hex(code)}`;
}

/** "2c 08 06", at most `max` bytes of it. */
export function hexBytes(bytes: Uint8Array, max = 32): string {
  const shown = [...bytes.subarray(0, max)].map(hex).join(' ');
  return bytes.length > max ? `${shown} ...` : shown;
}

const EVENTS: readonly (readonly [number, string])[] = [
  [c.NOTIFY_PARITY, 'parity'],
  [c.NOTIFY_FRAMING, 'framing'],
  [c.NOTIFY_HW_OVERRUN, 'overrun'],
  [c.NOTIFY_SW_OVERRUN, 'buffer-overrun'],
  [c.NOTIFY_BREAK, 'break'],
];

function describeNotify(mask: number, msr: number): string {
  const parts = EVENTS.filter(([bit]) => (mask & bit) !== 0).map(([, name]) => name);
  if ((mask & c.NOTIFY_MSR_CHG) !== 0) {
    const line = (name: string, bit: number) => `${name}=${(msr & bit) === 0 ? 0 : 1}`;
    parts.push(line('dsr', c.MSR_DSR), line('cts', c.MSR_CTS), line('dcd', c.MSR_DCD), line('ri', c.MSR_RI));
  }
  return `NOTIFY ${parts.length === 0 ? 'nothing' : parts.join(' ')}`;
}

function format(baudIndex: number, mode: number): string {
  const character = characterFormatOf(mode);
  const rate = baudIndex === c.BAUD_INDEX_CUSTOM ? 'rate by SETBAUD' : baudRateOf(baudIndex, 0);
  if (rate === undefined || character === undefined) return `baud index ${hex(baudIndex)} mode ${hex(mode)}`;
  const text = formatSettings({ baudRate: 0, ...character });
  return `${rate}${text.slice(text.indexOf(','))}`;
}

function flow(flags: FlowFlags): string {
  const names: string[] = [];
  if (flags.hwA && flags.hwB) names.push('rtscts');
  else if (flags.hwA || flags.hwB) names.push(flags.hwA ? 'rtscts(first)' : 'rtscts(second)');
  if (flags.ixon) names.push('ixon');
  if (flags.ixoff) names.push('ixoff');
  return names.length === 0 ? '' : ` ${names.join(' ')}`;
}

function hex(byte: number): string {
  return byte.toString(16).padStart(2, '0');
}

function printable(text: string): string {
  return text.replace(/[^ -~]/g, '.');
}
