// What applications, devices and the administrator did while no daemon ran: the next one treats it as if it had seen it.
import { expect, test } from 'vitest';
import { getTermios, setTermios } from '../../src/native/termios.js';
import { eventually } from '../support/e2e.js';
import { managedTests } from '../support/managed.js';

const { managed, open } = managedTests();

test('closed meanwhile: what was written last leaves, then the use ends as any', async () => {
  const m = await managed({ simulator: { echo: false } });
  const app = open(m);
  await m.connected();
  expect(await m.handOver()).toBe(0);
  app.write('last words');
  app.close();
  // No daemon: nothing was told yet, and the device keeps its lines.
  expect(m.whole.simulator.line(1).outputLines).toEqual({ dtr: true, rts: true });
  await m.again();
  await m.whole.recorder().until(() => m.whole.recorder().bytes.toString() === 'last words');
  await m.whole.portIs('is idle', ({ state }) => state === 'idle');
  expect(m.whole.simulator.line(1).outputLines).toEqual({ dtr: false, rts: false });
  expect(m.whole.recorder().of('flush').length).toBeGreaterThan(0);
  await eventually('the connection has ended', () => !m.whole.simulator.port(1).up);
});

test('opened meanwhile: connected, and what was written arrives', async () => {
  const m = await managed({ simulator: { echo: true } });
  expect(await m.handOver()).toBe(0);
  const app = open(m);
  app.write('early');
  await m.again();
  expect((await app.readExactly(5)).toString()).toBe('early');
});

test('opened, written and closed meanwhile: it arrives', async () => {
  const m = await managed({ simulator: { echo: false } });
  expect(await m.handOver()).toBe(0);
  const app = open(m);
  app.write('hit and run');
  app.close();
  await m.again();
  await m.whole.recorder().until(() => m.whole.recorder().bytes.toString() === 'hit and run');
});

test('settings changed meanwhile: the device has them before the bytes that follow', async () => {
  const m = await managed({ simulator: { echo: false } });
  const app = open(m);
  await m.connected();
  await m.whole.portIs('is up', ({ state }) => state === 'up');
  expect(await m.handOver()).toBe(0);
  setTermios(app.fd, { ...getTermios(app.fd), inputSpeed: 19_200, outputSpeed: 19_200 });
  app.write('at 19200');
  await m.again();
  await m.whole.recorder().until(() => m.whole.recorder().bytes.length === 8);
  expect(new Set(m.whole.recorder().rates)).toEqual(new Set([19_200]));
});

test('the device sent meanwhile: the application reads it', async () => {
  const m = await managed({ simulator: { echo: false, unpaced: true } });
  const app = open(m);
  await m.connected();
  expect(await m.handOver()).toBe(0);
  m.whole.simulator.line(1).inject(Buffer.from('measured'));
  await m.again();
  expect((await app.readExactly(8)).toString()).toBe('measured');
});

test('the device ended the connection meanwhile: it is made anew, and the application stays', async () => {
  const m = await managed({ simulator: { echo: true } });
  const app = open(m);
  const peer = await m.connected();
  expect(await m.handOver()).toBe(0);
  m.whole.simulator.port(1).kill();
  await m.again();
  await eventually(
    () => `another connection than ${peer}: ${m.peer()}\n${m.manager.stderr}`,
    () => m.whole.simulator.port(1).up && m.peer() !== peer,
  );
  await m.whole.portIs('is up', ({ state }) => state === 'up');
  app.write('again');
  expect((await app.readExactly(5)).toString()).toBe('again');
});

test('the configuration leads elsewhere: the application stays, and the old device is left', async () => {
  const m = await managed({ ports: 2, simulator: { echo: true } });
  const app = open(m);
  await m.connected(1);
  expect(await m.handOver()).toBe(0);
  const { entry } = { entry: m.whole.entry(2) };
  m.whole.configure({ ttys: { ttyNP0: entry } });
  await m.again();
  await m.connected(2);
  await eventually('port 1 is left', () => !m.whole.simulator.port(1).up);
  await m.whole.portIs('is up', ({ state }) => state === 'up');
  app.write('there');
  expect((await app.readExactly(5)).toString()).toBe('there');
  await eventually('the store has it', async () => (await m.manager.store()).length === 5);
});

test('the tty is configured no more: its application is hung up, and nothing of it stays', async () => {
  const m = await managed({ ports: 2, simulator: { echo: true } });
  const gone = open(m, 'ttyNP1');
  const app = open(m, 'ttyNP0');
  await m.connected(1);
  await m.connected(2);
  expect(await m.handOver()).toBe(0);
  m.whole.configure({ ttys: { ttyNP0: m.whole.entry(1) } });
  await m.again();
  await eventually('it is hung up', () => gone.read() === undefined);
  await eventually('port 2 is left', () => !m.whole.simulator.port(2).up);
  app.write('still here');
  expect((await app.readExactly(10)).toString()).toBe('still here');
  expect(m.manager.stderr).toMatch(/4 kept descriptors belong to no port/);
  expect((await m.manager.store()).sort()).toEqual([
    'command-ttyNP0',
    'data-ttyNP0',
    'pump',
    'state-ttyNP0',
    'tty-ttyNP0',
  ]);
});

test('a broken configuration meanwhile: mended, the port goes on', async () => {
  const m = await managed({ simulator: { echo: true } });
  const app = open(m);
  const peer = await m.connected();
  expect(await m.handOver()).toBe(0);
  m.whole.configure({ ttys: { ttyNP0: { port: 'many' } } });
  await m.manager.start();
  expect(await m.manager.waitExit()).toBe(78);
  expect(m.manager.stderr).toMatch(/ttynp\.yaml:\d+: /);
  m.whole.configure();
  await m.again();
  app.write('mended');
  expect((await app.readExactly(6)).toString()).toBe('mended');
  expect(m.peer()).toBe(peer);
});
