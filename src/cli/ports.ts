// `ttynp ports`: one line per tty.
import type { CommandModule } from 'yargs';
import type { PortView } from '../api/types.js';
import type { CommandIo } from './io.js';
import { clientOf, type GlobalArguments } from './socket.js';
import { bytesText, type Cell, painter, STATE_COLOURS, table } from './text.js';

type Arguments = GlobalArguments & { readonly json: boolean };

export const portsCommand = (io: CommandIo): CommandModule<GlobalArguments, Arguments> => ({
  command: 'ports',
  describe: 'List the ttys',
  builder: (yargs) => yargs.option('json', { type: 'boolean', default: false, describe: 'Print JSON' }),
  handler: async (args) => {
    const ports = await clientOf(args).ports();
    io.out(args.json ? `${JSON.stringify(ports, null, 2)}\n` : portsText(ports, io));
  },
});

export function portsText(ports: readonly PortView[], io: Pick<CommandIo, 'columns' | 'colour'>): string {
  if (ports.length === 0) return 'no ttys are configured\n';
  const head = ['TTY', 'STATE', 'OPEN', 'SERVER', 'SETTINGS', 'SENT', 'RECEIVED', 'NOTE'];
  return table(head, ports.map(row), painter(io.colour), io.columns);
}

function row(port: PortView): Cell[] {
  return [
    { text: port.name },
    { text: port.state, colour: STATE_COLOURS[port.state] },
    { text: port.open ? 'yes' : '-' },
    { text: `${port.server}/${port.port}` },
    { text: (port.acknowledged ?? port.asked).format },
    { text: bytesText(port.sent.bytes), right: true },
    { text: bytesText(port.received.bytes), right: true },
    { text: note(port), colour: port.reason === null ? 'yellow' : 'red' },
  ];
}

/** The one thing about it that its user should know first. */
function note(port: PortView): string {
  if (port.reason !== null) return port.reason.message;
  if (port.refused !== null) return `refused ${port.refused.format}`;
  if (port.warnings[0] !== undefined) return port.warnings[0];
  const dropped = Object.values(port.drops).reduce((sum, n) => sum + n, 0);
  return dropped > 0 ? `${bytesText(dropped)} bytes dropped` : '';
}
