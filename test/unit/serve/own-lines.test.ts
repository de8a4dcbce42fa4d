import { expect, test } from 'vitest';
import type { LineRequest, OutputLines } from '../../../src/serial/line.js';
import { OwnLines } from '../../../src/serve/own-lines.js';

const UP: OutputLines = { dtr: true, rts: true };
const DOWN: OutputLines = { dtr: false, rts: false };
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** A port that takes a change when it is told to. */
class SlowPort {
  readonly asked: OutputLines[] = [];
  readonly answers: ((taken: boolean | Error) => void)[] = [];

  request(request: LineRequest): Promise<boolean> {
    if (request.type === 'lines') this.asked.push(request.lines);
    return new Promise((resolve, reject) => {
      this.answers.push((taken) => (taken instanceof Error ? reject(taken) : resolve(taken)));
    });
  }

  async answer(taken: boolean | Error = true): Promise<void> {
    this.answers.shift()?.(taken);
    await turn();
  }
}

test('one at a time, in order, the same state again too', async () => {
  const port = new SlowPort();
  const lines = new OwnLines(port, () => {});
  lines.set(UP);
  lines.set(DOWN);
  lines.set(UP);
  expect(port.asked).toEqual([UP]);
  for (let i = 0; i < 3; i++) await port.answer();
  expect(port.asked).toEqual([UP, DOWN, UP]);
  lines.set(UP);
  expect(port.asked).toEqual([UP, DOWN, UP, UP]);
});

test('peers that come and go all the time: the device has few changes to take, a pulse among them, and the last one', async () => {
  const port = new SlowPort();
  const lines = new OwnLines(port, () => {});
  for (let i = 0; i < 100_000; i++) lines.set(i % 2 === 0 ? UP : DOWN);
  while (port.answers.length > 0) await port.answer();
  expect(port.asked.length).toBeLessThan(5);
  expect(port.asked).toContainEqual(UP);
  expect(port.asked.at(-1)).toEqual(DOWN);
});

test('an error is told, and the next is asked for', async () => {
  const port = new SlowPort();
  const errors: unknown[] = [];
  const lines = new OwnLines(port, (error) => errors.push(error));
  lines.set(UP);
  lines.set(DOWN);
  await port.answer(new Error('gone'));
  expect(errors).toEqual([new Error('gone')]);
  expect(port.asked).toEqual([UP, DOWN]);
});
