// A frame stays one: what comes from the device in one segment an application reads with one read(2), and what it writes with one
// write(2) leaves in one segment, so that no pause longer than 1.5 characters is in it at any rate (Modbus RTU). Through the built
// daemon, over each protocol; the application is Python, whose read waits in the kernel.
import { once } from 'node:events';
import { type AddressInfo, createServer, Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { eventually, Whole } from '../support/e2e.js';
import { Python } from '../support/e2e-python.js';
import { RealComPeer } from '../support/realcom-peer.js';
import { Rfc2217Peer } from '../support/rfc2217-peer.js';

const SIZES = [1, 2, 8, 64, 255, 256, 1024];
const FRAMES = 20;
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

interface FarEnd {
  readonly tty: Readonly<Record<string, unknown>>;
  readonly protocol: string;
  /** Carries the bytes, what the protocol adds taken away: what is written is a segment, and each of 'data' was one. */
  data(): Duplex | undefined;
}

async function overTcp(): Promise<FarEnd> {
  let socket: Socket | undefined;
  const server = createServer({ noDelay: true }, (accepted) => {
    accepted.on('error', () => {});
    socket = accepted;
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ends.push(() => {
    socket?.destroy();
    server.close();
  });
  return { protocol: 'tcp', tty: { dataPort: (server.address() as AddressInfo).port }, data: () => socket };
}

async function overRealCom(): Promise<FarEnd> {
  const peer = await RealComPeer.listen();
  ends.push(() => peer.close());
  const { dataPort, commandPort } = peer;
  return { protocol: 'realcom', tty: { dataPort, commandPort }, data: () => peer.dataSocket };
}

async function overRfc2217(): Promise<FarEnd> {
  const peer = await Rfc2217Peer.listen();
  ends.push(() => peer.close());
  return { protocol: 'rfc2217', tty: { dataPort: peer.port }, data: () => peer.line };
}

async function start(far: FarEnd) {
  const whole = await Whole.start({
    servers: { far: { address: '127.0.0.1', protocol: far.protocol } },
    ttys: { ttyFAR0: { server: 'far', port: 1, ...far.tty } },
  });
  ends.push(() => whole.close());
  const python = new Python();
  ends.push(() => python.close());
  await python.run('import tty, select');
  await python.run(`fd = os.open(${JSON.stringify(whole.path('ttyFAR0'))}, os.O_RDWR | os.O_NOCTTY); tty.setraw(fd)`);
  await whole.portIs('is up', ({ state }) => state === 'up', 'ttyFAR0');
  const data = await eventually('the far end is connected', () => far.data());
  const segments: Buffer[] = [];
  data.on('data', (bytes: Buffer) => segments.push(bytes));
  if (data instanceof Socket) data.setNoDelay(true);
  return { python, data, segments };
}

const frame = (size: number, first: number) =>
  Buffer.from(Array.from({ length: size }, (_, i) => (first + i * 7) & 0xff));

describe.each([
  ['tcp', overTcp],
  ['realcom', overRealCom],
  ['rfc2217', overRfc2217],
] as const)('%s', (_, far) => {
  test('from the device: a segment is a read', async () => {
    const { python, data } = await start(await far());
    await python.run('def heard():\n  got = os.read(fd, 4096)\n  return got');
    for (const size of SIZES) {
      for (let i = 0; i < FRAMES; i++) {
        const sent = frame(size, i);
        const heard = python.run('heard()');
        data.write(sent);
        expect(await heard).toBe(sent.toString('hex'));
      }
    }
  }, 60_000);

  test('from the application: a write is a segment', async () => {
    const { python, segments } = await start(await far());
    for (const size of SIZES) {
      for (let i = 0; i < FRAMES; i++) {
        const sent = frame(size, i);
        segments.length = 0;
        await python.run(`os.write(fd, bytes.fromhex('${sent.toString('hex')}'))`);
        await eventually('it arrives', () => segments.reduce((sum, { length }) => sum + length, 0) >= size);
        expect(segments.map((segment) => segment.toString('hex'))).toEqual([sent.toString('hex')]);
      }
    }
  }, 60_000);
});
