// `ttynp trace TTY`, `ttynp trace serial:N`: what passes through one port, both ways: data, commands, line changes, connects.
// Looks on from the daemon's tap; it never slows the port, and says how much it missed.
import { closeSync, openSync, writeSync } from 'node:fs';
import type { CommandModule } from 'yargs';
import type { DaemonClient } from '../api/client.js';
import type { TraceRecord } from '../api/types.js';
import { parseDuration } from '../base/duration.js';
import { Fault, messageOf } from '../base/fault.js';
import type { CommandIo } from './io.js';
import { clientOf, findPort, type GlobalArguments } from './socket.js';
import { clean, clockText } from './text.js';
import { UsageError } from './usage.js';

type Arguments = GlobalArguments & {
  readonly tty: string;
  readonly hex: boolean;
  readonly ascii: boolean;
  readonly timestamps: boolean;
  readonly for: string | undefined;
  readonly output: string | undefined;
  readonly json: boolean;
};

export const traceCommand = (io: CommandIo): CommandModule<GlobalArguments, Arguments> => ({
  command: 'trace <tty>',
  describe: 'Show the data and the commands of one tty, or of one serial port that is offered, live',
  builder: (yargs) =>
    yargs
      .positional('tty', {
        type: 'string',
        demandOption: true,
        describe: 'Name, alias or path of the tty; serial:1 is serial port 1 of this machine',
      })
      .option('hex', { type: 'boolean', default: false, describe: 'Bytes in hexadecimal and as text (the default)' })
      .option('ascii', { type: 'boolean', default: false, describe: 'Bytes as text only' })
      .option('timestamps', { type: 'boolean', default: true, describe: 'Begin each line with the time' })
      .option('for', { type: 'string', describe: 'End after this time: 10s, 500ms, 1m' })
      .option('output', { type: 'string', describe: 'Write to this file' })
      .option('json', { type: 'boolean', default: false, describe: 'Print one JSON record per line' })
      .example('$0 trace ttyNP0 --for 10s', 'Ten seconds of ttyNP0')
      .example('$0 trace serial:1', 'Serial port 1 of this machine, and its clients'),
  handler: (args) => trace(args, io),
});

async function trace(args: Arguments, io: CommandIo): Promise<void> {
  if (args.hex && args.ascii) throw new UsageError('--hex or --ascii, not both');
  const limitMs = args.for === undefined ? undefined : parseDuration(args.for);
  if (args.for !== undefined && limitMs === undefined)
    throw new UsageError(`--for ${args.for}: write 10s, 500ms or 1m`);
  const client = clientOf(args);
  const records = await traceOf(client, args.tty);
  const output = args.output === undefined ? undefined : openOutput(args.output);
  const { signal, dispose } = io.interrupted();
  const over = new AbortController();
  const timer = limitMs === undefined ? undefined : setTimeout(() => over.abort(), limitMs);
  try {
    const until = AbortSignal.any([signal, over.signal]);
    for await (const record of records(until)) {
      const lines = args.json ? [JSON.stringify(record)] : recordLines(record, args);
      const text = lines.map((line) => `${line}\n`).join('');
      if (output === undefined) io.out(text);
      else writeSync(output, text);
    }
    if (!until.aborted) throw new Fault('NO_DAEMON', 'the daemon, or this port, has ended');
  } finally {
    clearTimeout(timer);
    dispose();
    if (output !== undefined) closeSync(output);
  }
}

/** No name of a tty has a colon. */
const SERIAL_PORT = /^serial:([1-9]\d{0,2})$/;

async function traceOf(
  client: DaemonClient,
  given: string,
): Promise<(until: AbortSignal) => AsyncGenerator<TraceRecord, void>> {
  const number = SERIAL_PORT.exec(given)?.[1];
  if (number !== undefined) return (until) => client.traceSerialPort(Number(number), until);
  const { name } = await findPort(client, given);
  return (until) => client.trace(name, until);
}

function openOutput(path: string): number {
  try {
    return openSync(path, 'w', 0o600); // it may hold what somebody typed as a password
  } catch (error) {
    throw new Fault('PERMISSION', `--output ${path}: ${messageOf(error)}`, { cause: error });
  }
}

const BYTES_PER_LINE = 16;

/** `12:00:01.234 > 68 65 6c 6c 6f  |hello|`; `>` is towards the device. Of a serial port the client's address is before it. */
export function recordLines(
  record: TraceRecord,
  how: { readonly ascii: boolean; readonly timestamps: boolean },
): string[] {
  const time = how.timestamps ? `${clockText(new Date(record.atUs / 1000))} ` : '';
  switch (record.type) {
    case 'data':
      return dataLines(Buffer.from(record.data, 'base64'), how.ascii).map(
        (line) => `${time}${arrow(record)} ${peer(record)}${line}`,
      );
    case 'command':
      return [
        `${time}${arrow(record)} ${peer(record)}[${clean(record.text)}] ${Buffer.from(record.data, 'base64').toString('hex')}`.trimEnd(),
      ];
    case 'event':
      return [`${time}- ${clean(record.text)}`];
    case 'dropped':
      return [`${time}! ${record.bytes} bytes are missing here: the trace could not keep up`];
    default:
      return record satisfies never;
  }
}

function arrow(record: { readonly direction: 'sent' | 'received' }): string {
  return record.direction === 'sent' ? '>' : '<';
}

function peer(record: { readonly peer?: string }): string {
  return record.peer === undefined ? '' : `${clean(record.peer)} `;
}

function dataLines(bytes: Buffer, ascii: boolean): string[] {
  if (ascii) return [[...bytes].map(asciiOf).join('')];
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += BYTES_PER_LINE) {
    const part = bytes.subarray(at, at + BYTES_PER_LINE);
    const hex = [...part].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
    const text = [...part].map((byte) => (isPrintable(byte) ? String.fromCharCode(byte) : '.')).join('');
    // A short chunk stays short; the lines of a long one stand under each other.
    lines.push(`${bytes.length > BYTES_PER_LINE ? hex.padEnd(BYTES_PER_LINE * 3 - 1) : hex}  |${text}|`);
  }
  return lines;
}

const ESCAPES: Readonly<Record<number, string>> = { 9: '\\t', 10: '\\n', 13: '\\r', 92: '\\\\' };

function asciiOf(byte: number): string {
  return ESCAPES[byte] ?? (isPrintable(byte) ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`);
}

function isPrintable(byte: number): boolean {
  return byte >= 0x20 && byte < 0x7f;
}
