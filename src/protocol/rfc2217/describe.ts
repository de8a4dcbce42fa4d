// A message of RFC 2217 in words, for traces. Never more than a line.
import { CONTROL, LINE_STATE, MODEM_STATE, PURGE } from './constants.js';
import type { ComPortMessage } from './messages.js';
import { PARITIES, STOP_SIZES } from './settings.js';

const CONTROLS = invert(CONTROL);
const PURGES = invert(PURGE);

function invert(table: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(table).map(([name, value]) => [value, name.replaceAll('_', ' ')]));
}

function bits(value: number, table: Readonly<Record<string, number>>): string {
  const set = Object.entries(table).flatMap(([name, bit]) => ((value & bit) === 0 ? [] : [name.replaceAll('_', ' ')]));
  return set.length === 0 ? 'none' : set.join(' ');
}

export function describeComPort(message: ComPortMessage): string {
  const text = valueText(message);
  return text === '' ? message.name : `${message.name} ${text}`;
}

function valueText(message: ComPortMessage): string {
  switch (message.name) {
    case 'SIGNATURE':
      // It is the peer's word: no line of ours is made by it.
      return message.text === '' ? '?' : JSON.stringify(message.text);
    case 'SET-BAUDRATE':
    case 'SET-DATASIZE':
      return message.value === 0 ? '?' : String(message.value);
    case 'SET-PARITY':
      return message.value === 0 ? '?' : (PARITIES[message.value] ?? String(message.value));
    case 'SET-STOPSIZE':
      return message.value === 0 ? '?' : String(STOP_SIZES[message.value] ?? `code ${message.value}`);
    case 'SET-CONTROL':
      return CONTROLS.get(message.value) ?? String(message.value);
    case 'NOTIFY-LINESTATE':
    case 'SET-LINESTATE-MASK':
      return message.value === undefined ? '?' : bits(message.value, LINE_STATE);
    case 'NOTIFY-MODEMSTATE':
    case 'SET-MODEMSTATE-MASK':
      return message.value === undefined ? '?' : bits(message.value, MODEM_STATE);
    case 'PURGE-DATA':
      return PURGES.get(message.value) ?? String(message.value);
    case 'FLOWCONTROL-SUSPEND':
    case 'FLOWCONTROL-RESUME':
      return '';
    default:
      return message satisfies never;
  }
}
