// Bytes through the pump, asserted at the far end: byte-exact, held back where there is no room, independent of JavaScript.
import { readdirSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { closeFd, outputQueue, shutdownFd, socketPair } from '../../../src/native/socket.js';
import {
  leavesNothingBehind,
  makePty,
  onEnd,
  opened,
  openSlave,
  pattern,
  readExactly,
  readSome,
  rig,
  tcpPair,
  until,
  writeSome,
  writeUntil,
  writeUntilStuck,
} from './support.js';

leavesNothingBehind();

const MIB = 1024 * 1024;

/** Sends `total` patterned bytes from one descriptor to the other; the reader rests now and then. */
async function carry(from: number, to: number, total: number): Promise<void> {
  let sent = 0;
  let received = 0;
  let turn = 0;
  let resting = 0;
  while (received < total) {
    for (let i = 0; i < 16 && sent < total; i++) {
      const n = writeSome(from, pattern(sent, Math.min(16384, total - sent)));
      if (n === 0) break;
      sent += n;
    }
    if (++turn % 500 === 0) resting = 30;
    if (resting > 0) resting--;
    else {
      const part = readSome(to);
      if (part !== undefined) {
        if (!part.equals(pattern(received, part.length))) throw new Error(`wrong bytes near ${received}`);
        received += part.length;
        continue;
      }
    }
    await new Promise((resolve) => setTimeout(resolve, resting > 0 ? 1 : 0));
  }
  expect(received).toBe(total);
}

test('8 MiB from the application arrive byte-exact at a reader that rests now and then', async () => {
  const r = rig();
  const slave = await opened(r);
  await carry(slave, r.net[1], 8 * MIB);
  expect(r.channel.counters.downTaken).toBe(8 * MIB);
  expect(r.channel.counters.downSent).toBe(8 * MIB);
});

test('8 MiB from the network arrive byte-exact at an application that rests now and then', async () => {
  const r = rig();
  const slave = await opened(r);
  await carry(r.net[1], slave, 8 * MIB);
  expect(r.channel.counters.upTaken).toBe(8 * MIB);
  expect(r.channel.counters.upDelivered).toBe(8 * MIB);
  expect(r.channel.counters.upStalls).toBeGreaterThan(0);
});

test('an application that does not read holds the network back; nothing is dropped', async () => {
  const r = rig();
  const slave = await opened(r);
  const taken = await writeUntil(r.net[1], () => r.channel.counters.upParked > 0);
  expect(r.channel.counters.upParked).toBeLessThanOrEqual(65536);
  const all = await readExactly(slave, taken);
  expect(all.every((byte) => byte === 0x55)).toBe(true);
  expect(r.channel.counters.upDropped).toBe(0);
});

test('what is taken ahead of a peer that does not read stays within the look-ahead', async () => {
  const r = rig({ attach: false, lookAhead: 4096 });
  const tcp = await tcpPair({}, 4096);
  r.channel.attach(tcp.fd);
  const slave = await opened(r);
  const ahead = () => r.channel.counters.downParked + outputQueue(tcp.fd);
  await writeUntilStuck(slave);
  await until(() => ahead() > 2048);
  expect(ahead()).toBeLessThanOrEqual(4096);
  r.channel.setLookAhead(8192);
  await until(() => ahead() > 4096);
  await writeUntilStuck(slave);
  expect(ahead()).toBeLessThanOrEqual(8192);
});

/** Writes until the look-ahead is used up, and reads at once. */
function fillAndRead(slave: number, near: number, far: number, most: number): void {
  const chunk = Buffer.alloc(4096, 0x55);
  const began = performance.now();
  while (outputQueue(near) < most - 4096 && performance.now() - began < 100) writeSome(slave, chunk);
  while (outputQueue(near) > 0 && performance.now() - began < 200) readSome(far);
}

test('of unknown pace: 64 KiB ahead, more of a peer that takes them at once, and 64 KiB again when it does not', async () => {
  const r = rig({ attach: false });
  const tcp = await tcpPair({ sendBuffer: 256 * 1024 }, 4096);
  r.channel.attach(tcp.fd);
  const slave = await opened(r);
  const ahead = () => r.channel.counters.downParked + outputQueue(tcp.fd);
  // Paused: nobody but we reads it.
  const far = Number(Reflect.get(Object(Reflect.get(tcp.peer, '_handle')), 'fd'));
  await writeUntilStuck(slave);
  await until(() => ahead() > 60_000);
  expect(ahead()).toBeLessThanOrEqual(65536);

  await until(() => {
    fillAndRead(slave, tcp.fd, far, 65536);
    for (let i = 0; i < 100; i++) writeSome(slave, Buffer.alloc(4096, 0x55));
    return ahead() > 65536;
  });
  await writeUntilStuck(slave);
  expect(ahead()).toBeLessThanOrEqual(65536 + 2 * 256 * 1024);

  // It has not read for longer than what counts as at once.
  await until(() => {
    readSome(far);
    return ahead() < 32768;
  });
  await writeUntilStuck(slave);
  await until(() => ahead() > 60_000);
  expect(ahead()).toBeLessThanOrEqual(65536);
});

test('bytes move while the event loop is blocked', async () => {
  const r = rig();
  const slave = await opened(r);
  writeSome(slave, Buffer.from('blocked'));
  let got: Buffer | undefined;
  const began = performance.now();
  while (got === undefined && performance.now() - began < 5000) got = readSome(r.net[1]);
  expect(got?.toString()).toBe('blocked');
});

/** CPU of all threads but the main one, in clock ticks of 10 ms. */
function pumpTicks(): number {
  let ticks = 0;
  for (const task of readdirSync('/proc/self/task')) {
    const stat = readFileSync(`/proc/self/task/${task}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (Number(task) !== process.pid) ticks += Number(fields[11]) + Number(fields[12]);
  }
  return ticks;
}

const idle: [string, (r: ReturnType<typeof rig>) => Promise<void>][] = [
  ['nobody has the tty open (POLLHUP)', async () => {}],
  [
    'the last application has closed it',
    async (r) => {
      r.closeSlave(await opened(r));
      await r.expectEvent('closed');
    },
  ],
  [
    'the application has gone while down is stopped',
    async (r) => {
      const slave = await opened(r);
      r.channel.stop('down');
      writeSome(slave, Buffer.from('unread'));
      r.closeSlave(slave);
      await until(() => r.channel.counters.downTaken === 0);
    },
  ],
  [
    'the application does not read',
    async (r) => {
      await opened(r);
      await writeUntilStuck(r.net[1]);
    },
  ],
  [
    'the peer does not read',
    async (r) => {
      await writeUntilStuck(await opened(r));
    },
  ],
  [
    'the peer has gone and nobody reads what it sent',
    async (r) => {
      await opened(r);
      await writeUntilStuck(r.net[1]);
      shutdownFd(r.net[1], 'both');
    },
  ],
];

for (const [when, prepare] of idle) {
  test(`the pump sleeps while ${when}`, async () => {
    const r = rig();
    await prepare(r);
    const before = pumpTicks();
    await new Promise((resolve) => setTimeout(resolve, 300));
    // 300 ms of a spinning thread would be 30 ticks; other threads of node may take some.
    expect(pumpTicks() - before).toBeLessThan(10);
  });
}

test('two plain descriptors are joined too', async () => {
  const r = rig({ attach: false });
  const tty = socketPair();
  const channel = r.pump.open(tty[0], { kind: 'plain' });
  channel.attach(r.net[0]);
  writeSome(tty[1], Buffer.from('down'));
  writeSome(r.net[1], Buffer.from('up'));
  expect((await readExactly(r.net[1], 4)).toString()).toBe('down');
  expect((await readExactly(tty[1], 2)).toString()).toBe('up');
  const events: string[] = [];
  channel.onEvent = (event) => events.push(event);
  closeFd(tty[1]);
  await until(() => events.includes('tty-error'));
  channel.close();
  closeFd(tty[0]);
});

test('256 idle channels open, work and close', async () => {
  const r = rig({ attach: false });
  const ptys = Array.from({ length: 256 }, () => makePty());
  const channels = ptys.map((pty) => r.pump.open(pty.fd, { kind: 'pty', path: pty.path }));
  onEnd(() => {
    for (const channel of channels) channel.close();
    for (const pty of ptys) closeFd(pty.fd);
  });
  for (const [i, channel] of channels.entries()) {
    const events: string[] = [];
    channel.onEvent = (event) => events.push(event);
    const slave = openSlave(ptys[i]?.path ?? '');
    await until(() => events.includes('opened'));
    closeFd(slave);
    await until(() => events.includes('closed'));
  }
});
