// A serial port over UDP: what peers of other programs get and send, what floods do, and what is dropped. Loopback only; the device is
// at the other end of a PTY.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import { type Destination, parseDestination } from '../../src/config/destination.js';
import type { PortEvent } from '../../src/serve/port-server.js';
import { UdpPort, type UdpPortOptions } from '../../src/serve/udp.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import { endsOfTests, holds as until } from '../support/leftovers.js';
import { SerialLine } from '../support/serial-line.js';

const ends = endsOfTests();

function to(text: string): Destination {
  const parsed = parseDestination(text);
  if (parsed === undefined) throw new Error(`${text} is no destination`);
  return parsed;
}

async function rig(options: Partial<UdpPortOptions> = {}) {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const clock = new SystemClock();
  const uart = new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
  const events: PortEvent[] = [];
  const server = new UdpPort({
    clock,
    uart,
    address: '127.0.0.1',
    port: 0,
    destinations: [],
    event: (event) => events.push(event),
    ...options,
  });
  ends.push(() => server.close());
  await server.open();
  const notes = () => events.flatMap((event) => (event.type === 'note' ? [event.text] : []));
  return { line, server, events, notes, port: server.udpPorts[0] ?? 0 };
}

/** A peer: what it gets, datagram by datagram. */
async function peer(address = '127.0.0.1', port = 0) {
  const socket: Socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
  const got: string[] = [];
  socket.on('message', (bytes) => got.push(bytes.toString('latin1')));
  socket.on('error', () => {});
  socket.bind(port, address);
  await once(socket, 'listening');
  ends.push(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  return { socket, got, port: socket.address().port };
}

describe('from the line', () => {
  test('to every destination, each of a range too', async () => {
    const one = await peer();
    const first = await peer('127.0.0.2');
    const same = await peer('127.0.0.4', first.port);
    const { line } = await rig({
      destinations: [to(`127.0.0.1:${one.port}`), to(`127.0.0.2-127.0.0.4:${first.port}`)],
    });
    line.send('reading');
    await until(() => [one, first, same].every(({ got }) => got.join('') === 'reading'));
  });

  test('packing makes the datagrams', async () => {
    const one = await peer();
    const packing = { packetLength: 0, delimiter: [13], delimiterProcess: 0 as const, forceTransmit: 0 };
    const { line } = await rig({ destinations: [to(`127.0.0.1:${one.port}`)], packing });
    line.send('ab\rcd');
    line.send('ef\r');
    await until(() => one.got.length === 2);
    expect(one.got).toEqual(['ab\r', 'cdef\r']);
  });

  test('no more than 1024 bytes in one, and all of them', async () => {
    const one = await peer();
    const { line } = await rig({ destinations: [to(`127.0.0.1:${one.port}`)] });
    const much = Buffer.from(Array.from({ length: 40_000 }, (_, i) => (i * 7) % 251));
    for (let at = 0; at < much.length; at += 2000) {
      line.send(much.subarray(at, at + 2000));
      await until(() => one.got.join('').length >= Math.min(at + 2000, much.length));
    }
    expect(Math.max(...one.got.map(({ length }) => length))).toBeLessThanOrEqual(1024);
    expect(Buffer.from(one.got.join(''), 'latin1').equals(much)).toBe(true);
  });

  test('a group: who is in it hears, and what it says is heard', async () => {
    const member = await peer('0.0.0.0');
    member.socket.addMembership('239.255.77.7', '127.0.0.1');
    member.socket.setMulticastInterface('127.0.0.1');
    const { line, port } = await rig({ destinations: [to(`239.255.77.7:${member.port}`)], address: '127.0.0.1' });
    line.send('all of you');
    await until(() => member.got.join('') === 'all of you');
    member.socket.send('all of us', port, '239.255.77.7');
    await until(() => line.received.toString() === 'all of us');
  });

  test('a group at its own port: others hear what the line says, the line does not', async () => {
    const { port } = await peer();
    await ends.pop()?.();
    const member = createSocket({ type: 'udp4', reuseAddr: true });
    const got: string[] = [];
    member.on('message', (bytes) => got.push(bytes.toString()));
    member.bind(port, '239.255.77.9');
    await once(member, 'listening');
    ends.push(() => new Promise<void>((resolve) => member.close(() => resolve())));
    member.addMembership('239.255.77.9', '127.0.0.1');
    const other = await peer();
    other.socket.setMulticastInterface('127.0.0.1');
    const { line, events } = await rig({
      port,
      destinations: [to(`239.255.77.9:${port}`)],
      admits: (address) => address === '127.0.0.1',
    });
    line.send('mine');
    await until(() => got.join('') === 'mine');
    other.socket.send('theirs', port, '239.255.77.9');
    await until(() => line.received.length >= 6);
    expect(line.received.toString()).toBe('theirs');
    expect(events.map(({ type }) => type)).toEqual(['connected']);
  });

  test('what packing holds goes when the port is closed', async () => {
    const one = await peer();
    const packing = { packetLength: 0, delimiter: [13], delimiterProcess: 0 as const, forceTransmit: 0 };
    const { line, server } = await rig({ destinations: [to(`127.0.0.1:${one.port}`)], packing });
    line.send('whole\rtail');
    await until(() => one.got.length === 1);
    await server.close();
    await until(() => one.got.length === 2);
    expect(one.got).toEqual(['whole\r', 'tail']);
  });

  test('a name, and one that means nothing: told once, the others go on', async () => {
    const one = await peer();
    const { line, notes } = await rig({
      destinations: [to('no-such-name.invalid'), to(`localhost:${one.port}`)],
    });
    await until(() => notes().length === 1);
    expect(notes()[0]).toMatch(/^no-such-name\.invalid:4001: no such name/);
    for (let i = 0; one.got.length === 0; i++) {
      line.send(`${i}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    expect(notes()).toHaveLength(1);
  });

  test('nobody there, and an address that cannot be reached from here: told, and no end', async () => {
    const one = await peer();
    const { line, notes } = await rig({
      destinations: [to('127.0.0.1:9'), to('192.0.2.1:9'), to(`127.0.0.1:${one.port}`)],
    });
    for (let i = 0; i < 20; i++) {
      line.send('x');
      await until(() => one.got.join('').length > i);
    }
    expect(notes().filter((text) => text.startsWith('192.0.2.1:9: not sent'))).toHaveLength(1);
  });
});

describe('to the line', () => {
  test('datagrams of every length are whole, an empty one is nothing', async () => {
    const one = await peer();
    const { line, server, port } = await rig();
    let expected = 0;
    for (const length of [0, 1, 2, 255, 1024, 1472, 1473, 9000, 65_507]) {
      one.socket.send(Buffer.alloc(length, length % 251), port, '127.0.0.1');
      expected += length;
      await until(() => line.received.length === expected);
      expect(line.received.subarray(expected - length).every((byte) => byte === length % 251)).toBe(true);
    }
    expect(server.clients).toMatchObject([{ address: '127.0.0.1', received: expected, dropped: 0 }]);
  });

  test('who is not admitted is not heard', async () => {
    const [good, bad] = [await peer('127.0.0.1'), await peer('127.0.0.2')];
    const { line, port, events } = await rig({ admits: (address) => address === '127.0.0.1' });
    bad.socket.send('bad', port, '127.0.0.1');
    await until(() => events.some(({ type }) => type === 'denied'));
    good.socket.send('good', port, '127.0.0.1');
    await until(() => line.received.length > 0);
    expect(line.received.toString()).toBe('good');
  });

  test('a flood to a line that stands: bounded, counted, and over when the line goes on', async () => {
    const one = await peer();
    const { line, server, port, notes } = await rig();
    line.deaf = true;
    const heap = process.memoryUsage().rss;
    const chunk = Buffer.alloc(1000, 'z');
    for (let i = 0; i < 100_000; i++) {
      one.socket.send(chunk, port, '127.0.0.1');
      if (i % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => (server.clients[0]?.dropped ?? 0) > 1_000_000);
    expect(process.memoryUsage().rss - heap).toBeLessThan(300 * 1024 * 1024);
    const late = await peer('127.0.0.2');
    await until(() => {
      late.socket.send(chunk, port, '127.0.0.1'); // again: the kernel drops, too
      return server.clients.some(({ address, dropped }) => address === '127.0.0.2' && dropped > 0);
    });
    expect(notes()).toEqual([`the line has no room: datagrams are dropped, of 127.0.0.1:${one.port} first`]);
    line.deaf = false;
    await until(() => line.received.length >= (server.clients[0]?.received ?? Number.POSITIVE_INFINITY));
    expect(line.received.every((byte) => byte === 0x7a)).toBe(true);
    one.socket.send('after', port, '127.0.0.1');
    await until(() => line.received.subarray(-5).toString() === 'after');
  });

  test('thousands of sources: sixteen are told of, all are heard', async () => {
    const { line, server, port } = await rig();
    for (let i = 0; i < 200; i++) {
      const one = await peer(`127.0.1.${i + 1}`);
      one.socket.send('1', port, '127.0.0.1');
    }
    await until(() => line.received.length === 200);
    expect(server.clients.length).toBe(16);
  });
});

test('IPv6, and IPv4 through a listener of both', async () => {
  const [six, four] = [await peer('::1'), await peer('127.0.0.1')];
  const { line, port } = await rig({
    address: '::',
    destinations: [to(`[::1]:${six.port}`), to(`127.0.0.1:${four.port}`)],
  });
  line.send('hello');
  await until(() => six.got.length > 0 && four.got.length > 0);
  six.socket.send('6', port, '::1');
  await until(() => line.received.toString() === '6');
  four.socket.send('4', port, '127.0.0.1');
  await until(() => line.received.toString() === '64');
});

test('a port that is taken is said, with what to do', async () => {
  const one = await peer();
  await expect(rig({ port: one.port })).rejects.toThrow(
    /cannot listen on 127\.0\.0\.1 port \d+ \(UDP\): already in use \(.*ss -lunp\)/,
  );
});

test('the device is unplugged', async () => {
  const { line, events } = await rig();
  line.unplug();
  await until(() => events.some(({ type }) => type === 'failed'));
});

const socatMissing = spawnSync('socat', ['-V']).status !== 0 && 'socat is not installed';
test.skipIf(socatMissing)('socat as the peer, both ways', async () => {
  const far = await peer(); // a free port
  const farPort = far.port;
  await new Promise<void>((resolve) => far.socket.close(() => resolve()));
  ends.pop();
  const { line, port } = await rig({ destinations: [to(`127.0.0.1:${farPort}`)] });
  const child: ChildProcess = spawn('socat', ['-', `UDP4-DATAGRAM:127.0.0.1:${port},bind=127.0.0.1:${farPort}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  ends.push(() => child.kill());
  let heard = '';
  child.stdout?.on('data', (bytes) => {
    heard += bytes;
  });
  child.stdin?.write('question');
  await until(() => line.received.toString() === 'question');
  line.send('answer');
  await until(() => heard === 'answer');
});
