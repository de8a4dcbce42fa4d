// What a serial port's driver is asked beside the transfer of bytes, and what its errors mean to an operator. Keeps nothing.
import { fstatSync, realpathSync, statSync } from 'node:fs';
import { Fault, messageOf } from '../base/fault.js';
import {
  closeSerialPort,
  endBreak,
  isSystemError,
  MODEM_BITS,
  modemBits,
  type Rs485Options,
  runTransmitter,
  setModemBits,
  setRs485,
} from '../native/serial-port.js';
import type { ModemLines, OutputLines } from '../serial/line.js';

/** What a port shows that has no lines: a peer that is there. */
export const VIRTUAL_LINES: ModemLines = { cts: true, dsr: true, dcd: true, ri: false };

/**
 * Where a link leads. Throws a Fault where that is not what the descriptor is of: another adapter has its name meanwhile.
 * @param kept of a port that was open
 */
export function realDevice(device: string, kept: number | undefined): string {
  const real = realpathSync(device);
  if (kept === undefined || fstatSync(kept).rdev === statSync(real).rdev) return real;
  throw new Fault('TTY_GONE', `${device} is another device than it was`);
}

/** No break, no stopped transmitter. */
export async function freeLine(fd: number): Promise<void> {
  await quietly(endBreak(fd));
  await quietly(runTransmitter(fd, true));
}

/**
 * Nobody goes on with it: it is free for whoever opens it next, even while somebody else has the descriptor too. The descriptor is
 * closed. Never rejects but for what is no descriptor.
 */
export async function giveUpPort(fd: number): Promise<void> {
  await freeLine(fd);
  await quietly(setModemBits(fd, 0, MODEM_BITS.DTR | MODEM_BITS.RTS));
  await quietly(closeSerialPort(fd));
}

/** Throws a Fault. */
export function switchByRts(fd: number, rs485: Rs485Options, device: string): void {
  try {
    setRs485(fd, rs485);
  } catch (error) {
    throw new Fault('CONFIG_INVALID', `${device}: its driver has no RS-485 mode (rs485)`, { cause: error });
  }
}

export async function readLines(fd: number): Promise<ModemLines> {
  const bits = await modemBits(fd);
  if (bits === undefined) return VIRTUAL_LINES;
  return {
    cts: (bits & MODEM_BITS.CTS) !== 0,
    dsr: (bits & MODEM_BITS.DSR) !== 0,
    dcd: (bits & MODEM_BITS.DCD) !== 0,
    ri: (bits & MODEM_BITS.RI) !== 0,
  };
}

/** Those that are up, of a port that has lines. */
export async function readOutputLines(fd: number): Promise<OutputLines> {
  const bits = (await modemBits(fd)) ?? 0;
  return { dtr: (bits & MODEM_BITS.DTR) !== 0, rts: (bits & MODEM_BITS.RTS) !== 0 };
}

/** A device that is gone has nothing left to do. */
export async function quietly(call: Promise<void>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!isSystemError(error)) throw error;
  }
}

export function openFault(device: string, error: unknown): Fault {
  if (error instanceof Fault) return error;
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const cause = { cause: error };
  switch (code) {
    case 'ENOENT':
    case 'ENXIO':
    case 'ENODEV':
    case 'EIO':
      return new Fault('TTY_GONE', `${device} is not there`, cause);
    case 'EBUSY':
    case 'EAGAIN':
      return new Fault('TTY_BUSY', `${device}: another program has it open (see: fuser -v ${device})`, cause);
    case 'EACCES':
    case 'EPERM':
      return new Fault('PERMISSION', `${device}: not allowed (its group is dialout, usually)`, cause);
    case 'ENOTTY':
    case 'EISDIR':
      return new Fault('CONFIG_INVALID', `${device} is no serial port`, cause);
    default:
      return new Fault('SYSTEM', `${device}: ${messageOf(error)}`, cause);
  }
}
