// Host -> device bytes in, commands out: CMD, LEN, LEN payload bytes. Where the peer's bytes are cut never changes what
// comes out, and at most one command (257 bytes) is kept. Has no clock: see `pending` and `expire`.
// Follows docs/protocol/realcom.md sections 2.1 and 11.1.
import * as c from './constants.js';
import type { BareCommandType, Command, DecodedCommand, FlowFlags } from './messages.js';

const BARE: ReadonlyMap<number, BareCommandType> = new Map([
  [c.ASPP_CMD_LSTATUS, 'LSTATUS'],
  [c.ASPP_CMD_IQUEUE, 'IQUEUE'],
  [c.ASPP_CMD_OQUEUE, 'OQUEUE'],
  [c.ASPP_CMD_START_BREAK, 'START_BREAK'],
  [c.ASPP_CMD_STOP_BREAK, 'STOP_BREAK'],
  [c.ASPP_CMD_SETXON, 'SETXON'],
  [c.ASPP_CMD_SETXOFF, 'SETXOFF'],
  [c.ASPP_CMD_OPEN, 'OPEN'],
]);

export class CommandDecoder {
  readonly #buffer = new Uint8Array(c.MAX_COMMAND_BYTES);
  #length = 0;

  /** @param begun what `begun` of another one was */
  constructor(begun: Uint8Array = new Uint8Array(0)) {
    this.#buffer.set(begun);
    this.#length = begun.length;
  }

  /** Of a command that has not ended; a copy. */
  get begun(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  /** A command has begun and not ended. If that lasts about a second its length byte was wrong: call `expire`. */
  get pending(): boolean {
    return this.#length > 0;
  }

  decode(chunk: Uint8Array): DecodedCommand[] {
    const commands: DecodedCommand[] = [];
    for (const byte of chunk) {
      // A stray 00 where a command is expected is skipped: some hosts write from fixed offsets (4.9).
      if (this.#length === 0 && byte === 0) continue;
      this.#buffer[this.#length++] = byte;
      if (this.#length >= 2 && this.#length === 2 + this.#payloadLength()) commands.push(this.#take());
    }
    return commands;
  }

  /**
   * Ends a wait for payload that does not come: the command is taken to have one payload byte, and what follows is read
   * as commands again (11.1 no. 9).
   */
  expire(): DecodedCommand[] {
    if (this.#length === 0) return [];
    const kept = this.#buffer.slice(0, this.#length);
    this.#length = 0;
    const used = Math.min(kept.length, 3);
    const first: DecodedCommand = {
      command: parseCommand(kept[0] ?? 0, kept.slice(2, used)),
      bytes: kept.slice(0, used),
    };
    return [first, ...this.decode(kept.subarray(used))];
  }

  #payloadLength(): number {
    // A known client sends `30 10 10`: the depth as the length. Believing it would swallow 15 bytes of later commands.
    return this.#buffer[0] === c.ASPP_CMD_TX_FIFO ? 1 : (this.#buffer[1] ?? 0);
  }

  #take(): DecodedCommand {
    const bytes = this.#buffer.slice(0, this.#length);
    this.#length = 0;
    return { command: parseCommand(bytes[0] ?? 0, bytes.subarray(2)), bytes };
  }
}

/** Extra payload is ignored; too short a payload makes the command an `other`. */
export function parseCommand(code: number, payload: Uint8Array): Command {
  const needed = c.PAYLOAD_LENGTHS.get(code);
  if (needed === undefined || payload.length < needed) return { type: 'other', code, payload };
  const bare = BARE.get(code);
  if (bare !== undefined) return { type: bare };
  const at = (i: number) => payload[i] ?? 0;
  switch (code) {
    case c.ASPP_CMD_PORT_INIT:
      return {
        type: 'PORT_INIT',
        init: { baudIndex: at(0), mode: at(1), dtr: at(2) !== 0, rts: at(3) !== 0, ...flowFlags(payload, 4) },
        hostName: String.fromCharCode(...payload.subarray(8)),
      };
    case c.ASPP_CMD_IOCTL:
      return { type: 'IOCTL', baudIndex: at(0), mode: at(1) };
    case c.ASPP_CMD_FLOWCTRL:
      return { type: 'FLOWCTRL', flow: flowFlags(payload, 0) };
    case c.ASPP_CMD_LINECTRL:
      return { type: 'LINECTRL', dtr: at(0) !== 0, rts: at(1) !== 0 };
    case c.ASPP_CMD_FLUSH:
      return { type: 'FLUSH', which: at(0) };
    case c.ASPP_CMD_SETBAUD:
      return { type: 'SETBAUD', baudRate: u32le(payload) };
    case c.ASPP_CMD_XONXOFF:
      return { type: 'XONXOFF', xon: at(0), xoff: at(1) };
    case c.ASPP_CMD_ALIVE:
      return { type: 'ALIVE', token: at(0) };
    case c.ASPP_CMD_WAIT_OQUEUE:
      return { type: 'WAIT_OQUEUE', timeout: u32le(payload) };
    case c.ASPP_CMD_TX_FIFO:
      return { type: 'TX_FIFO', bytes: at(0) };
    default:
      return { type: 'other', code, payload };
  }
}

/**
 * True while `bytes` can be the beginning of a clean command stream: every command known, with its canonical length.
 * Tells a host's commands from the 16 junk bytes that IPv6 hosts of the vendor send first (12).
 */
export function looksLikeCommands(bytes: Uint8Array): boolean {
  let at = 0;
  while (at < bytes.length) {
    const code = bytes[at] ?? 0;
    const needed = c.PAYLOAD_LENGTHS.get(code);
    if (needed === undefined) return false;
    const length = bytes[at + 1] ?? needed;
    if (length !== needed && !(code === c.ASPP_CMD_PORT_INIT && length > needed)) return false;
    at += 2 + length;
  }
  return true;
}

/** True where the first command is whole. */
export function hasWholeCommand(bytes: Uint8Array): boolean {
  return bytes.length >= 2 && bytes.length >= 2 + (bytes[1] ?? 0);
}

function flowFlags(payload: Uint8Array, at: number): FlowFlags {
  const [hwA = 0, hwB = 0, ixon = 0, ixoff = 0] = payload.subarray(at, at + 4);
  return { hwA: hwA !== 0, hwB: hwB !== 0, ixon: ixon !== 0, ixoff: ixoff !== 0 };
}

function u32le(bytes: Uint8Array): number {
  const [b0 = 0, b1 = 0, b2 = 0, b3 = 0] = bytes;
  return (b0 | (b1 << 8) | (b2 << 16) | (b3 << 24)) >>> 0;
}
