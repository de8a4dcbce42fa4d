// What only the TCP server mode does: inactivity, the lines of a port that nobody uses, the end of a client. The line is a PTY; what is asserted is what its device and each client see.
import { afterEach, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import type { OutputLines } from '../../src/serial/line.js';
import type { PortEvent } from '../../src/serve/real-com.js';
import { type TcpServerOptions, TcpServerPort } from '../../src/serve/tcp-server.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import { ManualClock } from '../support/manual-clock.js';
import { RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const until = async (done: () => boolean) => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 1));
};

async function served(options: Partial<TcpServerOptions> = {}) {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const events: PortEvent[] = [];
  const uart = new SerialPortUart({ device: line.path, clock: new SystemClock(), lockDirectory: '/nowhere' });
  const server = new TcpServerPort({
    clock: new SystemClock(),
    address: '127.0.0.1',
    port: 0,
    uart,
    event: (event) => events.push(event),
    ...options,
  });
  ends.push(() => server.close());
  await server.open();
  const dial = async (address = '127.0.0.1') => {
    const peer = await RawPeer.connect(server.tcpPorts[0] ?? 0, address);
    ends.push(() => peer.close());
    return peer;
  };
  const client = async () => {
    const connected = () => events.filter(({ type }) => type === 'connected').length;
    const before = connected();
    const peer = await dial();
    await until(() => connected() > before);
    return peer;
  };
  return { line, uart, server, events, dial, client };
}

test('clients without a byte for so long are disconnected; a byte either way begins the time again', async () => {
  const clock = new ManualClock();
  const { line, server, client } = await served({ clock, maxConnection: 2, inactivityMs: 1000, aliveCheckMs: 0 });
  const [one, two] = [await client(), await client()];
  clock.advance(900);
  line.send('a');
  await one.take(1);
  clock.advance(900);
  two.send(Buffer.from('b'));
  await until(() => line.received.length === 1);
  clock.advance(900);
  expect(server.clients).toHaveLength(2);
  clock.advance(100);
  await Promise.all([one.end(), two.end()]);
  const three = await client();
  clock.advance(999);
  expect(three.ended).toBe(false);
  clock.advance(1);
  await three.end();
});

test.each<['low' | 'high', OutputLines]>([
  ['low', { dtr: false, rts: false }],
  ['high', { dtr: true, rts: true }],
])('DTR and RTS are %s while nobody is connected, and high while somebody is', async (linesWhenFree, free) => {
  const { uart, client, server } = await served({ linesWhenFree });
  expect(uart.outputLines).toEqual(free);
  const peer = await client();
  await until(() => uart.outputLines.dtr);
  expect(uart.outputLines).toEqual({ dtr: true, rts: true });
  await peer.close();
  await until(() => server.clients.length === 0);
  await until(() => uart.outputLines.dtr === free.dtr);
  expect(uart.outputLines).toEqual(free);
});

test('what a client wrote before it closed goes out to the last byte', async () => {
  const { line, dial } = await served();
  line.deaf = true;
  const peer = await dial();
  const much = Buffer.from(Array.from({ length: 500_000 }, (_, i) => i % 251));
  peer.socket.end(much);
  line.deaf = false;
  await peer.end();
  await until(() => line.received.length >= much.length);
  expect(line.received.equals(much)).toBe(true);
});

test('two thousand connections that are dropped at once cost nothing that stays', async () => {
  const { line, server, dial, events } = await served({ busyHoldMs: 0 });
  const before = process.memoryUsage().rss;
  for (let round = 0; round < 40; round++) {
    const peers = await Promise.all(Array.from({ length: 50 }, () => RawPeer.connect(server.tcpPorts[0] ?? 0)));
    await Promise.all(peers.map((peer) => peer.close('reset')));
  }
  await until(() => server.clients.length === 0);
  events.splice(0);
  expect(process.memoryUsage().rss - before).toBeLessThan(150 * 1024 * 1024);
  const peer = await dial();
  peer.send(Buffer.from('alive'));
  await until(() => line.received.toString() === 'alive');
});
