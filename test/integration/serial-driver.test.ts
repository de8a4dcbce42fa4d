// What a real port does that a PTY cannot: modem lines, error counters, breaks, drains, refusals. The kernel's driver is
// played (test/support/uart_driver.c); the program is the built one, in a process of its own.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { DEFAULT_SETTINGS } from '../../src/serial/line.js';
import { TERMIOS } from '../../src/serial/termios.js';
import { Child, eventually } from '../support/e2e.js';
import { SerialLine } from '../support/serial-line.js';

const support = (name: string) => fileURLToPath(new URL(`../support/${name}`, import.meta.url));
/** TIOCM_ bits. */
const [DTR, RTS, CTS, DCD, RI, DSR] = [0x2, 0x4, 0x20, 0x40, 0x80, 0x100];
/** Of the words in uart_driver.c. */
const WORDS = {
  lines: 0,
  parity: 1,
  frame: 2,
  overrun: 3,
  bufferOverrun: 4,
  brk: 5,
  outputs: 10,
  sets: 11,
  breaks: 12,
  breaksEnded: 13,
  queued: 14,
  drains: 15,
  waits: 16,
  rs485: 17,
  refuses: 18,
  hangs: 19,
} as const;
type Word = keyof typeof WORDS;

let directory: string;
let driver: string;
let line: SerialLine;
let child: Child;
let state: number;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'ttynp-driver-'));
  driver = join(directory, 'uart_driver.so');
  const built = spawnSync('cc', ['-shared', '-fPIC', '-O1', '-Wall', support('uart_driver.c'), '-o', driver]);
  expect(built.status, String(built.stderr)).toBe(0);
});
afterAll(() => rmSync(directory, { recursive: true }));

function read(word: Word): number {
  const bytes = Buffer.alloc(4);
  readSync(state, bytes, 0, 4, WORDS[word] * 4);
  return bytes.readInt32LE();
}

function write(word: Word, value: number): void {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value | 0);
  writeSync(state, bytes, 0, 4, WORDS[word] * 4);
}

beforeEach(() => {
  line = new SerialLine();
  const file = join(directory, 'state');
  writeFileSync(file, Buffer.alloc(Object.keys(WORDS).length * 4 + 64));
  state = openSync(file, 'r+');
});

afterEach(async () => {
  child.process.stdin.end();
  const { code, signal } = await child.exit(10_000);
  line.unplug();
  closeSync(state);
  expect({ code, signal }, child.stderr).toEqual({ code: 0, signal: null });
});

function start(...more: string[]): void {
  // A sanitizer's library comes first.
  const preload = [process.env.LD_PRELOAD, driver].filter(Boolean).join(' ');
  const env = { LD_PRELOAD: preload, UART_STATE: join(directory, 'state') };
  child = new Child([process.execPath, support('uart-child.mjs'), line.path, ...more], { env });
}

const said = () =>
  child.stdout
    .split('\n')
    .filter((text) => text !== '')
    .map((text): Record<string, unknown> => JSON.parse(text));

/** Resolves with the next thing told that has this key, `after` those that were told before. */
async function told(key: string, after = 0): Promise<Record<string, unknown>> {
  let found: Record<string, unknown> | undefined;
  await eventually(
    () => `${key}: ${child.stdout} ${child.stderr}`,
    async () => {
      found = said().filter((one) => key in one)[after];
      return found !== undefined;
    },
  );
  return found ?? {};
}

const count = (key: string) => said().filter((one) => key in one).length;

function call(what: object, key: string): Promise<Record<string, unknown>> {
  const before = count(key);
  child.process.stdin.write(`${JSON.stringify(what)}\n`);
  return told(key, before);
}

/** The device of the line answers nothing. */
const hanging = () => Number(line.path.split('/').at(-1)) + 1;
const open = () => call({ call: 'open' }, 'opened');
const request = (one: object) => call({ call: 'request', request: one }, 'done');

test('the lines of the device, as they are and as they change; a change wakes the waiter', async () => {
  write('lines', CTS | DSR);
  start();
  expect(await open()).toMatchObject({ opened: { cts: true, dsr: true, dcd: false, ri: false }, threads: 2 });
  await eventually('a thread waits', () => read('waits') === 1);
  write('lines', CTS | DCD | RI);
  expect(await told('report')).toEqual({
    report: { type: 'lines', lines: { cts: true, dsr: false, dcd: true, ri: true } },
  });
  write('lines', 0);
  expect(await told('report', 1)).toEqual({
    report: { type: 'lines', lines: { cts: false, dsr: false, dcd: false, ri: false } },
  });
});

test('a close ends the thread that waits for the lines', async () => {
  start();
  await open();
  await eventually('a thread waits', () => read('waits') === 1);
  expect(await call({ call: 'close' }, 'closed')).toHaveProperty('ms');
  expect(read('waits')).toBe(0);
  await call({ call: 'open' }, 'opened');
  await eventually('a thread waits again', () => read('waits') === 1);
});

test('errors and breaks of the line are told, each since the last time', async () => {
  write('parity', 7);
  start();
  await open();
  write('frame', 1);
  expect(await told('report')).toEqual({
    report: { type: 'errors', errors: { parity: false, framing: true, overrun: false, bufferOverrun: false } },
  });
  write('brk', 1);
  expect(await told('report', 1)).toEqual({ report: { type: 'break' } });
  write('parity', 8);
  write('overrun', 1);
  write('bufferOverrun', 1);
  await eventually('all are told', () => {
    const all = said()
      .slice(3)
      .flatMap(({ report }) => (typeof report === 'object' && report ? [report] : []));
    const kinds = all.flatMap((one) => Object.entries(Reflect.get(one, 'errors') ?? {}).filter(([, on]) => on));
    return new Set(kinds.map(([kind]) => kind)).size === 3;
  });
});

test('DTR and RTS are low once it is open, move together, and settings do not move them', async () => {
  write('outputs', DTR | RTS);
  start();
  await open();
  expect(read('outputs')).toBe(0);
  await request({ type: 'lines', lines: { dtr: true, rts: true } });
  expect(read('outputs')).toBe(DTR | RTS);
  const sets = read('sets');
  await request({ type: 'lines', lines: { dtr: false, rts: true } });
  expect(read('outputs')).toBe(RTS);
  expect(read('sets')).toBe(sets + 1);
  const lines = { dtr: true, rts: true };
  for (const baudRate of [1200, 115_200, 12_345]) {
    await request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, baudRate }, lines });
    expect(line.settings.baudRate).toBe(baudRate);
    expect(read('outputs')).toBe(DTR | RTS);
  }
  await request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, baudRate: 0 }, lines });
  expect(read('outputs')).toBe(0);
  await request({ type: 'lines', lines });
  await call({ call: 'close' }, 'closed');
  expect(read('outputs')).toBe(0);
});

test('with RTS/CTS handshake RTS is raised where it was low; while it is up it is the driver that moves it', async () => {
  start();
  await open();
  const settings = { ...DEFAULT_SETTINGS, flowControl: { ...DEFAULT_SETTINGS.flowControl, rtsCts: true } };
  await request({ type: 'settings', settings, lines: { dtr: false, rts: false } });
  await request({ type: 'lines', lines: { dtr: false, rts: true } });
  expect(read('outputs')).toBe(RTS);
  // Its buffer is full.
  write('outputs', 0);
  await request({ type: 'lines', lines: { dtr: true, rts: true } });
  expect(read('outputs')).toBe(DTR);
});

test('what the driver does not carry is refused, and what was in force stays', async () => {
  write('refuses', TERMIOS.CRTSCTS | TERMIOS.CSTOPB);
  start();
  await open();
  const lines = { dtr: true, rts: true };
  await request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, baudRate: 4800 }, lines });
  const flowControl = { ...DEFAULT_SETTINGS.flowControl, rtsCts: true };
  for (const change of [{ flowControl }, { stopBits: 2 }]) {
    const asked = await request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, ...change }, lines });
    expect(asked).toMatchObject({ done: false, settings: { baudRate: 4800, stopBits: 1 } });
    expect(line.settings).toMatchObject({ baudRate: 4800, stopBits: 1 });
  }
});

test('a break behind a transmitter that is held up is refused; one behind an empty one is not', async () => {
  write('queued', 40);
  start();
  await open();
  expect(await request({ type: 'break', on: true })).toMatchObject({ done: false });
  expect(read('breaks')).toBe(0);
  write('queued', 0);
  expect(await request({ type: 'break', on: true })).toMatchObject({ done: true });
  expect([read('breaks'), read('breaksEnded')]).toEqual([1, 0]);
  await request({ type: 'break', on: false });
  expect([read('breaks'), read('breaksEnded')]).toEqual([1, 1]);
  await request({ type: 'break', on: true });
  await call({ call: 'close' }, 'closed');
  expect([read('breaks'), read('breaksEnded')]).toEqual([2, 2]);
});

test('drained is told after the driver has nothing more and its transmitter is empty', async () => {
  write('queued', 10);
  start();
  await open();
  expect(await call({ call: 'write', text: 'ten bytes.' }, 'wrote')).toMatchObject({ wrote: 10, queued: 10 });
  // The line would need 10 ms; the driver says that it still has them.
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect([count('drained'), read('drains')]).toEqual([0, 0]);
  write('queued', 0);
  await told('drained');
  expect(read('drains')).toBe(1);
});

test('a device that does not answer holds nobody up: what is asked waits, in its order, and bytes with it', async () => {
  write('lines', CTS | DSR);
  start();
  await open();
  write('hangs', hanging());
  const settings = { ...DEFAULT_SETTINGS, baudRate: 19200 };
  const lines = { dtr: true, rts: true };
  const changes = [
    { type: 'lines', lines },
    { type: 'settings', settings, lines },
    { type: 'flush', queue: 'both' },
    { type: 'transmitter', on: true },
  ];
  for (const change of changes) {
    expect(await call({ call: 'begin', request: change }, 'begun')).toMatchObject({ begun: true });
    expect(await call({ call: 'write', text: `after ${change.type}.` }, 'wrote')).toMatchObject({
      wrote: change.type.length + 7,
    });
    line.send('x');
    // Lines hold no byte up.
    if (change.type === 'lines') expect(await told('received')).toEqual({ received: 'x' });
  }
  // Each thread that it could have used up, and its own.
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(await call({ call: 'write', text: 'the last.' }, 'wrote')).toMatchObject({ wrote: 9 });
  expect([count('done'), count('drained')]).toEqual([0, 0]);
  write('hangs', 0);
  await told('done', 3);
  expect(said().flatMap(({ done }) => (done === undefined ? [] : [done]))).toEqual([true, true, true, true]);
  // What was written before the flush and not sent is gone, and what came.
  await eventually('all that was written after it', () => String(line.received).endsWith('the last.'));
  expect(String(line.received)).toBe('after lines.after flush.after transmitter.the last.');
  line.send('y');
  expect(await told('received', 1)).toEqual({ received: 'y' });
});

test('closed while a device does not answer, and opened again: nothing of before is done to it', async () => {
  start();
  await open();
  write('hangs', hanging());
  const lines = { dtr: true, rts: true };
  await call({ call: 'begin', request: { type: 'lines', lines } }, 'begun');
  const settings = { ...DEFAULT_SETTINGS, baudRate: 19200 };
  await call({ call: 'begin', request: { type: 'settings', settings, lines } }, 'begun');
  const closing = call({ call: 'close' }, 'closed');
  const reopening = call({ call: 'open' }, 'opened');
  await new Promise((resolve) => setTimeout(resolve, 100));
  write('hangs', 0);
  await Promise.all([closing, reopening, told('done', 1)]);
  expect(said().filter(({ done }) => done !== undefined)[1]).toMatchObject({
    done: false,
    settings: { baudRate: 9600 },
  });
  expect([read('outputs'), line.settings.baudRate, count('failed')]).toEqual([0, 9600, 0]);
  expect(await request({ type: 'settings', settings, lines })).toMatchObject({ done: true });
  expect([read('outputs'), line.settings.baudRate]).toEqual([DTR | RTS, 19200]);
});

test('RS-485 is switched on where it is asked for, and else left alone', async () => {
  start('rs485');
  await open();
  expect(read('rs485')).toBe(0b011);
});
