// Restarts and kills as an application at a port of a virtual adapter sees them, and the device at the far end. The root
// helper and the kernel's driver are played; test/vm runs the real ones.
import { mkdtempSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { DriverApp } from '../support/ftdi-driver.js';
import { CUT_RECORDS, killUnderTraffic, type TrafficApp } from '../support/kill-under-traffic.js';
import { type Managed, managedTests } from '../support/managed.js';
import { PlayedHelper } from '../support/played-helper.js';
import { until } from '../support/rig.js';

const { cleanups, managed } = managedTests();

async function start(...[options, manager]: Parameters<typeof managed>): Promise<{ m: Managed; helper: PlayedHelper }> {
  const dir = mkdtempSync(join(tmpdir(), 'ttynp-helper-'));
  cleanups.push(() => rmSync(dir, { recursive: true }));
  const helper = new PlayedHelper(join(dir, 'helper.sock'));
  cleanups.push(() => helper.close());
  const backend = { tty: { backend: 'usbip' }, config: { usbip: { socket: helper.path } } };
  const m = await managed({ ...options, ...backend }, manager);
  await until('a device', 10_000, () => helper.devices.length === 1);
  return { m, helper };
}

function open(helper: PlayedHelper, index = 0): DriverApp & TrafficApp {
  const app = helper.devices.at(-1)?.open(index);
  if (!app) throw new Error('no device');
  cleanups.push(() => app.close());
  const trying = <T>(work: () => T, nothing: T): T => {
    try {
      return work();
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return nothing;
      throw error;
    }
  };
  return {
    ...app,
    write: (bytes) => trying(() => writeSync(app.fd, bytes), 0),
    read: () =>
      trying<Buffer | undefined>(() => {
        const buffer = Buffer.alloc(65_536);
        const n = readSync(app.fd, buffer);
        return n === 0 ? undefined : buffer.subarray(0, n);
      }, Buffer.alloc(0)),
  };
}

async function take(app: TrafficApp, text: string): Promise<void> {
  let got = '';
  await until(`"${text}"`, 10_000, () => {
    got += app.read()?.toString() ?? '(hung up)';
    return got.length >= text.length;
  });
  expect(got).toBe(text);
}

test('an application and a device do not notice a restart; settings and lines are as they were', async () => {
  const { m, helper } = await start({ simulator: { echo: true } });
  const app = open(helper);
  await app.setRate(19_200);
  await app.line(0x0207);
  const peer = await m.connected();
  app.write(Buffer.from('before'));
  await take(app, 'before');
  const noticed = () => m.whole.recorder().records.filter(({ type }) => type !== 'bytes');
  const seen = noticed().length;
  for (let round = 0; round < 3; round++) {
    expect(await m.restart()).toBe(0);
    app.write(Buffer.from(`round ${round}`));
    await take(app, `round ${round}`);
  }
  expect(m.peer()).toBe(peer);
  expect(noticed().slice(seen)).toEqual([]);
  expect(helper.devices).toHaveLength(1);
  expect((await m.whole.port()).acknowledged).toMatchObject({ format: '19200,7E1' });
});

test('what an application did while there was no daemon is done by the next one', async () => {
  const { m, helper } = await start({ simulator: { echo: true } });
  const app = open(helper);
  await m.connected();
  await m.handOver();
  const rate = app.setRate(4800);
  const rts = app.lines(0x0200);
  app.write(Buffer.from('meanwhile'));
  await m.again();
  await Promise.all([rate, rts]);
  await take(app, 'meanwhile');
  await m.whole.recorder().until(() => m.whole.simulator.line(1).outputLines.rts === false);
  expect(m.whole.recorder().of('bytes').at(-1)?.settings.baudRate).toBe(4800);
});

test('a daemon killed 20 times under traffic: the application goes on, nothing is doubled', async () => {
  const { m, helper } = await start({ simulator: { unpaced: true, echo: false } });
  const app = open(helper);
  const peer = await m.connected();
  const { down, up } = await killUnderTraffic(m, app, 20);
  expect(m.peer()).toBe(peer);
  expect(helper.devices).toHaveLength(1);
  expect(down.missing).toBeLessThanOrEqual(20 * (4096 + CUT_RECORDS));
  expect(up.missing).toBeLessThanOrEqual(20 * (16_384 + CUT_RECORDS));
}, 120_000);

test('a stop unplugs: the application is hung up, the device’s lines drop, and nothing is kept', async () => {
  const { m, helper } = await start();
  const app = open(helper);
  await m.connected();
  await m.manager.signal('SIGINT');
  await until('hung up', 10_000, () => app.read() === undefined);
  expect(helper.devices[0]?.ended).toBe(true);
  await m.whole.recorder().until(() => m.whole.simulator.line(1).outputLines.dtr === false);
});

test('killed without a store: the application is hung up, and the same port works again', async () => {
  const { m, helper } = await start({ simulator: { echo: true } }, { limit: 0 });
  const app = open(helper);
  await m.connected();
  await m.kill9();
  await until('hung up', 10_000, () => app.read() === undefined);
  await until('another device', 10_000, () => helper.devices.length === 2);
  const requests = helper.requests.filter((line) => line.includes('"interfaces"'));
  expect(requests[1]).toBe(requests[0]);
  const next = open(helper);
  next.write(Buffer.from('again'));
  await take(next, 'again');
});
