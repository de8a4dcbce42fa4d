// What of a serial line is read back from a record that an earlier process wrote: the types of line.ts, checked.
import { z } from 'zod';
import type { LineSettings, OutputLines } from './line.js';

const character = z.int().min(0).max(255);

export const lineSettingsSchema: z.ZodType<LineSettings> = z.object({
  baudRate: z.number().min(0),
  dataBits: z.union([z.literal(5), z.literal(6), z.literal(7), z.literal(8)]),
  parity: z.enum(['none', 'even', 'odd', 'mark', 'space']),
  stopBits: z.union([z.literal(1), z.literal(1.5), z.literal(2)]),
  flowControl: z.object({
    rtsCts: z.boolean(),
    xonXoffOut: z.boolean(),
    xonXoffIn: z.boolean(),
    xon: character,
    xoff: character,
  }),
});

export const outputLinesSchema: z.ZodType<OutputLines> = z.object({ dtr: z.boolean(), rts: z.boolean() });
