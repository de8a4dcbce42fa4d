// What only a kernel tty can ask of a device, seen at the far end of the wire.
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { until } from '../../support/rig.js';
import { startUsbipRig, type UsbipRig } from '../../support/usbip-rig.js';

let rig: UsbipRig | undefined;
let dir: string | undefined;
afterEach(async () => {
  if (dir) rmSync(dir, { recursive: true });
  dir = undefined;
  await rig?.close();
  rig = undefined;
});

/** Stands for the device node. */
function makeNode(): string {
  dir = mkdtempSync(join(tmpdir(), 'ttynp-node-'));
  const path = join(dir, 'ttyUSB1');
  writeFileSync(path, '');
  return path;
}

async function start(...options: Parameters<typeof startUsbipRig>): Promise<UsbipRig> {
  rig = await startUsbipRig(...options);
  return rig;
}

function readSome(fd: number): string {
  try {
    const buffer = Buffer.alloc(65_536);
    return buffer.toString('latin1', 0, readSync(fd, buffer));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return '';
    throw error;
  }
}

async function take(fd: number, text: string): Promise<void> {
  let got = '';
  await until(`"${text}"`, 5000, () => {
    got += readSome(fd);
    return got.length >= text.length;
  });
  expect(got).toBe(text);
}

const up = (r: UsbipRig) => until('up', 5000, () => r.session.state.name === 'up');

test('bytes both ways, through a device with a loop plug', async () => {
  const r = await start({ simulator: { echo: true } });
  const app = r.open();
  writeSync(app.fd, 'hello');
  await take(app.fd, 'hello');
});

test('data bits, parity and stop bits reach the device before the bytes that follow', async () => {
  const r = await start();
  const app = r.open();
  await up(r);
  await app.line(0x1207);
  await app.setRate(19_200);
  writeSync(app.fd, '7E2');
  await r.recorder.until(() => r.recorder.bytes.length === 3);
  const last = r.recorder.of('bytes').at(-1);
  expect(last?.settings).toMatchObject({ baudRate: 19_200, dataBits: 7, parity: 'even', stopBits: 2 });
});

test("DTR and RTS are the application's, and break has its length", async () => {
  const r = await start();
  const app = r.open();
  await up(r);
  const line = r.simulator.line(1);
  expect(line.outputLines).toEqual({ dtr: true, rts: true });
  await app.lines(0x0200);
  await until('RTS low', 3000, () => !line.outputLines.rts);
  expect(line.outputLines.dtr).toBe(true);
  await app.lines(0x0202);
  await until('RTS high', 3000, () => line.outputLines.rts);
  await app.line(0x4008);
  await r.recorder.until(() => r.recorder.of('break').length === 1);
  await new Promise((resolve) => setTimeout(resolve, 300));
  await app.line(0x0008);
  await r.recorder.until(() => r.recorder.of('break').length === 2);
  const [on, off] = r.recorder.of('break');
  expect([on?.on, off?.on]).toEqual([true, false]);
  expect((off?.atMs ?? 0) - (on?.atMs ?? 0)).toBeGreaterThan(250);
});

test('a change of rate does not raise lines that the application holds low', async () => {
  const r = await start();
  const app = r.open();
  await up(r);
  const line = r.simulator.line(1);
  await app.lines(0x0300);
  await until('low', 3000, () => !line.outputLines.rts && !line.outputLines.dtr);
  await app.setRate(4800);
  await until('4800', 3000, () => line.settings.baudRate === 4800);
  expect(line.outputLines).toEqual({ dtr: false, rts: false });
  expect(r.recorder.of('lines').at(-1)?.lines).toEqual({ dtr: false, rts: false });
});

test("modem lines of the device are the application's", async () => {
  const r = await start();
  const app = r.open();
  await up(r);
  r.simulator.line(1).forceLines({ cts: true, dsr: false, dcd: true, ri: false });
  await until('status', 3000, () => r.driver.packets[1]?.some(([modem]) => modem === 0x91) === true);
  expect((await app.status())[0]).toBe(0x91);
});

test('a lost connection drops the modem lines, and the next one brings them back', async () => {
  const r = await start();
  const app = r.open();
  await up(r);
  await until('lines', 3000, () => r.driver.packets[1]?.at(-1)?.[0] === 0xb1);
  r.simulator.port(1).kill();
  await until('lines dropped', 3000, () => r.driver.packets[1]?.at(-1)?.[0] === 0x01);
  await until('lines back', 5000, () => r.driver.packets[1]?.at(-1)?.[0] === 0xb1);
  expect((await app.status())[0]).toBe(0xb1);
});

test('a break and an error of the line reach the application as their flags', async () => {
  const r = await start();
  const app = r.open();
  await up(r);
  r.simulator.line(1).injectBreak();
  await take(app.fd, '\0');
});

test('tcdrain ends when the device has transmitted, not before', async () => {
  const r = await start();
  const app = r.open();
  await up(r);
  const began = performance.now();
  writeSync(app.fd, Buffer.alloc(600, 0x55));
  await until('taken', 3000, () => r.tty.channel.counters.downTaken === 600);
  // As the driver does: TEMT again and again.
  for (;;) {
    const [, line = 0] = await app.status();
    if (line & 0x40) break;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  expect(r.recorder.bytes.length).toBe(600);
  expect(performance.now() - began).toBeGreaterThan((600 * 10 * 1000) / 9600 - 20);
});

test('the last close: what was written leaves, the lines drop, the connection ends', async () => {
  const r = await start();
  const app = r.open();
  await up(r);
  writeSync(app.fd, 'last words');
  app.close();
  await r.recorder.until(() => r.recorder.bytes.toString() === 'last words');
  await until('idle', 5000, () => r.session.state.name === 'idle');
  expect(r.simulator.line(1).outputLines).toEqual({ dtr: false, rts: false });
  expect(r.recorder.of('flush').length).toBeGreaterThan(0);
});

test('unread input of one use does not reach the next', async () => {
  const r = await start({ simulator: { echo: false, unpaced: true } });
  const app = r.open();
  await up(r);
  r.simulator.line(1).inject(Buffer.alloc(30_000, 0x61));
  await until('delivered', 3000, () => r.tty.channel.counters.upDelivered > 0);
  app.close();
  await until('idle', 5000, () => r.session.state.name === 'idle');
  const next = r.open();
  await up(r);
  r.simulator.line(1).inject(Buffer.from('fresh'));
  await take(next.fd, 'fresh');
});

test('nobody takes what was written: the last close waits closingWait and no longer, another close not at all', async () => {
  const node = makeNode();
  const r = await start({ policy: { offlineData: 'block', onLinkLoss: 'keep' }, node });
  await r.simulator.stop();
  const app = r.open();
  await until('open', 5000, () => r.tty.isOpen);
  const first = openSync(node, 'r+');
  // Two opens of which the first was not looked at yet are told as one.
  await new Promise((resolve) => setTimeout(resolve, 500));
  const second = openSync(node, 'r+');
  writeSync(app.fd, 'x'.repeat(3000));
  closeSync(first);
  await new Promise((resolve) => setTimeout(resolve, 500));
  expect(r.tty.channel.counters.downDropped).toBe(0);
  const began = performance.now();
  closeSync(second);
  app.close();
  await until('closed', 5000, () => !r.tty.isOpen);
  expect(performance.now() - began).toBeGreaterThanOrEqual(299);
  expect(r.tty.channel.counters.downDropped).toBe(3000);
});

test('a drain that cannot end without a connection ends when there is one again', async () => {
  const r = await start({ policy: { offlineData: 'hold' } });
  const app = r.open();
  await up(r);
  const empty = async () => (((await app.status())[1] ?? 0) & 0x40) !== 0;
  await r.simulator.stop('reset');
  await until('lost', 5000, () => r.session.state.name !== 'up');
  writeSync(app.fd, 'later');
  await until('taken', 3000, () => r.tty.channel.counters.downTaken === 5);
  expect(await empty()).toBe(false);
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(await empty()).toBe(false);
  await r.simulator.start();
  while (!(await empty())) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(r.recorder.bytes.toString()).toBe('later');
});

test('an application that only seemed to close goes on writing', async () => {
  const node = makeNode();
  const r = await start({ policy: { offlineData: 'block' }, node });
  await r.simulator.stop();
  const app = r.open();
  await until('open', 5000, () => r.tty.isOpen);
  closeSync(openSync(node, 'r+'));
  writeSync(app.fd, 'lost');
  await until('dropped', 5000, () => r.tty.channel.counters.downDropped === 4);
  await new Promise((resolve) => setTimeout(resolve, 1100));
  writeSync(app.fd, 'kept');
  await r.simulator.start();
  await r.recorder.until(() => r.recorder.bytes.toString() === 'kept');
});

test('RTS on, bytes, all of them out, RTS off: no byte is on the line without it', async () => {
  const r = await start({ simulator: { unpaced: true } });
  const app = r.open();
  await up(r);
  await app.lines(0x0200);
  for (let n = 0; n < 30; n++) {
    await app.lines(0x0202);
    writeSync(app.fd, `request ${n % 10}`);
    await r.recorder.until(() => r.recorder.bytes.length === 9 * (n + 1));
    while ((((await app.status())[1] ?? 0) & 0x40) === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    await app.lines(0x0200);
  }
  let rts = true;
  const outside: string[] = [];
  for (const record of r.recorder.records) {
    if (record.type === 'lines') rts = record.lines.rts;
    if (record.type === 'bytes' && !rts) outside.push(Buffer.from(record.bytes).toString());
  }
  expect(outside).toEqual([]);
});
