// Several hosts at one served port, in every mode that can have them: all hear the line, their bytes are not mixed, one that
// does not read; and who may set what. The line is a PTY; what is asserted is what its device and each host see.
import { afterEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import type { PortEvent, PortServer } from '../../src/serve/port-server.js';
import { RealComPort } from '../../src/serve/real-com.js';
import { TcpServerPort } from '../../src/serve/tcp-server.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import { heapUsed } from '../support/heap.js';
import { RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const until = async (done: () => boolean) => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 1));
};

type Mode = 'tcp-server' | 'real-com';
interface Shared {
  readonly maxConnection: number;
  readonly ignoreJammedIp?: boolean;
  readonly allowDriverControl?: boolean;
  readonly busyHoldMs?: number;
  readonly pairTimeoutMs?: number;
}

async function served(mode: Mode, options: Shared) {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const events: PortEvent[] = [];
  const clock = new SystemClock();
  const uart = new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
  const common = { clock, address: '127.0.0.1', uart, event: (event: PortEvent) => events.push(event), ...options };
  const server: PortServer =
    mode === 'tcp-server'
      ? new TcpServerPort({ ...common, port: 0 })
      : new RealComPort({ ...common, dataPort: 0, commandPort: 0 });
  ends.push(() => server.close());
  await server.open();
  const connected = () => events.filter(({ type }) => type === 'connected').length;
  /** One that is closed, as the last ones still have the port, comes again. */
  const dial = async (port: number) => {
    for (;;) {
      const before = connected();
      const peer = await RawPeer.connect(port);
      ends.push(() => peer.close());
      await until(() => connected() > before || peer.ended);
      if (!peer.ended) return peer;
    }
  };
  const host = async () => {
    const [dataPort = 0, commandPort] = server.tcpPorts;
    const command = commandPort === undefined ? undefined : await dial(commandPort);
    return { command, data: await dial(dataPort) };
  };
  const client = async () => (await host()).data;
  return { line, uart, server, events, host, client };
}

/** Counts what comes, and looks at it as it comes. */
function counter(peer: RawPeer): { bytes: number; wrong: number } {
  const got = { bytes: 0, wrong: 0 };
  peer.socket.removeAllListeners('data');
  peer.socket.on('data', (bytes) => {
    for (const byte of bytes) if (byte !== got.bytes++ % 251) got.wrong++;
  });
  return got;
}

describe.each<Mode>(['tcp-server', 'real-com'])('%s', (mode) => {
  test('every client gets all that the line says, in order, and one that goes takes nothing along', async () => {
    const { line, client } = await served(mode, { maxConnection: 8 });
    const peers = [await client(), await client(), await client()];
    const much = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
    line.send(much);
    await until(() => peers.every((peer) => peer.received.length > 10_000));
    await peers[0]?.close('reset');
    for (const peer of peers.slice(1)) expect((await peer.take(much.length)).equals(much)).toBe(true);
  });

  test('what several clients send while the line is slow goes out to the last byte, a chunk at a time', async () => {
    const { line, server, client } = await served(mode, { maxConnection: 4 });
    const peers = [await client(), await client(), await client()];
    line.deaf = true;
    // Fills the line and each client's turn; what each sends is told apart by its bytes.
    for (const [i, peer] of peers.entries()) peer.send(Buffer.alloc(200_000, i + 1));
    await until(() => server.clients.every(({ received }) => received > 0));
    line.deaf = false;
    await until(() => line.received.length >= 600_000);
    const got = line.received;
    const counts = [1, 2, 3].map((value) => got.filter((byte) => byte === value).length);
    expect(counts).toEqual([200_000, 200_000, 200_000]);
    // A chunk is what one read of a socket gave; two clients never share the bytes of one.
    const turns = got.reduce((n, byte, i) => (byte === got[i - 1] ? n : n + 1), 0);
    expect(turns).toBeGreaterThan(3);
    expect(turns).toBeLessThan(600_000 / 1000);
  });

  test('a client that does not read holds up the others; with ignoreJammedIp it alone loses data', async () => {
    const much = Buffer.from(Array.from({ length: 12_000_000 }, (_, i) => i % 251));
    const held = await served(mode, { maxConnection: 2 });
    const [good, jammed] = [await held.client(), await held.client()];
    jammed.socket.pause();
    const goodGot = counter(good);
    held.line.send(much);
    let last = -1;
    for (let same = 0; same < 40; ) {
      await new Promise((resolve) => setTimeout(resolve, 5));
      same = goodGot.bytes === last && held.uart.inputQueue > 0 ? same + 1 : 0;
      last = goodGot.bytes;
    }
    expect(last).toBeGreaterThan(100_000);
    expect(last).toBeLessThan(much.length);
    await jammed.close('reset');
    await until(() => goodGot.bytes >= much.length);
    expect(goodGot).toEqual({ bytes: much.length, wrong: 0 });

    const free = await served(mode, { maxConnection: 2, ignoreJammedIp: true });
    const [reader, sleeper] = [await free.client(), await free.client()];
    sleeper.socket.pause();
    const readerGot = counter(reader);
    free.line.send(much);
    await until(() => readerGot.bytes >= much.length);
    expect(readerGot).toEqual({ bytes: much.length, wrong: 0 });
    const [first, second] = free.server.clients;
    expect(first?.dropped).toBe(0);
    expect(second?.dropped).toBeGreaterThan(0);
    expect((second?.dropped ?? 0) + (second?.sent ?? 0)).toBe(much.length);
  });

  test('ten thousand connections that are dropped at once cost nothing that stays', async () => {
    const { line, server, events, client } = await served(mode, { maxConnection: 2, busyHoldMs: 0, pairTimeoutMs: 50 });
    const drop = async (count: number) => {
      for (let batch = 0; batch < count / 50; batch++) {
        const ports = Array.from({ length: 50 }, (_, i) => server.tcpPorts[i % server.tcpPorts.length] ?? 0);
        const peers = await Promise.all(ports.map((port) => RawPeer.connect(port)));
        await Promise.all(peers.map((peer, i) => peer.close(i % 3 === 0 ? 'end' : 'reset')));
      }
      await until(() => server.clients.length === 0);
      events.splice(0);
    };
    await drop(1000);
    const before = heapUsed();
    await drop(10_000);
    expect(heapUsed() - before).toBeLessThan(2 * 1024 * 1024);
    // The last of them may have the port still: who comes then is closed, and tries again.
    const isAlive = () => line.received.toString().endsWith('alive');
    while (!isAlive()) {
      const peer = await client();
      peer.send(Buffer.from('alive'));
      await until(() => isAlive() || peer.ended);
    }
  }, 120_000);
});

test('Real COM: several hosts are told that they set the line, and it stays as it is configured', async () => {
  const { uart, host } = await served('real-com', { maxConnection: 2 });
  const before = uart.settings;
  const [one, two] = [await host(), await host()];
  expect(uart.outputLines).toEqual({ dtr: true, rts: true });
  // PORT_INIT: 38400, 8 data bits, even parity, DTR and RTS off; FLUSH of the line is not theirs either.
  for (const { command } of [one, two]) {
    expect(await command?.ask('2c 08 08 0b 00 00 00 00 00 00', 5)).toMatch(/^2c03/);
    expect(await command?.ask('12 02 00 00', 3)).toBe('124f4b');
    expect(await command?.ask('14 01 02', 3)).toBe('144f4b');
  }
  expect(uart.settings).toEqual(before);
  expect(uart.outputLines).toEqual({ dtr: true, rts: true });
});

test('Real COM: with allowDriverControl several hosts set the line, and the last one counts', async () => {
  const { uart, host } = await served('real-com', { maxConnection: 2, allowDriverControl: true });
  const [one, two] = [await host(), await host()];
  await one.command?.ask('2c 08 08 03 01 01 00 00 00 00', 5);
  await two.command?.ask('2c 08 07 03 00 00 00 00 00 00', 5);
  expect(uart.settings.baudRate).toBe(19_200);
  expect(uart.outputLines).toEqual({ dtr: false, rts: false });
});

test('Real COM: commands that there are not are counted, each', async () => {
  const { events, host } = await served('real-com', { maxConnection: 1 });
  const { command } = await host();
  expect(await command?.ask('2c 08 08 0b 00 00 00 00 00 00', 5)).toMatch(/^2c03/);
  // Answered all the same: a host that waits would wait for ever.
  expect(await command?.ask('7e 01 00', 3)).toBe('7e4f4b');
  expect(await command?.ask('7d 01 00', 3)).toBe('7d4f4b');
  const counted = () => events.filter(({ type }) => type === 'malformed').length;
  await until(() => counted() === 2);
});
