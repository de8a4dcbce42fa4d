// A real port, as far as a PTY is one: what the device at the other end sees of its settings and bytes.
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SystemClock } from '../../../src/base/clock.js';
import type { Fault } from '../../../src/base/fault.js';
import { DEFAULT_SETTINGS, type LineSettings, NO_FLOW_CONTROL } from '../../../src/serial/line.js';
import { TERMIOS } from '../../../src/serial/termios.js';
import { lockName } from '../../../src/uart/lock-file.js';
import { type SerialPortOptions, SerialPortUart } from '../../../src/uart/serialport.js';
import { SerialLine } from '../../support/serial-line.js';

const UP = { dtr: true, rts: true };
let directory: string;
let before: { fds: number; threads: number };
const ends: (() => unknown)[] = [];

const count = (of: 'fd' | 'task') => readdirSync(`/proc/self/${of}`).length;
const until = async (done: () => boolean) => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 1));
};

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ttynp-serial-'));
  before = { fds: count('fd'), threads: count('task') };
});

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  // libuv starts the threads of its pool when the first work comes.
  expect(count('task')).toBeLessThanOrEqual(before.threads + 4);
  expect(count('fd')).toBe(before.fds);
  expect(readdirSync(directory).filter((name) => name.startsWith('LCK..'))).toEqual([]);
  rmSync(directory, { recursive: true });
});

function makeLine(options = {}) {
  const line = new SerialLine(options);
  ends.push(() => line.unplug());
  return line;
}

async function openPort(device: string, settings?: LineSettings, options: Partial<SerialPortOptions> = {}) {
  const uart = new SerialPortUart({
    device,
    clock: new SystemClock(),
    lockDirectory: directory,
    ...(settings ? { settings } : {}),
    ...options,
  });
  ends.push(() => uart.close());
  const seen = { received: [] as number[], faults: [] as Fault[], drained: 0, writable: 0 };
  await uart.open({
    received: (bytes) => seen.received.push(...bytes),
    report: () => {},
    writable: () => seen.writable++,
    drained: () => seen.drained++,
    failed: (fault) => seen.faults.push(fault),
  });
  return { uart, seen };
}

const refused = (device: string, options: Partial<SerialPortOptions> = {}) =>
  openPort(device, undefined, options).then(
    () => undefined,
    (fault: Fault) => fault,
  );
const refusal = async (device: string, options: Partial<SerialPortOptions> = {}) =>
  (await refused(device, options))?.code;

test('opens raw, with the settings that it was given', async () => {
  const line = makeLine();
  const flowControl = { ...NO_FLOW_CONTROL, xonXoffOut: true, xon: 0x21, xoff: 0x23 };
  await openPort(line.path, { ...DEFAULT_SETTINGS, baudRate: 57_600, stopBits: 2, flowControl });
  const { lflag, oflag, cflag, cc } = line.termios;
  expect({ lflag, oflag }).toEqual({ lflag: 0, oflag: 0 });
  expect(cflag & TERMIOS.CLOCAL).toBe(TERMIOS.CLOCAL);
  expect(cflag & TERMIOS.HUPCL).toBe(TERMIOS.HUPCL);
  expect(cflag & TERMIOS.CREAD).toBe(TERMIOS.CREAD);
  expect(cc[TERMIOS.VMIN]).toBe(1);
  expect(line.settings).toMatchObject({ baudRate: 57_600, stopBits: 2, flowControl });
});

test.each([12_345, 250_000, 3_000_000, 50])(
  'the line gets the rate %i, and the flow control, without a reopen',
  async (rate) => {
    const line = makeLine();
    const { uart, seen } = await openPort(line.path);
    const flowControl = { rtsCts: true, xonXoffOut: true, xonXoffIn: true, xon: 0x05, xoff: 0x06 };
    const settings = { ...DEFAULT_SETTINGS, baudRate: rate, stopBits: 2 as const, flowControl };
    expect(await uart.request({ type: 'settings', settings, lines: UP })).toBe(true);
    expect(line.settings).toEqual(settings);
    expect(uart.settings).toEqual(settings);
    expect(seen.faults).toEqual([]);
  },
);

test('B0 leaves the rate of the line alone', async () => {
  const line = makeLine();
  const { uart } = await openPort(line.path, { ...DEFAULT_SETTINGS, baudRate: 4800 });
  await uart.request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, baudRate: 0 }, lines: UP });
  expect(line.settings.baudRate).toBe(4800);
  expect(uart.outputLines).toEqual({ dtr: false, rts: false });
});

test('two stop bits with five data bits are 1.5, and 1.5 with eight are refused', async () => {
  const { uart } = await openPort(makeLine().path);
  const five = { ...DEFAULT_SETTINGS, dataBits: 5 as const };
  expect(await uart.request({ type: 'settings', settings: { ...five, stopBits: 2 }, lines: UP })).toBe(true);
  expect(uart.settings.stopBits).toBe(1.5);
  const eight = { ...DEFAULT_SETTINGS, stopBits: 1.5 as const };
  expect(await uart.request({ type: 'settings', settings: eight, lines: UP })).toBe(false);
  expect(uart.settings.dataBits).toBe(5);
});

test('a port without modem lines shows a device that is there', async () => {
  const { uart } = await openPort(makeLine().path);
  expect(uart.modemLines).toEqual({ cts: true, dsr: true, dcd: true, ri: false });
});

test('one write is one piece at the device', async () => {
  const line = makeLine();
  const { uart } = await openPort(line.path);
  const frame = Uint8Array.from({ length: 256 }, (_, i) => i);
  expect(uart.write(frame)).toBe(256);
  await until(() => line.received.length === 256);
  expect(line.pieces).toEqual([Buffer.from(frame)]);
});

test('a device that takes nothing bounds what is accepted; then all of it arrives, in order', async () => {
  const line = makeLine();
  const { uart, seen } = await openPort(line.path);
  line.deaf = true;
  let sent = 0;
  const next = () => Uint8Array.from({ length: 1000 }, (_, i) => (sent + i) % 251);
  for (let stuck = 0; stuck < 20; ) {
    const taken = uart.write(next());
    sent += taken;
    if (taken < 1000) {
      stuck++;
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  expect(sent).toBeGreaterThan(4096);
  expect(sent).toBeLessThan(128 * 1024);
  expect(uart.outputQueue).toBeGreaterThan(0);
  expect(seen.drained).toBe(0);
  line.deaf = false;
  await until(() => line.received.length >= sent && seen.drained > 0);
  expect(seen.writable).toBeGreaterThan(0);
  expect(line.received.every((byte, i) => byte === i % 251)).toBe(true);
  expect(line.received).toHaveLength(sent);
});

test('while input is paused the device is held up, and nothing is lost', async () => {
  const line = makeLine();
  const { uart, seen } = await openPort(line.path);
  uart.pauseInput();
  line.send(Uint8Array.from({ length: 200_000 }, (_, i) => i % 251));
  await until(() => uart.inputQueue >= 4000);
  expect(line.unsent).toBeGreaterThan(100_000);
  expect(seen.received).toEqual([]);
  uart.resumeInput();
  await until(() => seen.received.length >= 200_000);
  expect(seen.received.every((byte, i) => byte === i % 251)).toBe(true);
});

test('a port that somebody has is refused: by flock, and by a lock file of a process that lives', async () => {
  const line = makeLine();
  await openPort(line.path);
  expect(await refusal(line.path, { lockDirectory: '/nowhere' })).toBe('TTY_BUSY');
  const other = makeLine();
  const lock = join(directory, lockName(other.path));
  writeFileSync(lock, `${String(process.ppid).padStart(10)}\n`);
  expect(await refusal(other.path)).toBe('TTY_BUSY');
  expect(existsSync(lock)).toBe(true);
  rmSync(lock);
});

test('a port that we have ourselves, by another name, is refused, and its lock file stays', async () => {
  const line = makeLine();
  await openPort(line.path);
  const link = join(directory, 'link');
  symlinkSync(line.path, link);
  expect((await refused(link))?.message).toContain('already');
  expect(existsSync(join(directory, lockName(line.path)))).toBe(true);
});

test('a driver without RS-485 is told as that', async () => {
  const rs485 = { rtsOnSend: true, receiveDuringTransmit: false, delayBeforeMs: 0, delayAfterMs: 0 };
  const fault = await refused(makeLine().path, { rs485 });
  expect(fault?.code).toBe('CONFIG_INVALID');
  expect(fault?.message).toMatch(/RS-485/);
});

test.each([
  ['/dev/ttyUSB0', 'LCK..ttyUSB0'],
  ['/dev/pts/7', 'LCK..pts_7'],
  ['/srv/port', 'LCK..port'],
])('%s is locked as %s', (device, name) => {
  expect(lockName(device)).toBe(name);
});

test('a lock file of a process that is dead is replaced, and ours goes at the close', async () => {
  const line = makeLine();
  const lock = join(directory, lockName(line.path));
  writeFileSync(lock, '4194304999\n');
  const { uart } = await openPort(line.path);
  expect(readFileSync(lock, 'utf8')).toBe(`${String(process.pid).padStart(10)}\n`);
  await uart.close();
  expect(existsSync(lock)).toBe(false);
});

test('what is no serial port, or not there, is refused with its own code', async () => {
  const file = join(directory, 'file');
  writeFileSync(file, '');
  expect(await refusal(file)).toBe('CONFIG_INVALID');
  expect(await refusal(join(directory, 'nothing'))).toBe('TTY_GONE');
  expect(await refusal(directory)).toBe('CONFIG_INVALID');
});

test('a device that is unplugged is told once; a link to another one is followed at the next open', async () => {
  const first = makeLine();
  const link = join(directory, 'usb-adapter');
  symlinkSync(first.path, link);
  const { uart, seen } = await openPort(link);
  first.unplug();
  await until(() => seen.faults.length > 0);
  expect(await uart.request({ type: 'lines', lines: UP })).toBe(false);
  await uart.close();
  expect(seen.faults.map((fault) => fault.code)).toEqual(['TTY_GONE']);
  const second = makeLine();
  rmSync(link);
  symlinkSync(second.path, link);
  const again = await openPort(link);
  again.uart.write(Buffer.from('hello'));
  await until(() => second.received.length === 5);
  expect(realpathSync(link)).toBe(second.path);
});

test('a break that ended before it began is none, and bytes of the time of a break follow it', async () => {
  const line = makeLine();
  const { uart } = await openPort(line.path);
  const began = uart.request({ type: 'break', on: true });
  await uart.request({ type: 'break', on: false });
  expect(await began).toBe(true);
  await uart.request({ type: 'break', on: true });
  uart.write(Buffer.from('after'));
  expect(uart.outputQueue).toBe(5);
  await uart.request({ type: 'break', on: false });
  await until(() => line.received.toString() === 'after');
});
