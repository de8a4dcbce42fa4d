// What a Real COM link hands over to a later process, beside its two descriptors: a JSON value, read back with care.
import { z } from 'zod';
import type { HostState } from '../protocol/realcom/host.js';

const bytes = z.array(z.int().min(0).max(255)).max(300);

const schema = z.object({
  /** Of the data and of the command connection, for messages. */
  peer: z.string(),
  commandPlace: z.string(),
  roundTripMs: z.number().optional(),
  engine: z.object({
    pending: bytes,
    outstanding: bytes.optional(),
    answered: z.boolean(),
    lines: z.object({ cts: z.boolean(), dsr: z.boolean(), dcd: z.boolean(), ri: z.boolean() }).optional(),
  }),
});

export interface RealComState {
  readonly peer: string;
  readonly commandPlace: string;
  readonly roundTripMs: number | undefined;
  readonly engine: HostState;
}

/** undefined where it is nothing that a link of ours wrote. */
export function parseRealComState(value: unknown): RealComState | undefined {
  const { data } = schema.safeParse(value);
  if (!data) return undefined;
  const { pending, outstanding, answered, lines } = data.engine;
  return {
    peer: data.peer,
    commandPlace: data.commandPlace,
    roundTripMs: data.roundTripMs,
    engine: { pending, outstanding, answered, lines },
  };
}
