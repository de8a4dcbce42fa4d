// Unix sockets as descriptors: connected, accepted, who is at the other end, and none left behind.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { closeFd } from '../../../src/native/socket.js';
import {
  acceptConnection,
  awaitReadable,
  connectUnix,
  listenUnix,
  peerCredentials,
  sendNow,
} from '../../../src/native/unix-socket.js';
import { leavesNothingBehind, readSome } from './support.js';

leavesNothingBehind();

let dir: string;
let path: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ttynp-unix-'));
  path = join(dir, 'socket');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('a connection, its peer, and what is sent', async () => {
  const listener = listenUnix(path, 4);
  expect(acceptConnection(listener)).toBeUndefined();
  expect(await awaitReadable(listener, 0)).toBe(false);
  const near = connectUnix(path);
  expect(await awaitReadable(listener, 5000)).toBe(true);
  const far = acceptConnection(listener) ?? -1;
  expect(peerCredentials(far)).toEqual({ pid: process.pid, uid: process.getuid?.(), gid: process.getgid?.() });
  expect(sendNow(near, 'hello')).toBe(5);
  expect(await awaitReadable(far, 5000)).toBe(true);
  expect(readSome(far)?.toString()).toBe('hello');
  closeFd(near);
  expect(await awaitReadable(far, 5000)).toBe(true);
  expect(() => sendNow(far, 'x')).toThrow(expect.objectContaining({ code: 'EPIPE' }));
  closeFd(far);
  closeFd(listener);
});

test('what is not there, is no socket, or is taken', () => {
  expect(() => connectUnix(path)).toThrow(expect.objectContaining({ code: 'ENOENT', syscall: 'connect' }));
  expect(() => connectUnix('')).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  expect(() => connectUnix(`/${'x'.repeat(200)}`)).toThrow();
  const listener = listenUnix(path, 4);
  expect(() => listenUnix(path, 4)).toThrow(expect.objectContaining({ code: 'EADDRINUSE', syscall: 'bind' }));
  closeFd(listener);
  expect(() => connectUnix(path)).toThrow(expect.objectContaining({ code: 'ECONNREFUSED' }));
  expect(() => peerCredentials(-1)).toThrow(expect.objectContaining({ code: 'EBADF' }));
});

test('a listener that nobody serves: too many is told at once', () => {
  const listener = listenUnix(path, 1);
  const fds: number[] = [];
  expect(() => {
    for (let i = 0; i < 10; i++) fds.push(connectUnix(path));
  }).toThrow(expect.objectContaining({ code: 'EAGAIN' }));
  for (const fd of [...fds, listener]) closeFd(fd);
});
