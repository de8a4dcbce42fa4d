// `ttynp config check|schema|show`: the configuration without a daemon. Changes nothing.
import { stringify } from 'yaml';
import type { CommandModule } from 'yargs';
import { DEFAULT_CONFIG_FILE, loadConfig } from '../config/load.js';
import { ConfigFault } from '../config/problems.js';
import type { ResolvedConfig } from '../config/resolved.js';
import { configJsonSchema } from '../config/schema.js';
import { suggestions } from '../config/suggestions.js';
import type { CommandIo } from './io.js';
import type { GlobalArguments } from './socket.js';

type FileArguments = GlobalArguments & { readonly file: string | undefined };

export const configCommand = (io: CommandIo): CommandModule<GlobalArguments, GlobalArguments> => ({
  command: 'config',
  describe: 'Check or show the configuration',
  builder: (yargs) =>
    yargs
      .command(
        fileCommand('check [file]', 'Check a configuration file; tells every error at once', (file) => check(file, io)),
      )
      .command(
        fileCommand('show [file]', 'Show what a configuration file means, with every default filled in', (file) =>
          show(file, io),
        ),
      )
      .command({
        command: 'schema',
        describe: 'Print the JSON Schema of the configuration file, for editors',
        handler: () => io.out(`${JSON.stringify(configJsonSchema(), null, 2)}\n`),
      })
      .demandCommand(1, 'config what: check, show or schema?'),
  handler: () => {},
});

function fileCommand(
  command: string,
  describe: string,
  run: (file: string) => void,
): CommandModule<GlobalArguments, FileArguments> {
  return {
    command,
    describe,
    builder: (yargs) =>
      yargs.positional('file', { type: 'string', describe: `The file; else --config, else ${DEFAULT_CONFIG_FILE}` }),
    handler: (args) => run(args.file ?? args.config ?? DEFAULT_CONFIG_FILE),
  };
}

function check(file: string, io: CommandIo): void {
  const config = loadOrTell(file, io);
  if (config === undefined) return;
  const count = (n: number, what: string) => `${n} ${what}${n === 1 ? '' : 's'}`;
  const served = config.serialPorts.length > 0 ? `, ${count(config.serialPorts.length, 'serial port')} offered` : '';
  io.out(`${file}: ok, ${count(config.ttys.length, 'tty')} on ${count(config.servers.length, 'server')}${served}\n`);
  for (const suggestion of suggestions(config)) io.out(`${suggestion}\n`);
}

function show(file: string, io: CommandIo): void {
  const config = loadOrTell(file, io);
  if (config !== undefined) io.out(resolvedYaml(config));
}

/** All errors, a line each, and exit code 1. */
function loadOrTell(file: string, io: CommandIo): ResolvedConfig | undefined {
  try {
    return loadConfig(file).config;
  } catch (error) {
    if (!(error instanceof ConfigFault)) throw error;
    for (const line of error.errors) io.err(`${line}\n`);
    process.exitCode = 1;
    return undefined;
  }
}

export function resolvedYaml(config: ResolvedConfig): string {
  const octal = (mode: number) => `0${mode.toString(8)}`;
  const view = {
    ...config,
    control: { ...config.control, mode: octal(config.control.mode) },
    ttys: config.ttys.map((tty) => ({ ...tty, mode: octal(tty.mode) })),
  };
  return stringify(view, { aliasDuplicateObjects: false, lineWidth: 0 });
}
