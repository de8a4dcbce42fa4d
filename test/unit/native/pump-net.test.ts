// The network side of a channel: joined, unjoined, lost; what becomes of bytes without one; fences; taps.
import { expect, test } from 'vitest';
import { closeFd, errnoName, outputQueue, setLinger0, shutdownFd, socketPair } from '../../../src/native/socket.js';
import {
  leavesNothingBehind,
  opened,
  readExactly,
  readSome,
  rig,
  steadily,
  tcpPair,
  until,
  writeSome,
  writeUntil,
  writeUntilStuck,
} from './support.js';

leavesNothingBehind();

test('discard: taken and counted', async () => {
  const r = rig({ attach: false, offline: { mode: 'discard' } });
  const slave = await opened(r);
  writeSome(slave, Buffer.from('nobody hears'));
  await until(() => r.channel.counters.downDiscarded === 12);
  r.channel.attach(r.net[0]);
  expect(r.channel.attached).toBe(true);
  writeSome(slave, Buffer.from('now'));
  expect((await readExactly(r.net[1], 3)).toString()).toBe('now');
});

test('hold: the newest bytes are kept for the network side that comes', async () => {
  const r = rig({ attach: false, offline: { mode: 'hold', bytes: 10 } });
  const slave = await opened(r);
  writeSome(slave, Buffer.from('0123456789'));
  await until(() => r.channel.counters.downTaken === 10);
  writeSome(slave, Buffer.from('abcd'));
  await until(() => r.channel.counters.downTaken === 14);
  expect(r.channel.counters.downOverflowed).toBe(4);
  expect(r.channel.drop('down', 2)).toBe(2);
  r.channel.attach(r.net[0]);
  expect((await readExactly(r.net[1], 8)).toString()).toBe('6789abcd');
});

test('hold: more than it may keep, in one write', async () => {
  const r = rig({ attach: false, offline: { mode: 'hold', bytes: 1000 } });
  const slave = await opened(r);
  const bytes = Buffer.from(Array.from({ length: 3000 }, (_, i) => i & 0xff));
  writeSome(slave, bytes);
  await until(() => r.channel.counters.downTaken === 3000);
  r.channel.attach(r.net[0]);
  expect((await readExactly(r.net[1], 1000)).equals(bytes.subarray(2000))).toBe(true);
  expect(r.channel.counters.downOverflowed).toBe(2000);
});

test('block: nothing is taken, and all arrives later', async () => {
  const r = rig({ attach: false });
  const slave = await opened(r);
  const taken = await writeUntilStuck(slave, 50);
  expect(r.channel.counters.downTaken).toBe(0);
  r.channel.attach(r.net[0]);
  expect((await readExactly(r.net[1], taken)).length).toBe(taken);
});

test('detach and attach keep what no socket was given', async () => {
  const r = rig({ lookAhead: 1 << 30 });
  const slave = await opened(r);
  const written = await writeUntil(slave, () => r.channel.counters.downParked > 0);
  expect(r.channel.counters.downParked).toBeGreaterThan(0);
  r.channel.detach({ mode: 'hold', bytes: 65536 });
  expect(r.channel.attached).toBe(false);
  const parked = r.channel.counters.downParked;
  expect(parked).toBeGreaterThan(0);
  expect(r.channel.counters.downLost).toBeGreaterThan(0);
  const first = await readExactly(r.net[1], r.channel.counters.downSent);
  const [near, far] = socketPair();
  r.channel.attach(near);
  const rest = await readExactly(far, written - first.length);
  expect(first.length + rest.length).toBe(written);
  r.channel.detach({ mode: 'discard' });
  closeFd(near);
  closeFd(far);
});

test('detach with discard drops and counts what is parked', async () => {
  const r = rig({ lookAhead: 1 << 30 });
  const slave = await opened(r);
  await writeUntil(slave, () => r.channel.counters.downParked > 0);
  const parked = r.channel.counters.downParked;
  r.channel.detach({ mode: 'discard' });
  expect(r.channel.counters.downParked).toBe(0);
  expect(r.channel.counters.downDiscarded).toBeGreaterThanOrEqual(parked);
});

test('an end of the network is told after what was received before', async () => {
  const r = rig();
  const slave = await opened(r);
  writeSome(r.net[1], Buffer.alloc(50000, 0x42));
  shutdownFd(r.net[1], 'write');
  await r.expectEvent('net-end');
  expect(r.channel.attached).toBe(false);
  const { upParked, upDelivered } = r.channel.counters;
  expect(upParked + upDelivered).toBe(50000);
  expect((await readExactly(slave, 50000)).every((byte) => byte === 0x42)).toBe(true);
});

test('an end while up is stopped is told at once', async () => {
  const r = rig();
  await opened(r);
  r.channel.stop('up');
  writeSome(r.net[1], Buffer.from('never read'));
  shutdownFd(r.net[1], 'both');
  await r.expectEvent('net-end');
  expect(r.channel.counters.upTaken).toBe(0);
});

test('a reset is an error with its errno; bytes in flight are counted as possibly lost', async () => {
  const r = rig({ attach: false });
  const tcp = await tcpPair({}, 4096);
  r.channel.attach(tcp.fd);
  const slave = await opened(r);
  await writeUntil(slave, () => outputQueue(tcp.fd) > 16384);
  tcp.peer.resetAndDestroy();
  await r.expectEvent('net-error');
  expect(['ECONNRESET', 'EPIPE']).toContain(errnoName(r.channel.netErrno));
  expect(r.channel.counters.downLost).toBeGreaterThan(0);
  expect(r.channel.attached).toBe(false);
});

test('a reset reaches the peer of a descriptor with linger 0', async () => {
  const tcp = await tcpPair();
  const failed = new Promise<Error>((resolve) => tcp.peer.once('error', resolve));
  setLinger0(tcp.fd);
  tcp.close();
  tcp.peer.resume();
  expect(await failed).toMatchObject({ code: 'ECONNRESET' });
});

test('onLoss rules what happens after a loss', async () => {
  const r = rig({ attach: false });
  const [near, far] = socketPair();
  r.channel.attach(near, { mode: 'discard' });
  const slave = await opened(r);
  closeFd(far);
  await until(() => r.events.includes('net-end') || r.events.includes('net-error'));
  writeSome(slave, Buffer.from('gone'));
  await until(() => r.channel.counters.downDiscarded === 4);
  r.channel.setOffline({ mode: 'hold', bytes: 100 });
  writeSome(slave, Buffer.from('kept'));
  await until(() => r.channel.counters.downParked === 4);
  closeFd(near);
});

test('a fence passes when the peer has taken what was taken before it, and not before', async () => {
  const r = rig();
  const slave = await opened(r);
  writeSome(slave, Buffer.from('ahead'));
  await until(() => r.channel.counters.downSent === 5);
  let passed = false;
  const fence = r.channel.fence(10_000).then((result) => {
    passed = true;
    return result;
  });
  const short = await r.channel.fence(20);
  expect(short).toBe('timeout');
  expect(passed).toBe(false);
  expect((await readExactly(r.net[1], 5)).toString()).toBe('ahead');
  expect(await fence).toBe('passed');
  expect(r.channel.counters.fences).toBe(2);
  expect(r.channel.counters.fenceWaitUs).toBeGreaterThanOrEqual(20_000);
});

test('a fence waits for parked bytes, and a loss ends it', async () => {
  const r = rig({ lookAhead: 1 << 30 });
  const slave = await opened(r);
  await writeUntil(slave, () => r.channel.counters.downParked > 0);
  r.channel.stop('down');
  const ahead = r.channel.counters.downTaken;
  const fence = r.channel.fence(10_000);
  await readExactly(r.net[1], ahead);
  expect(await fence).toBe('passed');
  expect(r.channel.counters.downSent).toBe(ahead);

  r.channel.resume('down');
  await writeUntil(slave, () => r.channel.counters.downParked > 0);
  const detached = r.channel.fence(10_000);
  r.channel.detach({ mode: 'block' });
  expect(await detached).toBe('detached');
  expect(await r.channel.fence(10_000)).toBe('detached');
});

test('fences are bounded, dropped bytes are not waited for, and close ends them', async () => {
  const r = rig({ lookAhead: 1 << 30 });
  const slave = await opened(r);
  await writeUntil(slave, () => r.channel.counters.downParked > 0);
  const waiting = Array.from({ length: 8 }, () => r.channel.fence(10_000));
  await expect(r.channel.fence(10_000)).rejects.toMatchObject({ code: 'EAGAIN', syscall: 'fence' });
  r.channel.stop('down');
  expect(r.channel.drop('down')).toBeGreaterThan(0);
  expect(r.channel.counters.downParked).toBe(0);
  await readExactly(r.net[1], r.channel.counters.downSent);
  expect(await Promise.all(waiting)).toEqual(Array(8).fill('passed'));

  r.channel.resume('down');
  await writeUntil(slave, () => r.channel.counters.downParked > 0);
  const last = r.channel.fence(10_000);
  r.channel.close();
  expect(await last).toBe('detached');
});

test('close gives back what was parked, both ways', async () => {
  const r = rig({ attach: false, offline: { mode: 'hold', bytes: 65536 } });
  const slave = await opened(r);
  writeSome(slave, Buffer.from('parked down'));
  await until(() => r.channel.counters.downParked === 11);
  r.channel.stop('down');
  r.channel.attach(r.net[0]);
  expect((await readExactly(r.net[1], 11)).toString()).toBe('parked down');
  const sent = await writeUntil(
    r.net[1],
    steadily(() => r.channel.counters.upParked > 0),
  );
  r.channel.detach({ mode: 'hold', bytes: 65536 });
  r.channel.resume('down');
  writeSome(slave, Buffer.from('again'));
  await until(() => r.channel.counters.downParked === 5);
  const { upTaken, upDelivered } = r.channel.counters;
  const parked = r.channel.close();
  expect(Buffer.from(parked.down).toString()).toBe('again');
  expect(parked.up.length).toBe(upTaken - upDelivered);
  expect(parked.up.length).toBeGreaterThan(0);
  expect(sent).toBeGreaterThanOrEqual(upTaken);
  expect(r.channel.close().up.length).toBe(0);
});

test('the tap shows what passes, in order and with its time', async () => {
  const r = rig();
  const slave = await opened(r);
  r.channel.tap(65536);
  writeSome(slave, Buffer.from('request'));
  await readExactly(r.net[1], 7);
  writeSome(r.net[1], Buffer.from('reply'));
  await readExactly(slave, 5);
  await r.expectEvent('tap');
  const records = r.channel.readTap();
  expect(records.map((t) => [t.direction, Buffer.from(t.bytes).toString()])).toEqual([
    ['down', 'request'],
    ['up', 'reply'],
  ]);
  expect(records[1]?.atUs).toBeGreaterThanOrEqual(records[0]?.atUs ?? Number.POSITIVE_INFINITY);
  expect(r.channel.readTap()).toEqual([]);
  r.channel.tap(0);
  writeSome(slave, Buffer.from('unseen'));
  await readExactly(r.net[1], 6);
  expect(r.channel.readTap()).toEqual([]);
});

test('a tap that nobody reads drops and counts; the bytes themselves pass', async () => {
  const r = rig();
  const slave = await opened(r);
  r.channel.tap(256);
  for (let i = 0; i < 100; i++) {
    writeSome(slave, Buffer.alloc(50, i));
    expect((await readExactly(r.net[1], 50)).equals(Buffer.alloc(50, i))).toBe(true);
  }
  const kept = r.channel.readTap().reduce((sum, t) => sum + t.bytes.length, 0);
  expect(kept).toBeGreaterThan(0);
  expect(kept + r.channel.counters.tapDropped).toBe(5000);
});

test('the descriptor is free when detach returns', async () => {
  const r = rig({ attach: false });
  const slave = await opened(r);
  for (let i = 0; i < 200; i++) {
    const [near, far] = socketPair();
    r.channel.attach(near);
    writeSome(slave, Buffer.from('x'));
    if (i % 2 === 0) await readExactly(far, 1);
    r.channel.detach({ mode: 'discard' });
    closeFd(near);
    closeFd(far);
  }
  expect(readSome(r.net[1])).toBeUndefined();
});

test('a descriptor that is attached already is refused, and one that cannot be watched', async () => {
  const r = rig();
  expect(() => r.channel.attach(r.net[0])).toThrow(expect.objectContaining({ code: 'EISCONN' }));
  r.channel.detach({ mode: 'block' });
  expect(() => r.channel.attach(999_999)).toThrow(expect.objectContaining({ code: 'EBADF' }));
});

test('a thread that turns answers, one that does not is seen at the second look', async () => {
  const { pump } = rig();
  for (let i = 0; i < 100; i++) {
    // It was asked by the look before, and has answered in a while.
    await until(() => pump.unansweredMs === 0);
  }
  pump.freeze();
  expect(pump.unansweredMs).toBeLessThan(1000);
  await until(() => pump.unansweredMs > 50);
  const first = pump.unansweredMs;
  await until(() => pump.unansweredMs > first);
});
