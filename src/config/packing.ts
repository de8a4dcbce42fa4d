// `packing:` of a serial port: how bytes of the line are put together before they go to the network. Names, ranges and defaults
// are those of the device servers (packet length, delimiters, delimiter process, force transmit).
import { z } from 'zod';
import { duration } from './values.js';

export interface PackingRules {
  /** Bytes; 0: no maximum. */
  readonly packetLength: number;
  /** One byte, or two that follow each other; empty: none. */
  readonly delimiter: readonly number[];
  /** Bytes after the delimiter that belong to it, such as a checksum; 'strip': it is not sent. */
  readonly delimiterProcess: 0 | 1 | 2 | 'strip';
  /** Milliseconds of silence after which all is sent; 0: never; 'modbus-rtu': 3.5 characters of the present settings. */
  readonly forceTransmit: number | 'modbus-rtu';
}

const PROCESSES = { 'do-nothing': 0, 'delimiter+1': 1, 'delimiter+2': 2, 'strip-delimiter': 'strip' } as const;
type ProcessName = keyof typeof PROCESSES;
const PROCESS_NAMES = Object.keys(PROCESSES) as [ProcessName, ...ProcessName[]];
const MAX_FORCE_TRANSMIT_MS = 65_535;

const byte = z.int({ error: 'must be a byte such as 0x0d' }).min(0).max(255);

const rules = z.strictObject({
  packetLength: z.int({ error: 'must be a number of bytes, 0 to 1024' }).min(0).max(1024).optional(),
  delimiter1: byte.optional(),
  delimiter2: byte.optional(),
  delimiterProcess: z.enum(PROCESS_NAMES, { error: `must be one of ${PROCESS_NAMES.join(', ')}` }).optional(),
  forceTransmit: duration.refine((ms) => ms <= MAX_FORCE_TRANSMIT_MS, 'must be at most 65535 ms').optional(),
});

/** null: as they come. Problems are those of two keys that do not go together. */
export const packing = z
  .union([z.literal('modbus-rtu'), rules], { error: 'must be modbus-rtu, or packetLength, delimiter1 and so on' })
  .transform((value, context): PackingRules | null => {
    if (value === 'modbus-rtu')
      return { packetLength: 0, delimiter: [], delimiterProcess: 0, forceTransmit: 'modbus-rtu' };
    const { packetLength = 0, delimiter1, delimiter2, delimiterProcess = 'do-nothing', forceTransmit = 0 } = value;
    const problem = problemOf(value);
    if (problem !== undefined) {
      context.addIssue({ code: 'custom', message: problem });
      return z.NEVER;
    }
    const delimiter = [delimiter1, delimiter2].filter((one) => one !== undefined);
    if (packetLength === 0 && delimiter.length === 0 && forceTransmit === 0) return null;
    return { packetLength, delimiter, delimiterProcess: PROCESSES[delimiterProcess], forceTransmit };
  });

/** Of keys that do not go together. */
function problemOf({ packetLength = 0, delimiter1, delimiter2, delimiterProcess }: z.output<typeof rules>) {
  if (delimiter1 === undefined && delimiter2 !== undefined) return 'delimiter2 needs delimiter1';
  if (delimiter1 === undefined && delimiterProcess !== undefined) return 'delimiterProcess needs delimiter1';
  if (delimiter1 !== undefined && packetLength > 0)
    return 'delimiters need packetLength 0: with a length they are not looked at';
  return undefined;
}
