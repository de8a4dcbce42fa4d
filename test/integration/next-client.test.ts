// What a client of a served port finds that comes right behind another: its lines up, no break, no byte of before its time.
// The line is a PTY; what is asserted is what the port was asked for at last, and what the client and the device get.
import { afterEach, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import type { LineRequest } from '../../src/serial/line.js';
import type { PortEvent, PortServer } from '../../src/serve/port-server.js';
import { RealComPort } from '../../src/serve/real-com.js';
import { ReverseTelnetPort } from '../../src/serve/reverse-telnet.js';
import { Rfc2217Port } from '../../src/serve/rfc2217.js';
import { type TcpServerOptions, TcpServerPort } from '../../src/serve/tcp-server.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import { RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const until = async (done: () => boolean) => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 1));
};

/** A port that remembers what it was asked, and takes its time where the test says so, as an adapter behind USB does. */
class SlowPort extends SerialPortUart {
  readonly asked: LineRequest[] = [];
  unanswered = 0;
  held: Promise<void> | undefined;

  override async request(request: LineRequest): Promise<boolean> {
    this.asked.push(request);
    this.unanswered++;
    await this.held;
    const done = await super.request(request);
    this.unanswered--;
    return done;
  }
}

async function served(make: (common: Common) => PortServer) {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const events: PortEvent[] = [];
  const clock = new SystemClock();
  const uart = new SlowPort({ device: line.path, clock, lockDirectory: '/nowhere' });
  const server = make({ clock, address: '127.0.0.1', uart, event: (event) => events.push(event) });
  ends.push(() => server.close());
  await server.open();
  const count = (type: PortEvent['type']) => events.filter((event) => event.type === type).length;
  const dial = async (n = 0) => {
    const peer = await RawPeer.connect(server.tcpPorts[n] ?? 0);
    ends.push(() => peer.close());
    return peer;
  };
  const client = async (n = 0) => {
    const before = count('connected');
    const peer = await dial(n);
    await until(() => count('connected') > before);
    return peer;
  };
  return { line, uart, count, dial, client };
}

type Common = Pick<TcpServerOptions, 'clock' | 'address' | 'uart' | 'event'>;
const UP = { dtr: true, rts: true };
const tenByTen = { packetLength: 10, delimiter: [], delimiterProcess: 0, forceTransmit: 0 } as const;
const PORT_INIT = '2c 08 07 0b 01 01 00 00 00 00';
const START_BREAK = '21 00';
const XOFF = '34 00';

test('tcp-server: who waited for its place has its lines up, whatever the end of the one before still does to them', async () => {
  const { uart, count, client, dial } = await served(
    (common) => new TcpServerPort({ ...common, port: 0, linesWhenFree: 'low', busyHoldMs: 60_000 }),
  );
  const first = await client();
  await dial();
  await until(() => count('waits') === 1);
  await first.close();
  await until(() => count('connected') === 2 && uart.unanswered === 0);
  expect(uart.asked.at(-1)).toEqual({ type: 'lines', lines: UP });
  expect(uart.outputLines).toEqual(UP);
});

test('tcp-server: the end of who had the command port ends its break, and frees the transmitter and the lines', async () => {
  const { uart, count, client } = await served(
    (common) => new TcpServerPort({ ...common, port: 0, commandPort: 0, linesWhenFree: 'low' }),
  );
  const command = await client(1);
  await command.ask(PORT_INIT, 5);
  expect(uart.outputLines).toEqual(UP);
  expect(await command.ask(START_BREAK, 3)).toBe('214f4b');
  expect(await command.ask(XOFF, 3)).toBe('344f4b');
  const before = uart.asked.length;
  await command.close();
  await until(() => count('disconnected') === 1 && uart.unanswered === 0);
  expect(uart.asked.slice(before)).toEqual([
    { type: 'break', on: false },
    { type: 'transmitter', on: true },
    { type: 'lines', lines: { dtr: false, rts: false } },
  ]);
});

test('real-com: who comes while the last of several is being cleaned up after has its lines up', async () => {
  const { uart, count, client, dial } = await served(
    (common) => new RealComPort({ ...common, dataPort: 0, commandPort: 0, maxConnection: 2, busyHoldMs: 60_000 }),
  );
  const first = await client(1);
  await client(0);
  await until(() => uart.outputLines.dtr && uart.unanswered === 0);
  let go = () => {};
  uart.held = new Promise((resolve) => {
    go = resolve;
  });
  await first.close();
  await until(() => count('disconnected') === 1);
  await dial(1);
  await dial(0);
  await until(() => count('connected') + count('waits') === 4);
  go();
  await until(() => count('connected') === 4 && uart.unanswered === 0);
  expect(uart.outputLines).toEqual(UP);
});

test.each<[string, (common: Common) => PortServer]>([
  ['tcp-server', (common) => new TcpServerPort({ ...common, port: 0, packing: tenByTen })],
  ['rfc2217', (common) => new Rfc2217Port({ ...common, port: 0, packing: tenByTen })],
])('%s: what the line said while nobody was there does not wait in the packing', async (_mode, make) => {
  const { line, uart, client } = await served(make);
  line.send('abc');
  await until(() => line.unsent === 0);
  for (let turns = 0; turns < 20 || uart.inputQueue > 0; turns++)
    await new Promise((resolve) => setTimeout(resolve, 1));
  const peer = await client();
  line.send('ABCDEFGHIJ');
  await peer.until(() => peer.received.includes('J'));
  expect(peer.received.toString('latin1').replace(/^.*(?=[aA])/s, '')).toMatch(/^ABCDEFGHIJ/);
  expect(peer.received.includes('abc')).toBe(false);
});

test('tcp-server: what the line said to one who is gone waits in the packing for nobody, though his last bytes wait for the line', async () => {
  const { line, uart, count, client, dial } = await served(
    (common) => new TcpServerPort({ ...common, port: 0, packing: tenByTen, busyHoldMs: 60_000 }),
  );
  const first = await client();
  line.deaf = true;
  for (let last = -1; last <= 0 || last !== uart.outputQueue; await new Promise((resolve) => setTimeout(resolve, 20))) {
    last = uart.outputQueue;
    first.send(Buffer.alloc(1000));
  }
  line.send('abc');
  await until(() => line.unsent === 0);
  for (let turns = 0; turns < 20 || uart.inputQueue > 0; turns++)
    await new Promise((resolve) => setTimeout(resolve, 1));
  first.socket.end();
  const second = await dial();
  await until(() => count('connected') === 2);
  line.send('ABCDEFGHIJ');
  await second.until(() => second.received.length >= 10);
  expect(second.received.toString()).toBe('ABCDEFGHIJ');
});

test('tcp-server: who sets the line flushes the last bytes of one who is gone, too, and counts them', async () => {
  const { line, uart, count, client } = await served(
    (common) => new TcpServerPort({ ...common, port: 0, commandPort: 0, busyHoldMs: 60_000 }),
  );
  const command = await client(1);
  await command.ask(PORT_INIT, 5);
  const first = await client();
  line.deaf = true;
  for (let last = -1; last <= 0 || last !== uart.outputQueue; await new Promise((resolve) => setTimeout(resolve, 20))) {
    last = uart.outputQueue;
    first.send(Buffer.alloc(1000));
  }
  first.socket.end(Buffer.from('last words'));
  const second = await client();
  command.send('16 00');
  const queued = (await command.take(4)).readUInt16LE(2);
  expect(queued).toBeGreaterThan(uart.outputQueue);
  expect(await command.ask('14 01 01', 3)).toBe('144f4b');
  line.deaf = false;
  second.send(Buffer.from('next'));
  await until(() => line.received.includes('next') && count('disconnected') === 1);
  expect(line.received.includes('last words')).toBe(false);
});

test.each<[string, number, string, (common: Common) => PortServer]>([
  ['tcp-server', 1, XOFF, (common) => new TcpServerPort({ ...common, port: 0, commandPort: 0, busyHoldMs: 0 })],
  ['reverse-telnet', 0, 'ff f3', (common) => new ReverseTelnetPort({ ...common, port: 0, busyHoldMs: 0 })],
])(
  '%s: those who come and go ask a device that does not answer for no more than one of them did',
  async (_mode, n, asks, make) => {
    const { uart, count, client, dial } = await served(make);
    let answer = () => {};
    uart.held = new Promise((resolve) => {
      answer = resolve;
    });
    const first = await client(n);
    first.send(asks);
    await until(() => uart.asked.some(({ type }) => type === 'transmitter' || type === 'break'));
    await first.close();
    await until(() => count('disconnected') === 1);
    const asked = uart.asked.length;
    for (let i = 1; i <= 20; i++) {
      const next = await dial(n);
      next.send(asks);
      await until(() => count('busy') === i);
      await next.close();
    }
    expect(uart.asked.length).toBe(asked);
    answer();
    uart.held = undefined;
    await until(() => uart.unanswered === 0);
    const last = await client(n);
    last.send(asks);
    await until(() => uart.asked.length > asked);
  },
);
