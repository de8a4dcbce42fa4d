// The short notation of line settings that operators write: "9600,8N1", "7E1", "115200". See stty(1), setserial(8).
import { type DataBits, DEFAULT_SETTINGS, type LineSettings, type Parity, type StopBits } from './line.js';

const LETTERS: Readonly<Record<Parity, string>> = { none: 'N', even: 'E', odd: 'O', mark: 'M', space: 'S' };
const PARITIES: Readonly<Record<string, Parity>> = { N: 'none', E: 'even', O: 'odd', M: 'mark', S: 'space' };
const BITS: Readonly<Record<string, DataBits>> = { 5: 5, 6: 6, 7: 7, 8: 8 };
const STOPS: Readonly<Record<string, StopBits>> = { '1': 1, '1.5': 1.5, '2': 2 };

/** What a format of the configuration may ask for: the slowest of the standard rates, and the fastest that adapters have. */
export const MIN_RATE = 50;
export const MAX_RATE = 12_000_000;
export const isRate = (rate: number): boolean => rate >= MIN_RATE && rate <= MAX_RATE;

/** The part of the settings that a format names. What it does not name is absent. */
export interface Format {
  readonly baudRate?: number;
  readonly dataBits?: DataBits;
  readonly parity?: Parity;
  readonly stopBits?: StopBits;
}

/**
 * Reads "9600,8N1", "9600", "7E1" or "9600 8N1" (any case). Returns undefined where it is none of them, or where the
 * combination does not exist (1.5 stop bits go with 5 data bits only).
 */
export function parseFormat(text: string): Format | undefined {
  const match = /^\s*(?:(\d{1,8}))?(?:[,\s]*([5-8])([NEOMSneoms])(1\.5|1|2))?\s*$/.exec(text);
  if (!match) return undefined;
  const [, rate, bits, parity, stop] = match;
  if (rate === undefined && bits === undefined) return undefined;
  const baudRate = rate === undefined ? undefined : Number(rate);
  if (baudRate === 0) return undefined;
  const format: Format = baudRate === undefined ? {} : { baudRate };
  if (bits === undefined || parity === undefined || stop === undefined) return format;
  const dataBits = BITS[bits];
  const parityName = PARITIES[parity.toUpperCase()];
  const stopBits = STOPS[stop];
  if (dataBits === undefined || parityName === undefined || stopBits === undefined) return undefined;
  if (stopBits === 1.5 && dataBits !== 5) return undefined;
  return { ...format, dataBits, parity: parityName, stopBits };
}

/** The settings with what the format names laid over them. */
export function applyFormat(format: Format, base: LineSettings = DEFAULT_SETTINGS): LineSettings {
  return { ...base, ...format };
}

/** "9600,8N1" */
export function formatSettings(s: Pick<LineSettings, 'baudRate' | 'dataBits' | 'parity' | 'stopBits'>): string {
  return `${s.baudRate},${s.dataBits}${LETTERS[s.parity]}${s.stopBits}`;
}

/** "none", "RTS/CTS", "XON/XOFF", "XON/XOFF out", ... */
export function formatFlowControl(flow: LineSettings['flowControl']): string {
  const parts: string[] = [];
  if (flow.rtsCts) parts.push('RTS/CTS');
  if (flow.xonXoffIn && flow.xonXoffOut) parts.push('XON/XOFF');
  else if (flow.xonXoffOut) parts.push('XON/XOFF out');
  else if (flow.xonXoffIn) parts.push('XON/XOFF in');
  return parts.length === 0 ? 'none' : parts.join(' + ');
}
