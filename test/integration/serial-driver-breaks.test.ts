// Breaks of a real port (played, test/support/uart_driver.c): the driver begins one when all has been transmitted, which may take as
// long as CTS holds an adapter's own buffer, and meanwhile it is ended, asked for again, or the port is closed.
import { expect, test } from 'vitest';
import { eventually } from '../support/e2e.js';
import { sleep } from '../support/leftovers.js';
import { PlayedUart } from '../support/played-uart.js';

const uart = new PlayedUart();
const on = { type: 'break', on: true };
const off = { type: 'break', on: false };

/** The port is open, and the driver waits with a break. */
async function waitsWithBreak(): Promise<void> {
  uart.start();
  await uart.open();
  uart.write('holds', 1);
  await uart.begin(on);
  await eventually('the driver waits', () => uart.read('held') === 1);
}

test.each(['closed', 'ended, then closed'])('%s while the driver waits with one: none is left on', async (how) => {
  await waitsWithBreak();
  if (how !== 'closed') await uart.begin(off);
  const closing = uart.call({ call: 'close' }, 'closed');
  await sleep(20);
  uart.write('holds', 0);
  await closing;
  await sleep(200);
  expect(uart.read('breaking')).toBe(0);
});

test('ended while the driver waits with one: what is written after it goes out without', async () => {
  await waitsWithBreak();
  await uart.begin(off);
  await uart.told('done', 1);
  await uart.call({ call: 'write', text: 'after it' }, 'wrote');
  uart.write('holds', 0);
  await eventually('it has come', () => String(uart.line.received) === 'after it');
  await sleep(200);
  expect([uart.read('breaks'), uart.read('breaking')]).toEqual([0, 0]);
});

test('on, off, on in a row: the line is in one, and bytes wait for its end', async () => {
  uart.start();
  await uart.open();
  await uart.begin(on, off, on);
  await uart.told('done', 2);
  await uart.call({ call: 'write', text: 'held' }, 'wrote');
  await sleep(50);
  expect([uart.read('breaking'), String(uart.line.received)]).toEqual([1, '']);
  await uart.request(off);
  await eventually('it has come', () => String(uart.line.received) === 'held');
  expect(uart.read('breaking')).toBe(0);
});

test('off, on in a row: no byte moves during the second one', async () => {
  uart.start();
  await uart.open();
  await uart.request(on);
  await uart.begin(off, on);
  await uart.told('done', 2);
  await uart.call({ call: 'write', text: 'held' }, 'wrote');
  await sleep(50);
  expect([uart.read('breaking'), String(uart.line.received)]).toEqual([1, '']);
});

test('handed over while the driver waits with one that was ended: the next process ends it', async () => {
  await waitsWithBreak();
  await uart.begin(off);
  const kept = await uart.call({ call: 'hand over' }, 'kept');
  uart.write('holds', 0);
  await uart.end();
  // As if the driver had begun it after all.
  uart.write('breaking', 1);
  uart.start();
  await uart.call({ call: 'open', ...kept }, 'opened');
  expect(uart.read('breaking')).toBe(0);
});

test('held for long: it is refused, and the bytes after it go out', async () => {
  await waitsWithBreak();
  expect(await uart.told('done')).toMatchObject({ done: false });
  await uart.call({ call: 'write', text: 'x' }, 'wrote');
  await eventually('it has come', () => String(uart.line.received) === 'x');
  uart.write('holds', 0);
  await uart.told('drained');
  expect([uart.read('breaks'), uart.read('breaking')]).toEqual([0, 0]);
});
