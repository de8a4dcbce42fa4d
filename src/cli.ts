#!/usr/bin/env node
// ttynp: composes the commands. Each is in a file of its own in cli/; nothing is decided here but exit codes and how an
// error looks: 0 done, 1 failed, 2 not a command, 78 the daemon cannot start with its configuration. An error is one line
// with a hint; a stack only with --debug.
//
//   runCli(argv, io?) -> exit code
import { realpathSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import yargs, { type CommandModule } from 'yargs';
import { packageVersion } from './api/version.js';
import { isFault, messageOf } from './base/fault.js';
import { auditCommand } from './cli/audit.js';
import { benchCommand } from './cli/bench.js';
import { configCommand } from './cli/config.js';
import { demoCommand } from './cli/demo.js';
import { doctorCommand } from './cli/doctor.js';
import { healthCommand } from './cli/health.js';
import { importCommand } from './cli/import.js';
import { type CommandIo, standardIo } from './cli/io.js';
import { linksCommand } from './cli/links.js';
import { metricsCommand } from './cli/metrics.js';
import { portCommand } from './cli/port.js';
import { portsCommand } from './cli/ports.js';
import { reloadCommand } from './cli/reload.js';
import { serverCommand } from './cli/server.js';
import { simulateCommand } from './cli/simulate.js';
import type { GlobalArguments } from './cli/socket.js';
import { statusCommand } from './cli/status.js';
import { clean } from './cli/text.js';
import { traceCommand } from './cli/trace.js';
import { UsageError } from './cli/usage.js';
import { watchCommand } from './cli/watch.js';
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

function parser(argv: readonly string[], io: CommandIo) {
  return yargs([...argv])
    .scriptName('ttynp')
    .usage('$0 COMMAND: serial ports of device servers as ttys of this machine')
    .option('socket', { type: 'string', describe: "The daemon's control socket" })
    .option('config', { alias: 'c', type: 'string', describe: `The configuration file (${DEFAULT_CONFIG_FILE})` })
    .option('debug', { type: 'boolean', default: false, describe: 'Show the stack of an error' })
    .command(statusCommand(io))
    .command(portsCommand(io))
    .command(portCommand(io))
    .command(watchCommand(io))
    .command(traceCommand(io))
    .command(reloadCommand(io))
    .command(healthCommand(io))
    .command(metricsCommand(io))
    .command(configCommand(io))
    .command(serverCommand(io))
    .command(importCommand(io))
    .command(daemonCommand)
    .command(linksCommand(io))
    .command(doctorCommand(io))
    .command(auditCommand(io))
    .command(benchCommand(io))
    .command(simulateCommand)
    .command(demoCommand)
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
    await parser(argv, io).parseAsync();
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
