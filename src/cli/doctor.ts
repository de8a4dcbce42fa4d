// `ttynp doctor` looks at this machine, `ttynp doctor TTY` and `ttynp doctor serial:N` walk one port, and each says at each step what to do next.
// Needs no daemon, changes nothing, never opens the tty; connects to a device only with --probe, and never to a port in use.
import type { CommandModule } from 'yargs';
import { type Clock, SystemClock } from '../base/clock.js';
import { DEFAULT_CONFIG_FILE } from '../config/load.js';
import { askDaemon, askLater, socketPath } from './doctor/ask.js';
import { type Check, exitCodeOf } from './doctor/check.js';
import { judgePort, portTitle } from './doctor/judge.js';
import { judgeMachine } from './doctor/machine-checks.js';
import { readConfig, surveyMachine } from './doctor/machine-survey.js';
import { walkPort } from './doctor/port-walk.js';
import { renderChecks } from './doctor/render.js';
import { judgeServed, servedTitle } from './doctor/served-checks.js';
import { servedFacts, servedNumber } from './doctor/served-facts.js';
import type { CommandIo } from './io.js';
import type { GlobalArguments } from './socket.js';
import { UsageError } from './usage.js';

type DoctorArguments = GlobalArguments & {
  readonly tty: string | undefined;
  readonly probe: boolean;
  readonly json: boolean;
};

export const doctorCommand = (io: CommandIo): CommandModule<GlobalArguments, DoctorArguments> => ({
  command: 'doctor [tty]',
  describe: 'Find out why something does not work, and what to do about it',
  builder: (yargs) =>
    yargs
      .positional('tty', {
        type: 'string',
        describe: 'Walk along this port, serial:1 for one that is offered; without it, look at the machine',
      })
      .option('probe', {
        type: 'boolean',
        default: false,
        describe: 'Connect to the device server of a tty, where nothing uses the port',
      })
      .option('json', { type: 'boolean', default: false, describe: 'Print { checks: [{ step, result, text, hint }] }' })
      .example('$0 doctor ttyNP0 --probe', 'Why does nothing come back?'),
  handler: async (argv) => {
    const { title, checks } = await examine(argv, new SystemClock());
    if (argv.json) io.out(`${JSON.stringify({ checks }, null, 2)}\n`);
    else io.out(`${renderChecks(title, checks, { columns: io.columns ?? 100, colour: io.colour }).join('\n')}\n`);
    process.exitCode = exitCodeOf(checks);
  },
});

export interface DoctorReport {
  readonly title: string;
  readonly checks: readonly Check[];
}

const noProbe = (port: number): string =>
  `--probe connects to a device server; serial:${port} is offered by this machine, leave --probe out`;

/** Rejects with NO_SUCH_TTY, and with a UsageError for what cannot be probed; everything else that is wrong is a check. */
export async function examine(argv: Omit<DoctorArguments, 'json' | 'debug'>, clock: Clock): Promise<DoctorReport> {
  const named = readConfig(argv.config ?? DEFAULT_CONFIG_FILE);
  const socket = socketPath(argv);
  const asked = await askDaemon(socket);
  // The daemon's own file, where the user named none.
  const read = argv.config === undefined && asked.status !== undefined ? readConfig(asked.status.configFile) : named;
  if (argv.tty === undefined) {
    const later = await askLater(socket, asked.serial, clock);
    const facts = await surveyMachine(read, asked, argv.probe ? { clock } : undefined, later);
    return { title: 'this machine', checks: judgeMachine(facts) };
  }
  const served = servedNumber(argv.tty, read.config, asked);
  if (served !== undefined) {
    // A connection would take the place of a client, and raise DTR and RTS.
    if (argv.probe) throw new UsageError(noProbe(served));
    const own = asked.serial.filter(({ port }) => port === served);
    const facts = servedFacts(served, read.config, asked, await askLater(socket, own, clock));
    return { title: servedTitle(facts), checks: judgeServed(facts) };
  }
  const facts = await walkPort(argv.tty, read, asked, { clock, probe: argv.probe });
  return { title: portTitle(facts), checks: judgePort(facts) };
}
