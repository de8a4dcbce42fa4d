// UDP 4800 over real sockets: datagrams of every length and of any content, forged numbers of them, and who may not ask.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import fc from 'fast-check';
import { afterEach, expect, test } from 'vitest';
import { Discovery, type DiscoveryEvent, newDiscoveryCounts } from '../../src/serve/discovery.js';
import { ManualClock } from '../support/manual-clock.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const DEVICE = {
  apId: 0x80005610,
  hwId: 0x5613,
  mac: new Uint8Array(6),
  address: Uint8Array.of(127, 0, 0, 1),
  name: 'x',
  firmware: { major: 0, minor: 1 },
};
const SEARCH = Buffer.from('0100000800000000', 'hex');

async function rig(options: { address?: string; admits?: (address: string) => boolean } = {}) {
  const clock = new ManualClock();
  const counts = newDiscoveryCounts();
  const events: DiscoveryEvent[] = [];
  const { address = '127.0.0.1', admits = () => true } = options;
  const discovery = new Discovery({
    clock,
    address,
    port: 0,
    admits,
    device: () => DEVICE,
    sockets: () => ({ ipv4: [], ipv6: [] }),
    counts,
    event: (event) => events.push(event),
  });
  await discovery.open();
  ends.push(() => discovery.close());
  const host = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  ends.push(() => new Promise<void>((resolve) => host.close(resolve)));
  host.bind(0, address);
  await once(host, 'listening');
  const answers: Buffer[] = [];
  host.on('message', (bytes, from) => {
    expect(from.port).toBe(discovery.port);
    answers.push(bytes);
  });
  const total = () => Object.values(counts).reduce((sum, one) => sum + one, 0);
  return { clock, counts, events, discovery, host, answers, total };
}

async function send(host: Socket, port: number, address: string, bytes: Uint8Array): Promise<void> {
  await new Promise((resolve) => host.send(bytes, port, address, resolve));
}

async function until(is: () => boolean): Promise<void> {
  while (!is()) await new Promise((resolve) => setImmediate(resolve));
}

test.each(['127.0.0.1', '::1'])('a search is answered, from the port that was asked: %s', async (address) => {
  const { host, discovery, answers, counts } = await rig({ address });
  await send(host, discovery.port, address, SEARCH);
  await until(() => answers.length === 1);
  expect(answers[0]?.toString('hex')).toBe('8100001800000000105600801356000000000000' + '7f000001');
  expect(counts).toMatchObject({ answered: 1 });
});

test('who may not ask has no answer, and is counted', async () => {
  const { host, discovery, answers, counts, events } = await rig({ admits: () => false });
  for (let i = 0; i < 5; i++) await send(host, discovery.port, '127.0.0.1', SEARCH);
  await until(() => counts.denied === 5);
  expect(answers).toHaveLength(0);
  expect(events[0]).toEqual({ type: 'denied', peer: '127.0.0.1', bytes: 8 });
});

test('datagrams of every length, with the code of a search and of nothing: no end, no answer', async () => {
  const { host, discovery, answers, counts, clock, total } = await rig();
  let sent = 0;
  const lengths = [...Array(2100).keys(), 9000, 65_507];
  for (const length of lengths) {
    for (const code of [0x01, 0xff]) {
      if (code === 0x01 && length === 8) continue;
      const bytes = Buffer.alloc(length, code);
      if (length >= 4) bytes.writeUInt16BE(code === 0x01 ? length & 0xffff : 0, 2);
      await send(host, discovery.port, '127.0.0.1', bytes);
      sent++;
      // A full receive buffer would lose some.
      if (sent % 20 === 0) await until(() => total() === sent);
      clock.advance(20);
    }
  }
  await until(() => total() === sent);
  expect(counts).toMatchObject({ answered: 0, denied: 0, limited: 0, others: 1 });
  await send(host, discovery.port, '127.0.0.1', SEARCH);
  await until(() => answers.length === 1);
});

test('any bytes: it lives, and answers the next search', async () => {
  const { host, discovery, answers, clock, total } = await rig();
  let sent = 0;
  const first = fc.constantFrom(0x01, 0x10, 0x14, 0x16, 0x1d, 0x79, 0x81);
  const any = fc.oneof(
    fc.uint8Array({ maxLength: 1400 }),
    fc.tuple(first, fc.uint8Array({ minLength: 4, maxLength: 40 })).map(([code, rest]) => {
      const bytes = Buffer.from([code, ...rest]);
      bytes.writeUInt16BE(bytes.length, 2);
      return bytes;
    }),
  );
  await fc.assert(
    fc.asyncProperty(any, async (bytes) => {
      await send(host, discovery.port, '127.0.0.1', bytes);
      sent++;
      await until(() => total() === sent);
      clock.advance(20);
    }),
    { numRuns: 500 },
  );
  const before = answers.length;
  await send(host, discovery.port, '127.0.0.1', SEARCH);
  await until(() => answers.length > before && answers.at(-1)?.length === 24);
});

test('no more answers than the limit, however many ask; later it answers again', async () => {
  const { host, discovery, answers, counts, clock, total } = await rig();
  for (let sent = 1; sent <= 1000; sent++) {
    await send(host, discovery.port, '127.0.0.1', SEARCH);
    if (sent % 50 === 0) await until(() => total() === sent);
  }
  expect(counts).toMatchObject({ answered: 200, limited: 800 });
  clock.advance(100);
  for (let i = 0; i < 20; i++) await send(host, discovery.port, '127.0.0.1', SEARCH);
  await until(() => total() === 1020);
  expect(counts.answered).toBe(210);
  await until(() => answers.length === 210);
});

test('an address that is taken, or is not of this machine, is said in one line', async () => {
  const { discovery, counts, clock } = await rig();
  const other = (address: string, port: number) =>
    new Discovery({
      clock,
      address,
      port,
      admits: () => true,
      device: () => DEVICE,
      sockets: () => ({ ipv4: [], ipv6: [] }),
      counts,
    }).open();
  await expect(other('127.0.0.1', discovery.port)).rejects.toThrow(
    `cannot listen on 127.0.0.1 UDP port ${discovery.port}: already in use (see who has it: ss -lnup)`,
  );
  await expect(other('192.0.2.1', 4800)).rejects.toThrow(
    'cannot listen on 192.0.2.1 UDP port 4800: this machine has no such address (see: ip address)',
  );
});
