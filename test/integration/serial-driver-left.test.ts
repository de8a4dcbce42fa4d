// What a port that is closed or handed over leaves, whatever its driver (played, test/support/uart_driver.c) waits for: nothing of it in
// the device, and nobody who waits with it.
import { closeSync, openSync } from 'node:fs';
import { expect, test } from 'vitest';
import { DEFAULT_SETTINGS } from '../../src/serial/line.js';
import { eventually } from '../support/e2e.js';
import { PlayedUart } from '../support/played-uart.js';

const uart = new PlayedUart();
const LINES_UP = { dtr: true, rts: true };
const OUTPUTS = 0x2 | 0x4;

test('no TIOCMIWAIT, and a device that does not answer: a close holds nobody up', async () => {
  uart.write('noMiwait', 1);
  uart.start();
  await uart.open();
  uart.hang();
  // A few times the interval of its looks at the lines.
  await new Promise((resolve) => setTimeout(resolve, 300));
  await uart.call({ call: 'begin close' }, 'begun');
  uart.write('hangs', 0);
  await uart.told('closed');
});

test('no TIOCMIWAIT: lines are told as they change', async () => {
  uart.write('noMiwait', 1);
  uart.start();
  await uart.open();
  uart.write('lines', 0x20);
  expect(await uart.told('report')).toMatchObject({ report: { type: 'lines', lines: { cts: true, dsr: false } } });
  uart.write('lines', 0);
  expect(await uart.told('report', 1)).toMatchObject({ report: { type: 'lines', lines: { cts: false, dsr: false } } });
});

test('an adapter that holds bytes back for ever: its port closes and opens, and the process ends', async () => {
  uart.start();
  await uart.open();
  uart.write('holds', 1);
  // More often than the pool has threads.
  for (let time = 0; time < 3; time++) {
    await uart.call({ call: 'write', text: 'x' }, 'wrote');
    await eventually('it is waited for', () => uart.read('held') > 0);
    await uart.begin({ type: 'break', on: true });
    await eventually('a break too, or it was refused', () => uart.read('held') > 1 || uart.count('done') > time);
    await uart.call({ call: 'close' }, 'closed');
    await uart.open();
  }
  expect(uart.count('drained')).toBe(0);
  await uart.end();
});

test('closed while its transmitter is stopped, and somebody else has it open: it transmits when it is opened again', async () => {
  const other = openSync(uart.line.path, 'r+');
  try {
    uart.start();
    await uart.open();
    await uart.request({ type: 'transmitter', on: false });
    await uart.call({ call: 'close' }, 'closed');
    await uart.open();
    await uart.call({ call: 'write', text: 'x' }, 'wrote');
    await eventually('it has come', () => String(uart.line.received) === 'x');
  } finally {
    closeSync(other);
  }
});

test('handed over, and another device has its name: its break is ended, its lines fall', async () => {
  uart.start();
  await uart.open();
  await uart.request({ type: 'lines', lines: LINES_UP });
  await uart.request({ type: 'break', on: true });
  const kept = await uart.call({ call: 'hand over' }, 'kept');
  await uart.end();
  expect([uart.read('breaking'), uart.read('outputs')]).toEqual([1, OUTPUTS]);
  uart.start();
  expect(await uart.call({ call: 'open', ...kept, elsewhere: '/dev/ptmx' }, 'notOpened')).toEqual({
    notOpened: 'TTY_GONE',
  });
  expect([uart.read('breaking'), uart.read('outputs')]).toEqual([0, 0]);
});

test('handed over while settings wait for the device: the next process has those of which it tells', async () => {
  uart.start();
  await uart.open();
  uart.hang();
  const settings = { ...DEFAULT_SETTINGS, baudRate: 19_200 };
  await uart.begin({ type: 'settings', settings, lines: LINES_UP });
  await new Promise((resolve) => setTimeout(resolve, 100));
  const kept = await uart.call({ call: 'hand over' }, 'kept');
  uart.write('hangs', 0);
  await uart.end();
  uart.start();
  await uart.call({ call: 'open', ...kept }, 'opened');
  expect(await uart.request({ type: 'fifo' })).toMatchObject({ settings: { baudRate: uart.line.settings.baudRate } });
});
