// Commands and frames -> bytes, one whole command or frame each. The reverse of the two decoders.
// Follows docs/protocol/realcom.md sections 2 and 3.
import * as c from './constants.js';
import type { Command, FlowFlags, Frame } from './messages.js';

const CODES: Readonly<Record<Exclude<Command['type'], 'other'>, number>> = {
  PORT_INIT: c.ASPP_CMD_PORT_INIT,
  IOCTL: c.ASPP_CMD_IOCTL,
  FLOWCTRL: c.ASPP_CMD_FLOWCTRL,
  LINECTRL: c.ASPP_CMD_LINECTRL,
  FLUSH: c.ASPP_CMD_FLUSH,
  SETBAUD: c.ASPP_CMD_SETBAUD,
  XONXOFF: c.ASPP_CMD_XONXOFF,
  ALIVE: c.ASPP_CMD_ALIVE,
  WAIT_OQUEUE: c.ASPP_CMD_WAIT_OQUEUE,
  TX_FIFO: c.ASPP_CMD_TX_FIFO,
  LSTATUS: c.ASPP_CMD_LSTATUS,
  IQUEUE: c.ASPP_CMD_IQUEUE,
  OQUEUE: c.ASPP_CMD_OQUEUE,
  START_BREAK: c.ASPP_CMD_START_BREAK,
  STOP_BREAK: c.ASPP_CMD_STOP_BREAK,
  SETXON: c.ASPP_CMD_SETXON,
  SETXOFF: c.ASPP_CMD_SETXOFF,
  OPEN: c.ASPP_CMD_OPEN,
};

const MAX_PAYLOAD = 255;
const MAX_QUEUE = 0xffff;

export function encodeCommand(command: Command): Uint8Array {
  return framed(codeOf(command), payloadOf(command).slice(0, MAX_PAYLOAD));
}

function payloadOf(command: Command): number[] {
  switch (command.type) {
    case 'PORT_INIT': {
      const { baudIndex, mode, dtr, rts } = command.init;
      const name = [...command.hostName].map((char) => char.charCodeAt(0));
      return [baudIndex, mode, +dtr, +rts, ...flow(command.init), ...name];
    }
    case 'IOCTL':
      return [command.baudIndex, command.mode];
    case 'FLOWCTRL':
      return flow(command.flow);
    case 'LINECTRL':
      return [+command.dtr, +command.rts];
    case 'FLUSH':
      return [command.which];
    case 'SETBAUD':
      return u32le(command.baudRate);
    case 'XONXOFF':
      return [command.xon, command.xoff];
    case 'ALIVE':
      return [command.token];
    case 'WAIT_OQUEUE':
      return u32le(command.timeout);
    case 'TX_FIFO':
      return [command.bytes];
    case 'other':
      return [...command.payload];
    default:
      return [];
  }
}

/** The vendor's byte of a command's number. */
export function codeOf(command: Command): number {
  return command.type === 'other' ? command.code : CODES[command.type];
}

/** `malformed` and `unknown` are what a peer did wrong; they encode to nothing. */
export function encodeFrame(frame: Frame): Uint8Array {
  switch (frame.type) {
    case 'ok':
      return Uint8Array.of(frame.code, c.OK_1, c.OK_2);
    case 'not-ok':
      return Uint8Array.of(frame.code, frame.word & 0xff, frame.word >> 8);
    case 'lines':
      // 1, never FF: three lines that are on must not look like the refusal (3.2).
      return Uint8Array.of(frame.code, 3, +frame.dsr, +frame.cts, +frame.dcd);
    case 'refused':
      return Uint8Array.of(frame.code, 3, 0xff, 0xff, 0xff);
    case 'queue': {
      const bytes = Math.max(0, Math.min(frame.bytes, MAX_QUEUE));
      return Uint8Array.of(frame.code, 2, bytes & 0xff, bytes >> 8);
    }
    case 'notify':
      return Uint8Array.of(c.ASPP_CMD_NOTIFY, frame.mask, frame.msr, frame.extra);
    case 'polling':
      return Uint8Array.of(c.ASPP_CMD_POLLING, 1, frame.token);
    case 'malformed':
    case 'unknown':
      return new Uint8Array(0);
    default:
      return frame satisfies never;
  }
}

function framed(code: number, payload: readonly number[]): Uint8Array {
  return Uint8Array.of(code, payload.length, ...payload);
}

function flow(flags: FlowFlags): number[] {
  return [+flags.hwA, +flags.hwB, +flags.ixon, +flags.ixoff];
}

function u32le(value: number): number[] {
  const v = Math.max(0, Math.min(Math.trunc(value), 0xffffffff));
  return [v & 0xff, (v >>> 8) & 0xff, (v >>> 16) & 0xff, v >>> 24];
}
