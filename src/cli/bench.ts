// `ttynp bench latency|throughput TTY`: measures a user's own tty, by a loop plug or by the user's own request. Refuses a
// tty that somebody uses. The line's own time is computed and taken off. Sends nothing that the user did not ask for.
import type { CommandModule } from 'yargs';
import { parseDuration } from '../base/duration.js';
import { Fault } from '../base/fault.js';
import { MAX_RATE, MIN_RATE, parseFormat } from '../serial/format.js';
import { type LineSettings, lineTimeMs } from '../serial/line.js';
import { BenchTty } from './bench/bench-tty.js';
import { type BenchTarget, benchTarget } from './bench/guard.js';
import { type Exchange, loopPlug, measureLatency, request } from './bench/latency.js';
import { latencyReport, latencyText, throughputReport, throughputText } from './bench/report.js';
import { measureThroughput } from './bench/throughput.js';
import type { CommandIo } from './io.js';
import type { GlobalArguments } from './socket.js';
import { UsageError } from './usage.js';

type BenchArguments = GlobalArguments & {
  readonly what: 'latency' | 'throughput';
  readonly tty: string;
  readonly 'loop-plug': boolean;
  readonly request: string | undefined;
  readonly 'reply-bytes': number | undefined;
  readonly size: number;
  readonly count: number | undefined;
  readonly baud: number | undefined;
  readonly for: string;
  readonly timeout: string;
  readonly json: boolean;
};

/** A PTY's input queue holds 4095 bytes. */
const MAX_BYTES = 4095;
const DEFAULT_COUNT = 1000;
/** Without --count a slow line is measured for about so long. */
const DEFAULT_MEASURE_MS = 20_000;
const MIN_COUNT = 20;
const CONNECT_MS = 5000;

export const benchCommand = (io: CommandIo): CommandModule<GlobalArguments, BenchArguments> => ({
  command: 'bench <what> <tty>',
  describe: 'Measure a tty through its device: round trips, or bytes per second',
  builder: (yargs) =>
    yargs
      .positional('what', {
        choices: ['latency', 'throughput'] as const,
        demandOption: true,
        describe: 'What to measure',
      })
      .positional('tty', { type: 'string', demandOption: true, describe: 'Name or path of the tty' })
      .option('loop-plug', {
        type: 'boolean',
        default: false,
        describe: 'TX is connected to RX: send patterns, expect them back',
      })
      .option('request', {
        type: 'string',
        describe: 'latency: bytes that the device answers, in hex: "01 03 00 00 00 01"',
      })
      .option('reply-bytes', { type: 'number', describe: 'latency: how many bytes the device answers --request with' })
      .option('size', { type: 'number', default: 8, describe: 'latency: bytes of a pattern' })
      .option('count', { type: 'number', describe: `latency: round trips (${DEFAULT_COUNT}, fewer on a slow line)` })
      .option('baud', { type: 'number', describe: 'Set this rate first' })
      .option('for', { type: 'string', default: '5s', describe: 'throughput: how long' })
      .option('timeout', {
        type: 'string',
        default: '2s',
        describe: 'How long an answer may take, beside its time on the line',
      })
      .option('json', { type: 'boolean', default: false, describe: 'Print JSON' })
      .example('$0 bench latency ttyNP0 --loop-plug', 'What does the tunnel add?')
      .example('$0 bench latency ttyNP0 --request "01 03 00 00 00 01 84 0a" --reply-bytes 7', 'How fast is the meter?'),
  handler: async (args) => {
    const wanted = checked(args);
    const target = await benchTarget(args.tty, args);
    process.exitCode = await measure(target, args, wanted, io);
  },
});

interface Wanted {
  readonly request: Uint8Array | undefined;
  readonly replyBytes: number;
  readonly forMs: number;
  readonly timeoutMs: number;
}

function checked(args: BenchArguments): Wanted {
  const { request: text, size, count, baud } = args;
  const replyBytes = args['reply-bytes'];
  const loop = args['loop-plug'];
  if (args.what === 'throughput' && !loop) {
    throw new UsageError(
      'throughput needs --loop-plug: TX connected to RX at the device, so that what is sent comes back',
    );
  }
  if (loop === (text !== undefined)) {
    throw new UsageError(
      'say either --loop-plug (TX connected to RX) or --request HEX --reply-bytes N (a device that answers)',
    );
  }
  whole('--size', size, 1, MAX_BYTES);
  if (count !== undefined) whole('--count', count, 1, 1_000_000);
  if (baud !== undefined) whole('--baud', baud, MIN_RATE, MAX_RATE);
  if (text !== undefined && replyBytes === undefined) throw new UsageError('--request needs --reply-bytes N');
  if (replyBytes !== undefined) whole('--reply-bytes', replyBytes, 1, MAX_BYTES);
  return {
    request: text === undefined ? undefined : hexBytes(text),
    replyBytes: replyBytes ?? size,
    forMs: duration('--for', args.for),
    timeoutMs: duration('--timeout', args.timeout),
  };
}

function whole(name: string, value: number, min: number, max: number): void {
  if (!Number.isInteger(value) || value < min || value > max) {
    throw new UsageError(`${name} ${value}: must be a whole number from ${min} to ${max}`);
  }
}

function duration(name: string, text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms <= 0) throw new UsageError(`${name} ${text}: write 10s, 500ms or 1m`);
  return ms;
}

/** "01 03 0a", "01030a", "01:03:0a" */
function hexBytes(text: string): Uint8Array {
  const digits = text.replace(/0x|[\s:,]/g, '');
  if (digits === '' || digits.length % 2 !== 0 || /[^0-9a-f]/i.test(digits) || digits.length / 2 > MAX_BYTES) {
    throw new UsageError(`--request ${text}: write bytes in hex, two digits each: "01 03 00 0a"`);
  }
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}

async function measure(target: BenchTarget, args: BenchArguments, wanted: Wanted, io: CommandIo): Promise<number> {
  const tty = new BenchTty(target.path, args.baud);
  try {
    const settings = onTheWire(tty.settings, target);
    return args.what === 'latency'
      ? await latency(tty, settings, target, args, wanted, io)
      : await throughput(tty, settings, target, args, wanted, io);
  } finally {
    tty.close();
  }
}

/** A PTY shows 8 data bits and no parity whatever the device has: the daemon knows better. */
function onTheWire(settings: LineSettings, { view }: BenchTarget): LineSettings {
  const format = view === undefined ? undefined : parseFormat(view.asked.format);
  return format === undefined ? settings : { ...settings, ...format, baudRate: settings.baudRate };
}

async function latency(
  tty: BenchTty,
  settings: LineSettings,
  target: BenchTarget,
  args: BenchArguments,
  wanted: Wanted,
  io: CommandIo,
): Promise<number> {
  const exchange = exchangeOf(args, wanted, settings);
  const fitting = Math.trunc(DEFAULT_MEASURE_MS / Math.max(1, exchange.lineMs));
  const count = args.count ?? Math.max(MIN_COUNT, Math.min(DEFAULT_COUNT, fitting));
  const run = await measureLatency(tty, exchange, { count, timeoutMs: wanted.timeoutMs, connectMs: CONNECT_MS });
  if (!run.answered) throw nothingCame(target.path, wanted);
  const report = latencyReport(
    {
      tty: target.path,
      kind: wanted.request === undefined ? 'loop plug' : 'request',
      requestBytes: wanted.request?.length ?? args.size,
      replyBytes: wanted.replyBytes,
      lineMs: exchange.lineMs,
    },
    settings,
    run,
  );
  print(io, args.json, report, latencyText(report));
  return run.lost + run.mismatched > 0 ? 1 : 0;
}

/** Through a loop plug the bytes come back while they go out; a device answers when it has heard all of the request. */
function exchangeOf(args: BenchArguments, wanted: Wanted, settings: LineSettings): Exchange {
  if (wanted.request === undefined) return loopPlug(args.size, settings.dataBits, lineTimeMs(settings, args.size));
  return request(wanted.request, wanted.replyBytes, lineTimeMs(settings, wanted.request.length + wanted.replyBytes));
}

async function throughput(
  tty: BenchTty,
  settings: LineSettings,
  target: BenchTarget,
  args: BenchArguments,
  wanted: Wanted,
  io: CommandIo,
): Promise<number> {
  const first = loopPlug(8, settings.dataBits, lineTimeMs(settings, 8));
  const options = { count: 1, timeoutMs: wanted.timeoutMs, connectMs: CONNECT_MS };
  if (!(await measureLatency(tty, first, options)).answered) throw nothingCame(target.path, wanted);
  const run = await measureThroughput(tty, settings, wanted.forMs);
  const report = throughputReport(target.path, settings, run);
  print(io, args.json, report, throughputText(report));
  return report.missing > 0 || report.firstDifference !== null ? 1 : 0;
}

function nothingCame(path: string, { request: bytes }: Wanted): Fault {
  const why =
    bytes === undefined ? 'is the loop plug on (TX to RX)?' : 'does the device know this request, at this rate?';
  return new Fault('PEER_MUTE', `${path}: nothing came back: ${why} ttynp doctor ${path} tells more`);
}

function print(io: CommandIo, json: boolean, report: object, lines: readonly string[]): void {
  io.out(json ? `${JSON.stringify(report, null, 2)}\n` : `${lines.join('\n')}\n`);
}
