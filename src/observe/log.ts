// The log of the program: winston behind the Log of base. Plain lines for people, JSON for machines, to the terminal, a
// rotated file or the journal. Never throws, never blocks on a slow reader, and prints no control character that came
// from outside.
//
//   createLog({ level, format, colour, file?, journal?, fd? }, clock) -> ProgramLog { log(), child(), setLevel(), close() }
import { Writable } from 'node:stream';
import winston from 'winston';
import type { Clock } from '../base/clock.js';
import type { Log, LogFields, LogLevel } from '../base/log.js';
import { JournalSink } from './journal.js';
import { type Line, printable } from './line.js';
import { DescriptorSink, type RotatedFileOptions, RotatedFileSink, type Sink } from './sinks.js';

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: 'plain' | 'json';
  /** Only with `plain`, and never in a file. */
  readonly colour: boolean;
  readonly file?: RotatedFileOptions | undefined;
  /** The journal's socket; what it does not take goes where lines go without it. */
  readonly journal?: string | undefined;
  /** Where lines go without a file, or when it fails; 2 unless said. */
  readonly fd?: number | undefined;
}

export interface ProgramLog extends Log {
  setLevel(level: LogLevel): void;
  close(): void;
}

const LEVELS: Readonly<Record<LogLevel, number>> = { error: 0, warn: 1, info: 2, debug: 3 };
const COLOURS: Readonly<Record<LogLevel, string>> = { error: '31', warn: '33', info: '32', debug: '2' };

export function createLog(options: LogOptions, clock: Clock): ProgramLog {
  const descriptor = new DescriptorSink(options.fd ?? 2, clock);
  const sink: Sink = options.file === undefined ? descriptor : new RotatedFileSink(options.file, descriptor, clock);
  const journal = options.journal === undefined ? undefined : new JournalSink(options.journal);
  const stream = new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      sink.write(String(chunk));
      done();
    },
  });
  const logger = winston.createLogger({
    level: options.level,
    levels: { ...LEVELS },
    transports: [new winston.transports.Stream({ stream, eol: '\n' })],
    format: winston.format.printf((info) => String(info.message)),
  });
  const colour = options.colour && options.format === 'plain' && options.file === undefined;
  const render = options.format === 'json' ? jsonLine : (line: Line) => plainLine(line, colour);
  let open = true;
  const withFields = (own: LogFields): Log => ({
    log(level, message, fields) {
      if (!open || (LEVELS[level] ?? 0) > (LEVELS[levelOf(logger.level)] ?? 0)) return;
      const line: Line = { at: new Date(clock.wallTime()), level, message, fields: { ...own, ...fields } };
      if (journal?.write(line)) return;
      logger.log(level, render(line));
    },
    child: (fields) => withFields({ ...own, ...fields }),
  });
  return {
    ...withFields({}),
    setLevel(level) {
      logger.level = level;
    },
    close() {
      open = false;
      logger.close();
      sink.close();
    },
  };
}

/** Whether lines on this descriptor may be coloured: a terminal, and NO_COLOR (no-color.org) unset or empty. */
export function mayColour(isTerminal: boolean | undefined, noColour: string | undefined): boolean {
  return isTerminal === true && (noColour === undefined || noColour === '');
}

/** `2026-01-31 12:00:01.234 warn  ttyNP7: connection refused peer=192.168.127.254:950` in local time */
export function plainLine({ at, level, message, fields }: Line, colour: boolean): string {
  const { tty, ...others } = fields;
  const paint = (code: string, text: string) => (colour ? `\x1b[${code}m${text}\x1b[0m` : text);
  const rest = Object.entries(others).filter(([, value]) => value !== undefined);
  const pairs = rest.map(([key, value]) => ` ${key}=${quoted(printable(String(value)))}`).join('');
  const subject = tty === undefined ? '' : `${printable(String(tty))}: `;
  return `${paint('2', timestamp(at))} ${paint(COLOURS[level], level.padEnd(5))} ${subject}${printable(message)}${paint('2', pairs)}`;
}

export function jsonLine({ at, level, message, fields }: Line): string {
  return JSON.stringify({ time: at.toISOString(), level, message, ...fields });
}

function timestamp(at: Date): string {
  const two = (n: number) => String(n).padStart(2, '0');
  const date = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  return `${date} ${time}.${String(at.getMilliseconds()).padStart(3, '0')}`;
}

function quoted(text: string): string {
  return text === '' || /[\s"=]/.test(text) ? JSON.stringify(text) : text;
}

function levelOf(name: string): LogLevel {
  return name === 'error' || name === 'warn' || name === 'debug' ? name : 'info';
}
