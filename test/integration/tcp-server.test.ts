// What only the TCP server mode does: inactivity, the lines of a port that nobody uses, the end of a client, packing, the
// command port. The line is a PTY; what is asserted is what its device and each client see.
import { afterEach, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import type { OutputLines } from '../../src/serial/line.js';
import type { PortEvent } from '../../src/serve/port-server.js';
import { type TcpServerOptions, TcpServerPort } from '../../src/serve/tcp-server.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import { deafClientIsEnded } from '../support/deaf-client.js';
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

test('inactivity ends a client that reads nothing, and one that comes next hears the line', async () => {
  const { line, server, client } = await served({ inactivityMs: 300 });
  await deafClientIsEnded(server, line, client);
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

test('packing: a frame of Modbus RTU is one segment, and a segment is one write', async () => {
  const silence = { packetLength: 0, delimiter: [], delimiterProcess: 0, forceTransmit: 'modbus-rtu' } as const;
  const { line, uart, client } = await served({ packing: silence });
  // Long gaps, so that a busy machine makes none: 3.5 characters at 50 baud are 700 ms.
  await uart.request({
    type: 'settings',
    settings: { ...uart.settings, baudRate: 50 },
    lines: { dtr: true, rts: true },
  });
  const peer = await client();
  for (const part of ['01 03', '00 00', '00 0a', 'c5 cd']) {
    line.send(Buffer.from(part.replace(' ', ''), 'hex'));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  expect(peer.segments).toEqual([]);
  await peer.until(() => peer.segments.length > 0);
  expect(peer.segments.map((segment) => segment.toString('hex'))).toEqual(['01030000000ac5cd']);
  peer.send('01 83 02 c0 f1');
  await until(() => line.received.length === 5);
  expect(line.pieces.map((piece) => piece.toString('hex'))).toEqual(['018302c0f1']);
});

test('packing: what waits when the last client goes is not for the next', async () => {
  const rules = { packetLength: 10, delimiter: [], delimiterProcess: 0, forceTransmit: 0 } as const;
  const { line, server, client } = await served({ packing: rules });
  const first = await client();
  line.send('0123456789abc');
  expect((await first.take(10)).toString()).toBe('0123456789');
  await first.close();
  await until(() => server.clients.length === 0);
  const second = await client();
  line.send('ABCDEFGHIJ');
  expect((await second.take(10)).toString()).toBe('ABCDEFGHIJ');
});

test('the command port sets the line and tells its modem lines; the bytes go their own way', async () => {
  const { line, uart, server, client } = await served({ commandPort: 0, maxConnection: 2 });
  const data = await client();
  const command = await RawPeer.connect(server.tcpPorts[1] ?? 0);
  ends.push(() => command.close());
  // PORT_INIT: 19200 8E1, DTR on, RTS off; answered by DSR, CTS, DCD.
  expect(await command.ask('2c 08 07 0b 01 00 00 00 00 00', 5)).toMatch(/^2c03/);
  expect(uart.settings).toMatchObject({ baudRate: 19_200, parity: 'even' });
  expect(line.settings.baudRate).toBe(19_200);
  expect(uart.outputLines).toEqual({ dtr: true, rts: false });
  data.send(Buffer.from('down'));
  await until(() => line.received.toString() === 'down');
  line.send('up');
  expect((await data.take(2)).toString()).toBe('up');
  expect(command.unread.length).toBe(0);
  await command.close();
  expect(server.clients).toHaveLength(1);
  expect(uart.settings.baudRate).toBe(19_200);
});

test('a client that has closed behind bytes that the line does not take gives its place to who waits for it', async () => {
  const { line, server, client } = await served({ busyHoldMs: 20_000 });
  line.deaf = true;
  const first = await client();
  // Until the port is full, and something waits in the kernel that is not read: the end of the connection is behind it.
  let sent = 0;
  for (let unread = 0; unread < 1500; unread = sent - (server.clients[0]?.received ?? 0)) {
    first.socket.write(Buffer.alloc(1000, 0x31));
    sent += 1000;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  first.socket.end();
  const second = await client();
  second.send(Buffer.from('next'));
  await until(() => server.clients.length === 1 && second.socket.localPort !== undefined && first.ended);
  line.deaf = false;
  await until(() => line.received.length === sent + 4);
  // A piece is not cut, and no byte of either is lost.
  const text = line.received.toString('latin1');
  expect([text.replace('next', '').length, /^1+$/.test(text.replace('next', ''))]).toEqual([sent, true]);
});

test('a question for the output queue counts what data clients have sent, too, and a flush drops it', async () => {
  const { line, server, client } = await served({ commandPort: 0 });
  line.deaf = true;
  const data = await client();
  const command = await RawPeer.connect(server.tcpPorts[1] ?? 0);
  ends.push(() => command.close());
  await command.ask('2c 08 06 03 01 01 00 00 00 00', 5);
  data.send(Buffer.alloc(30_000, 0x32));
  await until(() => (server.clients[0]?.received ?? 0) > 8192);
  const queued = (answer: string) => Number.parseInt(answer.slice(4).replace(/(..)(..)/, '$2$1'), 16);
  // The port's own queue holds 4096, and the driver's of a PTY counts nothing.
  expect(queued(await command.ask('16 00', 4))).toBeGreaterThan(4096 + 100);
  expect(await command.ask('14 01 01', 3)).toBe('144f4b');
  expect(queued(await command.ask('2f 04 01 00 00 00', 4))).toBeLessThan(30_000);
});
