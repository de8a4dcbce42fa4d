// `ttynp health`: one line and an exit code for monitoring systems, after the Monitoring Plugins' guidelines (Nagios):
// 0 ok, 1 warning, 2 critical, 3 unknown; "TTYNP OK - text | performance data". Asks the daemon once and changes nothing.
//
//   judgeHealth(status) -> Health     unreachable(error) -> Health     healthLine(health) -> text
import type { CommandModule } from 'yargs';
import type { StatusView } from '../api/types.js';
import { durationText } from '../base/duration.js';
import { isFault, messageOf } from '../base/fault.js';
import type { CommandIo } from './io.js';
import { clientOf, type GlobalArguments } from './socket.js';
import { clean } from './text.js';

type Arguments = GlobalArguments & { readonly json: boolean };

const LEVELS = ['ok', 'warning', 'critical', 'unknown'] as const;
type Level = (typeof LEVELS)[number];

export interface Health {
  readonly health: Level;
  /** The exit code. */
  readonly code: number;
  readonly problems: readonly { readonly level: Level; readonly text: string }[];
  /** null: the daemon did not answer. */
  readonly ports: number | null;
  readonly open: number | null;
  readonly connected: number | null;
  readonly failed: number | null;
  readonly withoutDevice: number | null;
  readonly serversDown: number | null;
  readonly pumpHeartbeatAgeMs: number | null;
}

/** The pump turns at least once a second. */
const PUMP_STUCK_MS = 5000;

export const healthCommand = (io: CommandIo): CommandModule<GlobalArguments, Arguments> => ({
  command: 'health',
  describe: 'One line and an exit code for monitoring systems: 0 ok, 1 warning, 2 critical, 3 unknown',
  builder: (yargs) => yargs.option('json', { type: 'boolean', default: false, describe: 'Print JSON' }),
  handler: async (args) => {
    const health = await ask(args);
    process.exitCode = health.code;
    io.out(args.json ? `${JSON.stringify(health, null, 2)}\n` : `${healthLine(health)}\n`);
  },
});

async function ask(args: Arguments): Promise<Health> {
  try {
    return judgeHealth(await clientOf(args).status());
  } catch (error) {
    return unreachable(error);
  }
}

/** Critical: no daemon, or nothing works. Warning: some of it does not. */
export function judgeHealth(status: StatusView): Health {
  const down = status.servers.filter((server) => server.down);
  const problems: Health['problems'][number][] = [];
  const some = (part: number, all: number): Level => (part >= all ? 'critical' : 'warning');
  if (status.pumpHeartbeatAgeMs > PUMP_STUCK_MS) {
    problems.push({ level: 'critical', text: `the pump is stuck for ${durationText(status.pumpHeartbeatAgeMs)}` });
  }
  if (status.failed > 0) {
    problems.push({
      level: some(status.failed, status.ports),
      text: `${status.failed} of ${status.ports} ports failed`,
    });
  }
  if (status.withoutDevice > 0) {
    problems.push({
      level: some(status.withoutDevice, status.ports),
      text: `${status.withoutDevice} of ${status.ports} ports wait for their device`,
    });
  }
  if (down.length > 0) {
    const all = status.servers.length;
    const text = `${down.length} of ${all} servers down (${named(down.map((server) => server.name))})`;
    problems.push({ level: some(down.length, all), text });
  }
  if (status.lastReload?.ok === false) problems.push({ level: 'warning', text: 'the last reload was refused' });
  return {
    ...withLevel(problems),
    ports: status.ports,
    open: status.open,
    connected: status.up,
    failed: status.failed,
    withoutDevice: status.withoutDevice,
    serversDown: down.length,
    pumpHeartbeatAgeMs: status.pumpHeartbeatAgeMs,
  };
}

/** No daemon, or one that does not answer, is critical; what keeps us from asking is unknown. */
export function unreachable(error: unknown): Health {
  const gone = isFault(error) && (error.code === 'NO_DAEMON' || error.code === 'PEER_TIMEOUT');
  const nothing = {
    ports: null,
    open: null,
    connected: null,
    failed: null,
    withoutDevice: null,
    serversDown: null,
    pumpHeartbeatAgeMs: null,
  };
  return { ...withLevel([{ level: gone ? 'critical' : 'unknown', text: messageOf(error) }]), ...nothing };
}

function withLevel(problems: Health['problems']): Pick<Health, 'health' | 'code' | 'problems'> {
  const code = Math.max(0, ...problems.map(({ level }) => LEVELS.indexOf(level)));
  return { health: LEVELS[code] ?? 'unknown', code, problems };
}

export function healthLine(health: Health): string {
  const { ports, open, connected } = health;
  const counts = ports === null ? [] : [`${ports} ports, ${open} open, ${connected} connected`];
  // '|' begins the performance data.
  const text = [...health.problems.map((problem) => clean(problem.text).replaceAll('|', '/')), ...counts].join('; ');
  return `TTYNP ${health.health.toUpperCase()} - ${text}${performanceData(health)}`;
}

function performanceData({ ports, open, connected, failed, serversDown, pumpHeartbeatAgeMs }: Health): string {
  if (pumpHeartbeatAgeMs === null) return '';
  const pairs = Object.entries({ ports, open, connected, failed, servers_down: serversDown });
  const counts = pairs.map(([name, value]) => `${name}=${value}`).join(' ');
  return ` | ${counts} pump_age=${pumpHeartbeatAgeMs / 1000}s;;${PUMP_STUCK_MS / 1000}`;
}

function named(names: readonly string[]): string {
  return names.length > 3 ? `${names.slice(0, 3).join(', ')} and ${names.length - 3} more` : names.join(', ');
}
