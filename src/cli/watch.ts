// `ttynp watch`: every tty as it is, then every change, until Ctrl-C.
import type { CommandModule } from 'yargs';
import type { PortView, WatchEvent } from '../api/types.js';
import { Fault } from '../base/fault.js';
import type { CommandIo } from './io.js';
import { reloadText } from './reload.js';
import { clientOf, type GlobalArguments } from './socket.js';
import { clean, clockText, type Paint, painter, STATE_COLOURS } from './text.js';

type Arguments = GlobalArguments & { readonly json: boolean };

export const watchCommand = (io: CommandIo): CommandModule<GlobalArguments, Arguments> => ({
  command: 'watch',
  describe: 'Show what changes, live',
  builder: (yargs) =>
    yargs.option('json', { type: 'boolean', default: false, describe: 'Print one JSON event per line' }),
  handler: async (args) => {
    const { signal, dispose } = io.interrupted();
    const said = new Map<string, string>();
    const paint = painter(io.colour);
    try {
      for await (const event of clientOf(args).watch(signal)) {
        const text = args.json ? JSON.stringify(event) : eventText(event, said, paint, new Date(io.now()));
        if (text !== undefined) io.out(`${text}\n`);
      }
      if (!signal.aborted) throw new Fault('NO_DAEMON', 'the daemon has ended');
    } finally {
      dispose();
    }
  },
});

/** undefined: only counters moved. `said` remembers what was printed of each tty. */
export function eventText(event: WatchEvent, said: Map<string, string>, paint: Paint, at: Date): string | undefined {
  const time = paint('dim', clockText(at));
  if (event.type === 'reload') return `${time} ${paint(event.result.ok ? undefined : 'red', reloadText(event.result))}`;
  if (event.type === 'removed') {
    said.delete(event.name);
    return `${time} ${clean(event.name)} removed`;
  }
  const { port } = event;
  const details = portDetails(port);
  const line = `${port.state} ${details}`;
  if (said.get(port.name) === line) return undefined;
  said.set(port.name, line);
  return `${time} ${clean(port.name)} ${paint(STATE_COLOURS[port.state], port.state)}${details === '' ? '' : ` ${details}`}`;
}

function portDetails(port: PortView): string {
  const { lines } = port;
  const high = (['dtr', 'rts', 'cts', 'dsr', 'dcd', 'ri'] as const).filter((name) => lines[name] === true);
  const parts = [port.open ? 'open' : 'not open'];
  if (port.peer !== null) parts.push(port.peer, (port.acknowledged ?? port.asked).format, high.join(' ').toUpperCase());
  if (port.refused !== null) parts.push(`refused ${port.refused.format}`);
  if (port.reason !== null) parts.push(port.reason.message);
  return clean(parts.filter((part) => part !== '').join(', '));
}
