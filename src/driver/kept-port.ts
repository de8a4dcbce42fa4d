// The record of a port that a later process goes on from: where the state machine is, what the device was told, and the
// link's own words. JSON, read back with care: it may be of another version, or of nobody we know.
import { z } from 'zod';
import type { LineRequest } from '../serial/line.js';
import { outputLinesSchema as outputLines, lineSettingsSchema as settings } from '../serial/line-schema.js';
import type { KeptLines } from './line-sync.js';
import type { State } from './machine.js';

/** Of the record's fields. Another version is not read: the port starts anew, and its application stays. */
const VERSION = 1;

export interface KeptPort {
  readonly state: State;
  /** The next connection follows one that was lost. */
  readonly reconnect: boolean;
  /** Whose connection it is: it is of no use to a port that is configured to another. */
  readonly target: string;
  readonly lines: KeptLines;
  /** What LinkHandover.state was; undefined: no connection that can be gone on with. */
  readonly link: unknown;
}

const queue = z.enum(['rx', 'tx', 'both']);

const request: z.ZodType<LineRequest> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('settings'), settings, lines: outputLines }),
  z.object({ type: z.literal('lines'), lines: outputLines }),
  z.object({ type: z.literal('break'), on: z.boolean() }),
  z.object({ type: z.literal('flush'), queue }),
  z.object({ type: z.literal('transmitter'), on: z.boolean() }),
  z.object({ type: z.literal('fifo'), bytes: z.int() }),
]);

const attempt = { holder: z.enum(['open', 'gone', 'none']), again: z.boolean() };

const state: z.ZodType<State> = z.discriminatedUnion('name', [
  z.object({ name: z.literal('idle') }),
  z.object({ name: z.literal('connecting'), ...attempt }),
  z.object({ name: z.literal('initialising'), ...attempt }),
  z.object({ name: z.literal('up') }),
  z.object({ name: z.literal('closing') }),
  z.object({ name: z.literal('lingering') }),
  z.object({ name: z.literal('kept') }),
  z.object({ name: z.literal('failed'), reason: z.string() }),
]);

const record = z.object({
  version: z.literal(VERSION),
  state,
  reconnect: z.boolean(),
  target: z.string(),
  lines: z.object({
    settings: settings.optional(),
    lines: outputLines.optional(),
    flush: queue.optional(),
    requests: z.array(request).max(128),
    finishing: z.boolean(),
  }),
  // Not there without a connection: JSON has no undefined.
  link: z.unknown().optional(),
});

export function formatKeptPort(port: KeptPort): unknown {
  return { version: VERSION, ...port };
}

/** undefined where it is not of this version, or nothing of ours. */
export function parseKeptPort(value: unknown): KeptPort | undefined {
  const { data } = record.safeParse(value);
  if (!data) return undefined;
  const { lines } = data;
  return {
    state: data.state,
    reconnect: data.reconnect,
    target: data.target,
    lines: {
      settings: lines.settings,
      lines: lines.lines,
      flush: lines.flush,
      requests: lines.requests,
      finishing: lines.finishing,
    },
    link: data.link,
  };
}
