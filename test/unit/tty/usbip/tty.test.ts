// What a port of a virtual adapter holds back until its session has told the device.
import { writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { Pump } from '../../../../src/native/pump.js';
import { closeFd, discardInput, socketPair } from '../../../../src/native/socket.js';
import type { TtyEvent } from '../../../../src/tty/tty.js';
import { UsbipAdapter } from '../../../../src/tty/usbip/adapter.js';
import { describeDevice } from '../../../../src/tty/usbip/identity.js';
import { FtdiDriver } from '../../../support/ftdi-driver.js';
import { plugInTty } from '../../../support/usbip-rig.js';
import { readExactly, until } from '../../native/support.js';

test.each<[string, number, number, TtyEvent['type']]>([
  ['RTS', 1, 0x0200, 'lines'],
  ['a break', 4, 0x4008, 'break'],
  ['a rate', 3, 0x0271, 'settings'],
])('bytes behind %s wait until resumed', async (_, request, value, type) => {
  const pump = new Pump();
  const { driver, tty } = plugInTty(pump);
  const [near, far] = socketPair();
  const events: TtyEvent[] = [];
  tty.onEvent = (event) => events.push(event);
  tty.channel.attach(near);
  const app = driver.open(1);
  await until(() => events.some((event) => event.type === 'lines'));
  tty.channel.resume('down');
  events.length = 0;
  await driver.control(1, request, value, request === 3 ? 2 : 0);
  expect(events.map((event) => event.type)).toEqual([type]);
  writeSync(app.fd, 'behind');
  await new Promise((resolve) => setTimeout(resolve, 50));
  expect(discardInput(far)).toBe(0);
  tty.channel.resume('down');
  expect((await readExactly(far, 6)).toString()).toBe('behind');
  app.close();
  tty.close();
  driver.close();
  pump.close();
  for (const fd of [near, far]) closeFd(fd);
});

test('lines that the device told before the adapter was plugged in are there afterwards', async () => {
  const pump = new Pump();
  const adapter = new UsbipAdapter({ pump });
  adapter.port(0).modemLines({ cts: true, dsr: true, dcd: true, ri: false });
  const [ours, kernels] = socketPair();
  const driver = new FtdiDriver(kernels);
  adapter.plug(ours, describeDevice('high', 'ttynp0', 1), () => {});
  const app = driver.open(0);
  expect((await app.status())[0]).toBe(0xb1);
  app.close();
  adapter.close();
  driver.close();
  pump.close();
});
