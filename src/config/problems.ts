// Everything that is wrong with a configuration, collected before anything is said: file, line, path, text.
// Never stops at the first problem; `ConfigFault` carries them all.
import { Fault } from '../base/fault.js';

export interface Problem {
  readonly file: string;
  readonly line: number;
  /** "ttys.ttyNP7.format"; empty for the file as a whole. */
  readonly path: string;
  readonly text: string;
}

export class ConfigFault extends Fault {
  /** "FILE:LINE: PATH: TEXT", in the order of the files and their lines. */
  constructor(readonly errors: readonly string[]) {
    const more = errors.length > 1 ? ` (and ${errors.length - 1} more)` : '';
    super('CONFIG_INVALID', `${errors[0] ?? 'invalid configuration'}${more}`);
  }
}

export class Problems {
  readonly #list: Problem[] = [];
  readonly #fileOrder: string[] = [];

  add(file: string, line: number, path: readonly PropertyKey[], text: string): void {
    if (!this.#fileOrder.includes(file)) this.#fileOrder.push(file);
    this.#list.push({ file, line, path: pathText(path), text });
  }

  get count(): number {
    return this.#list.length;
  }

  texts(): string[] {
    const order = (p: Problem) => this.#fileOrder.indexOf(p.file);
    return [...this.#list]
      .sort((a, b) => order(a) - order(b) || a.line - b.line)
      .map((p) => `${p.file}:${p.line}: ${p.path === '' ? '' : `${p.path}: `}${p.text}`);
  }

  throwIfAny(): void {
    if (this.#list.length > 0) throw new ConfigFault(this.texts());
  }
}

export function pathText(path: readonly PropertyKey[]): string {
  let text = '';
  for (const part of path) {
    if (typeof part === 'number') text += `[${part}]`;
    else text += `${text === '' ? '' : '.'}${String(part)}`;
  }
  return text;
}

/** ` (did you mean "port"?)`, or nothing when no candidate is near. */
export function suggestion(word: string, candidates: Iterable<string>): string {
  let best: string | undefined;
  let bestDistance = Math.max(1, Math.floor(word.length / 3)) + 1;
  for (const candidate of candidates) {
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best === undefined ? '' : ` (did you mean "${best}"?)`;
}

/** Insertions, deletions, replacements and swaps of neighbours that make `b` of `a` (optimal string alignment). */
export function editDistance(a: string, b: string): number {
  const rows: number[][] = [Array.from({ length: b.length + 1 }, (_, j) => j)];
  const at = (i: number, j: number) => rows[i]?.[j] ?? 0;
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    rows.push(row);
    for (let j = 1; j <= b.length; j++) {
      const change = a[i - 1] === b[j - 1] ? 0 : 1;
      let cost = Math.min(at(i - 1, j) + 1, at(i, j - 1) + 1, at(i - 1, j - 1) + change);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, at(i - 2, j - 2) + 1);
      row.push(cost);
    }
  }
  return at(a.length, b.length);
}
