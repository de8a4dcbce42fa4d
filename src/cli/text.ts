// How values look on a terminal: tables, colours, byte counts, times. Pure; prints nothing itself.
import type { PortState } from '../api/types.js';

export type Colour = 'red' | 'yellow' | 'green' | 'dim' | 'bold';
const CODES: Readonly<Record<Colour, string>> = { red: '31', yellow: '33', green: '32', dim: '2', bold: '1' };

export type Paint = (colour: Colour | undefined, text: string) => string;

export function painter(colour: boolean): Paint {
  return (name, text) => (colour && name !== undefined ? `\x1b[${CODES[name]}m${text}\x1b[0m` : text);
}

export const STATE_COLOURS: Readonly<Record<PortState, Colour | undefined>> = {
  idle: 'dim',
  connecting: 'yellow',
  up: 'green',
  waiting: 'yellow',
  closing: 'yellow',
  failed: 'red',
};

export interface Cell {
  readonly text: string;
  readonly colour?: Colour | undefined;
  /** Numbers. */
  readonly right?: boolean;
}

/** Columns as wide as their widest cell; the last one is cut to fit `columns`. No line ends with a blank. */
export function table(
  head: readonly string[],
  rows: readonly (readonly Cell[])[],
  paint: Paint,
  columns?: number,
): string {
  const all = [head.map((text): Cell => ({ text, colour: 'dim' })), ...rows];
  const widths = head.map((_, i) => Math.max(...all.map((row) => clean(row[i]?.text ?? '').length)));
  const lines = all.map((row) => {
    let line = '';
    let used = 0;
    for (const [i, cell] of row.entries()) {
      const last = i === row.length - 1;
      const room = last && columns !== undefined ? Math.max(8, columns - used) : Number.POSITIVE_INFINITY;
      const text = shortened(clean(cell.text), room);
      const width = widths[i] ?? 0;
      const pad = ' '.repeat(Math.max(0, width - text.length));
      const body = paint(cell.colour, text);
      line += cell.right === true ? pad + body : body + (last ? '' : pad);
      line += last ? '' : '  ';
      used += width + 2;
    }
    return line.trimEnd();
  });
  return `${lines.join('\n')}\n`;
}

function shortened(text: string, room: number): string {
  return text.length > room ? `${text.slice(0, room - 1)}…` : text;
}

/** Text from elsewhere must not move the cursor. */
export function clean(text: string): string {
  return [...text].map((c) => (c < ' ' || (c >= '\x7f' && c < '\xa0') ? '?' : c)).join('');
}

/** "412", "64.0K", "1.2M": at most six characters. */
export function bytesText(bytes: number): string {
  if (bytes < 10_000) return String(bytes);
  let value = bytes;
  for (const unit of ['K', 'M', 'G', 'T']) {
    value /= 1024;
    if (value < 1000) return `${value.toFixed(value < 100 ? 1 : 0)}${unit}`;
  }
  return `${(value / 1024).toFixed(0)}P`;
}

/** "12:00:01.234" in local time */
export function clockText(at: Date): string {
  const two = (n: number) => String(n).padStart(2, '0');
  const ms = String(at.getMilliseconds()).padStart(3, '0');
  return `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}.${ms}`;
}

/** "2026-01-31 12:00:01" in local time */
export function dateText(iso: string): string {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return clean(iso);
  const two = (n: number) => String(n).padStart(2, '0');
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clockText(at).slice(0, 8)}`;
}
