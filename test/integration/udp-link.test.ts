// A device server's port over UDP, as the driver has it: what a peer gets and sends, and what the end of a peer is.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { Socket } from 'node:net';
import { expect, test } from 'vitest';
import { Fault } from '../../src/base/fault.js';
import type { Log } from '../../src/base/log.js';
import { UdpLink } from '../../src/link/udp.js';
import { dup } from '../../src/native/socket.js';
import { freePort } from '../support/free-ports.js';
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

async function linkTo(port: number, address = '127.0.0.1', localPort = 0) {
  const warnings: string[] = [];
  const log: Log = { log: (_level, text) => warnings.push(text), child: () => log };
  const link = new UdpLink({ addresses: [address], dataPort: port, localPort, log });
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
  return { link, data, faults, warnings, text: () => text };
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

test('from its own port: who sends to that is heard before anything was written, and that address and port alone', async () => {
  const localPort = await freePort();
  const far = await peer();
  const { text } = await linkTo(far.port, '127.0.0.1', localPort);
  const [neighbour, elsewhere] = [await peer(), await peer('127.0.0.2', far.port)];
  neighbour.socket.send('forged', localPort, '127.0.0.1');
  elsewhere.socket.send('forged', localPort, '127.0.0.1');
  far.socket.send('first', localPort, '127.0.0.1');
  await until(() => text().length >= 5);
  expect(text()).toBe('first');
});

test('its own port is taken: one line that says so, and nothing is left open', async () => {
  const taken = await peer('0.0.0.0');
  const link = new UdpLink({ addresses: ['127.0.0.1'], dataPort: 9, localPort: taken.port });
  ends.push(() => link.close());
  await expect(link.connect({ report: () => {}, down: () => {} }, new AbortController().signal)).rejects.toMatchObject({
    code: 'SYSTEM',
    message: `localPort ${taken.port} (UDP) is in use (see who has it: ss -lunp)`,
  });
  expect(link.dataFd).toBe(-1);
});

test('an address that nothing leads to is a fault of connect', async () => {
  const link = new UdpLink({ addresses: ['fe80::1%nowhere0'], dataPort: 9 });
  ends.push(() => link.close());
  await expect(link.connect({ report: () => {}, down: () => {} }, new AbortController().signal)).rejects.toBeInstanceOf(
    Fault,
  );
});

test('nobody there is told once, and once more after somebody was', async () => {
  const far = await peer();
  const { data, warnings, text } = await linkTo(far.port);
  const lost = `127.0.0.1:${far.port} (UDP): nobody listens there; what is written is lost meanwhile`;
  await far.close();
  const writeUntil = async (done: () => boolean) => {
    while (!done()) {
      data.write('?');
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  };
  await writeUntil(() => warnings.length === 1);
  for (let i = 0; i < 20; i++) await writeUntil(() => true);
  const again = await peer('127.0.0.1', far.port);
  await writeUntil(() => again.got.length > 0);
  again.send('here');
  await until(() => text() === 'here');
  await again.close();
  await writeUntil(() => warnings.length === 2);
  expect(warnings).toEqual([lost, lost]);
});

test('a flood that nobody reads: no more is kept than 64 KiB and what the way holds; told once; later ones are whole', async () => {
  const far = await peer();
  const { data, warnings, text } = await linkTo(far.port);
  data.write('x');
  await until(() => far.got.length === 1);
  data.pause();
  for (let i = 0; warnings.length === 0 || i < 20_000; i++) {
    far.send(Buffer.alloc(1000, 'z'));
    if (i % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(warnings).toEqual([`127.0.0.1:${far.port} (UDP): the application does not read: datagrams are dropped`]);
  data.resume();
  while (!text().endsWith('end')) {
    far.send('end');
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const kept = text().replaceAll('end', '');
  // 20 MB came. A socketpair and a stream hold no more than this.
  expect(kept.length).toBeLessThan(2 * 1024 * 1024);
  expect(kept.length % 1000).toBe(0);
});
