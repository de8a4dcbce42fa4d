// The next command of a command line, by the tables in constants.ts. Pure, and knows nothing of calls.
import { type Flag, NO_EFFECT } from './constants.js';
import { isFlag } from './profile.js';

export type Command =
  | { readonly type: 'answer' | 'back' | 'none' }
  | { readonly type: 'dial'; readonly to: string }
  | { readonly type: 'hang-up' | 'identify' | 'reset' | 'factory' | 'view' | 'write'; readonly value: number }
  | { readonly type: 'flag'; readonly flag: Flag; readonly value: number }
  | { readonly type: 'show'; readonly register: number }
  | { readonly type: 'set'; readonly register: number; readonly value: number };

const LETTERS: Readonly<Record<string, 'hang-up' | 'identify' | 'reset' | 'factory' | 'view' | 'write'>> = {
  H: 'hang-up',
  I: 'identify',
  Z: 'reset',
  '&F': 'factory',
  '&V': 'view',
  '&W': 'write',
};
/** Of letters above, the highest number. */
const HIGHEST: Readonly<Record<string, number>> = { I: 2 };

/** undefined: it is no command. `rest` is what follows it. */
export function nextCommand(text: string): { readonly command: Command; readonly rest: string } | undefined {
  const line = text.trimStart();
  if (line === '') return { command: { type: 'none' }, rest: '' };
  const letter = line[0]?.toUpperCase();
  if (letter === 'D') return { command: { type: 'dial', to: dialled(line.slice(1)) }, rest: '' };
  // Nothing can follow: from here on what is typed is for the other end.
  if (letter === 'A') return { command: { type: 'answer' }, rest: '' };
  if (letter === 'S') return register(line);
  const match = /^(&?[A-Za-z]) *(\d*)/.exec(line);
  const name = match?.[1]?.toUpperCase();
  if (match === null || name === undefined) return undefined;
  const command = plain(name, Number(match[2]));
  return command && { command, rest: line.slice(match[0].length) };
}

function plain(name: string, value: number): Command | undefined {
  if (name === 'O') return value === 0 ? { type: 'back' } : undefined;
  const type = LETTERS[name];
  if (type !== undefined) return value <= (HIGHEST[name] ?? 0) ? { type, value } : undefined;
  if (isFlag(name)) return { type: 'flag', flag: name, value };
  const most = NO_EFFECT[name];
  return most !== undefined && value <= most ? { type: 'none' } : undefined;
}

function register(line: string): { readonly command: Command; readonly rest: string } | undefined {
  const match = /^S *(\d+) *(?:(\?)|= *(\d*))/i.exec(line);
  if (match === null) return undefined;
  const rest = line.slice(match[0].length);
  const number = Number(match[1]);
  if (match[2] !== undefined) return { command: { type: 'show', register: number }, rest };
  return { command: { type: 'set', register: number, value: Number(match[3]) }, rest };
}

/** Tone and pulse are nothing here: T or P goes where a digit, a bracket, a colon or a space follows, and may begin a name elsewhere. */
function dialled(text: string): string {
  return text.replace(/^ *[TP](?=[\d[: ])/i, '').trim();
}
