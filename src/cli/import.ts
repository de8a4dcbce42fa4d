// `ttynp import`: somebody else's configuration as ours, on stdout; what became of each line on stderr, so that
// `> ttynp.yaml` works. Needs no daemon and changes nothing.
import { readFileSync } from 'node:fs';
import type { CommandModule } from 'yargs';
import { Fault } from '../base/fault.js';
import { IMPORT_KINDS, type Imported, type ImportKind, importText } from '../config/import/import.js';
import type { CommandIo } from './io.js';
import type { GlobalArguments } from './socket.js';
import { type Cell, type Colour, painter, table } from './text.js';
import { UsageError } from './usage.js';

const MAX_SIZE = 4 * 1024 * 1024;
const COLOURS: Readonly<Record<string, Colour>> = { 'needs a hand': 'yellow', skipped: 'dim' };

type Arguments = GlobalArguments & {
  readonly source: string;
  readonly line: string | undefined;
  readonly kind: ImportKind | undefined;
  readonly rename: string | undefined;
};

export const importCommand = (io: CommandIo): CommandModule<GlobalArguments, Arguments> => ({
  command: 'import <source> [line]',
  describe: 'Print the configuration of npreal2, ser2net or socat as one of ttynp',
  builder: (yargs) =>
    yargs
      .positional('source', { type: 'string', demandOption: true, describe: 'The file (- for stdin), or: socat' })
      .positional('line', { type: 'string', describe: 'After socat: the command line, in quotes' })
      .option('kind', { choices: IMPORT_KINDS, describe: 'What the file is; else its content tells' })
      .option('rename', { type: 'string', describe: 'New names: ttyNP makes ttyNP0, ttyNP1 and so on' })
      .example('$0 import npreal2d.cf > ttynp.yaml', 'Names, ports, FIFO and interfaces as they are')
      .example("$0 import socat 'socat PTY,link=/dev/ttyNP0 TCP:10.0.0.1:4001'", 'What a tty of it would be'),
  handler: (args) => {
    const { text, from, kind } = inputOf(args);
    const imported = importText(text, { kind: args.kind ?? kind, rename: args.rename, from });
    io.out(imported.yaml);
    io.err(importReport(imported, io));
  },
});

function inputOf(args: Arguments): { text: string; from: string; kind?: ImportKind } {
  const { source, line } = args;
  if (line !== undefined) {
    if (source !== 'socat') throw new UsageError("one file at a time; only socat takes a command: socat 'COMMAND'");
    return { text: /(^|[\s/])socat\s/.test(line) ? line : `socat ${line}`, from: 'a socat command', kind: 'socat' };
  }
  const from = source === '-' ? 'standard input' : source;
  const bytes = readOrTell(source === '-' ? 0 : source, from);
  if (bytes.length > MAX_SIZE) throw new Fault('CONFIG_INVALID', `${from} is larger than 4 MiB`);
  return { text: new TextDecoder().decode(bytes), from };
}

function readOrTell(source: string | 0, from: string): Uint8Array {
  try {
    return readFileSync(source);
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' && from === 'socat') throw new UsageError("import socat 'COMMAND': the command is missing");
    if (code === 'ENOENT') throw new Fault('SYSTEM', `${from}: there is no such file`, { cause: error });
    if (code === 'EACCES') throw new Fault('PERMISSION', `${from} may not be read`, { cause: error });
    if (code === 'EISDIR') throw new Fault('SYSTEM', `${from} is a directory`, { cause: error });
    throw error;
  }
}

/** The table from old to new, and the counts. */
export function importReport(imported: Imported, io: Pick<CommandIo, 'columns' | 'colour'>): string {
  const paint = painter(io.colour);
  const rows = imported.rows.map((row): Cell[] => [
    { text: String(row.line), right: true },
    { text: row.old.length > 40 ? `${row.old.slice(0, 39)}…` : row.old },
    { text: row.outcome === 'skipped' ? '-' : (row.new ?? '-') },
    { text: row.outcome, colour: COLOURS[row.outcome] },
    { text: row.reason ?? '' },
  ]);
  const { counts } = imported;
  const sum = `${counts.imported} imported, ${counts['needs a hand']} need a hand, ${counts.skipped} skipped`;
  const lines = `${imported.lines} line${imported.lines === 1 ? '' : 's'} of ${imported.kind}`;
  return `${rows.length === 0 ? '' : table(['LINE', 'OLD', 'NEW', 'WHAT', 'WHY'], rows, paint, io.columns)}${lines}: ${sum}\n`;
}
