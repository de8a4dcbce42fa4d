// Somebody else's configuration as ours: recognises what it is, reads it, and gives back the file's text and what became
// of each entry. Pure: text in, text and findings out.
//
//   importText(text, { kind?, rename?, from }) -> { kind, yaml, rows, counts }   throws CONFIG_INVALID
import { Fault } from '../../base/fault.js';
import { assemble, renameOf } from './assemble.js';
import { type Item, linesOf, type Outcome } from './item.js';
import { readNpreal } from './npreal.js';
import { printable, render } from './render.js';
import { readSer2net } from './ser2net.js';
import { readSocat } from './socat.js';

export const IMPORT_KINDS = ['npreal2', 'ser2net', 'socat'] as const;
export type ImportKind = (typeof IMPORT_KINDS)[number];

export interface ImportOptions {
  /** Undefined: told by the content. */
  readonly kind?: ImportKind | undefined;
  /** New names for all ttys: "ttyNP" makes ttyNP0, ttyNP1 and so on. */
  readonly rename?: string | undefined;
  /** What the text is from, as the result names it. */
  readonly from: string;
}

/** An entry, or a line that is none; blank lines and comments have no row, and count as skipped. */
export interface ImportRow {
  readonly line: number;
  readonly old: string;
  /** The new name of the tty, also of one that is commented out; undefined where there is none. */
  readonly new: string | undefined;
  readonly outcome: Outcome;
  readonly reason: string | undefined;
}

export interface Imported {
  readonly kind: ImportKind;
  readonly yaml: string;
  readonly rows: readonly ImportRow[];
  /** Lines that are no entry count as skipped, each. */
  readonly counts: Readonly<Record<Outcome, number>>;
  /** Of all lines of the input, those that belong to what was counted: as many as there are. */
  readonly lines: number;
}

const READERS: Readonly<Record<ImportKind, (text: string) => Item[]>> = {
  npreal2: readNpreal,
  ser2net: readSer2net,
  socat: readSocat,
};

export function importText(text: string, options: ImportOptions): Imported {
  const kind = options.kind ?? kindOf(text, options.from);
  const rename = options.rename === undefined ? undefined : renameOf(options.rename);
  if (options.rename !== undefined && rename === undefined) {
    throw new Fault('CONFIG_INVALID', `"${options.rename}" cannot begin the name of a tty: letters, digits, . _ -`);
  }
  const assembly = assemble(READERS[kind](text), rename);
  const counts = { imported: 0, 'needs a hand': 0, skipped: 0 };
  for (const item of assembly.items) counts[item.outcome]++;
  const rows = assembly.items
    .filter((item) => item.reason !== 'blank' && item.reason !== 'comment')
    .map((item) => ({
      line: item.line,
      old: printable(item.name ?? item.text.trim()),
      new: assembly.entries.get(item)?.name,
      outcome: item.outcome,
      reason: item.reason,
    }));
  const lines = assembly.items.reduce((sum, item) => sum + item.lines, 0);
  return { kind, yaml: render(assembly, options.from), rows, counts, lines };
}

/** By what only one of them has. Throws CONFIG_INVALID. */
export function kindOf(text: string, from: string): ImportKind {
  const lines = linesOf(text).filter((line) => !/^\s*(#|$)/.test(line));
  const some = (pattern: RegExp) => lines.some((line) => pattern.test(line));
  if (some(/^(connection|define|default|rotator)\s*:(\s|$)/)) return 'ser2net';
  if (some(/^\s*\d{1,3}\s+\S+\s+\d{1,5}\s+\d{1,5}\s/) || some(/^\s*(ttymajor|calloutmajor)\s*=/i)) return 'npreal2';
  if (some(/(^|[\s;&|(/=])socat\s/)) return 'socat';
  const fail = (why: string) => new Fault('CONFIG_INVALID', `${from}: ${why}`);
  if (some(/^(\S+,)?\d+:(raw|rawlp|telnet|off):\d+:/)) {
    throw fail('is a ser2net.conf of ser2net before version 4: let ser2net make a ser2net.yaml of it first');
  }
  if (some(/^servers\s*:/) && some(/^version\s*:/)) throw fail('is a configuration of ttynp already');
  throw fail(`is not recognised: say what it is with --kind ${IMPORT_KINDS.join('|')}`);
}
