// A console that people reach by telnet: the telnet of this machine, netcat-like clients, breaks, ends of lines, floods of options.
import { spawn, spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import type { LineRequest } from '../../src/serial/line.js';
import type { PortEvent } from '../../src/serve/port-server.js';
import { type ReverseTelnetOptions, ReverseTelnetPort } from '../../src/serve/reverse-telnet.js';
import { LoopbackUart } from '../../src/uart/loopback.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import { deafClientIsEnded } from '../support/deaf-client.js';
import { endsOfTests, holds as until } from '../support/leftovers.js';
import { hex, RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const ends = endsOfTests();

async function rig(options: Partial<ReverseTelnetOptions> = {}) {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const clock = new SystemClock();
  const uart = new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
  const events: PortEvent[] = [];
  const event = (one: PortEvent) => events.push(one);
  const server = new ReverseTelnetPort({ clock, uart, address: '127.0.0.1', port: 0, event, ...options });
  ends.push(() => server.close());
  await server.open();
  const client = async () => {
    const peer = await RawPeer.connect(server.tcpPorts[0] ?? 0);
    ends.push(() => peer.close());
    return peer;
  };
  return { line, server, events, client, port: server.tcpPorts[0] ?? 0 };
}

const GREETING = hex('fffb01 fffb03 fffd03');

test('who knows no telnet gets the greeting and then bytes, with ends of lines as telnet has them', async () => {
  const { line, client } = await rig({ newline: 'cr' });
  const peer = await client();
  expect(await peer.take(GREETING.length)).toEqual(GREETING);
  line.send('login: \rname\r');
  expect((await peer.take(15)).toString('latin1')).toBe('login: \r\nname\r\n');
  peer.send(Buffer.from('root\r\n'));
  peer.send(Buffer.from('ls\r\0'));
  await until(() => line.received.length === 8);
  expect(line.received.toString()).toBe('root\rls\r');
});

test('commands cut at every place: data is data, answers are answers', async () => {
  const { line, client } = await rig({ newline: 'lf' });
  const peer = await client();
  await peer.take(GREETING.length);
  // DO ECHO (agreed), DO 24 (refused), WILL 31 (refused), a subnegotiation, AYT, an escaped IAC, CR LF.
  const wire = hex('61 fffd01 62 fffd18 63 fffb1f 64 fffa1f00500018fff0 65 fff6 66 ffff 67 0d0a 68');
  for (const byte of wire) {
    peer.socket.write(Buffer.of(byte));
    await new Promise((resolve) => setImmediate(resolve));
  }
  await until(() => line.received.length >= 10);
  expect(line.received.toString('latin1')).toBe('abcdef\xffg\nh');
  expect((await peer.take(8)).toString('hex')).toBe('fffc18fffe1ffff1');
});

test('BREAK is a break of the line, one at a time, and none is left behind', async () => {
  const clock = new SystemClock();
  const uart = new LoopbackUart({ clock, unpaced: true, echo: false });
  const requests: LineRequest[] = [];
  const request = uart.request.bind(uart);
  uart.request = (one) => {
    requests.push(one);
    return request(one);
  };
  const { client, server } = await rig({ uart });
  const peer = await client();
  peer.send(hex('fff3 fff3 fff3'));
  const breaks = () => requests.flatMap((one) => (one.type === 'break' ? [one.on] : []));
  await until(() => breaks().length === 1);
  const began = performance.now();
  await until(() => breaks().length === 2);
  expect(performance.now() - began).toBeGreaterThan(200);
  expect(breaks()).toEqual([true, false]);
  peer.send(hex('fff3'));
  await until(() => breaks().length === 3);
  peer.close();
  await until(() => breaks().length === 4 && server.clients.length === 0);
});

test('a flood of options: answered, bounded, and the console works after it', async () => {
  const { line, client } = await rig();
  const peer = await client();
  peer.socket.pause();
  const flood = Buffer.concat(Array.from({ length: 20_000 }, (_, i) => Buffer.of(255, 253, 50 + (i % 200))));
  const heap = process.memoryUsage().heapUsed;
  for (let i = 0; i < 100; i++) peer.socket.write(flood);
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(process.memoryUsage().heapUsed - heap).toBeLessThan(100 * 1024 * 1024);
  peer.socket.resume();
  peer.send(Buffer.from('here'));
  await until(() => line.received.toString() === 'here');
}, 30_000);

test('after so long without a byte the client is disconnected; a second client waits and is refused', async () => {
  const { client, events } = await rig({ inactivityMs: 200, busyHoldMs: 20 });
  const peer = await client();
  const second = await client();
  await until(() => second.ended);
  expect(events.some(({ type }) => type === 'busy')).toBe(true);
  await until(() => peer.ended);
});

test('a client that reads nothing is disconnected for it as well', async () => {
  const { line, server, client } = await rig({ inactivityMs: 300 });
  await deafClientIsEnded(server, line, client);
});

test('clients that come, speak and go all day: while the line stands a bounded part is kept, and the device hears that', async () => {
  const clock = new SystemClock();
  const [own, device] = LoopbackUart.pair({ clock, unpaced: true });
  let heard = 0;
  const received = (bytes: Uint8Array) => {
    heard += bytes.length;
  };
  const quiet = { report: () => {}, writable: () => {}, drained: () => {}, failed: () => {} };
  await device.open({ ...quiet, received });
  ends.push(() => device.close());
  const { server, client } = await rig({ uart: own });
  await own.request({ type: 'transmitter', on: false });
  for (let round = 0; round < 20; round++) {
    const peer = await client();
    await until(() => server.clients.length === 1);
    peer.send(Buffer.alloc(3000, 'a'));
    await until(() => server.clients[0]?.received === 3000);
    peer.close();
    await until(() => server.clients.length === 0);
  }
  await own.request({ type: 'transmitter', on: true });
  await until(() => heard >= 8 * 3000);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(heard).toBeLessThan(12 * 3000);
}, 30_000);

test('what clients had said before they went, and the line had no room for, is the next process’s to send', async () => {
  const { line, server, client } = await rig();
  line.deaf = true;
  const said = Buffer.alloc(3000, 'a');
  // More than the queues of the device and the port have room for.
  for (let round = 0; round < 8; round++) {
    const peer = await client();
    await until(() => server.clients.length === 1);
    peer.send(said);
    await until(() => server.clients[0]?.received === said.length);
    peer.close();
    await until(() => server.clients.length === 0);
  }
  const handover = await server.handOver(1000);
  if (handover === undefined) throw new Error('it could not be kept');
  const clock = new SystemClock();
  const uart = new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
  const next = new ReverseTelnetPort({ clock, uart, address: '127.0.0.1', port: server.tcpPorts[0] ?? 0 });
  ends.push(() => next.close());
  await next.open(handover);
  line.deaf = false;
  await until(() => line.received.length === 8 * said.length);
});

const missing = spawnSync('telnet', ['--version']).error !== undefined && 'inetutils-telnet is not installed';
test.skipIf(missing)(
  'the telnet of this machine: characters, Enter, and what the device says',
  async () => {
    const { line, port, client: _ } = await rig({ newline: 'cr' });
    const child = spawn('script', ['-qec', `telnet 127.0.0.1 ${port}`, '/dev/null'], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    ends.push(() => child.kill());
    let screen = '';
    child.stdout.on('data', (bytes) => {
      screen += bytes;
    });
    await until(() => screen.includes('Connected'));
    // Its terminal is in character mode as soon as it has heard WILL ECHO and WILL SGA.
    line.send('login: ');
    await until(() => screen.includes('login: '));
    child.stdin.write('root\r');
    await until(() => line.received.toString() === 'root\r');
    line.send('Password\r');
    await until(() => screen.includes('Password\r\n'));
  },
  20_000,
);
