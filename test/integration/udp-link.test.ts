// A device server's port over UDP, as the driver has it: what a peer gets and sends, and what the end of a peer is.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { UdpLink } from '../../src/link/udp.js';
import { dup } from '../../src/native/socket.js';
import { endsOfTests, holds as until } from '../support/leftovers.js';

const ends = endsOfTests();

async function peer(address = '127.0.0.1', port = 0) {
  const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const got: Buffer[] = [];
  let from = 0;
  socket.on('message', (bytes, { port: own }) => {
    got.push(bytes);
    from = own;
  });
  socket.bind(port, address);
  await once(socket, 'listening');
  const close = () => new Promise<void>((resolve) => socket.close(() => resolve()));
  ends.push(() => close().catch(() => {}));
  const send = (bytes: string | Buffer) => socket.send(bytes, from, address);
  return { socket, got, send, close, port: socket.address().port };
}

async function linkTo(port: number, address = '127.0.0.1') {
  const link = new UdpLink({ addresses: [address], dataPort: port });
  const faults: unknown[] = [];
  await link.connect({ report: () => {}, down: (fault) => faults.push(fault) }, new AbortController().signal);
  ends.push(() => link.close());
  // As the pump joins it.
  const data = new Socket({ fd: dup(link.dataFd), readable: true, writable: true });
  ends.push(() => {
    data.destroy();
    return until(() => data.closed);
  });
  let text = '';
  data.on('data', (bytes) => {
    text += bytes.toString('latin1');
  });
  return { link, data, faults, text: () => text };
}

for (const address of ['127.0.0.1', '::1']) {
  test(`a write is a datagram, a datagram is read whole, over ${address}`, async () => {
    const far = await peer(address);
    const { link, data, text } = await linkTo(far.port, address);
    expect(link.peer).toContain(String(far.port));
    for (const size of [1, 8, 255, 1024]) {
      const sent = Buffer.from(Array.from({ length: size }, (_, i) => (i * 7) & 0xff));
      data.write(sent);
      await until(() => far.got.at(-1)?.equals(sent) === true);
    }
    far.send('answer');
    await until(() => text() === 'answer');
    await until(() => link.unsent === 0);
  });
}

test('more than 1024 bytes go as several, all of them', async () => {
  const far = await peer();
  const { data } = await linkTo(far.port);
  const much = Buffer.from(Array.from({ length: 60_000 }, (_, i) => (i * 7) % 251));
  for (let at = 0; at < much.length; at += 6000) {
    data.write(much.subarray(at, at + 6000));
    await until(() => Buffer.concat(far.got).length === at + 6000);
  }
  expect(Buffer.concat(far.got).equals(much)).toBe(true);
  expect(Math.max(...far.got.map(({ length }) => length))).toBe(1024);
});

test('who else sends is not heard; an empty datagram is no end; nobody there is no end', async () => {
  const far = await peer();
  const { data, text, faults } = await linkTo(far.port);
  data.write('x');
  await until(() => far.got.length === 1);
  const stranger = await peer();
  const own = await new Promise<number>((resolve) => {
    far.socket.once('message', (_, { port }) => resolve(port));
    data.write('y');
  });
  stranger.socket.send('forged', own, '127.0.0.1');
  far.send('');
  far.send('well');
  await until(() => text() === 'well');
  await far.close();
  for (let i = 0; i < 5; i++) {
    data.write('nobody hears');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const again = await peer('127.0.0.1', far.port);
  data.write('back');
  await until(() => Buffer.concat(again.got).toString().endsWith('back'));
  again.send(' and on');
  await until(() => text() === 'well and on');
  expect(faults).toEqual([]);
});

test('what UDP has no word for is refused, and a link is spent when it is closed', async () => {
  const far = await peer();
  const { link } = await linkTo(far.port);
  await expect(link.request({ type: 'break', on: true })).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
  await expect(link.outputQueue()).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
  await link.close();
  expect([link.dataFd, link.unsent, link.discardInput()]).toEqual([-1, 0, 0]);
  await expect(link.request({ type: 'break', on: true })).rejects.toMatchObject({ code: 'CANCELED' });
});

test('a flood that nobody reads is bounded', async () => {
  const far = await peer();
  const { data } = await linkTo(far.port);
  data.write('x');
  await until(() => far.got.length === 1);
  data.pause();
  const heap = process.memoryUsage().rss;
  for (let i = 0; i < 50_000; i++) {
    far.send(Buffer.alloc(1000));
    if (i % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(process.memoryUsage().rss - heap).toBeLessThan(200 * 1024 * 1024);
});
