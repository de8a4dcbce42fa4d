// The scalars of the configuration file, as an operator writes them and as the program uses them: durations in
// milliseconds, sizes in bytes, modes as numbers, line formats parsed. Knows no key.
import { isIP } from 'node:net';
import { z } from 'zod';
import { parseDuration } from '../base/duration.js';
import { type Format, isRate, MAX_RATE, MIN_RATE, parseFormat } from '../serial/format.js';
import { DEFAULT_SETTINGS } from '../serial/line.js';

const MAX_DURATION_MS = 24 * 3_600_000;
const SIZE = /^(\d+)\s*([kKmMgG])?(?:i?[bB])?$/;
const SIZE_UNIT: Readonly<Record<string, number>> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3 };
const FORMAT_EXPECTED = 'must be a line format such as "9600,8N1", "7E1" or 115200';
const MODE = /^(?:0o?)?[0-7]{3}$/;

/** A scalar that is written as text or number and read by `parse`, which gives undefined for what it does not accept. */
export function scalar<T>(expected: string, parse: (value: string | number) => T | undefined) {
  return z.union([z.string(), z.number()], { error: expected }).transform((value, context): T => {
    const parsed = parse(value);
    if (parsed !== undefined) return parsed;
    context.addIssue({ code: 'custom', message: `${expected}, got ${JSON.stringify(value)}` });
    return z.NEVER;
  });
}

export const duration = scalar(
  'must be a duration such as 10s, 500ms, 1m or a number of seconds, at most 24h',
  (value) => {
    const ms = parseDuration(value);
    return ms !== undefined && ms <= MAX_DURATION_MS ? ms : undefined;
  },
);

export const size = scalar('must be a size such as 500k or 10M', (value) => {
  const match = SIZE.exec(String(value).trim());
  if (match?.[1] === undefined) return undefined;
  const bytes = Number(match[1]) * (match[2] === undefined ? 1 : (SIZE_UNIT[match[2].toLowerCase()] ?? 1));
  return bytes >= 1024 ? bytes : undefined;
});

/** What stands where a rate does, however many digits it has. */
const LEADING_RATE = /^\s*(\d+)\s*(?:[,\s]|$)/;

export const format = z
  .union([z.string(), z.number()], { error: FORMAT_EXPECTED })
  .transform((value, context): Format => {
    const text = String(value);
    const parsed = parseFormat(text);
    const rate = Number(LEADING_RATE.exec(text)?.[1] ?? parsed?.baudRate ?? DEFAULT_SETTINGS.baudRate);
    const possible = isRate(rate);
    if (parsed !== undefined && possible) return parsed;
    const expected = possible ? FORMAT_EXPECTED : `must have a rate of ${MIN_RATE} to ${MAX_RATE} baud`;
    context.addIssue({ code: 'custom', message: `${expected}, got ${JSON.stringify(value)}` });
    return z.NEVER;
  });

export const mode = scalar('must be an octal mode such as "0660"', (value) => {
  const text = String(value);
  return MODE.test(text) ? Number.parseInt(text.slice(-3), 8) : undefined;
});

export const onOff = z
  .union([z.enum(['on', 'off']), z.boolean()], { error: 'must be on or off' })
  .transform((value) => value === true || value === 'on');

/** "127.0.0.1:9200", "[::1]:9200": both are said, so that nothing listens by accident. */
export const listenAddress = scalar(
  'must be an IP address and a port such as "127.0.0.1:9200" or "[::1]:9200"',
  (value) => {
    const match = /^(?:\[([^[\]]+)\]|([^:]+)):(\d{1,5})$/.exec(String(value));
    const host = match?.[1] ?? match?.[2] ?? '';
    const port = Number(match?.[3]);
    const version = match?.[1] === undefined ? 4 : 6;
    return isIP(host) === version && port >= 1 && port <= 65535 ? { host, port } : undefined;
  },
);

export const tcpPort = z.int({ error: 'must be a TCP port number' }).min(1).max(65535);
export const absolutePath = z.string().startsWith('/', 'must be an absolute path');
