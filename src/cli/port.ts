// `ttynp port NAME`: everything about one tty. Who holds it is found here, with the rights of whoever asks; the daemon
// never looks into other processes.
import { statSync } from 'node:fs';
import type { CommandModule } from 'yargs';
import type { DirectionView, PortView, ProblemView, SettingsView } from '../api/types.js';
import { durationText } from '../base/duration.js';
import { backendText, betterBackend } from './doctor/backend-advice.js';
import { backendFacts } from './doctor/machine-survey.js';
import { wrap } from './doctor/render.js';
import { scanHolders } from './holders.js';
import type { CommandIo } from './io.js';
import { clientOf, findPort, type GlobalArguments } from './socket.js';
import { bytesText, clean, dateText, painter, STATE_COLOURS } from './text.js';

type Arguments = GlobalArguments & { readonly name: string; readonly json: boolean };

export const portCommand = (io: CommandIo): CommandModule<GlobalArguments, Arguments> => ({
  command: 'port <name>',
  describe: 'Show one tty: state, settings, counters, who holds it',
  builder: (yargs) =>
    yargs
      .positional('name', { type: 'string', demandOption: true, describe: 'Name, alias or path of the tty' })
      .option('json', { type: 'boolean', default: false, describe: 'Print JSON' }),
  handler: async (args) => {
    const client = clientOf(args);
    const port = await findPort(client, args.name);
    if (args.json) {
      io.out(`${JSON.stringify(port, null, 2)}\n`);
      return;
    }
    const { pid } = await client.status();
    io.out(portText(port, heldBy(port, pid), io, betterBackend(port, backendFacts())));
  },
});

/** @param daemon its pid: it holds the other end, and may hold this one to set it up */
export function heldBy(port: Pick<PortView, 'devicePath' | 'open'>, daemon: number): string {
  let rdev: number;
  try {
    rdev = statSync(port.devicePath).rdev;
  } catch {
    return 'nobody: the device is not there';
  }
  const scan = scanHolders(new Set([rdev]));
  const holders = (scan.holders.get(rdev) ?? []).filter((h) => h.pid !== daemon);
  if (holders.length > 0) return holders.map((h) => `${clean(h.name)} (pid ${h.pid})`).join(', ');
  if (!port.open) return 'nobody';
  return scan.complete ? 'nobody any more' : 'not visible: run with sudo';
}

/** @param better what to do for a backend that carries more */
export function portText(
  port: PortView,
  holder: string,
  io: Pick<CommandIo, 'colour' | 'now' | 'columns'>,
  better?: string,
): string {
  const paint = painter(io.colour);
  const since = `since ${dateText(port.since)} (${durationText(io.now() - Date.parse(port.since))})`;
  const aliases = port.aliases.length > 0 ? ` (${port.aliases.join(', ')})` : '';
  const rows: [string, string | null][] = [
    ['why', port.reason === null ? null : problemText(port.reason)],
    ['path', ['', port.path].includes(port.devicePath) ? port.path : `${port.path} -> ${port.devicePath}`],
    ['held by', holder],
    ['server', `${port.server} port ${port.port}, ${port.protocol}, ${addressText(port)}`],
    ['connected', port.peer === null ? 'no' : `${port.peer}, ${port.connects} times so far${roundTrip(port)}`],
    ['asked', settingsText(port.asked)],
    ['acknowledged', port.acknowledged === null ? 'nothing yet' : settingsText(port.acknowledged)],
    ['refused', port.refused === null ? null : settingsText(port.refused)],
    ['lines', linesText(port)],
    ['line errors', counted(port.lineErrors)],
    ['sent', directionText(port.sent)],
    ['received', directionText(port.received)],
    ['dropped', counted(port.drops)],
    ['policy', policyText(port)],
    ['last error', port.lastError === null ? null : problemText(port.lastError)],
    ...port.warnings.map((text): [string, string] => ['warning', text]),
    ['backend', port.backend === 'none' ? 'none' : backendText(port)],
    ['better', better ?? null],
    ...port.limits.map((text): [string, string] => ['limit', text]),
  ];
  const head = `${paint('bold', clean(port.name))}${clean(aliases)} ${paint(STATE_COLOURS[port.state], port.state)} ${since}`;
  const indent = ' '.repeat(16);
  const room = io.columns === undefined ? Number.POSITIVE_INFINITY : Math.max(24, io.columns - indent.length);
  const lines = rows.flatMap(([key, value]) => {
    if (value === null) return [];
    const [first = '', ...rest] = wrap(clean(value), room);
    return [`  ${paint('dim', key.padEnd(13))} ${first}`, ...rest.map((line) => indent + line)];
  });
  return `${[head, ...lines].join('\n')}\n`;
}

function addressText(port: PortView): string {
  const command = port.commandPort === null ? '' : `, command ${port.commandPort}`;
  return `${port.address} data ${port.dataPort}${command}`;
}

function roundTrip(port: PortView): string {
  return port.commandRoundTripMs === null ? '' : `, command round trip ${port.commandRoundTripMs.toFixed(1)} ms`;
}

function settingsText(settings: SettingsView): string {
  return settings.flowControl === 'none' ? settings.format : `${settings.format} ${settings.flowControl}`;
}

function linesText({ lines }: PortView): string {
  const one = (name: string, value: boolean | null) => `${name} ${value === null ? '?' : value ? 'on' : 'off'}`;
  const [dtr, rts, ...inputs] = (['dtr', 'rts', 'cts', 'dsr', 'dcd', 'ri'] as const).map((n) =>
    one(n.toUpperCase(), lines[n]),
  );
  return `${dtr} ${rts}, from the device: ${inputs.join(' ')}`;
}

function directionText(direction: DirectionView): string {
  const last = direction.lastByteAgeMs === null ? '' : `, last ${durationText(direction.lastByteAgeMs)} ago`;
  const parked = direction.parkedBytes > 0 ? `, ${bytesText(direction.parkedBytes)} waiting` : '';
  const stalls = direction.stalls > 0 ? `, stalled ${direction.stalls} times` : '';
  return `${direction.bytes} bytes${last}${parked}${stalls}`;
}

/** "offline 12, stale 3", or "none". */
function counted(counts: object): string {
  const parts = Object.entries(counts).flatMap(([name, n]) => (n === 0 ? [] : [`${name} ${n}`]));
  return parts.length === 0 ? 'none' : parts.join(', ');
}

function policyText({ policy }: PortView): string {
  const { connect, onLinkLoss, offlineData, offlineOpen } = policy;
  return `connect ${connect}, onLinkLoss ${onLinkLoss}, offlineData ${offlineData}, offlineOpen ${offlineOpen}`;
}

function problemText(problem: ProblemView): string {
  return `${problem.message} [${problem.code}] at ${dateText(problem.at)}`;
}
