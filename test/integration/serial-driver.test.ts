// What a real port does that a PTY cannot: modem lines, error counters, breaks, drains, refusals. The kernel's driver is
// played (test/support/uart_driver.c); the program is the built one, in a process of its own.
import { expect, test } from 'vitest';
import { DEFAULT_SETTINGS } from '../../src/serial/line.js';
import { TERMIOS } from '../../src/serial/termios.js';
import { eventually } from '../support/e2e.js';
import { PlayedUart } from '../support/played-uart.js';

/** TIOCM_ bits. */
const [DTR, RTS, CTS, DCD, RI, DSR] = [0x2, 0x4, 0x20, 0x40, 0x80, 0x100];

const uart = new PlayedUart();

test('the lines of the device, as they are and as they change; a change wakes the waiter', async () => {
  uart.write('lines', CTS | DSR);
  uart.start();
  expect(await uart.open()).toMatchObject({ opened: { cts: true, dsr: true, dcd: false, ri: false }, threads: 2 });
  await eventually('a thread waits', () => uart.read('waits') === 1);
  uart.write('lines', CTS | DCD | RI);
  expect(await uart.told('report')).toEqual({
    report: { type: 'lines', lines: { cts: true, dsr: false, dcd: true, ri: true } },
  });
  uart.write('lines', 0);
  expect(await uart.told('report', 1)).toEqual({
    report: { type: 'lines', lines: { cts: false, dsr: false, dcd: false, ri: false } },
  });
});

test('a close ends the thread that waits for the lines', async () => {
  uart.start();
  await uart.open();
  await eventually('a thread waits', () => uart.read('waits') === 1);
  expect(await uart.call({ call: 'close' }, 'closed')).toHaveProperty('ms');
  expect(uart.read('waits')).toBe(0);
  await uart.call({ call: 'open' }, 'opened');
  await eventually('a thread waits again', () => uart.read('waits') === 1);
});

test('errors and breaks of the line are told, each since the last time', async () => {
  uart.write('parity', 7);
  uart.start();
  await uart.open();
  uart.write('frame', 1);
  expect(await uart.told('report')).toEqual({
    report: { type: 'errors', errors: { parity: false, framing: true, overrun: false, bufferOverrun: false } },
  });
  uart.write('brk', 1);
  expect(await uart.told('report', 1)).toEqual({ report: { type: 'break' } });
  uart.write('parity', 8);
  uart.write('overrun', 1);
  uart.write('bufferOverrun', 1);
  await eventually('all are told', () => {
    const all = uart.said.slice(3).flatMap(({ report }) => (typeof report === 'object' && report ? [report] : []));
    const kinds = all.flatMap((one) => Object.entries(Reflect.get(one, 'errors') ?? {}).filter(([, on]) => on));
    return new Set(kinds.map(([kind]) => kind)).size === 3;
  });
});

test('DTR and RTS are low once it is open, move together, and settings do not move them', async () => {
  uart.write('outputs', DTR | RTS);
  uart.start();
  await uart.open();
  expect(uart.read('outputs')).toBe(0);
  await uart.request({ type: 'lines', lines: { dtr: true, rts: true } });
  expect(uart.read('outputs')).toBe(DTR | RTS);
  const sets = uart.read('sets');
  await uart.request({ type: 'lines', lines: { dtr: false, rts: true } });
  expect(uart.read('outputs')).toBe(RTS);
  expect(uart.read('sets')).toBe(sets + 1);
  const lines = { dtr: true, rts: true };
  for (const baudRate of [1200, 115_200, 12_345]) {
    await uart.request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, baudRate }, lines });
    expect(uart.line.settings.baudRate).toBe(baudRate);
    expect(uart.read('outputs')).toBe(DTR | RTS);
  }
  await uart.request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, baudRate: 0 }, lines });
  expect(uart.read('outputs')).toBe(0);
  await uart.request({ type: 'lines', lines });
  await uart.call({ call: 'close' }, 'closed');
  expect(uart.read('outputs')).toBe(0);
});

test('with RTS/CTS handshake RTS is raised where it was low; while it is up it is the driver that moves it', async () => {
  uart.start();
  await uart.open();
  const settings = { ...DEFAULT_SETTINGS, flowControl: { ...DEFAULT_SETTINGS.flowControl, rtsCts: true } };
  await uart.request({ type: 'settings', settings, lines: { dtr: false, rts: false } });
  await uart.request({ type: 'lines', lines: { dtr: false, rts: true } });
  expect(uart.read('outputs')).toBe(RTS);
  // Its buffer is full.
  uart.write('outputs', 0);
  await uart.request({ type: 'lines', lines: { dtr: true, rts: true } });
  expect(uart.read('outputs')).toBe(DTR);
});

test('what the driver does not carry is refused, and what was in force stays', async () => {
  uart.write('refuses', TERMIOS.CRTSCTS | TERMIOS.CSTOPB);
  uart.start();
  await uart.open();
  const lines = { dtr: true, rts: true };
  await uart.request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, baudRate: 4800 }, lines });
  const flowControl = { ...DEFAULT_SETTINGS.flowControl, rtsCts: true };
  for (const change of [{ flowControl }, { stopBits: 2 }]) {
    const asked = await uart.request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, ...change }, lines });
    expect(asked).toMatchObject({ done: false, settings: { baudRate: 4800, stopBits: 1 } });
    expect(uart.line.settings).toMatchObject({ baudRate: 4800, stopBits: 1 });
  }
});

test('a break behind a transmitter that is held up is refused; one behind an empty one is not', async () => {
  uart.write('queued', 40);
  uart.start();
  await uart.open();
  expect(await uart.request({ type: 'break', on: true })).toMatchObject({ done: false });
  expect(uart.read('breaks')).toBe(0);
  uart.write('queued', 0);
  expect(await uart.request({ type: 'break', on: true })).toMatchObject({ done: true });
  expect([uart.read('breaks'), uart.read('breaksEnded')]).toEqual([1, 0]);
  await uart.request({ type: 'break', on: false });
  expect([uart.read('breaks'), uart.read('breaksEnded')]).toEqual([1, 1]);
  await uart.request({ type: 'break', on: true });
  await uart.call({ call: 'close' }, 'closed');
  expect([uart.read('breaks'), uart.read('breaksEnded')]).toEqual([2, 2]);
});

test('drained is told after the driver has nothing more and its transmitter is empty', async () => {
  uart.write('queued', 10);
  uart.start();
  await uart.open();
  expect(await uart.call({ call: 'write', text: 'ten bytes.' }, 'wrote')).toMatchObject({ wrote: 10, queued: 10 });
  // The line would need 10 ms; the driver says that it still has them.
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect([uart.count('drained'), uart.read('drains')]).toEqual([0, 0]);
  uart.write('queued', 0);
  await uart.told('drained');
  expect(uart.read('drains')).toBe(1);
});

test('a device that does not answer holds nobody up: what is asked waits, in its order, and bytes with it', async () => {
  uart.write('lines', CTS | DSR);
  uart.start();
  await uart.open();
  uart.hang();
  const settings = { ...DEFAULT_SETTINGS, baudRate: 19200 };
  const lines = { dtr: true, rts: true };
  const changes = [
    { type: 'lines', lines },
    { type: 'settings', settings, lines },
    { type: 'flush', queue: 'both' },
    { type: 'transmitter', on: true },
  ];
  for (const change of changes) {
    expect(await uart.begin(change)).toMatchObject({ begun: true });
    expect(await uart.call({ call: 'write', text: `after ${change.type}.` }, 'wrote')).toMatchObject({
      wrote: change.type.length + 7,
    });
    uart.line.send('x');
    // Lines hold no byte up.
    if (change.type === 'lines') expect(await uart.told('received')).toEqual({ received: 'x' });
  }
  // Each thread that it could have used up, and its own.
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(await uart.call({ call: 'write', text: 'the last.' }, 'wrote')).toMatchObject({ wrote: 9 });
  expect([uart.count('done'), uart.count('drained')]).toEqual([0, 0]);
  uart.write('hangs', 0);
  await uart.told('done', 3);
  expect(uart.said.flatMap(({ done }) => (done === undefined ? [] : [done]))).toEqual([true, true, true, true]);
  // What was written before the flush and not sent is gone, and what came.
  await eventually('all that was written after it', () => String(uart.line.received).endsWith('the last.'));
  expect(String(uart.line.received)).toBe('after lines.after flush.after transmitter.the last.');
  uart.line.send('y');
  expect(await uart.told('received', 1)).toEqual({ received: 'y' });
});

test('closed while a device does not answer, and opened again: nothing of before is done to it', async () => {
  uart.start();
  await uart.open();
  uart.hang();
  const lines = { dtr: true, rts: true };
  await uart.begin({ type: 'lines', lines });
  const settings = { ...DEFAULT_SETTINGS, baudRate: 19200 };
  await uart.begin({ type: 'settings', settings, lines });
  const closing = uart.call({ call: 'close' }, 'closed');
  const reopening = uart.call({ call: 'open' }, 'opened');
  await new Promise((resolve) => setTimeout(resolve, 100));
  uart.write('hangs', 0);
  await Promise.all([closing, reopening, uart.told('done', 1)]);
  expect(uart.said.filter(({ done }) => done !== undefined)[1]).toMatchObject({
    done: false,
    settings: { baudRate: 9600 },
  });
  expect([uart.read('outputs'), uart.line.settings.baudRate, uart.count('failed')]).toEqual([0, 9600, 0]);
  expect(await uart.request({ type: 'settings', settings, lines })).toMatchObject({ done: true });
  expect([uart.read('outputs'), uart.line.settings.baudRate]).toEqual([DTR | RTS, 19200]);
});

test('RS-485 is switched on where it is asked for, and else left alone', async () => {
  uart.start('rs485');
  await uart.open();
  expect(uart.read('rs485')).toBe(0b011);
});
