// The modes that connect, send and pair, through the built daemon: as configured, as `ttynp ports` shows them, and over restarts.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SerialPortView } from '../../src/api/types.js';
import { LOCK_DIRECTORY, lockName } from '../../src/uart/lock-file.js';
import { eventually, Whole } from '../support/e2e.js';
import { Python } from '../support/e2e-python.js';
import { freePort, freePorts } from '../support/free-ports.js';
import { type Managed, managedTests } from '../support/managed.js';
import { RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const { cleanups, managed } = managedTests();

const TOTAL = 300_000;
/** Never the same at two places that are near each other. */
const PATTERN = Buffer.from(Array.from({ length: TOTAL }, (_, i) => (i * 7 + (i >> 8) * 31 + (i >> 16)) & 0xff));

function makeLine(): SerialLine {
  const line = new SerialLine();
  cleanups.push(() => {
    rmSync(join(LOCK_DIRECTORY, lockName(line.path)), { force: true });
    line.unplug();
  });
  return line;
}

async function offered(...ports: Readonly<Record<string, unknown>>[]) {
  const lines = ports.map(makeLine);
  const entries = ports.map((port, i) => [i + 1, { device: lines[i]?.path, ...port }]);
  const m = await managed({ config: { ttys: {}, serialPorts: Object.fromEntries(entries) } }, {});
  await views(m, 'are up', (all) => all.length === ports.length && all.every(({ state }) => state === 'up'));
  return { m, lines };
}

async function views(m: Managed, what: string, are: (ports: SerialPortView[]) => boolean): Promise<SerialPortView[]> {
  let ports: SerialPortView[] = [];
  await eventually(
    () => `the ports ${what}: ${JSON.stringify(ports)}\n${m.manager.stderr}`,
    async () => {
      ports = await m.whole.client.serialPorts().catch(() => []);
      return are(ports);
    },
  );
  return ports;
}

const has = (line: SerialLine | undefined, bytes: number) =>
  eventually(
    () => `${line?.received.length} of ${bytes} bytes`,
    () => (line?.received.length ?? 0) >= bytes,
    20_000,
  );

test('tcp-client: the same connection over restarts in the middle of traffic, no byte lost, doubled or changed', async () => {
  const sockets: Socket[] = [];
  const got: Buffer[] = [];
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('data', (bytes) => got.push(bytes));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const { m, lines } = await offered({ mode: 'tcp-client', destinations: [`127.0.0.1:${port}`] });
  const [line] = lines;
  if (line === undefined) throw new Error('no line');
  await eventually('it has connected', () => sockets.length === 1);
  const [ports] = await views(m, 'show it', ([one]) => one?.clients.length === 1);
  expect(ports).toMatchObject({ mode: 'tcp-client', tcpPorts: [], destinations: [`127.0.0.1:${port}`] });
  for (let at = 0; at < TOTAL; at += TOTAL / 3) {
    sockets[0]?.write(PATTERN.subarray(at, at + TOTAL / 3));
    line.send(PATTERN.subarray(at, at + TOTAL / 3));
    await has(line, at + TOTAL / 6);
    line.deaf = true;
    expect(await m.restart()).toBe(0);
    line.deaf = false;
  }
  await has(line, TOTAL);
  await eventually('the server has all', () => Buffer.concat(got).length >= TOTAL, 20_000);
  expect(line.received.equals(PATTERN)).toBe(true);
  expect(Buffer.concat(got).equals(PATTERN)).toBe(true);
  expect(sockets).toHaveLength(1);
}, 60_000);

test('udp: both ways, and again after a restart; what the line had no room for is not lost', async () => {
  const peer = createSocket('udp4');
  const got: string[] = [];
  peer.on('message', (bytes) => got.push(bytes.toString()));
  peer.bind(0, '127.0.0.1');
  await once(peer, 'listening');
  cleanups.push(() => peer.close());
  const udpPort = await freePort();
  const { m, lines } = await offered({ mode: 'udp', udpPort, destinations: [`127.0.0.1:${peer.address().port}`] });
  const [line] = lines;
  line?.send('reading 1');
  await eventually('it arrives', () => got.join('') === 'reading 1');
  peer.send('set 1;', udpPort, '127.0.0.1');
  await has(line, 6);
  if (line) line.deaf = true;
  for (let i = 0; i < 20; i++) peer.send(Buffer.alloc(1000, 'x'), udpPort, '127.0.0.1');
  await views(m, 'have taken them', ([one]) => (one?.clients[0]?.received ?? 0) === 20_006);
  expect(await m.restart()).toBe(0);
  if (line) line.deaf = false;
  await has(line, 20_006);
  line?.send('reading 2');
  await eventually('it arrives', () => got.join('') === 'reading 1reading 2');
  const [port] = await views(m, 'are up', ([one]) => one?.state === 'up');
  expect(port?.udpPorts).toEqual([udpPort]);
}, 30_000);

test('a pair and a console in one daemon: a cable, and its end over a restart', async () => {
  const [slave = 0, console = 0] = await freePorts(2);
  const { m, lines } = await offered(
    { mode: 'pair-master', destinations: [`127.0.0.1:${slave}`] },
    { mode: 'pair-slave', tcpPort: slave },
    { mode: 'reverse-telnet', tcpPort: console, mapCrLf: 'lf' },
  );
  const [one, other, third] = lines;
  await views(m, 'are connected', ([a, b]) => a?.clients.length === 1 && b?.clients.length === 1);
  one?.send('there');
  await has(other, 5);
  const client = await RawPeer.connect(console);
  cleanups.push(() => client.close());
  await client.take(9);
  client.send(Buffer.from('ls\r\n'));
  await has(third, 3);
  expect(await m.restart()).toBe(0);
  third?.send('file\n');
  expect((await client.take(6)).toString()).toBe('file\r\n');
  await views(m, 'are connected again', ([a, b]) => a?.clients.length === 1 && b?.clients.length === 1);
  other?.send('and back');
  await has(one, 8);
  expect([one?.received.toString(), other?.received.toString(), third?.received.toString()]).toEqual([
    'and back',
    'there',
    'ls\n',
  ]);
}, 60_000);

test('a tty over UDP: an application and a peer that sends and takes datagrams', async () => {
  const peer = createSocket('udp4');
  const got: Buffer[] = [];
  let from = 0;
  peer.on('message', (bytes, { port }) => {
    got.push(bytes);
    from = port;
  });
  peer.bind(0, '127.0.0.1');
  await once(peer, 'listening');
  cleanups.push(() => peer.close());
  const whole = await Whole.start({
    servers: { far: { address: '127.0.0.1', protocol: 'udp' } },
    ttys: { ttyFAR0: { server: 'far', port: 1, dataPort: peer.address().port } },
  });
  cleanups.push(() => whole.close());
  const python = new Python();
  cleanups.push(() => python.close());
  await python.run('import tty');
  await python.run(`fd = os.open(${JSON.stringify(whole.path('ttyFAR0'))}, os.O_RDWR | os.O_NOCTTY); tty.setraw(fd)`);
  await whole.portIs('is up', ({ state }) => state === 'up', 'ttyFAR0');
  await python.run("os.write(fd, b'question')");
  await eventually('it arrives', () => Buffer.concat(got).toString() === 'question');
  const heard = python.run('os.read(fd, 100)');
  peer.send('answer', from, '127.0.0.1');
  expect(await heard).toBe(Buffer.from('answer').toString('hex'));
}, 30_000);

test('a tty over UDP from its own port, and a port in mode udp that sends there: both ways, from either side first', async () => {
  const [udpPort = 0, localPort = 0] = await freePorts(2);
  const line = makeLine();
  const whole = await Whole.start({
    servers: { far: { address: '127.0.0.1', protocol: 'udp', dataPort: udpPort, localPort } },
    ttys: { ttyFAR0: { server: 'far', port: 1, connect: 'always' } },
    config: {
      serialPorts: { 1: { device: line.path, mode: 'udp', udpPort, destinations: [`127.0.0.1:${localPort}`] } },
    },
  });
  cleanups.push(() => whole.close());
  const python = new Python();
  cleanups.push(() => python.close());
  await python.run('import tty');
  await python.run(`fd = os.open(${JSON.stringify(whole.path('ttyFAR0'))}, os.O_RDWR | os.O_NOCTTY); tty.setraw(fd)`);
  await whole.portIs('is up', ({ state }) => state === 'up', 'ttyFAR0');
  await eventually('the served port is up', async () => (await whole.client.serialPorts())[0]?.state === 'up');
  const heard = python.run('os.read(fd, 100)');
  line.send('measured');
  expect(await heard).toBe(Buffer.from('measured').toString('hex'));
  await python.run("os.write(fd, b'question')");
  await has(line, 8);
  expect(line.received.toString()).toBe('question');
}, 30_000);
