// What a reader of somebody else's configuration found: an item per entry, and per line that is none, so that every line
// of the input is accounted for. Types and the words that the readers share; reads and writes nothing.

import type { Protocol } from '../resolved.js';

/** A tty as the other product had it. What is undefined is not in its file. */
export interface Candidate {
  readonly protocol: Protocol;
  readonly name: string | undefined;
  readonly address: string;
  readonly dataPort: number;
  /** Of Real COM alone. */
  readonly commandPort: number | undefined;
  readonly fifo: boolean;
  readonly format?: string | undefined;
}

export type Outcome = 'imported' | 'needs a hand' | 'skipped';

export interface Item {
  readonly outcome: Outcome;
  /** The first of its lines, from 1, and how many they are. */
  readonly line: number;
  readonly lines: number;
  /** The lines themselves. */
  readonly text: string;
  /** What the other product calls it, where it has a name. */
  readonly name?: string | undefined;
  /** Why it is not imported, or what is to be known though it is. */
  readonly reason?: string | undefined;
  /** Becomes an entry; one that needs a hand becomes a commented-out one. */
  readonly candidate?: Candidate | undefined;
  /** A local serial port that the other product serves to the network: a commented-out entry of `serialPorts`. */
  readonly serialPort?: ServedPort | undefined;
}

export interface ServedPort {
  readonly device: string;
  readonly mode: 'rfc2217' | 'tcp-server';
  /** As the other product has them; undefined: all addresses, and no number that we can read. */
  readonly host: string | undefined;
  readonly tcpPort: number | undefined;
  readonly format: string | undefined;
}

export const SERVED = 'serves a local serial port to the network, as ttynp does too: one of the two at a time';

export const NO_TLS = 'ttynp speaks no TLS; without its # this entry sends in plain text';

export function linesOf(text: string): string[] {
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/);
  if (lines.at(-1) === '') lines.pop();
  return lines;
}

/** A line without content; undefined where there is some. */
export function emptyLine(text: string, line: number): Item | undefined {
  const trimmed = text.trim();
  if (trimmed === '') return { outcome: 'skipped', line, lines: 1, text, reason: 'blank' };
  if (trimmed.startsWith('#')) return { outcome: 'skipped', line, lines: 1, text, reason: 'comment' };
  return undefined;
}

/** Splits at `separator` where it is neither within brackets nor within quotes. */
export function splitOutside(text: string, separator: string): string[] {
  const parts: string[] = [''];
  let depth = 0;
  let quote = '';
  for (const c of text) {
    if (quote !== '') quote = c === quote ? '' : quote;
    else if (c === '"' || c === "'") quote = c;
    else if ('([{'.includes(c)) depth++;
    else if (')]}'.includes(c)) depth--;
    if (c === separator && depth <= 0 && quote === '') parts.push('');
    else parts.push((parts.pop() ?? '') + c);
  }
  return parts.map((part) => part.trim());
}

/** A TCP port number, or undefined. */
export function tcpPortOf(text: string | undefined): number | undefined {
  const number = text !== undefined && /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return number >= 1 && number <= 65535 ? number : undefined;
}

/** The name of a tty by the path of its link: without /dev/, or the last part of any other path. */
export function nameOfPath(path: string): string {
  return path.startsWith('/dev/') ? path.slice('/dev/'.length) : (path.split('/').at(-1) ?? path);
}

export function isLinkLocal(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(address);
}
