// The tty side of a channel: open and close, packet mode, settings that stop `down`, and what must not reach a next opener.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, unlinkSync } from 'node:fs';
import { expect, test } from 'vitest';
import { isHungUp } from '../../../src/native/pty.js';
import { closeFd } from '../../../src/native/socket.js';
import { getTermios, setTermios } from '../../../src/native/termios.js';
import { TERMIOS, toLineSettings } from '../../../src/serial/termios.js';
import {
  block,
  leavesNothingBehind,
  makePty,
  onDescriptor,
  opened,
  openSlave,
  PYTHON,
  readExactly,
  readSome,
  rig,
  until,
  writeSome,
} from './support.js';

leavesNothingBehind();

test('open and close are told, and the last words arrive', async () => {
  const r = rig();
  for (let i = 0; i < 20; i++) {
    const slave = await opened(r);
    writeSome(slave, Buffer.from(`words ${i}.`));
    r.closeSlave(slave);
    await r.expectEvent('closed');
    expect((await readExactly(r.net[1], `words ${i}.`.length)).toString()).toBe(`words ${i}.`);
  }
  expect(r.channel.counters.ttyOpen).toBe(false);
});

test('an application that opens, writes and closes between two looks is opened, then closed', async () => {
  const r = rig();
  const slave = r.openSlave();
  writeSome(slave, Buffer.from('hello'));
  r.closeSlave(slave);
  await until(() => r.events.includes('closed'));
  expect(r.events).toEqual(['opened', 'closed']);
  expect((await readExactly(r.net[1], 5)).toString()).toBe('hello');
});

test('closed and opened again while JavaScript was busy is reopened', async () => {
  const r = rig();
  const first = await opened(r);
  r.closeSlave(first);
  block(() => !r.channel.counters.ttyOpen);
  r.openSlave();
  block(() => r.channel.counters.ttyOpen);
  await until(() => r.events.length > 0);
  expect(r.events).toEqual(['reopened']);
});

test('a close that an open follows at once is not lost', async () => {
  const r = rig();
  let slave = await opened(r);
  for (let i = 0; i < 50; i++) {
    r.closeSlave(slave);
    slave = r.openSlave();
    await until(() => r.events.at(-1) === 'reopened' || r.events.at(-1) === 'opened');
    expect([['reopened'], ['closed', 'opened']]).toContainEqual(r.events);
    r.events.length = 0;
  }
});

test('a second application that comes and goes changes nothing for the first', async () => {
  const r = rig();
  const first = await opened(r);
  for (let i = 0; i < 10; i++) r.closeSlave(r.openSlave());
  writeSome(first, Buffer.from('still here'));
  expect((await readExactly(r.net[1], 10)).toString()).toBe('still here');
  expect(r.events).toEqual([]);
});

test('what the network sends while nobody has the tty open is counted, and no stale input', async () => {
  const r = rig();
  writeSome(r.net[1], Buffer.from('nobody'));
  await until(() => r.channel.counters.upUnread === 6);
  const slave = await opened(r);
  writeSome(r.net[1], Buffer.from('you'));
  expect((await readExactly(slave, 3)).toString()).toBe('you');
});

test('a changed rate stops down before later bytes; resume lets them go', async () => {
  const r = rig();
  const slave = await opened(r);
  writeSome(slave, Buffer.from('before'));
  await until(() => r.channel.counters.downTaken === 6);
  const termios = getTermios(slave);
  setTermios(slave, { ...termios, inputSpeed: 250000, outputSpeed: 250000 });
  writeSome(slave, Buffer.from('after'));
  await r.expectEvent('settings');
  expect(toLineSettings(getTermios(r.pty.fd)).baudRate).toBe(250000);
  expect((await readExactly(r.net[1], 6)).toString()).toBe('before');
  expect(await r.channel.fence(1000)).toBe('passed');
  expect(r.channel.counters.downTaken).toBe(6);
  expect(readSome(r.net[1])).toBeUndefined();
  r.channel.resume('down');
  expect((await readExactly(r.net[1], 5)).toString()).toBe('after');
});

const changes: [string, (t: ReturnType<typeof getTermios>) => ReturnType<typeof getTermios>, string[]][] = [
  ['nothing changed', (t) => t, []],
  ['two stop bits', (t) => ({ ...t, cflag: t.cflag | TERMIOS.CSTOPB }), ['settings']],
  ['CRTSCTS', (t) => ({ ...t, cflag: (t.cflag | TERMIOS.CRTSCTS) >>> 0 }), ['settings']],
  ['IXON', (t) => ({ ...t, iflag: t.iflag | TERMIOS.IXON }), ['settings']],
  ['ICANON only', (t) => ({ ...t, lflag: t.lflag | TERMIOS.ICANON }), ['termios']],
  ['CLOCAL only', (t) => ({ ...t, cflag: t.cflag | TERMIOS.CLOCAL }), ['termios']],
];

for (const [what, change, expected] of changes) {
  test(`tcsetattr with ${what} raises ${expected.length === 0 ? 'nothing' : expected.join()}`, async () => {
    const r = rig();
    const slave = await opened(r);
    setTermios(slave, change(getTermios(slave)));
    // A flush is told after what came before it.
    onDescriptor(slave, 'termios.tcflush(3, termios.TCIFLUSH)');
    await until(() => r.events.includes('flush-input'));
    expect(r.events).toEqual([...expected, 'flush-input']);
  });
}

test('settings are seen while an application has cleared EXTPROC, with and without data', async () => {
  const r = rig();
  const slave = await opened(r);
  const set = (baudRate: number) => {
    const t = getTermios(slave);
    setTermios(slave, { ...t, lflag: 0, inputSpeed: baudRate, outputSpeed: baudRate });
  };
  set(19200);
  await r.expectEvent('settings');
  r.channel.resume('down');
  set(38400);
  await r.expectEvent('settings');
  r.channel.resume('down');
  for (let i = 0; i < 50; i++) {
    writeSome(slave, Buffer.from('slow'));
    expect((await readExactly(r.net[1], 4)).toString()).toBe('slow');
    set(57600 + i);
    writeSome(slave, Buffer.from('fast'));
    await r.expectEvent('settings');
    expect(await r.channel.fence(1000)).toBe('passed');
    expect(readSome(r.net[1])).toBeUndefined();
    r.channel.resume('down');
    expect((await readExactly(r.net[1], 4)).toString()).toBe('fast');
  }
});

test('tcflush(TCIFLUSH) drops what is parked for the application, and stops both directions', async () => {
  const r = rig();
  const slave = await opened(r);
  writeSome(r.net[1], Buffer.alloc(30000, 0x41));
  await until(() => r.channel.counters.upParked > 0);
  onDescriptor(slave, 'termios.tcflush(3, termios.TCIFLUSH)');
  await r.expectEvent('flush-input');
  expect(r.channel.counters.upTaken).toBe(30000);
  expect(r.channel.counters.upDropped).toBeGreaterThan(0);
  writeSome(r.net[1], Buffer.from('fresh'));
  writeSome(slave, Buffer.from('request'));
  expect(await r.channel.fence(1000)).toBe('passed');
  expect(r.channel.counters.upTaken).toBe(30000);
  expect(r.channel.counters.downTaken).toBe(0);
  expect(readSome(slave)).toBeUndefined();
  r.channel.resume('up');
  r.channel.resume('down');
  expect((await readExactly(slave, 5)).toString()).toBe('fresh');
  expect((await readExactly(r.net[1], 7)).toString()).toBe('request');
});

test('tcflush(TCOFLUSH) drops what is parked for the network, and stops down', async () => {
  const r = rig({ attach: false, offline: { mode: 'hold', bytes: 65536 } });
  const slave = await opened(r);
  writeSome(slave, Buffer.from('doomed'));
  await until(() => r.channel.counters.downParked === 6);
  onDescriptor(slave, 'termios.tcflush(3, termios.TCOFLUSH)');
  await r.expectEvent('flush-output');
  expect(r.channel.counters.downParked).toBe(0);
  expect(r.channel.counters.downDropped).toBe(6);
  r.channel.attach(r.net[0]);
  writeSome(slave, Buffer.from('later'));
  expect(await r.channel.fence(1000)).toBe('passed');
  expect(r.channel.counters.downTaken).toBe(6);
  r.channel.resume('down');
  expect((await readExactly(r.net[1], 5)).toString()).toBe('later');
});

test('tcflow is told', async () => {
  const r = rig();
  const slave = await opened(r);
  onDescriptor(slave, 'termios.tcflow(3, termios.TCOOFF)');
  await r.expectEvent('output-stopped');
  onDescriptor(slave, 'termios.tcflow(3, termios.TCOON)');
  await r.expectEvent('output-started');
});

test('a stopped channel tells the close at once when nothing is unread', async () => {
  const r = rig();
  const slave = await opened(r);
  r.channel.stop('down');
  onDescriptor(slave, 'termios.tcflush(3, termios.TCIFLUSH)');
  r.closeSlave(slave);
  await until(() => r.events.includes('closed'));
  expect(r.events).toEqual(['flush-input', 'closed']);
});

test('a stopped channel tells the close when its bytes have been read', async () => {
  const r = rig();
  const slave = await opened(r);
  r.channel.stop('down');
  writeSome(slave, Buffer.from('parting'));
  r.closeSlave(slave);
  expect(await r.channel.fence(1000)).toBe('passed');
  expect(r.events).toEqual([]);
  r.channel.resume('down');
  await r.expectEvent('closed');
  expect((await readExactly(r.net[1], 7)).toString()).toBe('parting');
});

test('stty sets a rate that the next opener finds, reset or not', async () => {
  const r = rig();
  expect(spawnSync('stty', ['-F', r.pty.path, '115200']).status).toBe(0);
  await r.expectEvent('closed');
  expect(r.channel.reset()).toBe('done');
  const shown = spawnSync('stty', ['-F', r.pty.path, 'speed'], { encoding: 'utf8' });
  expect(shown.stdout.trim()).toBe('115200');
  r.channel.resume('down');
  const cat = spawnSync('sh', ['-c', `echo through > ${r.pty.path}`]);
  expect(cat.status).toBe(0);
  expect((await readExactly(r.net[1], 8)).toString()).toBe('through\n');
});

test('reset re-arms the modes and keeps the line', async () => {
  const r = rig();
  const slave = await opened(r);
  const before = getTermios(slave);
  const { ICANON, ECHO, ISIG, CLOCAL, OPOST, ICRNL, CSTOPB, EXTPROC } = TERMIOS;
  setTermios(slave, {
    ...before,
    lflag: ICANON | ECHO | ISIG,
    oflag: OPOST,
    iflag: ICRNL,
    cflag: before.cflag | CLOCAL | CSTOPB,
    inputSpeed: 1234567,
    outputSpeed: 1234567,
  });
  r.closeSlave(slave);
  await r.expectEvent('closed');
  r.events.length = 0;
  expect(r.channel.reset()).toBe('done');
  const after = getTermios(r.pty.fd);
  expect(after.lflag & (ICANON | ECHO | ISIG | EXTPROC)).toBe(EXTPROC);
  expect(after.oflag & OPOST).toBe(0);
  expect(after.iflag & ICRNL).toBe(0);
  expect(after.cflag & (CLOCAL | CSTOPB)).toBe(CSTOPB);
  expect(after.outputSpeed).toBe(1234567);
  // Our own open, flush and tcsetattr are nobody's: the next event is the next opener's.
  await opened(r);
  expect(r.events).toEqual([]);
  expect(isHungUp(r.pty.fd)).toBe(false);
});

test('unread input, TIOCEXCL and a stopped output of one opener do not reach the next', async () => {
  const r = rig({ pty: { mode: 0o666 } });
  const asNobody = () =>
    spawnSync(PYTHON, [
      '-c',
      `import os; os.setuid(65534); os.open(${JSON.stringify(r.pty.path)}, os.O_RDWR | os.O_NOCTTY)`,
    ]);
  const slave = await opened(r);
  writeSome(r.net[1], Buffer.from('unread'));
  await until(() => r.channel.counters.upDelivered === 6);
  onDescriptor(slave, 'fcntl.ioctl(3, termios.TIOCEXCL); termios.tcflow(3, termios.TCOOFF)');
  if (process.getuid?.() === 0) expect(asNobody().status).not.toBe(0);
  r.closeSlave(slave);
  await until(() => r.channel.counters.ttyOpen === false);
  expect(r.channel.reset()).toBe('done');
  if (process.getuid?.() === 0) expect(asNobody().status).toBe(0);
  await until(() => r.channel.counters.ttyOpen === false);
  const next = r.openSlave();
  await until(() => r.channel.counters.ttyOpen);
  expect(readSome(next)).toBeUndefined();
  expect(writeSome(next, Buffer.from('goes out'))).toBe(8);
  expect((await readExactly(r.net[1], 8)).toString()).toBe('goes out');
});

test('reset does nothing to an application that was faster', async () => {
  const r = rig();
  r.closeSlave(await opened(r));
  await r.expectEvent('closed');
  const fast = r.openSlave();
  setTermios(fast, { ...getTermios(fast), lflag: 0 });
  expect(r.channel.reset()).toBe('opened');
  expect(getTermios(fast).lflag).toBe(0);
  await r.expectEvent('opened');
});

test('reset says so when the slave cannot be opened', async () => {
  const r = rig({ attach: false });
  const pty = makePty();
  const folder = mkdtempSync('/tmp/ttynp-test-');
  const path = `${folder}/tty`;
  symlinkSync(pty.path, path);
  const channel = r.pump.open(pty.fd, { kind: 'pty', path });
  const events: string[] = [];
  channel.onEvent = (event) => events.push(event);
  const slave = openSlave(path);
  unlinkSync(path);
  closeFd(slave);
  await until(() => events.includes('closed'));
  expect(channel.reset()).toBe('failed');
  channel.close();
  rmSync(folder, { recursive: true });
  closeFd(pty.fd);
});

test('mode and initial settings are there before the first open', () => {
  const r = rig({ pty: { mode: 0o640 } });
  const seen = spawnSync('stat', ['-c', '%a', r.pty.path], { encoding: 'utf8' });
  expect(seen.stdout.trim()).toBe('640');
  const t = getTermios(r.pty.fd);
  expect(t.lflag).toBe(TERMIOS.EXTPROC);
  expect(t.cflag & TERMIOS.HUPCL).toBe(TERMIOS.HUPCL);
  expect(t.cflag & TERMIOS.CLOCAL).toBe(0);
});
