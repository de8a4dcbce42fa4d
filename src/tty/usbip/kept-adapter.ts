// The record of an adapter that a later process goes on from, beside the pump's part of the same file: what is plugged, whose
// its ports are, and the state of each port's chip. JSON, read back with care: it may be of another version.
import { z } from 'zod';
import type { FtdiState } from '../../protocol/ftdi/port.js';
import { MAX_INTERFACES, type Speed } from '../../protocol/usbip/descriptors.js';
import { lineSettingsSchema, outputLinesSchema } from '../../serial/line-schema.js';

const VERSION = 1;

export interface KeptAdapter {
  readonly serial: string;
  readonly speed: Speed;
  readonly interfaces: number;
  /** Of each port the names, the tty's first; null: free. */
  readonly names: readonly (readonly string[] | null)[];
  readonly ports: readonly FtdiState[];
}

const port: z.ZodType<FtdiState> = z.object({
  settings: lineSettingsSchema,
  lines: outputLinesSchema,
  break: z.boolean(),
});

const record = z.object({
  version: z.literal(VERSION),
  serial: z.string(),
  speed: z.enum(['high', 'super']),
  interfaces: z.int().min(1).max(MAX_INTERFACES),
  names: z.array(z.array(z.string()).min(1).nullable()).max(MAX_INTERFACES),
  ports: z.array(port).max(MAX_INTERFACES),
});

export function formatKeptAdapter(adapter: KeptAdapter): unknown {
  return { version: VERSION, ...adapter };
}

/** undefined where it is not of this version, or nothing of ours. */
export function parseKeptAdapter(value: unknown): KeptAdapter | undefined {
  return record.safeParse(value).data;
}
