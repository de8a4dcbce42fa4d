// A port that connects by itself, and the end of its connections: by its rules, with servers that do not help, and over a restart.
import { describe, expect, test } from 'vitest';
import { parseWithBytes, stringifyWithBytes } from '../../src/base/bytes-json.js';
import { SystemClock } from '../../src/base/clock.js';
import type { ModemLines } from '../../src/serial/line.js';
import type { KeptServer, ServerHandover } from '../../src/serve/handover.js';
import type { PortEvent } from '../../src/serve/port-server.js';
import { type TcpClientOptions, TcpClientPort } from '../../src/serve/tcp-client.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import type { KeptUart, Uart, UartEvents } from '../../src/uart/uart.js';
import { speakToDeaf } from '../support/deaf-client.js';
import { destinationTo, type FarOptions, FarServer } from '../support/far-server.js';
import { endsOfTests, holds, sleep } from '../support/leftovers.js';
import { SerialLine } from '../support/serial-line.js';

const ends = endsOfTests();
const listen = (options: FarOptions = {}) => FarServer.listen(ends, options);

/** A PTY whose modem lines the test sets. */
class LinesUart extends SerialPortUart {
  lines: ModemLines = { cts: true, dsr: false, dcd: false, ri: false };
  #events: UartEvents | undefined;

  override get modemLines(): ModemLines {
    return this.lines;
  }

  override async open(events: UartEvents, kept?: KeptUart): Promise<void> {
    this.#events = events;
    await super.open(events, kept);
  }

  dsr(dsr: boolean): void {
    this.lines = { ...this.lines, dsr };
    this.#events?.report({ type: 'lines', lines: this.lines });
  }
}

const uartOf = (line: SerialLine) =>
  new LinesUart({ device: line.path, clock: new SystemClock(), lockDirectory: '/nowhere' });

function portOf(uart: Uart, ports: readonly number[], options: Partial<TcpClientOptions>): TcpClientPort {
  const destinations = ports.map((port) => destinationTo(`127.0.0.1:${port}`));
  const server = new TcpClientPort({
    clock: new SystemClock(),
    uart,
    address: '127.0.0.1',
    destinations,
    connectionControl: 'startup',
    ...options,
  });
  ends.push(() => server.close());
  return server;
}

async function rig(ports: readonly number[], options: Partial<TcpClientOptions> = {}) {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const uart = uartOf(line);
  const server = portOf(uart, ports, options);
  await server.open();
  /** The same port in another process. */
  const restarted = async (lines: ModemLines = uart.lines, atMostMs = 1000) => {
    const handover = await server.handOver(atMostMs);
    if (handover === undefined) throw new Error('it could not be kept');
    const { state, ...descriptors } = handover;
    const kept: KeptServer = {
      ...descriptors,
      state: parseWithBytes(stringifyWithBytes(state)) as ServerHandover['state'],
    };
    const nextUart = uartOf(line);
    nextUart.lines = lines;
    const next = portOf(nextUart, ports, options);
    await next.open(kept);
    return next;
  };
  return { line, uart, server, restarted };
}

describe('DSR off', () => {
  test('ends it although the server keeps its side open; DSR on again connects', async () => {
    const far = await listen({ allowHalfOpen: true });
    const reasons: string[] = [];
    const event = (what: PortEvent) => what.type === 'disconnected' && reasons.push(what.reason);
    const { uart } = await rig([far.port], { connectionControl: 'dsr-on/dsr-off', event });
    uart.dsr(true);
    await holds(() => far.sockets.length === 1);
    uart.dsr(false);
    uart.dsr(true);
    await holds(() => far.sockets.length === 2);
    expect(reasons).toEqual(['the modem lines ended it']);
  });

  test('ends it although the server reads nothing', async () => {
    const far = await listen({ deaf: true });
    const { line, uart, server } = await rig([far.port], { connectionControl: 'dsr-on/dsr-off' });
    uart.dsr(true);
    await holds(() => far.sockets.length === 1);
    line.send(Buffer.alloc(12_000_000));
    for (let last = -1; last !== line.unsent; await sleep(100)) last = line.unsent;
    expect(line.unsent).toBeGreaterThan(0);
    uart.dsr(false);
    await holds(() => server.clients.length === 0);
    // The line is not held up any more.
    await holds(() => line.unsent === 0);
  });

  test('ends it although the server has ended its own side, and reads nothing', async () => {
    const far = await listen({ deaf: true, allowHalfOpen: true });
    const { line, uart, server } = await rig([far.port], { connectionControl: 'dsr-on/dsr-off' });
    uart.dsr(true);
    await holds(() => far.sockets.length === 1);
    line.send(Buffer.alloc(12_000_000));
    for (let last = -1; last !== line.unsent; await sleep(100)) last = line.unsent;
    far.socket.end();
    await sleep(100);
    expect(server.clients.length).toBe(1);
    uart.dsr(false);
    await holds(() => server.clients.length === 0);
  });

  test('what the line said before it all arrives, whatever it says behind it', async () => {
    const far = await listen({ deaf: true });
    const { line, uart, server } = await rig([far.port], { connectionControl: 'dsr-on/dsr-off' });
    uart.dsr(true);
    await holds(() => far.sockets.length === 1);
    line.send(Buffer.alloc(12_000_000, 'b'));
    for (let last = -1; last !== line.unsent; await sleep(100)) last = line.unsent;
    const sent = server.clients[0]?.sent ?? 0;
    uart.dsr(false);
    far.read();
    await holds(() => far.ended === 1);
    expect(far.text.length).toBe(sent);
  });
});

test('inactivity ends a connection to a server that reads nothing, and the next character is not lost', async () => {
  const far = await listen({ deaf: true });
  const control = 'any-character/inactivity-time';
  const options = { connectionControl: control, inactivityMs: 300 } as const;
  const { line, server } = await rig([far.port], options);
  line.send('x');
  await holds(() => far.sockets.length === 1);
  // More than what makes its stream full.
  await speakToDeaf(server, line);
  await holds(() => server.clients.length === 0);
  await holds(() => line.unsent === 0);
  await holds(() => far.sockets.length === 2 || server.clients.length === 0);
  await sleep(500);
  const { length } = far.sockets;
  line.send('next');
  await holds(() => far.sockets.length === length + 1);
  far.read();
  await holds(() => far.text === 'next');
});

test('a character while its connection is being ended asks for the next', async () => {
  const far = await listen({ allowHalfOpen: true });
  const { line } = await rig([far.port], { connectionControl: 'any-character' });
  line.send('1');
  await holds(() => far.text === '1');
  far.socket.end();
  for (let i = 2; i < 10; i++) {
    line.send(String(i));
    await sleep(1);
  }
  await holds(() => far.text === '123456789');
});

test('characters that wait for one server are not forgotten when another one ends and the modem lines move', async () => {
  const [far, free] = [await listen(), await listen()];
  await free.close();
  const { line, uart, server } = await rig([far.port, free.port], { connectionControl: 'any-character' });
  line.send('asked');
  await holds(() => far.text === 'asked');
  far.socket.end();
  await holds(() => server.clients.length === 0);
  uart.dsr(true);
  const late = await listen({ port: free.port });
  await holds(() => late.text === 'asked');
});

test('what the line says without a server goes nowhere, unless it asks for one', async () => {
  const free = await listen();
  await free.close();
  const { line, uart } = await rig([free.port]);
  line.send('stale');
  await holds(() => line.unsent === 0 && uart.inputQueue === 0);
  await sleep(50);
  const far = await listen({ port: free.port });
  await holds(() => far.sockets.length === 1);
  line.send('fresh');
  await holds(() => far.text.includes('fresh'));
  expect(far.text).toBe('fresh');
});

describe('over a restart', () => {
  test('dsr-on: a connection whose DSR has gone since goes on', async () => {
    const far = await listen();
    const { line, uart, restarted } = await rig([far.port], { connectionControl: 'dsr-on' });
    uart.dsr(true);
    await holds(() => far.sockets.length === 1);
    uart.dsr(false);
    await restarted();
    await sleep(50);
    line.send('still');
    await holds(() => far.text === 'still');
    expect([far.sockets.length, far.ended]).toEqual([1, 0]);
  });

  test('dsr-on/dsr-off: DSR that went meanwhile ends it', async () => {
    const far = await listen();
    const { uart, restarted } = await rig([far.port], { connectionControl: 'dsr-on/dsr-off' });
    uart.dsr(true);
    await holds(() => far.sockets.length === 1);
    await restarted({ ...uart.lines, dsr: false });
    await holds(() => far.ended === 1);
  });

  test('characters that wait for a server wait on', async () => {
    const free = await listen();
    await free.close();
    const { line, uart, restarted } = await rig([free.port], { connectionControl: 'any-character' });
    line.send('asked');
    await holds(() => line.unsent === 0 && uart.inputQueue === 0);
    await sleep(50);
    await restarted();
    const far = await listen({ port: free.port });
    await holds(() => far.text === 'asked');
  });

  test('a server that ends in the middle of it is connected by the next process, not by this one', async () => {
    const [far, deaf] = [await listen(), await listen({ deaf: true })];
    const { line, server, restarted } = await rig([far.port, deaf.port], { ignoreJammedIp: true });
    await holds(() => server.clients.length === 2);
    far.socket.write('x');
    await holds(() => line.received.length === 1);
    line.send(Buffer.alloc(12_000_000, 'b'));
    await holds(() => line.unsent === 0);
    const next = restarted(undefined, 2500);
    await sleep(100);
    far.socket.end();
    await holds(() => far.ended === 1);
    await sleep(2000);
    expect(far.sockets.length).toBe(1);
    await next;
    await holds(() => far.sockets.length === 2);
  });

  test('of a server that reads nothing and is ended for it, what it had said reaches the line', async () => {
    const far = await listen({ deaf: true });
    const { line, server, restarted } = await rig([far.port]);
    await holds(() => far.sockets.length === 1);
    line.send(Buffer.alloc(12_000_000, 'b'));
    for (let last = -1; last !== line.unsent; await sleep(100)) last = line.unsent;
    line.deaf = true;
    far.socket.write(Buffer.alloc(3_000_000, 'y'));
    const taken = () => server.clients[0]?.received ?? 0;
    for (let last = -1; taken() === 0 || taken() !== last; await sleep(50)) last = taken();
    const received = taken();
    const next = await restarted();
    expect(next.clients).toEqual([]);
    line.deaf = false;
    await holds(() => line.received.length >= received);
  });

  test('of connections that DSR has ended, what they had said reaches a line that stood: of some of them', async () => {
    const far = await listen();
    const { line, uart, server, restarted } = await rig([far.port], { connectionControl: 'dsr-on/dsr-off' });
    line.deaf = true;
    const rounds = 10;
    for (let i = 0; i < rounds; i++) {
      uart.dsr(true);
      await holds(() => far.sockets.length === i + 1);
      // More than a PTY takes, the first time.
      far.socket.write(Buffer.alloc(i === 0 ? 100_000 : 2000, 'a'.charCodeAt(0) + i));
      await holds(() => (server.clients[0]?.received ?? 0) > 0);
      await sleep(30);
      uart.dsr(false);
      await holds(() => server.clients.length === 0);
    }
    await restarted();
    line.deaf = false;
    const said = () => new Set(line.received.toString('latin1'));
    for (let last = -1; last !== line.received.length; await sleep(100)) last = line.received.length;
    expect([...said()].join('')).toBe('abcdefgh');
  }, 40_000);
});
