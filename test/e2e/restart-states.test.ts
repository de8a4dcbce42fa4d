// A restart in each state that a port can be in beside a quiet connection: being connected, being told, ending; and what
// an unprivileged daemon cannot undo by force.
import { expect, test } from 'vitest';
import { eventually, run } from '../support/e2e.js';
import { type Managed, managedTests } from '../support/managed.js';
import { onDescriptor } from '../support/pty-app.js';
import { RealComPeer } from '../support/realcom-peer.js';

const { cleanups, managed, open } = managedTests();

const device = (m: Managed) => m.whole.simulator.port(1);

test.each(['restart', 'kill9'] as const)(
  'before the first connection, by %s: what was written arrives',
  async (how) => {
    const m = await managed({ simulator: { echo: false } });
    await device(m).pauseAccepting();
    const app = open(m);
    app.write('first');
    await m.whole.portIs('is being connected', ({ open: isOpen }) => isOpen);
    await m[how]();
    app.write(' words');
    await device(m).resumeAccepting();
    await m.whole.recorder().until(() => m.whole.recorder().bytes.toString() === 'first words');
  },
);

test.each(['restart', 'kill9'] as const)('closed before the first connection, by %s: it is delivered', async (how) => {
  const m = await managed({ simulator: { echo: false } });
  await device(m).pauseAccepting();
  const app = open(m);
  app.write('hit and run');
  app.close();
  await m.whole.portIs('has it parked', (v) => !v.open && v.sent.parkedBytes === 11);
  await m[how]();
  await device(m).resumeAccepting();
  await m.whole.recorder().until(() => m.whole.recorder().bytes.toString() === 'hit and run');
  await m.whole.portIs('is idle', ({ state }) => state === 'idle');
});

test.each(['discard', 'hold', 'block'] as const)('the device is away and offlineData is %s', async (offlineData) => {
  const m = await managed({ simulator: { echo: false }, tty: { offlineData, holdTime: '60s' } });
  const app = open(m);
  await m.connected();
  await m.whole.portIs('is up', ({ state }) => state === 'up');
  await device(m).pauseAccepting();
  device(m).kill();
  await m.whole.portIs('lost it', ({ state }) => state !== 'up');
  app.write('away ');
  const taken = offlineData === 'block' ? 0 : 5;
  await m.whole.portIs('has taken it', (v) => v.drops.offline + v.sent.parkedBytes === taken);
  await m.restart();
  app.write('back ');
  if (offlineData !== 'block')
    await m.whole.portIs('took more', (v) => v.drops.offline + v.sent.parkedBytes >= (offlineData === 'hold' ? 10 : 5));
  await device(m).resumeAccepting();
  await m.whole.portIs('is up again', ({ state }) => state === 'up');
  app.write('here');
  const expected = offlineData === 'discard' ? 'here' : 'away back here';
  await m.whole.recorder().until(() => m.whole.recorder().bytes.toString() === expected);
});

/** Behind a device that can be told not to answer, with all that it has been asked. */
async function behindPeer() {
  const peer = await RealComPeer.listen();
  cleanups.push(() => peer.close());
  const { dataPort, commandPort } = peer;
  const m = await managed({ ttys: { ttyNP0: { dataPort, commandPort } } });
  return { m, peer };
}

test.each(['restart', 'kill9'] as const)('a device mute at the first words, by %s: they are told anew', async (how) => {
  const { m, peer } = await behindPeer();
  peer.mute = true;
  const app = open(m);
  await eventually('it is asked', () => peer.requests.length > 0);
  await m[how]();
  peer.mute = false;
  await m.whole.portIs('is up', ({ state }) => state === 'up');
  app.write('hello');
  await eventually('it arrives', () => Buffer.from(peer.dataBytes).toString() === 'hello');
  expect(peer.order.filter((what) => what === 'command')).toHaveLength(1);
});

test.each(['restart', 'kill9'] as const)('a change that a mute device did not answer, by %s', async (how) => {
  const { m, peer } = await behindPeer();
  const app = open(m);
  await m.whole.portIs('is up', ({ state }) => state === 'up');
  peer.mute = true;
  const before = peer.requests.length;
  app.set({ baudRate: 1200 });
  await eventually('it drains first', () => peer.commandBytes.includes(0x2f));
  app.write('slow');
  await m[how]();
  expect(peer.dataBytes).toEqual([]);
  peer.mute = false;
  await eventually('it arrives', () => Buffer.from(peer.dataBytes).toString() === 'slow');
  // By the time that the bytes came, so had the change.
  const last = peer.requests.slice(before).findLast(({ type }) => type === 'settings');
  expect(last).toMatchObject({ settings: { baudRate: 1200 }, lines: { dtr: true, rts: true } });
  expect(peer.order.filter((what) => what === 'command')).toHaveLength(1);
});

test.each(['restart', 'kill9'] as const)(
  'while the end is drained, by %s: all leaves, then the lines fall',
  async (how) => {
    const m = await managed({ simulator: { echo: false } });
    const app = open(m);
    await m.connected();
    app.write('x'.repeat(1500)); // 1.6 s at 9600
    app.close();
    await m.whole.portIs('is closing', ({ state }) => state === 'closing');
    await m[how]();
    await m.whole.recorder().until(() => m.whole.recorder().bytes.length === 1500);
    await m.whole.portIs('is idle', ({ state }) => state === 'idle');
    expect(m.whole.simulator.line(1).outputLines).toEqual({ dtr: false, rts: false });
  },
);

test('connect: always with nobody there keeps its connection, and is usable', async () => {
  const m = await managed({ simulator: { echo: true }, tty: { connect: 'always' } });
  const peer = await m.connected();
  await m.restart();
  await m.kill9();
  const app = open(m);
  app.write('kept');
  expect((await app.readExactly(4)).toString()).toBe('kept');
  expect(m.peer()).toBe(peer);
});

test('who came and went meanwhile with TIOCEXCL does not shut out the next', async () => {
  const m = await managed({ simulator: { echo: true }, daemon: { unprivileged: true }, tty: { mode: '0666' } });
  expect(await m.handOver()).toBe(0);
  const rude = open(m);
  onDescriptor(rude.fd, 'fcntl.ioctl(0, termios.TIOCEXCL)');
  rude.close();
  await m.again();
  // Root may open it all the same.
  const asNobody = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'sh', '-c', `: <${m.whole.path()}`];
  await eventually('anybody can open it', async () => (await run(asNobody)).code === 0);
});

test('an owner that nobody is: the port fails, its application is hung up, and a mended file brings it back', async () => {
  const m = await managed({ simulator: { echo: true } });
  const app = open(m);
  await m.connected();
  expect(await m.handOver()).toBe(0);
  m.whole.configure({ ttys: { ttyNP0: m.whole.entry(1, { owner: 'nobody-at-all' }) } });
  await m.again();
  await m.whole.portIs('has failed', ({ state }) => state === 'failed');
  await eventually('it is hung up', () => app.read() === undefined);
  await eventually('port 1 is left', () => !device(m).up);
  m.whole.configure();
  await m.whole.client.reload();
  const next = open(m);
  next.write('mended');
  expect((await next.readExactly(6)).toString()).toBe('mended');
  await eventually('the store has it', async () => (await m.manager.store()).length === 5);
});

test('SIGTERM and SIGHUP while it hands over change nothing', async () => {
  // The second port has no room and is drained first: the hand-over takes its time.
  const m = await managed({ ports: 2, simulator: { echo: false } }, { limit: 5 });
  const first = open(m, 'ttyNP0');
  const peer = await m.connected(1);
  const second = open(m, 'ttyNP1');
  await m.connected(2);
  second.write('y'.repeat(800));
  await m.whole.portIs('sends', (v) => v.sent.bytes === 800, 'ttyNP1');
  await m.manager.signal('SIGTERM');
  await m.manager.until('it hands over', () => m.manager.stderr.includes('handing over'));
  await m.manager.signal('SIGTERM');
  await m.manager.signal('SIGHUP');
  expect(await m.manager.waitExit()).toBe(0);
  await m.again();
  expect(m.whole.recorder(2).bytes.length).toBe(800);
  expect(m.manager.stderr).toContain('goes on after a restart');
  first.write('kept');
  await m.whole.recorder(1).until(() => m.whole.recorder(1).bytes.toString() === 'kept');
  expect(m.peer(1)).toBe(peer);
});
