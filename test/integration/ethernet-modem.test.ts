// A serial port as a modem: what the terminal at the line sees, what callers and called ones see. The port is a PTY; where lines
// matter, a port that has them. socat, minicom, sz and rz are the foreign programs.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import { FACTORY, type Profile } from '../../src/protocol/at/profile.js';
import { type EthernetModemOptions, EthernetModemPort } from '../../src/serve/ethernet-modem.js';
import type { PortEvent } from '../../src/serve/port-server.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import { RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const until = async (done: () => boolean) => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 1));
};
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const descriptors = () => readdirSync('/proc/self/fd').length;
const ends: (() => unknown)[] = [];
let before = 0;
beforeEach(() => {
  before = descriptors();
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await until(() => descriptors() <= before);
});

async function rig(options: Partial<EthernetModemOptions> = {}) {
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

async function called(address = '127.0.0.1') {
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

async function caller(port: number) {
  const peer = await RawPeer.connect(port);
  ends.push(() => peer.close());
  return peer;
}

const kept = (flags: Partial<Profile['flags']>, s0 = 0) => ({
  kept: { flags: { ...FACTORY.flags, ...flags }, registers: FACTORY.registers.with(0, s0) },
  keep: async () => true,
});
const OK = '\r\nOK\r\n';

describe('dialling', () => {
  test('ATD: connected, every byte value both ways, +++, ATO, ATH', async () => {
    const far = await called();
    const { line, sees, asks, server } = await rig();
    expect(await asks('ATS12=5', OK)).toBe(`ATS12=5\r${OK}`);
    expect(await asks(`ATDT127.0.0.1:${far.port}`, `${line.settings.baudRate}\r\n`)).toBe(
      `ATDT127.0.0.1:${far.port}\r\r\nCONNECT ${line.settings.baudRate}\r\n`,
    );
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    line.send(all);
    await until(() => far.text.length === 256);
    expect(Buffer.from(far.text, 'latin1')).toEqual(all);
    const mark = line.received.length;
    far.sockets[0]?.write(all);
    await until(() => line.received.length === mark + 256);
    expect(line.received.subarray(mark)).toEqual(all);
    await sees(all.toString('latin1'));
    await sleep(150);
    line.send('+++');
    await sees(OK);
    expect(far.text.slice(256)).toBe('+++');
    far.sockets[0]?.write('kept meanwhile');
    await asks('ATI1', OK);
    expect(await asks('ATO', 'meanwhile')).toMatch(/^ATO\r\r\nCONNECT \d+\r\nkept meanwhile$/);
    line.send('more');
    await until(() => far.text.endsWith('more'));
    await sleep(150);
    line.send('+++');
    await sees(OK);
    expect(await asks('ATH', 'NO CARRIER\r\n')).toBe('ATH\r\r\nNO CARRIER\r\n');
    await until(() => far.ended === 1);
    expect(server.clients).toEqual([]);
  });

  test('nobody there, no such name, nonsense; the peer that ends says its last words first', async () => {
    const far = await called('::1');
    const { sees, asks } = await rig();
    await asks('ATD127.0.0.1:1', 'NO CARRIER\r\n');
    await asks('ATD no-such-name.invalid', 'NO CARRIER\r\n');
    await asks('ATD10.0.0.1-10.0.0.9:7', 'ERROR\r\n');
    await asks('ATD', 'ERROR\r\n');
    await asks(`ATE0D[::1]:${far.port}`, 'CONNECT');
    far.sockets[0]?.end('bye');
    expect(await sees('NO CARRIER\r\n')).toMatch(/ \d+\r\nbye\r\nNO CARRIER\r\n$/);
  });

  test('a character ends the try, and so does time', async () => {
    const { line, sees, asks } = await rig({ connectTimeoutMs: 100 });
    // A listener whose queue is full does not answer.
    const full = spawn('python3', ['-c', FULL], { stdio: ['ignore', 'pipe', 'inherit'] });
    ends.push(() => gone(full));
    const [first] = (await once(full.stdout, 'data')) as [Buffer];
    const port = first.toString().trim();
    await asks(`ATE0D127.0.0.1:${port}`, 'NO CARRIER\r\n');
    line.send(`ATD127.0.0.1:${port}\r`);
    line.send('x');
    await sees('NO CARRIER\r\n');
    await asks('AT', OK);
  });
});

const FULL = `
import socket, time
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(0)
held = []
for _ in range(3):
    c = socket.socket(); c.setblocking(False); c.connect_ex(s.getsockname()); held.append(c)
time.sleep(.2)
print(s.getsockname()[1], flush=True)
time.sleep(60)
`;

async function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'close');
}

describe('called', () => {
  test('RING, ATA, bytes; NO CARRIER when the caller ends', async () => {
    const { line, sees, asks, port, server } = await rig();
    const peer = await caller(port);
    peer.send(Buffer.from('early'));
    expect(await sees('RING\r\n')).toBe('\r\nRING\r\n');
    expect(server.clients).toEqual([]);
    expect(await asks('ATA', 'early')).toMatch(/^ATA\r\r\nCONNECT \d+\r\nearly$/);
    line.send('late');
    expect((await peer.take(4)).toString()).toBe('late');
    expect(peer.received.toString()).toBe('late');
    const other = await caller(port);
    await other.end();
    await peer.close();
    await sees('NO CARRIER\r\n');
  });

  test('three RINGs, then the caller is disconnected; one that leaves is not rung for', async () => {
    const { line, sees, port } = await rig();
    const peer = await caller(port);
    await peer.end();
    expect(line.received.toString()).toBe('\r\nRING\r\n'.repeat(3));
    const second = await caller(port);
    await sees('RING\r\n'.repeat(1));
    await second.close();
    await until(() => line.received.toString() === '\r\nRING\r\n'.repeat(4));
    await sleep(2500);
    expect(line.received.toString()).toBe('\r\nRING\r\n'.repeat(4));
  }, 20_000);

  test('S0: answered at once', async () => {
    const { line, sees, asks, port } = await rig();
    await asks('ATE0S0=1', OK);
    const peer = await caller(port);
    expect(await sees('00\r\n')).toMatch(/^\r\nCONNECT \d+00\r\n$/);
    peer.send(Buffer.from('to the line'));
    await sees('to the line');
    line.send('to the caller');
    expect((await peer.take(13)).toString()).toBe('to the caller');
  });
});

describe('what hostile ones do', () => {
  test('garbage without end, and lines that answer much: bounded, in order, and it goes on', async () => {
    const { line, server, sees } = await rig();
    line.deaf = true;
    line.send('x'.repeat(100_000));
    const many = 3000;
    line.send('\rATE0\r');
    line.send('AT&V\r'.repeat(many));
    await sleep(300);
    // It stands: not all was taken.
    line.deaf = false;
    await until(() => line.received.toString('latin1').split('OK\r\n').length - 1 >= many + 1);
    expect(line.received.toString('latin1').split('S24:').length - 1).toBe(many);
    expect(server.clients).toEqual([]);
    await sees('E0');
    line.send('ATQ0V0\r');
    await until(() => line.received.toString('latin1').endsWith('\r\n0\r'));
  }, 30_000);

  test('a peer that sends while the terminal has commands is held up, and nothing is lost', async () => {
    const far = await called();
    const { line, sees, asks } = await rig();
    await asks(`ATE0S12=2D127.0.0.1:${far.port}`, 'CONNECT');
    await sees('\r\n');
    await sleep(60);
    line.send('+++');
    await sees(OK);
    const much = Buffer.alloc(8_000_000, 'abcdefg');
    const [socket] = far.sockets;
    socket?.write(much);
    await sleep(200);
    expect(socket?.writableLength).toBeGreaterThan(0);
    line.send('ATO\r');
    await sees('\r\n');
    await sees('\r\n');
    const start = line.received.indexOf('abcdefg');
    await until(() => line.received.length >= 8_000_000);
    expect(start).toBeGreaterThan(0);
    socket?.end();
    await sees('NO CARRIER');
    expect(line.received.includes(much)).toBe(true);
  }, 30_000);
});
