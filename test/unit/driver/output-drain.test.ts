import { writeSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { type DrainResult, drainOutput } from '../../../src/driver/output-drain.js';
import { MemoryDevice } from '../../../src/link/memory.js';
import type { FenceResult } from '../../../src/native/channel.js';
import { closeFd, discardInput } from '../../../src/native/socket.js';
import { ManualClock } from '../../support/manual-clock.js';
import { StillChannel } from './support.js';

let closeLink: (() => Promise<void>) | undefined;
afterEach(async () => {
  await closeLink?.();
  closeLink = undefined;
});

async function setUp(withoutProgressMs = 1000) {
  const clock = new ManualClock();
  const device = new MemoryDevice(clock);
  const link = device.link();
  const connecting = link.connect({ report: () => {}, down: () => {} }, new AbortController().signal);
  await clock.advanceAsync(0);
  await connecting;
  closeLink = () => link.close();
  const channel = new StillChannel();
  const abort = new AbortController();
  let result: DrainResult | undefined;
  const begin = () => {
    void drainOutput(channel, link, clock, withoutProgressMs, abort.signal).then((told) => {
      result = told;
    });
  };
  return { clock, device, link, channel, abort, begin, result: () => result };
}

test('drained when the fence has passed and the device has nothing left', async () => {
  const t = await setUp();
  t.begin();
  await t.clock.advanceAsync(10);
  expect(t.result()).toBe('drained');
});

test('bytes that wait for a resume are not waited for', async () => {
  const t = await setUp();
  t.channel.counters.downParked = 20;
  t.begin();
  await t.clock.advanceAsync(10);
  expect(t.result()).toBe('drained');
});

test('stuck only after the time without progress; progress prolongs it', async () => {
  const t = await setUp(1000);
  let left = 500;
  t.device.script.left = () => left;
  t.begin();
  for (let i = 0; i < 20; i++) {
    left -= 10;
    await t.clock.advanceAsync(200);
  }
  expect(t.result()).toBeUndefined();
  await t.clock.advanceAsync(700);
  expect(t.result()).toBeUndefined();
  await t.clock.advanceAsync(400);
  expect(t.result()).toBe('stuck');
});

test('a device whose window is shut makes progress when its queue shrinks', async () => {
  const t = await setUp(1000);
  let left = 30_000;
  t.device.script.left = () => left--;
  t.channel.fences = Array.from({ length: 2000 }, () => 'timeout');
  t.begin();
  await t.clock.advanceAsync(3000);
  expect(t.result()).toBeUndefined();
  t.device.script.left = () => left;
  await t.clock.advanceAsync(1100);
  expect(t.result()).toBe('stuck');
});

test('a device that answers at once is not asked thousands of times a second', async () => {
  const t = await setUp(100_000);
  let asked = 0;
  t.device.script.left = () => {
    asked++;
    return 7;
  };
  t.begin();
  await t.clock.advanceAsync(1000);
  expect(asked).toBeGreaterThan(10);
  expect(asked).toBeLessThan(250);
  t.abort.abort();
  await t.clock.advanceAsync(10);
  expect(t.result()).toBe('lost');
});

test('lost when the link ends, when the channel is unjoined and when it is aborted', async () => {
  const ended = await setUp();
  ended.device.script.left = () => 1;
  ended.begin();
  await ended.clock.advanceAsync(10);
  await ended.link.close();
  await ended.clock.advanceAsync(10);
  expect(ended.result()).toBe('lost');

  const unjoined = await setUp();
  unjoined.channel.fences = ['detached'];
  unjoined.begin();
  await unjoined.clock.advanceAsync(0);
  expect(unjoined.result()).toBe('lost');

  const aborted = await setUp();
  let pass: (result: FenceResult) => void = () => {};
  aborted.channel.fences = [
    new Promise((resolve) => {
      pass = resolve;
    }),
  ];
  aborted.begin();
  aborted.abort.abort();
  pass('timeout');
  await aborted.clock.advanceAsync(0);
  expect(aborted.result()).toBe('lost');
});

test('without a question for the queue the fence is all there is', async () => {
  const t = await setUp();
  t.device.script.capabilities = { ...t.device.script.capabilities, drain: false };
  t.channel.fences = ['timeout', 'passed'];
  t.begin();
  await t.clock.advanceAsync(0);
  expect(t.result()).toBe('drained');
});

test('what the link itself still has is waited for after the fence', async () => {
  const t = await setUp();
  t.device.script.capabilities = { ...t.device.script.capabilities, drain: false };
  const far = t.device.takeDataFd();
  writeSync(t.link.dataFd, 'on its way');
  t.begin();
  await t.clock.advanceAsync(100);
  expect(t.link.unsent).toBeGreaterThan(0);
  expect(t.result()).toBe(undefined);
  expect(discardInput(far)).toBe(10);
  await t.clock.advanceAsync(100);
  expect(t.result()).toBe('drained');
  closeFd(far);
});
