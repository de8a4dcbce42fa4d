import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { silentLog } from '../../../src/base/log.js';
import { ServiceManager } from '../../../src/daemon/service-manager.js';
import { notify } from '../../../src/native/notify.js';
import { DatagramReceiver } from '../../support/datagram-receiver.js';
import { ManualClock } from '../../support/manual-clock.js';
import { LogRecorder } from './log-recorder.js';

let dir: string;
let receiver: DatagramReceiver;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'ttynp-notify-'));
  receiver = await DatagramReceiver.bind(join(dir, 'notify'));
  vi.stubEnv('NOTIFY_SOCKET', join(dir, 'notify'));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await receiver.close();
  rmSync(dir, { recursive: true });
});

test('a daemon that is reloaded every few seconds feeds its watchdog all the same', async () => {
  const clock = new ManualClock();
  const manager = new ServiceManager({
    clock,
    log: silentLog,
    present: true,
    watchdogUsec: '30000000',
    pumpUnansweredMs: () => 0,
    status: () => '2 ports',
  });
  const told: string[] = [];
  const read = async () => told.push(...(await receiver.all()).map((datagram) => datagram.toString()));
  manager.ready();
  for (let seconds = 0; seconds < 30; seconds += 10) {
    clock.advance(10_000);
    manager.reloading();
    manager.ready();
    await read();
  }
  manager.stopping();
  expect(clock.timers).toBe(0);
  await read();
  expect(told.filter((state) => state.includes('WATCHDOG=1'))).toHaveLength(2);
  expect(told.at(-1)).toBe('STOPPING=1');
});

test('a manager whose queue is full hears READY=1 all the same, once it reads', async () => {
  const clock = new ManualClock();
  const options = { clock, log: new LogRecorder(), present: true, pumpUnansweredMs: () => 0, status: () => '2 ports' };
  const manager = new ServiceManager({ ...options, watchdogUsec: '30000000' });
  let filled = 0;
  expect(() => {
    for (;;) {
      notify('FDSTORE=1');
      filled++;
    }
  }).toThrow('Resource temporarily unavailable');
  manager.ready();
  clock.advance(15_000);
  expect((await receiver.all()).length).toBe(filled);
  clock.advance(100);
  const told = (await receiver.all()).map((datagram) => datagram.toString());
  expect(told).toEqual(['READY=1\nSTATUS=2 ports', 'WATCHDOG=1']);
  expect(options.log.lines).toEqual([]);
  manager.stopping();
  expect(clock.timers).toBe(0);
});

test('an end waits for no manager', () => {
  const clock = new ManualClock();
  const options = { clock, log: silentLog, present: true, pumpUnansweredMs: () => 0, status: () => '2 ports' };
  const manager = new ServiceManager({ ...options, watchdogUsec: undefined });
  expect(() => {
    for (;;) notify('FDSTORE=1');
  }).toThrow();
  manager.ready();
  manager.stopping();
  expect(clock.timers).toBe(0);
});
