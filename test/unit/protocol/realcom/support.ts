// What the realcom tests share: hex, the captured vectors, and generators of commands and frames.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { FRAME_LENGTHS, PAYLOAD_LENGTHS } from '../../../../src/protocol/realcom/constants.js';
import type { BareCommandType, Command, Frame } from '../../../../src/protocol/realcom/messages.js';

export function hex(text: string): Uint8Array {
  return Uint8Array.from(text.split(/\s+/).filter(Boolean), (byte) => Number.parseInt(byte, 16));
}

export function toHex(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
}

export interface Segment {
  readonly direction: 'connect' | 'sent' | 'received';
  readonly bytes: Uint8Array;
}

/** The sections of the capture: what the host sent and received on the command connection. */
export function capture(): Map<string, Segment[]> {
  const file = new URL('../../../vectors/realcom/linux-driver-6.0.txt', import.meta.url);
  const sections = new Map<string, Segment[]>();
  let section: Segment[] = [];
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    if (line.startsWith('[')) {
      section = [];
      sections.set(line.slice(1, -1), section);
    } else if (line === 'connect') section.push({ direction: 'connect', bytes: new Uint8Array(0) });
    else if (line.startsWith('> ')) section.push({ direction: 'sent', bytes: hex(line.slice(2)) });
    else if (line.startsWith('< ')) section.push({ direction: 'received', bytes: hex(line.slice(2)) });
  }
  return sections;
}

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** The bytes cut into pieces of the given sizes, over and over. */
export function cut(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const parts: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = Math.max(1, sizes[i % sizes.length] ?? 1);
    parts.push(bytes.subarray(at, at + size));
    at += size;
  }
  return parts;
}

const byte = fc.integer({ min: 0, max: 255 });
const bool = fc.boolean();
const u32 = fc.integer({ min: 0, max: 0xffffffff });
const flow = { hwA: bool, hwB: bool, ixon: bool, ixoff: bool };
const bare: BareCommandType[] = [
  'LSTATUS',
  'IQUEUE',
  'OQUEUE',
  'START_BREAK',
  'STOP_BREAK',
  'SETXON',
  'SETXOFF',
  'OPEN',
];
const latin1 = fc.string({ maxLength: 247, unit: byte.map((code) => String.fromCharCode(code)) });

export const anyCommand: fc.Arbitrary<Command> = fc.oneof(
  fc.record({
    type: fc.constant('PORT_INIT' as const),
    init: fc.record({ baudIndex: byte, mode: byte, dtr: bool, rts: bool, ...flow }),
    hostName: latin1,
  }),
  fc.record({ type: fc.constant('IOCTL' as const), baudIndex: byte, mode: byte }),
  fc.record({ type: fc.constant('FLOWCTRL' as const), flow: fc.record(flow) }),
  fc.record({ type: fc.constant('LINECTRL' as const), dtr: bool, rts: bool }),
  fc.record({ type: fc.constant('FLUSH' as const), which: byte }),
  fc.record({ type: fc.constant('SETBAUD' as const), baudRate: u32 }),
  fc.record({ type: fc.constant('XONXOFF' as const), xon: byte, xoff: byte }),
  fc.record({ type: fc.constant('ALIVE' as const), token: byte }),
  fc.record({ type: fc.constant('WAIT_OQUEUE' as const), timeout: u32 }),
  fc.record({ type: fc.constant('TX_FIFO' as const), bytes: byte }),
  fc.constantFrom(...bare).map((type): Command => ({ type })),
  fc
    .tuple(
      byte.filter((code) => code !== 0 && !PAYLOAD_LENGTHS.has(code)),
      fc.uint8Array({ maxLength: 255 }),
    )
    .map(([code, payload]): Command => ({ type: 'other', code, payload })),
);

const threeByteCodes = [...FRAME_LENGTHS]
  .filter(([code, length]) => length === 3 && code !== 0x27)
  .map(([code]) => code);

export const anyFrame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({ type: fc.constant('ok' as const), code: fc.constantFrom(...threeByteCodes, 0x39) }),
  fc.record({
    type: fc.constant('not-ok' as const),
    code: fc.constantFrom(...threeByteCodes),
    word: fc.integer({ min: 0, max: 0xffff }).filter((word) => word !== 0x4b4f),
  }),
  fc.record({
    type: fc.constant('lines' as const),
    code: fc.constantFrom(0x2c, 0x13),
    dsr: bool,
    cts: bool,
    dcd: bool,
  }),
  fc.constant<Frame>({ type: 'refused', code: 0x2c }),
  fc.record({
    type: fc.constant('queue' as const),
    code: fc.constantFrom(0x2f, 0x16, 0x15),
    bytes: fc.integer({ min: 0, max: 0xffff }),
  }),
  fc.record({ type: fc.constant('notify' as const), mask: byte, msr: byte, extra: byte }),
  fc.record({ type: fc.constant('polling' as const), token: byte }),
);
