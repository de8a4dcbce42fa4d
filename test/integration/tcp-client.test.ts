// A serial port that connects by itself: what servers see, what the device at the other end of the line sees, and what happens when
// servers are not there, end, or do not read. The port is a PTY; where lines matter, a port that has them.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { connect } from 'node:net';
import { describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import type { Destination } from '../../src/config/destination.js';
import { closeFd, listenTcp, localAddress } from '../../src/native/socket.js';
import type { PortEvent } from '../../src/serve/port-server.js';
import { type TcpClientOptions, TcpClientPort } from '../../src/serve/tcp-client.js';
import { LoopbackUart } from '../../src/uart/loopback.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import { type FarOptions, FarServer, destinationTo as to } from '../support/far-server.js';
import { endsOfTests, sleep, holds as until } from '../support/leftovers.js';
import { SerialLine } from '../support/serial-line.js';

const ends = endsOfTests();

const listen = (options: FarOptions = {}) => FarServer.listen(ends, options);

async function rig(destinations: readonly Destination[], options: Partial<TcpClientOptions> = {}) {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const clock = new SystemClock();
  const uart = new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
  const events: PortEvent[] = [];
  const server = new TcpClientPort({
    clock,
    uart,
    address: '127.0.0.1',
    destinations,
    connectionControl: 'startup',
    event: (event) => events.push(event),
    ...options,
  });
  ends.push(() => server.close());
  await server.open();
  const notes = () => events.flatMap((event) => (event.type === 'note' ? [event.text] : []));
  return { line, server, events, notes };
}

const at = (far: FarServer, more: Partial<Destination> = {}) => to(`127.0.0.1:${far.port}`, more);

describe('startup', () => {
  test('bytes both ways, every value of them', async () => {
    const far = await listen();
    const { line, server } = await rig([at(far)]);
    await until(() => far.sockets.length === 1);
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    far.socket.write(all);
    await until(() => line.received.length === 256);
    expect(line.received).toEqual(all);
    line.send(all);
    await until(() => far.text.length === 256);
    expect(Buffer.from(far.text, 'latin1')).toEqual(all);
    expect(server.clients).toMatchObject([{ address: `127.0.0.1:${far.port}`, received: 256, sent: 256 }]);
  });

  test('a server that comes later, goes, and comes again; what it said last reaches the line', async () => {
    const free = await listen();
    const { port } = free;
    await free.close();
    const { line, notes } = await rig([to(`127.0.0.1:${port}`)]);
    await until(() => notes().length === 1);
    expect(notes()[0]).toBe(`127.0.0.1:${port}: connection refused; it is tried again`);
    const far = await listen({ port });
    await until(() => far.sockets.length === 1);
    far.socket.end('last words');
    await until(() => line.received.toString() === 'last words' && far.sockets.length === 2);
    expect(notes()).toHaveLength(1);
  }, 15_000);

  test('to several: the line is heard by all, all are heard by the line', async () => {
    const [one, other] = [await listen(), await listen({ address: '::1' })];
    const { line } = await rig([at(one), to(`[::1]:${other.port}`)]);
    await until(() => one.sockets.length + other.sockets.length === 2);
    line.send('both');
    await until(() => one.text === 'both' && other.text === 'both');
    one.socket.write('1');
    await until(() => line.received.toString() === '1');
    other.socket.write('2');
    await until(() => line.received.toString() === '12');
  });

  test('the designated local port is what the server sees', async () => {
    const far = await listen();
    const spare = await listen();
    const localPort = spare.port;
    await spare.close();
    await rig([at(far, { localPort })]);
    await until(() => far.peers.length === 1);
    expect(far.peers[0]).toBe(`127.0.0.1:${localPort}`);
  });

  test('a server that ends at once is not asked faster and faster', async () => {
    const far = await listen();
    const timer = setInterval(() => {
      for (const socket of far.sockets) socket.destroy();
    }, 1);
    ends.push(() => clearInterval(timer));
    await rig([at(far)]);
    await sleep(2500);
    expect(far.sockets.length).toBeGreaterThan(0);
    expect(far.sockets.length).toBeLessThanOrEqual(3);
  }, 15_000);

  test('one that never answers, and a name that means nothing: each told once, the other works', async () => {
    const far = await listen();
    // Nobody accepts, and a backlog that is full answers no SYN.
    const mute = listenTcp({ host: '127.0.0.1', port: 0, backlog: 0 });
    ends.push(() => closeFd(mute));
    const { port } = localAddress(mute);
    const filling = Array.from({ length: 4 }, () => connect(port, '127.0.0.1').on('error', () => {}));
    ends.push(() => {
      for (const socket of filling) socket.destroy();
    });
    await until(() => filling.some(({ connecting }) => !connecting));
    const { line, notes } = await rig([to('no-such-name.invalid'), to(`127.0.0.1:${port}`), at(far)], {
      connectTimeoutMs: 200,
    });
    const told = (what: string) => notes().filter((text) => text.includes(what)).length;
    await until(() => told('no such name') === 1 && told('no answer') === 1 && far.sockets.length === 1);
    line.send('on');
    await until(() => far.text === 'on');
    await sleep(1500);
    expect([told('no such name'), told('no answer')]).toEqual([1, 1]);
  });

  test('a server that does not read holds up the line; with ignoreJammedIp it loses, and the others go on', async () => {
    const [jammed, good] = [await listen({ deaf: true }), await listen()];
    const { line, server } = await rig([at(jammed), at(good)], { ignoreJammedIp: true });
    await until(() => server.clients.length === 2);
    const much = Buffer.alloc(8_000_000, 'j');
    line.send(much);
    await until(() => good.text.length === much.length);
    expect(server.clients.find(({ address }) => address.endsWith(`:${jammed.port}`))?.dropped).toBeGreaterThan(0);
  }, 20_000);

  test('close while it is being connected, and unplugged while it is', async () => {
    const { server } = await rig([to('192.0.2.1:9')]);
    await server.close();
    const far = await listen();
    const { line, events } = await rig([at(far)]);
    await until(() => far.sockets.length === 1);
    line.unplug();
    await until(() => events.some(({ type }) => type === 'failed'));
  });
});

describe('any character', () => {
  test('the character connects, and is the first that the server hears; its end is waited for', async () => {
    const far = await listen();
    const { line, server } = await rig([at(far)], { connectionControl: 'any-character' });
    await sleep(50);
    expect(far.sockets).toHaveLength(0);
    line.send('scan 1');
    await until(() => far.text === 'scan 1');
    far.socket.end();
    await until(() => server.clients.length === 0);
    await sleep(50);
    expect(far.sockets).toHaveLength(1);
    line.send('scan 2');
    await until(() => far.text === 'scan 1scan 2');
    expect(far.sockets).toHaveLength(2);
  }, 15_000);

  test('what comes before there is a server is kept: the newest 4 KiB', async () => {
    const free = await listen();
    const { port } = free;
    await free.close();
    const { line, notes } = await rig([to(`127.0.0.1:${port}`)], { connectionControl: 'any-character' });
    line.send(`${'old'.repeat(3000)}new`);
    await until(() => notes().length === 1);
    const far = await listen({ port });
    await until(() => far.text.length > 0);
    await sleep(20);
    expect([far.text.length, far.text.endsWith('oldnew')]).toEqual([4096, true]);
  }, 15_000);

  test('after so long without a byte the connection is ended', async () => {
    const far = await listen();
    const control = 'any-character/inactivity-time';
    const { line } = await rig([at(far)], { connectionControl: control, inactivityMs: 150 });
    line.send('x');
    await until(() => far.text === 'x');
    const began = performance.now();
    await until(() => far.ended === 1);
    expect(performance.now() - began).toBeGreaterThan(100);
    await sleep(100);
    expect(far.sockets).toHaveLength(1);
  });
});

describe('modem lines', () => {
  async function withLines(connectionControl: TcpClientOptions['connectionControl'], far: FarServer) {
    const clock = new SystemClock();
    const uart = new LoopbackUart({ clock, unpaced: true, echo: false });
    uart.forceLines({ dsr: false, dcd: false });
    const server = new TcpClientPort({ clock, uart, address: '127.0.0.1', destinations: [at(far)], connectionControl });
    ends.push(() => server.close());
    await server.open();
    return { uart, server };
  }

  test.each([
    ['dsr', 'dsr-on/dsr-off'],
    ['dcd', 'dcd-on/dcd-off'],
  ] as const)('%s connects, and ends it where it should', async (name, control) => {
    const far = await listen();
    const { uart } = await withLines(control, far);
    await sleep(50);
    expect(far.sockets).toHaveLength(0);
    uart.forceLines({ dsr: false, dcd: false, [name]: true });
    await until(() => far.sockets.length === 1);
    uart.forceLines({ dsr: false, dcd: false });
    await until(() => far.ended === 1);
    await sleep(50);
    expect(far.sockets).toHaveLength(1);
  });

  test('DSR on alone: its fall ends nothing', async () => {
    const far = await listen();
    const { uart } = await withLines('dsr-on', far);
    uart.forceLines({ dsr: true, dcd: false });
    await until(() => far.sockets.length === 1);
    uart.forceLines({ dsr: false, dcd: false });
    await sleep(100);
    expect(far.ended).toBe(0);
  });
});

const missing = spawnSync('socat', ['-V']).status !== 0 && 'socat is not installed';
test.skipIf(missing)(
  'socat as the server, both ways',
  async () => {
    const free = await listen();
    const { port } = free;
    await free.close();
    const child: ChildProcess = spawn('socat', ['-', `TCP4-LISTEN:${port},bind=127.0.0.1,reuseaddr`], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    ends.push(() => child.kill());
    let heard = '';
    child.stdout?.on('data', (bytes) => {
      heard += bytes;
    });
    const { line } = await rig([to(`localhost:${port}`)]);
    child.stdin?.write('question');
    await until(() => line.received.toString() === 'question');
    line.send('answer');
    await until(() => heard === 'answer');
  },
  15_000,
);
