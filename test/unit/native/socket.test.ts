// Sockets as descriptors: connected, refused, timed out, canceled, measured, and none left behind.
import net from 'node:net';
import { expect, test } from 'vitest';
import {
  closeFd,
  connectTcp,
  discardInput,
  dup,
  inputQueue,
  isEstablished,
  listenTcp,
  localAddress,
  outputQueue,
  peerAddress,
  setReceiveBuffer,
  setSocketOptions,
  shutdownFd,
  socketError,
  socketPair,
} from '../../../src/native/socket.js';
import { leavesNothingBehind, onEnd, readExactly, readSome, tcpPair, until, writeSome } from './support.js';

leavesNothingBehind();

async function listening(host: string): Promise<net.Server> {
  const server = net.createServer((socket) => socket.on('error', () => {}).resume());
  await new Promise<void>((resolve) => server.listen(0, host, resolve));
  onEnd(() => new Promise((resolve) => server.close(() => resolve())));
  return server;
}

function portOf(server: net.Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('not a TCP address');
  return address.port;
}

for (const host of ['127.0.0.1', '::1', '::1%lo']) {
  test(`connects to ${host}, tuned`, async () => {
    const port = portOf(await listening(host.replace('%lo', '')));
    const fd = await connectTcp({
      host,
      port,
      timeoutMs: 5000,
      noDelay: true,
      keepAlive: { idle: 3, interval: 2, count: 3 },
      userTimeoutMs: 9000,
      sendBuffer: 8192,
      receiveBuffer: 8192,
      notSentLowat: 4096,
    });
    expect(peerAddress(fd).port).toBe(port);
    expect(localAddress(fd).address).toBe(peerAddress(fd).address);
    expect(socketError(fd)).toBeUndefined();
    writeSome(fd, Buffer.from('x'));
    await until(() => outputQueue(fd) === 0);
    closeFd(fd);
  });
}

test('many at once', async () => {
  const port = portOf(await listening('127.0.0.1'));
  const fds = await Promise.all(
    Array.from({ length: 64 }, () => connectTcp({ host: '127.0.0.1', port, timeoutMs: 5000 })),
  );
  expect(new Set(fds).size).toBe(64);
  for (const fd of fds) closeFd(fd);
});

test('refused', async () => {
  const server = await listening('127.0.0.1');
  const port = portOf(server);
  await new Promise((resolve) => server.close(resolve));
  await expect(connectTcp({ host: '127.0.0.1', port, timeoutMs: 5000 })).rejects.toMatchObject({
    code: 'ECONNREFUSED',
    syscall: 'connect',
  });
});

/** A listener whose backlog is full: the next SYN is dropped, as by a host that is away. */
async function silent(): Promise<number> {
  const listener = listenTcp({ host: '127.0.0.1', port: 0, backlog: 0 });
  onEnd(() => closeFd(listener));
  const { port } = localAddress(listener);
  const first = await connectTcp({ host: '127.0.0.1', port, timeoutMs: 5000 });
  onEnd(() => closeFd(first));
  return port;
}

test('no answer', async () => {
  const port = await silent();
  await expect(connectTcp({ host: '127.0.0.1', port, timeoutMs: 50 })).rejects.toMatchObject({
    code: 'ETIMEDOUT',
    syscall: 'connect',
  });
});

test('canceled, before and meanwhile', async () => {
  const port = await silent();
  await expect(
    connectTcp({ host: '127.0.0.1', port, timeoutMs: 5000, signal: AbortSignal.abort() }),
  ).rejects.toMatchObject({ code: 'ECANCELED' });
  const abort = new AbortController();
  const connecting = connectTcp({ host: '127.0.0.1', port, timeoutMs: 5000, signal: abort.signal });
  abort.abort();
  await expect(connecting).rejects.toMatchObject({ code: 'ECANCELED' });
});

test('not an address', async () => {
  for (const host of ['localhost', '', '1.2.3', '::1%no-such-link', '127.0.0.1 ']) {
    await expect(connectTcp({ host, port: 1, timeoutMs: 100 })).rejects.toMatchObject({ code: 'EINVAL' });
  }
  await expect(connectTcp({ host: '127.0.0.1', port: 0, timeoutMs: 100 })).rejects.toMatchObject({ code: 'EINVAL' });
});

test('a pair, its queue, its copies and its end', async () => {
  const [a, b] = socketPair();
  writeSome(a, Buffer.from('queued'));
  expect(outputQueue(a)).toBeGreaterThan(0);
  const copy = dup(b);
  expect((await readExactly(copy, 6)).toString()).toBe('queued');
  expect(outputQueue(a)).toBe(0);
  closeFd(copy);
  writeSome(a, Buffer.from('unwanted'));
  expect(discardInput(b)).toBe(8);
  expect(discardInput(b)).toBe(0);
  shutdownFd(a, 'write');
  expect(readSome(b)?.length).toBe(0);
  closeFd(a);
  closeFd(b);
  expect(() => closeFd(b)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'close' }));
});

test('a listener hands its receive buffer to what it accepts', async () => {
  const fd = listenTcp({ host: '127.0.0.1', port: 0, receiveBuffer: 4096 });
  setReceiveBuffer(fd, 4096);
  const server = net.createServer({ pauseOnConnect: true });
  server.listen({ fd });
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  const { port } = localAddress(fd);
  const client = await connectTcp({ host: '127.0.0.1', port, timeoutMs: 5000, sendBuffer: 4096 });
  const peer = await accepted;
  let taken = 0;
  let n = 1;
  const chunk = Buffer.alloc(4096);
  for (let tries = 0; tries < 50; tries++) {
    for (n = 1; n > 0; taken += n) n = writeSome(client, chunk);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  // Kernel rounding doubles the sizes; without the bounds loopback takes megabytes.
  expect(taken).toBeLessThan(65536);
  closeFd(client);
  const gone = new Promise((resolve) => peer.once('close', resolve));
  peer.on('error', () => {});
  peer.destroy();
  await gone;
  await new Promise((resolve) => server.close(resolve));
});

test('options of a connected socket', async () => {
  const tcp = await tcpPair();
  setSocketOptions(tcp.fd, { noDelay: true, keepAlive: { idle: 1, interval: 1, count: 1 } });
  expect(() => setSocketOptions(-1, { noDelay: true })).toThrow(expect.objectContaining({ code: 'EBADF' }));
});

test('what has arrived is counted exactly, without reading it', async () => {
  const [near, far] = socketPair();
  writeSome(far, Buffer.from('one'));
  writeSome(far, Buffer.from('two!'));
  expect(inputQueue(near)).toBe(7);
  expect(discardInput(near)).toBe(7);
  expect(inputQueue(near)).toBe(0);
  closeFd(near);
  closeFd(far);
});

test('an end of the other side shows before anything is read', async () => {
  const server = net.createServer((socket) => socket.end('bye'));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onEnd(() => new Promise((resolve) => server.close(() => resolve())));
  const fd = await connectTcp({ host: '127.0.0.1', port: portOf(server), timeoutMs: 5000 });
  await until(() => !isEstablished(fd));
  expect(discardInput(fd)).toBe(3);
  closeFd(fd);
  const lasting = await connectTcp({ host: '127.0.0.1', port: portOf(await listening('127.0.0.1')), timeoutMs: 5000 });
  expect(isEstablished(lasting)).toBe(true);
  closeFd(lasting);
});
