// The journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): one datagram per line, with fields beside the text.
// Never waits. Where the journal is slow a line is dropped and counted; where there is none, its caller writes the line
// elsewhere.
//
//   new JournalSink(path)  write(line) -> false: not taken, write it elsewhere     isJournalStream(value, fd)
import { fstatSync } from 'node:fs';
import type { LogLevel } from '../base/log.js';
import { sendDatagram } from '../native/notify.js';
import { isSystemError } from '../native/socket.js';
import { EVENTS } from './events.js';
import { type Line, printable } from './line.js';

export const JOURNAL_SOCKET = '/run/systemd/journal/socket';

/** syslog(3) */
const PRIORITIES: Readonly<Record<LogLevel, number>> = { error: 3, warn: 4, info: 6, debug: 7 };
/** A longer value is cut: a datagram has a limit, and nobody reads more. */
const MAX_VALUE_BYTES = 16 * 1024;
const MAX_NAME = 64;

export class JournalSink {
  #dropped = 0;

  constructor(private readonly path: string) {}

  /** Lines that a slow journal did not take and that it has not been told of. */
  get dropped(): number {
    return this.#dropped;
  }

  write(line: Line): boolean {
    if (this.#dropped > 0) {
      const message = `${this.#dropped} log lines dropped: the journal is slow`;
      const told = this.#send({ at: line.at, level: 'warn', message, fields: { dropped: this.#dropped } });
      if (told === 'taken') this.#dropped = 0;
    }
    const result = this.#send(line);
    if (result === 'slow') this.#dropped++;
    return result !== 'absent';
  }

  #send(line: Line): 'taken' | 'slow' | 'absent' {
    try {
      sendDatagram(this.path, encodeEntry(entryOf(line)));
      return 'taken';
    } catch (error) {
      const slow = isSystemError(error) && (error.code === 'EAGAIN' || error.code === 'ENOBUFS');
      return slow ? 'slow' : 'absent';
    }
  }
}

export type Entry = readonly (readonly [name: string, value: string])[];

/** The fields of a line: those of the journal, and its own as TTYNP_... */
export function entryOf({ level, message, fields }: Line): Entry {
  const subject = fields.tty === undefined ? '' : `${printable(String(fields.tty))}: `;
  const event = EVENTS.get(String(fields.event));
  const own = Object.entries(fields).flatMap(([key, value]): [string, string][] =>
    value === undefined ? [] : [[fieldName(key), String(value)]],
  );
  return [
    ['MESSAGE', `${subject}${printable(message)}`],
    ['PRIORITY', String(PRIORITIES[level])],
    ['SYSLOG_IDENTIFIER', 'ttynpd'],
    ...(event === undefined ? [] : ([['MESSAGE_ID', event.messageId]] as const)),
    ...(event === undefined ? [] : ([['TTYNP_GROUP', event.group]] as const)),
    ...own,
  ];
}

/** `atMs` is TTYNP_AT_MS. The journal takes capitals, digits and underscores, and at most 64 of them. */
function fieldName(key: string): string {
  const words = key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
  return `TTYNP_${words.replace(/[^A-Z0-9]/g, '_')}`.slice(0, MAX_NAME);
}

/** NAME=value, or where the value has a line feed: NAME, its length as 64 bits little-endian, and the value as it is. */
export function encodeEntry(entry: Entry): Uint8Array {
  const parts: Buffer[] = [];
  for (const [name, text] of entry) {
    const value = Buffer.from(text).subarray(0, MAX_VALUE_BYTES);
    if (value.includes(0x0a)) {
      const length = Buffer.alloc(8);
      length.writeBigUInt64LE(BigInt(value.length));
      parts.push(Buffer.from(`${name}\n`), length, value, Buffer.from('\n'));
    } else {
      parts.push(Buffer.from(`${name}=`), value, Buffer.from('\n'));
    }
  }
  return Buffer.concat(parts);
}

/** Whether a descriptor is the stream that $JOURNAL_STREAM names, "device:inode" (systemd.exec(5)). */
export function isJournalStream(value: string | undefined, fd: number): boolean {
  const match = /^(\d+):(\d+)$/.exec(value ?? '');
  if (match === null) return false;
  try {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    return String(dev) === match[1] && String(ino) === match[2];
  } catch {
    return false; // closed
  }
}
