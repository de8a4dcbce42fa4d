// `ttynp simulate`: a device server with loopback ports, or with a program as the device, in the foreground.
// Needs no daemon. The simulator itself is serve/simulator.ts.
import type { CommandModule } from 'yargs';
import { isFault, messageOf } from '../base/fault.js';
import type { Log } from '../base/log.js';
import type { SimulatorHandle, SimulatorOptions } from '../serve/simulator.js';
import { UsageError } from './usage.js';

interface SimulateArguments {
  readonly ports: number;
  readonly listen: string;
  readonly 'data-port': number;
  readonly 'command-port': number;
  readonly unpaced: boolean;
  readonly 'echo-delay': number;
  readonly exec: string | undefined;
  readonly verbose: boolean;
}

/** One line per event on standard output. */
const lineLog: Log = {
  log: (_level, message) => void process.stdout.write(`${message}\n`),
  child: () => lineLog,
};

export const simulateCommand: CommandModule<object, SimulateArguments> = {
  command: 'simulate',
  describe: 'Run a device server with loopback ports on this machine',
  builder: (yargs) =>
    yargs
      .option('ports', { type: 'number', default: 1, describe: 'How many serial ports' })
      .option('listen', { type: 'string', default: '127.0.0.1', describe: 'Address to listen on' })
      .option('data-port', { type: 'number', default: 950, describe: 'TCP data port of serial port 1 (0: any free)' })
      .option('command-port', { type: 'number', default: 966, describe: 'TCP command port of serial port 1' })
      .option('unpaced', { type: 'boolean', default: false, describe: 'Bytes take no time on the line' })
      .option('echo-delay', { type: 'number', default: 0, describe: 'Milliseconds until a loop plug answers' })
      .option('exec', { type: 'string', describe: 'Use this program as the device, in place of a loop plug' })
      .option('verbose', { type: 'boolean', default: false, describe: 'Show every request and answer' })
      .example('$0 simulate --data-port 4001 --command-port 5001', 'One loop plug, without root')
      .example("$0 simulate --data-port 4001 --command-port 5001 --exec 'bc -q'", 'A calculator as the device'),
  handler: async (argv) => {
    refuseNonsense(argv);
    process.exitCode = await simulate({
      ports: argv.ports,
      listen: argv.listen,
      dataPort: argv['data-port'],
      // Any free ports means both.
      commandPort: argv['data-port'] === 0 ? 0 : argv['command-port'],
      unpaced: argv.unpaced,
      echoDelayMs: argv['echo-delay'],
      verbose: argv.verbose,
      ...(argv.exec === undefined ? {} : { exec: argv.exec }),
    });
  },
};

/** What is no number arrives as NaN. */
function refuseNonsense(argv: SimulateArguments): void {
  for (const name of ['ports', 'data-port', 'command-port'] as const) {
    if (!Number.isInteger(argv[name])) throw new UsageError(`--${name} must be a whole number`);
  }
  if (!(argv['echo-delay'] >= 0)) throw new UsageError('--echo-delay must be a number of milliseconds, 0 or more');
  if (argv.exec?.trim() === '') throw new UsageError('--exec names no program');
}

/** Runs until SIGINT or SIGTERM. Resolves with the exit code. */
export async function simulate(options: SimulatorOptions): Promise<number> {
  // Only here: no other command has a use for node-pty, nor should fail where it does not load.
  const { runSimulator } = await import('../serve/simulator.js');
  let simulator: SimulatorHandle;
  try {
    simulator = await runSimulator({ ...options, log: lineLog });
  } catch (error) {
    if (!isFault(error)) throw error;
    process.stderr.write(`ttynp simulate: ${messageOf(error)}\n`);
    return 1;
  }
  for (const line of announcement(simulator, options)) process.stdout.write(`${line}\n`);
  await signalled();
  await simulator.close();
  return 0;
}

function announcement(simulator: SimulatorHandle, options: SimulatorOptions): string[] {
  const device = options.exec === undefined ? 'loop plug' : `program '${options.exec}'`;
  const pace = options.unpaced ? 'unpaced' : "paced at the line's speed";
  return [
    ...simulator.ports.map(
      (port, index) =>
        `port ${index + 1}: data ${simulator.address}:${port.dataPort}, command ${simulator.address}:${port.commandPort}`,
    ),
    `ready: ${simulator.ports.length} port(s), ${device}, ${pace}; Ctrl-C ends it`,
  ];
}

function signalled(): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      process.off('SIGINT', done);
      process.off('SIGTERM', done);
      resolve();
    };
    process.on('SIGINT', done);
    process.on('SIGTERM', done);
  });
}
