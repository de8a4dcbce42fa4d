// `ttynp server add|remove`: edits the configuration file, and has the daemon read it. What is written has passed the
// whole check; what has not is not written.
import { readFileSync, realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Argv, CommandModule } from 'yargs';
import { Fault, isFault } from '../base/fault.js';
import { addServer, removeEntries } from '../config/edit.js';
import { serverName } from '../config/import/assemble.js';
import { DEFAULT_CONFIG_FILE, loadConfig } from '../config/load.js';
import { generatedName } from '../config/merge.js';
import { ConfigFault } from '../config/problems.js';
import type { ResolvedConfig, ResolvedTty } from '../config/resolved.js';
import { replaceFile } from '../config/write-file.js';
import type { CommandIo } from './io.js';
import { reloadText } from './reload.js';
import { requestingAddress } from './requesting-address.js';
import { clientOf, type GlobalArguments } from './socket.js';
import { clean } from './text.js';
import { UsageError } from './usage.js';

type AddArguments = GlobalArguments & {
  readonly address: string;
  readonly ports: number;
  readonly name: string | undefined;
  readonly 'first-tty': string | undefined;
  readonly protocol: 'realcom' | 'rfc2217' | 'tcp' | 'udp' | undefined;
  readonly 'data-port': number | undefined;
  readonly 'command-port': number | undefined;
};
type RemoveArguments = GlobalArguments & { readonly name: string };

export const serverCommand = (io: CommandIo): CommandModule<GlobalArguments, GlobalArguments> => ({
  command: 'server',
  describe: 'Add a device server to the configuration, or remove one',
  builder: (yargs) =>
    yargs
      .command({
        command: 'add <address>',
        describe: 'Add a device server: its ttys are there at once',
        builder: addOptions,
        handler: (args) => add(args, io),
      })
      .command({
        command: 'remove <name>',
        describe: 'Remove a device server and its ttys',
        builder: (y: Argv<GlobalArguments>) =>
          y.positional('name', { type: 'string', demandOption: true, describe: 'Its name in the configuration' }),
        handler: (args: RemoveArguments) => remove(args, io),
      })
      .demandCommand(1, 'server what: add or remove?'),
  handler: () => {},
});

function addOptions(yargs: Argv<GlobalArguments>): Argv<AddArguments> {
  return yargs
    .positional('address', { type: 'string', demandOption: true, describe: 'IP address or host name; "fe80::1%eth1"' })
    .option('ports', { type: 'number', demandOption: true, describe: 'How many serial ports it has' })
    .option('name', { type: 'string', describe: 'Its name in the configuration; else made of the address' })
    .option('first-tty', {
      type: 'string',
      describe: 'The tty of port 1; else the next free ones of ttyNP0, ttyNP1 ...',
    })
    .option('protocol', {
      choices: ['realcom', 'rfc2217', 'tcp', 'udp'] as const,
      describe: 'What it speaks (realcom)',
    })
    .option('data-port', { type: 'number', describe: 'TCP data port of serial port 1 (950; rfc2217 and tcp: 4001)' })
    .option('command-port', { type: 'number', describe: 'TCP command port of serial port 1 (966)' })
    .example('$0 server add 192.168.127.254 --ports 16', 'The next 16 free ttys');
}

async function add(args: AddArguments, io: CommandIo): Promise<void> {
  for (const key of ['ports', 'data-port', 'command-port'] as const) {
    if (args[key] !== undefined && !Number.isInteger(args[key]))
      throw new UsageError(`--${key} must be a whole number`);
  }
  if (args.ports < 1 || args.ports > 256) throw new UsageError('--ports must be 1 to 256');
  const file = await fileOf(args);
  const { config } = loadConfig(file);
  const names = new Set(config.servers.map((server) => server.name));
  const name = args.name ?? serverName(args.address, names);
  const known = config.servers.find((server) => server.name === name);
  if (known !== undefined) throw new Fault('CONFIG_INVALID', `there is a server ${name} already: ${known.address}`);
  const before = readFileSync(file, 'utf8');
  const text = addServer(before, name, {
    address: args.address,
    ports: args.ports,
    firstTty: args['first-tty'] ?? nextTty(config, args.ports),
    ...(args.protocol === undefined ? {} : { protocol: args.protocol }),
    ...(args['data-port'] === undefined ? {} : { dataPort: args['data-port'] }),
    ...(args['command-port'] === undefined ? {} : { commandPort: args['command-port'] }),
  });
  const { ttys } = checked(file, file, text, 'not added');
  replaceFile(file, before, text);
  io.out(`added ${clean(name)} (${clean(args.address)}): ${ttysText(ttys.filter((tty) => tty.serverName === name))}\n`);
  await tellDaemon(args, file, io);
}

async function remove(args: RemoveArguments, io: CommandIo): Promise<void> {
  const file = await fileOf(args);
  const { config } = loadConfig(file);
  const server = config.servers.find((s) => s.name === args.name);
  if (server === undefined) {
    const names = config.servers.map((s) => s.name).join(', ');
    const known = names === '' ? 'there is none' : `there are: ${names}`;
    throw new Fault('CONFIG_INVALID', `no server "${args.name}" in ${file} (${known})`);
  }
  const own = server.source.file;
  const ttys = config.ttys.filter((tty) => tty.serverName === args.name);
  // A generated tty has the server's own place.
  const written = ttys.filter((tty) => tty.source.file === own && tty.source.line !== server.source.line);
  const before = readFileSync(own, 'utf8');
  const text = removeEntries(before, [...written.map((tty) => ['ttys', tty.name] as const), ['servers', args.name]]);
  checked(file, own, text, 'not removed');
  replaceFile(own, before, text);
  io.out(`removed ${clean(args.name)} (${clean(server.address)}): ${ttysText(ttys)}\n`);
  await tellDaemon(args, file, io);
}

/** With a socket alone, the file of the daemon there. */
async function fileOf(args: GlobalArguments): Promise<string> {
  if (args.config !== undefined) return resolve(args.config);
  if (args.socket !== undefined) return (await clientOf(args).status()).configFile;
  return DEFAULT_CONFIG_FILE;
}

/** The first run of names that is free. A name that a server would make is not, though another tty has its port. */
function nextTty(config: ResolvedConfig, ports: number): string {
  const taken = new Set<string | undefined>(config.ttys.flatMap((tty) => [tty.name, ...tty.aliases]));
  for (const { firstTty, ports: own } of config.servers) {
    for (let port = 1; firstTty !== null && port <= (own ?? 0); port++) taken.add(generatedName(firstTty, port));
  }
  let first = 0;
  for (let n = 0; n < first + ports; n++) if (taken.has(`ttyNP${n}`)) first = n + 1;
  return `ttyNP${first}`;
}

/** The configuration as it would be. What is wrong with it is said on one line, without a place in a text that is nowhere. */
function checked(file: string, edited: string, text: string, not: string): ResolvedConfig {
  try {
    return loadConfig(file, undefined, new Map([[edited, text]])).config;
  } catch (error) {
    if (!(error instanceof ConfigFault)) throw error;
    const [first = ''] = error.errors;
    const more = error.errors.length > 1 ? ` (and ${error.errors.length - 1} more)` : '';
    throw new Fault('CONFIG_INVALID', `${not}: ${first.replace(/^[^\n]*?:\d+: /, '')}${more}`, { cause: error });
  }
}

function ttysText(ttys: readonly ResolvedTty[]): string {
  const [first, last] = [ttys[0], ttys.at(-1)];
  if (first === undefined || last === undefined) return 'no ttys';
  return ttys.length === 1 ? first.name : `${ttys.length} ttys, ${first.name} to ${last.name}`;
}

async function tellDaemon(args: GlobalArguments, file: string, io: CommandIo): Promise<void> {
  const client = clientOf({ ...args, config: args.config ?? file });
  try {
    const { configFile } = await client.status();
    if (realpathSync(configFile) !== realpathSync(file)) {
      io.out(`the daemon that runs has another configuration, ${clean(configFile)}: not reloaded\n`);
      return;
    }
    const result = await client.reload([], { address: requestingAddress() });
    if (result.ok) io.out(`${reloadText(result)}\n`);
    else throw new Fault('CONFIG_INVALID', `written, but the daemon refused it: ${result.errors.join('; ')}`);
  } catch (error) {
    if (!isFault(error)) throw error;
    if (error.code === 'NO_DAEMON') io.out('no daemon runs: it takes effect when one starts\n');
    else if (error.code === 'CONFIG_INVALID') throw error;
    else throw new Fault(error.code, `written, but not reloaded: ${error.message}`, { cause: error });
  }
}
