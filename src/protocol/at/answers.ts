// What a modem says, in words or in digits, as its profile wants it. Pure; characters of one byte.
import { RESULTS, type Result, S_CR, S_LF } from './constants.js';
import type { Profile } from './profile.js';

/** Empty where results are not wanted. */
export function resultText(profile: Profile, result: Result, baudRate: number): string {
  const { cr, end } = ends(profile);
  if (profile.flags.Q === 1) return '';
  if (profile.flags.V === 0) return `${RESULTS[result]}${cr}`;
  return `${end}${result === 'CONNECT' ? `CONNECT ${baudRate}` : result}${end}`;
}

export function informationText(profile: Profile, lines: readonly string[]): string {
  const { end } = ends(profile);
  return `${profile.flags.V === 0 ? '' : end}${lines.map((line) => `${line}${end}`).join('')}`;
}

function ends({ registers }: Profile): { readonly cr: string; readonly end: string } {
  const cr = String.fromCharCode(registers[S_CR] ?? 0);
  return { cr, end: `${cr}${String.fromCharCode(registers[S_LF] ?? 0)}` };
}
