// The messages of RFC 2217 and their bytes, in both roles: a command of the client and its answer differ only by 100 in
// the code. Never answers and keeps nothing. What has another length than the RFC says is no message.
import { TELNET_OPTION } from '../telnet/constants.js';
import { subnegotiation } from '../telnet/encoder.js';
import { COM_PORT, FROM_SERVER } from './constants.js';

type Name = keyof typeof COM_PORT;
/** Those with a value of one byte. */
type ByteName = Exclude<
  Name,
  'SIGNATURE' | 'SET-BAUDRATE' | 'NOTIFY-LINESTATE' | 'NOTIFY-MODEMSTATE' | 'FLOWCONTROL-SUSPEND' | 'FLOWCONTROL-RESUME'
>;

export type ComPortMessage =
  /** Empty: asks for the other's. */
  | { readonly name: 'SIGNATURE'; readonly text: string }
  /** 0 asks for the value in force; so it is with DATASIZE, PARITY and STOPSIZE. */
  | { readonly name: 'SET-BAUDRATE'; readonly value: number }
  | { readonly name: ByteName; readonly value: number }
  /** Of a client without a value: asks for it now, as some servers understand. */
  | { readonly name: 'NOTIFY-LINESTATE' | 'NOTIFY-MODEMSTATE'; readonly value: number | undefined }
  | { readonly name: 'FLOWCONTROL-SUSPEND' | 'FLOWCONTROL-RESUME' };

export type Sender = 'client' | 'server';

const NAMES: ReadonlyMap<number, Name> = new Map(
  (Object.keys(COM_PORT) as Name[]).map((name): [number, Name] => [COM_PORT[name], name]),
);
const MAX_SIGNATURE = 255;

/** The whole subnegotiation, IAC SB to IAC SE. */
export function encodeComPort(message: ComPortMessage, sender: Sender): Uint8Array {
  const code = COM_PORT[message.name] + (sender === 'server' ? FROM_SERVER : 0);
  return subnegotiation(TELNET_OPTION.COM_PORT, Uint8Array.of(code, ...valueBytes(message)));
}

function valueBytes(message: ComPortMessage): number[] {
  switch (message.name) {
    case 'SIGNATURE':
      return [...message.text].slice(0, MAX_SIGNATURE).map((c) => c.charCodeAt(0) & 0xff);
    case 'SET-BAUDRATE':
      return [24, 16, 8, 0].map((shift) => (message.value >>> shift) & 0xff);
    case 'FLOWCONTROL-SUSPEND':
    case 'FLOWCONTROL-RESUME':
      return [];
    default:
      return message.value === undefined ? [] : [message.value & 0xff];
  }
}

/**
 * @param body of the subnegotiation, without the option
 * @returns undefined where it is none that `sender` may send
 */
export function decodeComPort(body: Uint8Array, sender: Sender): ComPortMessage | undefined {
  const [code, ...value] = body;
  if (code === undefined) return undefined;
  const name = NAMES.get(sender === 'server' ? code - FROM_SERVER : code);
  const [first] = value;
  switch (name) {
    case undefined:
      return undefined;
    case 'SIGNATURE':
      return { name, text: String.fromCharCode(...value.slice(0, MAX_SIGNATURE)) };
    case 'SET-BAUDRATE':
      return value.length === 4 ? { name, value: value.reduce((sum, byte) => sum * 256 + byte, 0) } : undefined;
    case 'FLOWCONTROL-SUSPEND':
    case 'FLOWCONTROL-RESUME':
      return value.length === 0 ? { name } : undefined;
    case 'NOTIFY-LINESTATE':
    case 'NOTIFY-MODEMSTATE':
      // A server always says which.
      return value.length > 1 || (value.length === 0 && sender === 'server') ? undefined : { name, value: first };
    default:
      return value.length === 1 && first !== undefined ? { name, value: first } : undefined;
  }
}
