// The checks as text for a terminal: one step each, wrapped to its width, the hint below. Pure: where it is printed, and
// whether colours are wanted, its caller knows.
import { clean } from '../text.js';
import { type Check, type CheckResult, countOf } from './check.js';

export interface RenderOptions {
  readonly columns: number;
  readonly colour: boolean;
}

const WORDS: Readonly<Record<CheckResult, string>> = { ok: 'ok', failed: 'FAILED', 'not checked': 'not checked' };
const COLOURS: Readonly<Record<CheckResult, string>> = { ok: '32', failed: '1;31', 'not checked': '33' };
const RESULT_WIDTH = 13;
const MIN_COLUMNS = 60;
const MAX_COLUMNS = 100;

export function renderChecks(title: string, checks: readonly Check[], options: RenderOptions): string[] {
  const columns = Math.max(MIN_COLUMNS, Math.min(MAX_COLUMNS, options.columns));
  const stepWidth = 2 + Math.max(...checks.map((check) => check.step.length), 0);
  const indent = ' '.repeat(2 + RESULT_WIDTH + stepWidth);
  const room = columns - indent.length;
  const lines = [clean(title), ''];
  for (const check of checks) {
    const [first = '', ...rest] = wrap(clean(check.text), room);
    const word = WORDS[check.result].padEnd(RESULT_WIDTH);
    const shown = options.colour ? `\u001b[${COLOURS[check.result]}m${word}\u001b[0m` : word;
    lines.push(`  ${shown}${check.step.padEnd(stepWidth)}${first}`, ...rest.map((line) => indent + line));
    if (check.hint === null) continue;
    lines.push(...wrap(clean(check.hint), room - 3).map((line, i) => `${indent}${i === 0 ? '-> ' : '   '}${line}`));
  }
  const parts = (['failed', 'ok', 'not checked'] as const).map((result) => `${countOf(checks, result)} ${result}`);
  return [...lines, '', parts.join(', ')];
}

/** At blanks where there are any; a longer word gets a line of its own. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
