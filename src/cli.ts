#!/usr/bin/env node
// ttynp: composes the commands. Each is in a file of its own in cli/; nothing is decided here but exit codes and how an
// error looks: 0 done, 1 failed, 2 not a command, 78 the daemon cannot start with its configuration. An error is one line
// with a hint; a stack only with --debug.
//
//   runCli(argv, io?) -> exit code
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import yargs, { type Argv, type CommandModule } from 'yargs';
import { packageVersion } from './api/version.js';
import { isFault, messageOf } from './base/fault.js';
import { type CommandIo, standardIo } from './cli/io.js';
import type { GlobalArguments } from './cli/socket.js';
import { clean } from './cli/text.js';
import { UsageError } from './cli/usage.js';
import { DEFAULT_CONFIG_FILE } from './config/load.js';
import { ConfigFault } from './config/problems.js';

/** sysexits(3); systemctl shows it as 78/CONFIG. */
const EX_CONFIG = 78;

type DaemonArguments = GlobalArguments & {
  readonly 'log-format': 'plain' | 'json' | undefined;
  readonly 'log-level': 'error' | 'warn' | 'info' | 'debug' | undefined;
};

const daemonCommand: CommandModule<GlobalArguments, DaemonArguments> = {
  command: 'daemon',
  describe: 'Run the daemon in the foreground (also: ttynpd)',
  builder: (y) =>
    y
      .option('log-format', {
        choices: ['plain', 'json'] as const,
        describe: 'Overrides log.format of the configuration',
      })
      .option('log-level', { choices: ['error', 'warn', 'info', 'debug'] as const, describe: 'Overrides log.level' })
      .example('$0 daemon -c ttynp.yaml', 'Run it with this configuration'),
  handler: async (args) => {
    const { runDaemon } = await import('./compose-daemon.js');
    process.exitCode = await runDaemon({
      configFile: args.config ?? DEFAULT_CONFIG_FILE,
      logFormat: args['log-format'],
      logLevel: args['log-level'],
    });
  },
};

type Add = (y: Argv<GlobalArguments>, io: CommandIo) => Promise<unknown>;

/** Each is loaded where it is asked for: a short command, and the daemon after a crash, are there sooner. */
const COMMANDS: ReadonlyMap<string, Add> = new Map<string, Add>([
  ['status', async (y, io) => y.command((await import('./cli/status.js')).statusCommand(io))],
  ['ports', async (y, io) => y.command((await import('./cli/ports.js')).portsCommand(io))],
  ['port', async (y, io) => y.command((await import('./cli/port.js')).portCommand(io))],
  ['watch', async (y, io) => y.command((await import('./cli/watch.js')).watchCommand(io))],
  ['trace', async (y, io) => y.command((await import('./cli/trace.js')).traceCommand(io))],
  ['reload', async (y, io) => y.command((await import('./cli/reload.js')).reloadCommand(io))],
  ['health', async (y, io) => y.command((await import('./cli/health.js')).healthCommand(io))],
  ['metrics', async (y, io) => y.command((await import('./cli/metrics.js')).metricsCommand(io))],
  ['config', async (y, io) => y.command((await import('./cli/config.js')).configCommand(io))],
  ['server', async (y, io) => y.command((await import('./cli/server.js')).serverCommand(io))],
  ['import', async (y, io) => y.command((await import('./cli/import.js')).importCommand(io))],
  ['daemon', async (y) => y.command(daemonCommand)],
  ['links', async (y, io) => y.command((await import('./cli/links.js')).linksCommand(io))],
  ['usbip', async (y, io) => y.command((await import('./cli/usbip.js')).usbipCommand(io))],
  ['usbip-attach', async (y, io) => y.command((await import('./cli/usbip-attach.js')).usbipAttachCommand(io))],
  ['doctor', async (y, io) => y.command((await import('./cli/doctor.js')).doctorCommand(io))],
  ['audit', async (y, io) => y.command((await import('./cli/audit.js')).auditCommand(io))],
  ['bench', async (y, io) => y.command((await import('./cli/bench.js')).benchCommand(io))],
  ['simulate', async (y) => y.command((await import('./cli/simulate.js')).simulateCommand)],
  ['demo', async (y) => y.command((await import('./cli/demo.js')).demoCommand)],
]);

async function parser(argv: readonly string[], io: CommandIo): Promise<Argv<GlobalArguments>> {
  const y = yargs([...argv])
    .scriptName('ttynp')
    .usage('$0 COMMAND: serial ports of device servers as ttys of this machine')
    .option('socket', { type: 'string', describe: "The daemon's control socket" })
    .option('config', { alias: 'c', type: 'string', describe: `The configuration file (${DEFAULT_CONFIG_FILE})` })
    .option('debug', { type: 'boolean', default: false, describe: 'Show the stack of an error' });
  const asked = COMMANDS.get(argv[0] ?? '');
  for (const add of asked === undefined ? COMMANDS.values() : [asked]) await add(y, io);
  return y
    .demandCommand(1, 'no command given')
    .strict()
    .recommendCommands()
    .parserConfiguration({ 'duplicate-arguments-array': false })
    .version(packageVersion())
    .locale('en')
    .help()
    .alias('help', 'h')
    .wrap(Math.min(100, io.columns ?? 100))
    .exitProcess(false)
    .fail((message: string | null, error: Error | undefined) => {
      throw error ?? new UsageError(usageText(message));
    });
}

/** What yargs says of a wrong word or a missing one, in words that a user can use. */
function usageText(message: string | null): string {
  if (message?.startsWith('Did you mean') === true) return `no such command: ${message.replace('D', 'd')}`;
  if (message?.startsWith('Not enough non-option arguments') === true) return 'an argument is missing';
  return (message ?? 'no such command').replace(/^Invalid values:\s+/, '');
}

export async function runCli(argv: readonly string[], io: CommandIo = standardIo()): Promise<number> {
  process.exitCode = 0;
  try {
    await (await parser(argv, io)).parseAsync();
    return Number(process.exitCode);
  } catch (error) {
    return tell(error, argv, io);
  }
}

function tell(error: unknown, argv: readonly string[], io: CommandIo): number {
  if (argv.includes('--debug') && error instanceof Error) io.err(`${error.stack}\n`);
  if (error instanceof ConfigFault) {
    io.err(error.errors.map((line) => `${line}\n`).join(''));
    return argv[0] === 'daemon' ? EX_CONFIG : 1;
  }
  const usage = error instanceof UsageError || (error instanceof Error && error.name === 'YError');
  const hint = usage
    ? ' (ttynp --help tells more)'
    : isFault(error) || argv.includes('--debug')
      ? ''
      : ' (--debug shows where)';
  io.err(`ttynp: ${messageOf(error).split('\n').map(clean).join('; ')}${hint}\n`);
  return usage ? 2 : 1;
}

function isProgram(): boolean {
  const program = process.argv[1];
  return program !== undefined && realpathSync(program) === fileURLToPath(import.meta.url);
}

if (isProgram()) {
  // `ttynp watch | head`: the reader has seen enough.
  process.stdout.on('error', (error: Error) => process.exit('code' in error && error.code === 'EPIPE' ? 0 : 1));
  process.exitCode = await runCli(process.argv.slice(2));
}
