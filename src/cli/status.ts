// `ttynp status`: the daemon and its servers at a glance.
import type { CommandModule } from 'yargs';
import type { ServerView, StatusView } from '../api/types.js';
import { durationText } from '../base/duration.js';
import type { CommandIo } from './io.js';
import { clientOf, type GlobalArguments } from './socket.js';
import { type Cell, clean, dateText, painter, table } from './text.js';

type Arguments = GlobalArguments & { readonly json: boolean };

export const statusCommand = (io: CommandIo): CommandModule<GlobalArguments, Arguments> => ({
  command: 'status',
  describe: 'Show the daemon and its device servers',
  builder: (yargs) => yargs.option('json', { type: 'boolean', default: false, describe: 'Print JSON' }),
  handler: async (args) => {
    const status = await clientOf(args).status();
    io.out(args.json ? `${JSON.stringify(status, null, 2)}\n` : statusText(status, io));
  },
});

export function statusText(status: StatusView, io: Pick<CommandIo, 'columns' | 'colour' | 'now'>): string {
  const paint = painter(io.colour);
  const age = durationText(io.now() - Date.parse(status.startedAt));
  const failed = paint(status.failed > 0 ? 'red' : undefined, `${status.failed} failed`);
  const without =
    status.withoutDevice > 0 ? `, ${paint('yellow', `${status.withoutDevice} wait for their device`)}` : '';
  const lines = [
    `ttynpd ${clean(status.version)}, pid ${status.pid}, running for ${age}, ${clean(status.configFile)}`,
    `${status.ports} ttys: ${status.open} open, ${status.up} connected, ${failed}${without}`,
  ];
  if (status.lastReload !== null) {
    const { at, ok, message } = status.lastReload;
    lines.push(`last reload ${dateText(at)}: ${paint(ok ? undefined : 'red', clean(message))}`);
  }
  if (status.pumpHeartbeatAgeMs > 5000) {
    lines.push(paint('red', `the pump has been silent for ${durationText(status.pumpHeartbeatAgeMs)}`));
  }
  const head = ['SERVER', 'ADDRESS', 'PORTS', 'UP', 'STATE'];
  const servers = status.servers.length > 0 ? `\n${table(head, status.servers.map(serverRow), paint, io.columns)}` : '';
  return `${lines.join('\n')}\n${servers}`;
}

function serverRow(server: ServerView): Cell[] {
  const reason = server.reason === null ? '' : `: ${server.reason.message}`;
  return [
    { text: server.name },
    { text: server.address },
    { text: String(server.ports), right: true },
    { text: String(server.up), right: true },
    server.down ? { text: `down${reason}`, colour: 'red' } : { text: server.up > 0 ? 'ok' : 'not connected' },
  ];
}
