// A real serial port as the kernel gives it (ioctl_tty(2)): open and locked, its modem lines, break, queues and error
// counters, and a waiter that tells when something happens. Settings are native/termios. Decides nothing.
import { readSync, writeSync } from 'node:fs';
import { binding, isSystemError, type SerialWaiterHandle } from './binding.js';
import type { KernelTermios } from './termios.js';

export { isSystemError } from './binding.js';

/** TIOCM_, see ioctl_tty(2). */
export const MODEM_BITS = { DTR: 0x002, RTS: 0x004, CTS: 0x020, DCD: 0x040, RI: 0x080, DSR: 0x100 } as const;

/** TIOCGICOUNT: since the machine started, each wraps at 32 bits. */
export interface LineCounters {
  readonly parity: number;
  readonly framing: number;
  readonly overrun: number;
  readonly bufferOverrun: number;
  readonly breaks: number;
}

/** SER_RS485_, linux/serial.h. */
const RS485_ENABLED = 1;
const RS485_RTS_ON_SEND = 2;
const RS485_RTS_AFTER_SEND = 4;
const RS485_RX_DURING_TX = 16;

export interface Rs485Options {
  /** The level of RTS while it transmits. */
  readonly rtsOnSend: boolean;
  readonly receiveDuringTransmit: boolean;
  /** Milliseconds between RTS and the first bit, and between the last bit and RTS. */
  readonly delayBeforeMs: number;
  readonly delayAfterMs: number;
}

// What a device behind a bus is asked for waits on a thread of the pool, and so does what the kernel alone could answer: the core of USB
// serial ports answers nothing while it asks the device. Each has a descriptor of its own until it is done.

/** Non-blocking, close-on-exec, flock()ed and TIOCEXCL. Rejects with a SystemError: ENOENT, EACCES, EBUSY, EAGAIN (flock), ENOTTY. */
export function openSerialPort(path: string): Promise<number> {
  return binding.openSerialPort(path);
}

/** Drops both queues. The descriptor is gone for the caller at once. */
export async function closeSerialPort(fd: number): Promise<void> {
  await binding.closeSerialPort(fd);
}

/** TCGETS2. Rejects with a SystemError where the port is gone: EIO. */
export function readTermios(fd: number): Promise<KernelTermios> {
  return binding.readTermios(fd);
}

/**
 * TCSETS2, and what is in force then. read(2) and write(2) wait for it. Rejects with a SystemError: EINVAL where the driver refuses, EIO
 * where the port is gone.
 */
export function applyTermios(fd: number, termios: KernelTermios): Promise<KernelTermios> {
  return binding.applyTermios(fd, { ...termios, cc: [...termios.cc] });
}

/** undefined where the port has no modem lines, as a PTY. Rejects with a SystemError where it is gone: EIO. */
export async function modemBits(fd: number): Promise<number | undefined> {
  try {
    return await binding.modemBits(fd);
  } catch (error) {
    if (isLacking(error)) return undefined;
    throw error;
  }
}

/** Those of the mask; one call, so that they move together. */
export async function setModemBits(fd: number, bits: number, mask: number): Promise<void> {
  await binding.setModemBits(fd, bits, mask);
}

/** undefined where the driver counts nothing. */
export function lineCounters(fd: number): LineCounters | undefined {
  const counted = orUndefined(() => binding.lineCounters(fd));
  if (counted === undefined) return undefined;
  const [parity = 0, framing = 0, overrun = 0, bufferOverrun = 0, breaks = 0] = counted;
  return { parity, framing, overrun, bufferOverrun, breaks };
}

const QUEUES = { rx: 0, tx: 1, both: 2 } as const;

export async function flushQueues(fd: number, queue: keyof typeof QUEUES): Promise<void> {
  await binding.flushQueues(fd, QUEUES[queue]);
}

/** As if XON, or XOFF, had been received. */
export async function runTransmitter(fd: number, on: boolean): Promise<void> {
  await binding.runTransmitter(fd, on);
}

/** Received and not read. */
export function unreadBytes(fd: number): Promise<number> {
  return binding.unreadBytes(fd);
}

/** Of the driver's queue; a UART's FIFO is not counted. */
export function untransmittedBytes(fd: number): Promise<number> {
  return binding.untransmittedBytes(fd);
}

/** undefined: an ordinary port. Throws a SystemError where the driver cannot: ENOTTY. */
export function setRs485(fd: number, options: Rs485Options | undefined): void {
  if (options === undefined) {
    binding.setRs485(fd, { flags: 0, delayBefore: 0, delayAfter: 0 });
    return;
  }
  const level = options.rtsOnSend ? RS485_RTS_ON_SEND : RS485_RTS_AFTER_SEND;
  const flags = RS485_ENABLED | level | (options.receiveDuringTransmit ? RS485_RX_DURING_TX : 0);
  binding.setRs485(fd, { flags, delayBefore: options.delayBeforeMs, delayAfter: options.delayAfterMs });
}

/**
 * Begins a break, which the kernel does when everything has been transmitted, what an adapter has in its own buffer too. Resolves with
 * false where that takes long: none has begun then. Rejects with a SystemError.
 */
export async function beginBreak(fd: number): Promise<boolean> {
  return (await binding.beginBreak(fd)) === 1;
}

export async function endBreak(fd: number): Promise<void> {
  await binding.endBreak(fd);
}

/** tcdrain(3), for what the driver's queue does not count. Resolves with false where it takes long. */
export async function drainPort(fd: number): Promise<boolean> {
  return (await binding.drainSerialPort(fd)) === 1;
}

/** What is there now, up to the size of `into`: 0 where nothing is, 'end' where the port was hung up. */
export function readNow(fd: number, into: Uint8Array): number | 'end' {
  try {
    const count = readSync(fd, into);
    return count === 0 ? 'end' : count;
  } catch (error) {
    if (isAgain(error)) return 0;
    throw error;
  }
}

/** Returns how many bytes the driver had room for. */
export function writeNow(fd: number, bytes: Uint8Array): number {
  try {
    return writeSync(fd, bytes);
  } catch (error) {
    if (isAgain(error)) return 0;
    throw error;
  }
}

export interface WaiterEvents {
  /** At most once for each time that it was wanted. */
  readable(): void;
  writable(): void;
  /** A modem line or a counter may have changed. */
  line(): void;
  /** At most once: the device is gone. */
  hungUp(): void;
}

export interface WaiterOptions {
  /** How often the error counters are looked at, and the lines where the driver does not wake; 0: never. */
  readonly sampleMs: number;
  /** Waits for changes of the modem lines (TIOCMIWAIT). */
  readonly modem: boolean;
}

const READABLE = 1;
const WRITABLE = 2;
const HUNG_UP = 4;
const LINE = 8;

/** Keeps the process alive until it is closed. */
export class SerialWaiter {
  readonly #handle: SerialWaiterHandle;
  #open = true;

  /** Throws a SystemError. The descriptor stays the caller's. */
  constructor(fd: number, options: WaiterOptions, events: WaiterEvents) {
    this.#handle = binding.watchSerialPort(fd, options.sampleMs, options.modem, (what) => {
      if (this.#open && what & LINE) events.line();
      if (this.#open && what & READABLE) events.readable();
      if (this.#open && what & WRITABLE) events.writable();
      if (this.#open && what & HUNG_UP) events.hungUp();
    });
  }

  /** Replaces what was wanted. */
  want(readable: boolean, writable: boolean): void {
    binding.wantSerialEvents(this.#handle, (readable ? READABLE : 0) | (writable ? WRITABLE : 0));
  }

  /** Idempotent; its threads have ended when it returns, and nothing is told after it. */
  close(): void {
    this.#open = false;
    binding.endSerialWaiter(this.#handle);
  }
}

function isAgain(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'EAGAIN';
}

/** What a driver answers that lacks the call; EINVAL is that of kernels before 5.0. */
const LACKING = new Set(['ENOTTY', 'EINVAL', 'ENOSYS', 'EOPNOTSUPP']);

function isLacking(error: unknown): boolean {
  return isSystemError(error) && LACKING.has(error.code);
}

function orUndefined<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (isLacking(error)) return undefined;
    throw error;
  }
}
