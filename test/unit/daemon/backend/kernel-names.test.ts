// When a name that udev makes counts as there, and who is told.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { KernelNames } from '../../../../src/daemon/backend/kernel-names.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { until } from '../../../support/rig.js';

let dev: string;
let names: KernelNames;
let clock: ManualClock;
let changed: string[];
let asked: number;
let trouble: string | undefined;

beforeEach(() => {
  dev = mkdtempSync(join(tmpdir(), 'ttynp-dev-'));
  clock = new ManualClock();
  changed = [];
  asked = 0;
  trouble = undefined;
  names = new KernelNames({ dev, clock, changed: (tty) => changed.push(tty), ask: () => asked++ });
});
afterEach(() => {
  for (const name of ['a', 'b']) names.remove(name);
  rmSync(dev, { recursive: true, force: true });
});

const path = (name = 'a') => join(dev, name);
const add = (name = 'a') => names.add(name, path(name), () => trouble);
function plug(name = 'a', node = 'ttyUSB3'): void {
  writeFileSync(join(dev, node), '');
  symlinkSync(node, path(name));
}

test('without a device the reason is the device’s; then the name is waited for; then it is there', () => {
  trouble = 'no helper';
  add();
  expect(names.missing('a')).toBe('waits for its device: no helper');
  trouble = undefined;
  expect(names.missing('a')).toBe(`waits for its name: udev has not made ${path()} yet`);
  plug();
  expect(names.missing('a')).toBeUndefined();
  expect(names.missing('nobody’s')).toBeUndefined();
});

test.each([
  ['a link to a device that is gone', () => symlinkSync('ttyUSB9', path()), /leads to ttyUSB9, which is gone$/],
  ['the link of a PTY', () => symlinkSync('/run/ttynp/a', path()), /leads to \/run\/ttynp\/a and is not udev's$/],
  ['a link to another device', () => symlinkSync('ttyS0', path()), /leads to ttyS0 and is not udev's$/],
  ['a file', () => writeFileSync(path(), ''), /is there already, ttynp did not make it/],
  ['a directory', () => mkdirSync(path()), /is there already, ttynp did not make it/],
])('%s is not the name', (_, make, message) => {
  make();
  add();
  expect(names.missing('a')).toMatch(message);
});

test('a name that comes or goes is told at once, by the kernel', async () => {
  add();
  plug();
  await until('told that it came', 3000, () => {
    clock.advance(20);
    return changed.length === 1;
  });
  rmSync(path());
  await until('told that it went', 3000, () => {
    clock.advance(20);
    return changed.length === 2;
  });
  expect(changed).toEqual(['a', 'a']);
});

test('where all are there nothing looks any more, and where none is wanted nothing waits', () => {
  plug();
  add();
  clock.advance(1000);
  expect(clock.timers).toBe(0);
  names.remove('a');
  expect(clock.timers).toBe(0);
});

test('another reason is a change too', () => {
  trouble = 'no helper';
  add();
  clock.advance(1000);
  expect(changed).toEqual([]);
  trouble = 'no module';
  clock.advance(1000);
  expect(changed).toEqual(['a']);
});

test('udev is asked again every five seconds while a device is there and its name is not', () => {
  trouble = 'no helper';
  add();
  add('b');
  plug('b');
  for (let s = 0; s < 10; s++) clock.advance(1000);
  expect(asked).toBe(0);
  trouble = undefined;
  for (let s = 0; s < 11; s++) clock.advance(1000);
  expect(asked).toBe(2);
  plug('a', 'ttyUSB4');
  for (let s = 0; s < 11; s++) clock.advance(1000);
  expect(asked).toBe(2);
});
