// A port is handed over while something is being done to it for a client, or after one, and the driver takes its time: the next process
// finds no stopped transmitter, no break and no fallen lines that nobody undoes.
import { expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import type { LineRequest } from '../../src/serial/line.js';
import type { PortEvent, PortServer } from '../../src/serve/port-server.js';
import { RealComPort } from '../../src/serve/real-com.js';
import { ReverseTelnetPort } from '../../src/serve/reverse-telnet.js';
import { TcpServerPort } from '../../src/serve/tcp-server.js';
import { ForwardingUart } from '../../src/uart/forwarding.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import type { KeptUart, Uart } from '../../src/uart/uart.js';
import { endsOfTests, sleep, holds as until } from '../support/leftovers.js';
import { hex, RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const ends = endsOfTests();
const clock = new SystemClock();

/** Behind a slow adapter: one change after the other, and none of those that have not begun when the port is handed over. */
class SlowChanges extends ForwardingUart {
  #last: Promise<unknown> = Promise.resolve();
  #left = false;
  readonly done: LineRequest[] = [];
  /** Each change of the lines or the transmitter takes so long. */
  takes: () => Promise<void> = () => sleep(100);

  override handOver(): KeptUart | undefined {
    this.#left = true;
    return super.handOver();
  }

  override request(request: LineRequest): Promise<boolean> {
    // What is wanted of a break is known at once.
    if (request.type === 'break') return super.request(request).finally(() => this.done.push(request));
    const done = this.#last.then(async () => {
      if (request.type === 'lines' || request.type === 'transmitter') await this.takes();
      const isDone = !this.#left && (await super.request(request));
      this.done.push(request);
      return isDone;
    });
    this.#last = done;
    return done;
  }
}

interface Common {
  readonly clock: SystemClock;
  readonly uart: Uart;
  readonly address: string;
  event(event: PortEvent): void;
}

/** `next`: as the server of the next process. */
async function rig<T extends PortServer>(make: (common: Common, ports: readonly number[]) => T) {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const events: PortEvent[] = [];
  const port = () => new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
  const begin = (uart: Uart, ports: readonly number[]) => {
    const server = make({ clock, uart, address: '127.0.0.1', event: (event) => events.push(event) }, ports);
    ends.push(() => server.close());
    return server;
  };
  const slow = new SlowChanges(port());
  const server = begin(slow, [0, 0]);
  await server.open();
  const client = async (index: number) => {
    const peer = await RawPeer.connect(server.tcpPorts[index] ?? 0);
    ends.push(() => peer.close());
    return peer;
  };
  const next = async () => {
    const kept = await server.handOver?.(10_000);
    if (kept === undefined) throw new Error('it could not be kept');
    const uart = port();
    await begin(uart, server.tcpPorts).open(kept);
    return { uart, state: kept.state.uart };
  };
  const count = (type: PortEvent['type']) => events.filter((event) => event.type === type).length;
  return { line, slow, client, next, count };
}

const XOFF = '34 00';

test('tcp-server: the transmitter that a commander had stopped, who is gone', async () => {
  const { line, client, next, count } = await rig(
    (common, [port = 0, commandPort = 0]) => new TcpServerPort({ ...common, port, commandPort, maxConnection: 1 }),
  );
  const data = await client(0);
  const command = await client(1);
  await until(() => count('connected') === 2);
  command.send(XOFF);
  await command.take(3);
  command.close();
  await until(() => count('disconnected') === 1);
  const { state } = await next();
  expect(state.stopped).toBe(false);
  data.send(Buffer.from('goes on'));
  await until(() => line.received.toString() === 'goes on');
});

test('real-com: the transmitter that one of several hosts had stopped, who is gone', async () => {
  const { line, client, next, count } = await rig(
    (common, [dataPort = 0, commandPort = 0]) =>
      new RealComPort({ ...common, dataPort, commandPort, maxConnection: 2, allowDriverControl: true }),
  );
  const host = async () => {
    const before = count('connected');
    const both = { command: await client(1), data: await client(0) };
    await until(() => count('connected') === before + 2);
    return both;
  };
  const first = await host();
  const second = await host();
  first.command.send(XOFF);
  await first.command.take(3);
  first.command.close();
  await until(() => count('disconnected') === 1);
  const { state } = await next();
  expect(state.stopped).toBe(false);
  second.data.send(Buffer.from('goes on'));
  await until(() => line.received.toString() === 'goes on');
});

test('real-com: the lines that are raised for hosts who do not control them', async () => {
  const { client, next, count } = await rig(
    (common, [dataPort = 0, commandPort = 0]) =>
      new RealComPort({ ...common, dataPort, commandPort, maxConnection: 2 }),
  );
  await client(1);
  await client(0);
  await until(() => count('connected') === 2);
  const { uart } = await next();
  expect(uart.outputLines).toEqual({ dtr: true, rts: true });
});

test('reverse-telnet: the break that a client asks for while the port is being left', async () => {
  const { line, slow, client, next, count } = await rig(
    (common, [port = 0]) => new ReverseTelnetPort({ ...common, port }),
  );
  let raise = () => {};
  slow.takes = () => new Promise((resolve) => (raise = resolve));
  const peer = await client(0);
  await until(() => count('connected') === 1);
  // The port waits for the lines that the client's coming raises.
  const left = next();
  peer.send(hex('fff3'));
  await until(() => slow.done.some(({ type }) => type === 'break'));
  raise();
  const { state } = await left;
  expect(state.breaking).toBe(false);
  peer.send(Buffer.from('goes on'));
  await until(() => line.received.toString() === 'goes on');
});
