// State files, the kinds of descriptors, and the two calls that wait for the service manager.
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { createStateFile, descriptorKind, setCloseOnExec } from '../../../src/native/descriptor.js';
import { awaitDatagramRoom, awaitEnd, beginBarrier } from '../../../src/native/notify.js';
import { closeFd, dup, listenTcp, socketPair } from '../../../src/native/socket.js';
import { DatagramReceiver } from '../../support/datagram-receiver.js';
import { leavesNothingBehind, makePty, onEnd, openSlave, tcpPair } from './support.js';

leavesNothingBehind();

function owned(fd: number): number {
  onEnd(() => closeFd(fd));
  return fd;
}

function folder(): string {
  const path = mkdtempSync('/tmp/ttynp-test-');
  onEnd(() => rmSync(path, { recursive: true }));
  return path;
}

test('a state file: so many zeros, close-on-exec, and one file behind every descriptor of it', () => {
  const fd = owned(createStateFile('state-ttyNP0', 5000));
  expect(fstatSync(fd).size).toBe(5000);
  expect(readFileSync(fd)).toEqual(Buffer.alloc(5000));
  expect(closeOnExec(fd)).toBe(true);
  const copy = owned(dup(fd));
  writeSync(fd, 'parked', 100);
  expect(readFileSync(`/proc/self/fd/${copy}`).toString('latin1', 100, 106)).toBe('parked');
});

test('a state file of no possible size is an error, and leaves nothing open', () => {
  for (const bytes of [-1, Number.NaN, Number.POSITIVE_INFINITY])
    expect(() => createStateFile('x', bytes)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  expect(() => createStateFile('x'.repeat(250), 1)).toThrow(TypeError);
});

test('kinds', async () => {
  const pty = makePty();
  owned(pty.fd);
  expect(descriptorKind(pty.fd)).toBe('pty-master');
  expect(descriptorKind(owned(openSlave(pty.path)))).toBe('tty');
  expect(descriptorKind(owned(createStateFile('x', 0)))).toBe('memfd');
  const { fd, peer } = await tcpPair();
  expect(descriptorKind(fd)).toBe('tcp');
  // A connection that its peer has ended is still one.
  peer.destroy();
  expect(descriptorKind(fd)).toBe('tcp');
  expect(descriptorKind(owned(listenTcp({ host: '127.0.0.1', port: 0 })))).toBe('tcp-listener');
  for (const end of socketPair()) expect(descriptorKind(owned(end))).toBe('unix');
  const file = openSync(`${folder()}/file`, 'w+');
  expect(descriptorKind(owned(file))).toBe('other');
  for (const path of ['/dev/null', '/proc/self/status', '/dev/shm', '/'])
    expect(descriptorKind(owned(openSync(path, 'r')))).toBe('other');
  expect(() => descriptorKind(99_999)).toThrow(expect.objectContaining({ code: 'EBADF' }));
});

function closeOnExec(fd: number): boolean {
  const flags = /^flags:\s+(\d+)/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1] ?? '';
  return (Number.parseInt(flags, 8) & 0o2000000) !== 0;
}

test('close-on-exec: set where it is, and where there is a descriptor at all', () => {
  const fd = createStateFile('x', 0);
  setCloseOnExec(fd);
  expect(closeOnExec(fd)).toBe(true);
  closeSync(fd);
  expect(() => setCloseOnExec(fd)).toThrow(expect.objectContaining({ code: 'EBADF' }));
});

test('the end of a pipe is awaited, no longer than asked', () => {
  const [near, far] = socketPair();
  owned(near);
  const before = performance.now();
  expect(awaitEnd(near, 50)).toBe(false);
  expect(performance.now() - before).toBeGreaterThanOrEqual(49);
  expect(awaitEnd(near, 0)).toBe(false);
  closeFd(far);
  expect(awaitEnd(near, 60_000)).toBe(true);
});

test('a barrier ends when its message has been taken; room is awaited while the queue is full', async () => {
  const path = `${folder()}/notify`;
  const receiver = await DatagramReceiver.bind(path);
  onEnd(() => receiver.close());
  expect(awaitDatagramRoom(path, 1000)).toBe(true);
  const barriers = [beginBarrier(path)];
  expect(barriers.map((fd) => awaitEnd(fd, 20))).toEqual([false]);
  expect(() => {
    for (;;) barriers.push(beginBarrier(path));
  }).toThrow(expect.objectContaining({ code: 'EAGAIN', syscall: 'sendmsg' }));
  expect(awaitDatagramRoom(path, 20)).toBe(false);
  const all = await receiver.all();
  expect(all.map(String)).toEqual(barriers.map(() => 'BARRIER=1'));
  expect(awaitDatagramRoom(path, 60_000)).toBe(true);
  expect(barriers.map((fd) => awaitEnd(fd, 60_000))).toEqual(barriers.map(() => true));
  for (const fd of barriers) closeFd(fd);
  expect(() => awaitDatagramRoom(`${path}-absent`, 1)).toThrow(
    expect.objectContaining({ code: 'ENOENT', syscall: 'connect' }),
  );
  expect(() => beginBarrier(`${path}-absent`)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
});
