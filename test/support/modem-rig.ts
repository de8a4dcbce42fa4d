// What tests of the Ethernet modem share: the terminal at its line, who is called, who calls, and programs in the terminal's place.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { SystemClock } from '../../src/base/clock.js';
import type { ModemLines } from '../../src/serial/line.js';
import { EthernetModemPort } from '../../src/serve/ethernet-modem.js';
import type { EthernetModemOptions } from '../../src/serve/ethernet-modem-options.js';
import type { PortEvent } from '../../src/serve/port-server.js';
import { LoopbackUart } from '../../src/uart/loopback.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import type { UartEvents } from '../../src/uart/uart.js';
import { holds as until } from './leftovers.js';
import { RawPeer } from './raw-peer.js';
import { SerialLine } from './serial-line.js';

export const OK = '\r\nOK\r\n';

type Ends = (() => unknown)[];

/** A modem on a PTY. */
export async function modemRig(ends: Ends, options: Partial<EthernetModemOptions> = {}) {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const clock = new SystemClock();
  const uart = new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
  const events: PortEvent[] = [];
  const event = (what: PortEvent) => events.push(what);
  const server = new EthernetModemPort({ clock, uart, address: '127.0.0.1', port: 0, event, ...options });
  ends.push(() => server.close());
  await server.open();
  let read = 0;
  /** What the terminal sees next, up to this. */
  const sees = async (text: string) => {
    await until(() => line.received.toString('latin1').indexOf(text, read) >= 0);
    const all = line.received.toString('latin1');
    const end = all.indexOf(text, read) + text.length;
    const seen = all.slice(read, end);
    read = end;
    return seen;
  };
  /** A command, and what is answered up to this. */
  const asks = (command: string, answer: string) => {
    line.send(`${command}\r`);
    return sees(answer);
  };
  const port = server.tcpPorts[0] ?? 0;
  return { line, server, events, sees, asks, port };
}

/** Somebody to dial. */
export async function calledPeer(ends: Ends, address = '127.0.0.1') {
  const sockets: Socket[] = [];
  const far = { port: 0, text: '', ended: 0, sockets };
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('close', () => far.ended++);
    socket.on('data', (bytes) => {
      far.text += bytes.toString('latin1');
    });
  });
  server.listen(0, address);
  await once(server, 'listening');
  far.port = (server.address() as AddressInfo).port;
  ends.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return far;
}

export async function caller(ends: Ends, port: number) {
  const peer = await RawPeer.connect(port);
  ends.push(() => peer.close());
  return peer;
}

/** A port whose modem lines the test sets. */
export class LinesUart extends LoopbackUart {
  said = '';
  #events: UartEvents | undefined;
  #lines: ModemLines = { cts: true, dsr: true, dcd: true, ri: false };

  constructor() {
    super({ clock: new SystemClock() });
  }

  override get modemLines(): ModemLines {
    return this.#lines;
  }

  override async open(events: UartEvents): Promise<void> {
    this.#events = events;
    await super.open({ ...events, received: () => {}, report: () => {} });
  }

  override write(bytes: Uint8Array): number {
    this.said += Buffer.from(bytes).toString('latin1');
    return bytes.length;
  }

  type(text: string): void {
    this.#events?.received(Buffer.from(text));
  }

  show(lines: ModemLines): void {
    this.#lines = lines;
    this.#events?.report({ type: 'lines', lines });
  }
}

export async function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'close');
}

/** A program on a PTY whose other side is the line of the port: what it does there, the port sees. */
export function link(
  ends: Ends,
  line: SerialLine,
  peer: { write(bytes: Uint8Array): unknown; on(type: 'data', fn: (bytes: Buffer) => void): unknown },
) {
  let sent = line.received.length;
  const timer = setInterval(() => {
    const now = line.received;
    if (now.length > sent) peer.write(now.subarray(sent));
    sent = now.length;
  }, 2);
  peer.on('data', (bytes) => line.send(bytes));
  ends.push(() => clearInterval(timer));
}
