// Serial ports that are offered, over a restart of the daemon: the client's connection and the device at the end of the line notice
// nothing, whatever was under way; and what they see where a daemon is killed.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SerialPortView } from '../../src/api/types.js';
import { LOCK_DIRECTORY, lockName } from '../../src/uart/lock-file.js';
import { eventually } from '../support/e2e.js';
import { Python } from '../support/e2e-python.js';
import { freePort, freePorts } from '../support/free-ports.js';
import { type Managed, managedTests } from '../support/managed.js';
import { hex, RawPeer } from '../support/raw-peer.js';
import type { App } from '../support/rig.js';
import { SerialLine } from '../support/serial-line.js';

const { cleanups, managed, open } = managedTests();

const PORT_INIT_9600 = '2c 08 06 03 01 01 00 00 00 00';
const TOTAL = 600_000;
/** Never the same at two places that are near each other. */
const PATTERN = Buffer.from(Array.from({ length: TOTAL }, (_, i) => (i * 7 + (i >> 8) * 31 + (i >> 16)) & 0xff));

function makeLine(options = {}): SerialLine {
  const line = new SerialLine(options);
  cleanups.push(() => {
    // A daemon that a test ends by a signal leaves it. While the name is still ours: another test's PTY may be given it.
    rmSync(join(LOCK_DIRECTORY, lockName(line.path)), { force: true });
    line.unplug();
  });
  return line;
}

async function offered(mode: Readonly<Record<string, unknown>>, line = makeLine(), limit?: number) {
  const m = await managed(
    { config: { ttys: {}, serialPorts: { 1: { device: line.path, ...mode } } } },
    limit === undefined ? {} : { limit },
  );
  await view(m, 'is up', ({ state }) => state === 'up');
  return { m, line };
}

async function view(m: Managed, what: string, is: (port: SerialPortView) => boolean): Promise<SerialPortView> {
  let port: SerialPortView | undefined;
  await eventually(
    () => `serial port 1 ${what}: ${JSON.stringify(port)}\n${m.manager.stderr}`,
    async () => {
      [port] = await m.whole.client.serialPorts().catch(() => []);
      return port !== undefined && is(port);
    },
  );
  if (port === undefined) throw new Error('no port');
  return port;
}

async function dial(port: number): Promise<RawPeer> {
  const peer = await RawPeer.connect(port);
  cleanups.push(() => peer.close());
  return peer;
}

const has = (line: SerialLine, bytes: number) =>
  eventually(
    () => `${line.received.length} of ${bytes} bytes`,
    () => line.received.length >= bytes,
    20_000,
  );

async function writeAll(app: App, bytes: Uint8Array): Promise<void> {
  for (let rest = bytes; rest.length > 0; ) {
    rest = rest.subarray(app.write(rest));
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

const firstDifference = (a: Buffer, b: Buffer) => a.findIndex((byte, i) => byte !== b[i]);

test('a raw TCP client and its device: both ways under traffic over three restarts, no byte lost, doubled or changed', async () => {
  const tcpPort = await freePort();
  const { m, line } = await offered({ mode: 'tcp-server', tcpPort });
  const peer = await dial(tcpPort);
  await view(m, 'has a client', ({ clients }) => clients.length === 1);
  const ends = `${peer.socket.localPort}`;
  let at = 0;
  const send = (bytes: number) => {
    peer.socket.write(PATTERN.subarray(at, at + bytes));
    line.send(PATTERN.subarray(at, at + bytes));
    at += bytes;
  };
  for (let round = 0; round < 3; round++) {
    send(TOTAL / 3);
    await has(line, at - TOTAL / 6);
    // What the line does not take now is in the daemon's hands, as is what the client did not read.
    line.deaf = true;
    expect(await m.restart()).toBe(0);
    line.deaf = false;
  }
  await has(line, TOTAL);
  await eventually(
    () => `${peer.received.length} bytes`,
    () => peer.received.length >= TOTAL,
    20_000,
  );
  expect([line.received.length, firstDifference(line.received, PATTERN)]).toEqual([TOTAL, -1]);
  expect([peer.received.length, firstDifference(peer.received, PATTERN)]).toEqual([TOTAL, -1]);
  const port = await view(m, 'has the same client', ({ clients }) => clients.length === 1);
  expect(port).toMatchObject({
    connects: 1,
    clients: [{ received: TOTAL, sent: TOTAL }],
    transmitted: { bytes: TOTAL },
  });
  expect(peer.ended).toBe(false);
  expect(`${peer.socket.localPort}`).toBe(ends);
});

test('bytes that a client sent before it closed, and the line had no room for, go out after a restart', async () => {
  const tcpPort = await freePort();
  const { m, line } = await offered({ mode: 'tcp-server', tcpPort });
  line.deaf = true;
  const peer = await dial(tcpPort);
  peer.socket.end(PATTERN.subarray(0, 22_000));
  await view(m, 'has room no more', ({ transmitted }) => transmitted.bytes > 8000);
  await m.restart();
  line.deaf = false;
  await has(line, 22_000);
  expect(line.received.equals(PATTERN.subarray(0, 22_000))).toBe(true);
  await view(m, 'has no client', ({ clients }) => clients.length === 0);
});

test('what is offered listens when the service says that it is ready', async () => {
  const tcpPort = await freePort();
  const serialPorts = { 1: { device: makeLine().path, mode: 'tcp-server', tcpPort } };
  await managed({ config: { ttys: {}, serialPorts } });
  const peer = await dial(tcpPort);
  expect(peer.ended).toBe(false);
});

test('who connects while no daemon runs waits, and is served by the next one', async () => {
  const tcpPort = await freePort();
  const { m, line } = await offered({ mode: 'tcp-server', tcpPort });
  await m.handOver();
  const peer = await dial(tcpPort);
  peer.send('61 62 63');
  await m.again();
  await has(line, 3);
  expect(line.received.toString()).toBe('abc');
});

test('RFC 2217: a command cut in two, a state that was agreed upon, and data behind them', async () => {
  const tcpPort = await freePort();
  const { m, line } = await offered({ mode: 'rfc2217', tcpPort });
  const peer = await dial(tcpPort);
  peer.send('ff fb 2c ff fd 2c'); // WILL and DO COM-PORT-OPTION
  // 19200, and the first half of 4800.
  peer.send('ff fa 2c 01 00 00 4b 00 ff f0 61 ff fa 2c 01 00 00');
  await has(line, 1);
  const answer = hex('ff fa 2c 65 00 00 4b 00 ff f0');
  await peer.until(() => peer.received.includes(answer));
  const before = peer.received.length;
  await m.restart();
  expect(line.settings.baudRate).toBe(19_200);
  // What was negotiated is not again, and the settings are what they were.
  peer.send('12 c0 ff f0 62 ff ff');
  await eventually('4800 is in force', () => line.settings.baudRate === 4800);
  await has(line, 3);
  expect(line.received).toEqual(hex('61 62 ff'));
  line.send(hex('41 ff 42'));
  await eventually(
    () => peer.received.toString('hex'),
    () => peer.received.length >= before + 10 + 4,
  );
  expect(peer.received.subarray(before)).toEqual(hex('ff fa 2c 65 00 00 12 c0 ff f0 41 ff ff 42'));
});

test('Real COM: a question about the queue, half a command and the settings; the host notices nothing', async () => {
  const [dataPort = 0, commandPort = 0] = await freePorts(2);
  const { m, line } = await offered({ mode: 'real-com', dataPort, commandPort });
  const command = await dial(commandPort);
  const data = await dial(dataPort);
  expect(await command.ask(PORT_INIT_9600, 5)).toMatch(/^2c/);
  line.deaf = true;
  data.send(PATTERN.subarray(0, 20_000));
  await view(m, 'has room no more', ({ transmitted }) => transmitted.bytes > 8000);
  // WAIT_OQUEUE, 60 s, and the first half of LINECTRL; a device that hears nothing holds up the answer.
  command.send('2f 04 60 ea 00 00');
  command.send('12 02 01');
  await m.restart();
  expect(line.settings.baudRate).toBe(9600);
  line.deaf = false;
  await has(line, 20_000);
  expect(line.received.equals(PATTERN.subarray(0, 20_000))).toBe(true);
  // Asked again while it waits, the device says at once what is left: which, when it is told, may be all, or nothing.
  command.send('01');
  const answers = await command.take(4 + 3);
  expect(answers.toString('hex')).toMatch(/^2f02....124f4b$|^124f4b2f02....$/);
  line.send('hello');
  expect((await data.take(5)).toString()).toBe('hello');
  const port = await view(m, 'has the same host', ({ clients }) => clients.length === 1);
  expect(port).toMatchObject({ lines: { dtr: true, rts: true }, settings: { format: '9600,8N1' } });
});

test("pyserial's rfc2217:// client over ten restarts: its requests are answered, its bytes come back", async () => {
  const tcpPort = await freePort();
  const { m, line } = await offered({ mode: 'rfc2217', tcpPort }, makeLine({ echo: true }));
  const python = new Python();
  cleanups.push(() => python.close());
  await python.run('import serial, threading');
  await python.run(`p = serial.serial_for_url('rfc2217://127.0.0.1:${tcpPort}', timeout=20)`);
  await python.run('total = bytes((i * 7 + (i >> 8)) & 255 for i in range(400)) * 10');
  for (let round = 0; round < 10; round++) {
    const baudRate = [1200, 9600, 57_600][round % 3] ?? 0;
    await python.run('def go():\n  p.write(total)\n  global back\n  back = p.read(len(total))');
    await python.run(`p.baudrate = ${baudRate}; t = threading.Thread(target=go); t.start()`);
    await m.restart();
    await python.run('t.join(20)');
    expect(await python.run('back == total')).toBe(true);
    expect(line.settings.baudRate).toBe(baudRate);
    await python.run(`p.dtr = ${round % 2 === 0 ? 'False' : 'True'}`);
    const port = await view(m, 'has its client', ({ clients }) => clients.length === 1);
    expect(port).toMatchObject({ connects: 1, lines: { dtr: round % 2 === 1 } });
  }
}, 60_000);

test('our own tty at our own port, both handed over at once, five times under traffic', async () => {
  const [dataPort = 0, commandPort = 0] = await freePorts(2);
  const line = makeLine({ echo: true });
  const m = await managed({
    servers: { own: { address: '127.0.0.1' } },
    config: {
      ttys: { ttySER0: { server: 'own', port: 1, dataPort, commandPort } },
      serialPorts: { 1: { device: line.path, mode: 'real-com', dataPort, commandPort } },
    },
  });
  const app = open(m, 'ttySER0');
  await m.whole.portIs('is up', ({ state }) => state === 'up', 'ttySER0');
  const piece = PATTERN.subarray(0, 20_000);
  for (let round = 0; round < 5; round++) {
    const writing = writeAll(app, piece);
    await m.restart();
    expect((await app.readExactly(piece.length)).equals(piece)).toBe(true);
    await writing;
  }
  expect(line.received.length).toBe(5 * piece.length);
  const port = await view(m, 'has its host', ({ clients }) => clients.length === 1);
  expect(port.lines).toMatchObject({ dtr: true, rts: true });
}, 60_000);

test('several clients keep their turns: a piece that was being written is not cut by another', async () => {
  const tcpPort = await freePort();
  const { m, line } = await offered({ mode: 'tcp-server', tcpPort, maxConnection: 3 });
  line.deaf = true;
  const peers = [await dial(tcpPort), await dial(tcpPort), await dial(tcpPort)];
  const own = (i: number) => Buffer.alloc(16_384, 65 + i);
  peers[0]?.send(own(0));
  await view(m, 'has room no more', ({ transmitted }) => transmitted.bytes > 8000);
  peers[1]?.send(own(1));
  peers[2]?.send(own(2));
  await view(m, 'has all', ({ clients }) => clients.length === 3);
  await m.restart();
  line.deaf = false;
  await has(line, 3 * 16_384);
  const counts = [0, 1, 2].map((i) => line.received.filter((byte) => byte === 65 + i).length);
  expect(counts).toEqual([16_384, 16_384, 16_384]);
  line.send('all hear it');
  for (const peer of peers) await peer.until(() => peer.received.toString() === 'all hear it');
});

test('bytes that wait for the end of their packet wait on', async () => {
  const tcpPort = await freePort();
  const { m, line } = await offered({ mode: 'tcp-server', tcpPort, packing: { packetLength: 8 } });
  const peer = await dial(tcpPort);
  await view(m, 'has a client', ({ clients }) => clients.length === 1);
  line.send('abcde');
  await view(m, 'has them', ({ received }) => received.bytes === 5);
  await m.restart();
  expect(peer.received.length).toBe(0);
  line.send('fgh');
  expect((await peer.take(8)).toString()).toBe('abcdefgh');
  expect(peer.segments).toHaveLength(1);
});

test('a client that reads nothing is disconnected by a restart; the others are not', async () => {
  const tcpPort = await freePort();
  const { m, line } = await offered({ mode: 'tcp-server', tcpPort, maxConnection: 2, ignoreJammedIp: true });
  const jammed = await dial(tcpPort);
  const peer = await dial(tcpPort);
  jammed.socket.pause();
  const total = 8_000_000;
  line.send(Buffer.alloc(total, 0x55));
  await eventually(
    () => `${peer.received.length}`,
    () => peer.received.length === total,
    30_000,
  );
  await view(m, 'counts what one has lost', ({ clients }) => clients.some(({ dropped }) => dropped > 0));
  await m.restart();
  await view(m, 'has one client', ({ clients }) => clients.length === 1);
  expect(peer.ended).toBe(false);
  expect(m.manager.stderr).toContain('reads nothing');
});

test('killed: its clients are told the end, its device and what listens are kept', async () => {
  const tcpPort = await freePort();
  const { m, line } = await offered({ mode: 'tcp-server', tcpPort });
  const peer = await dial(tcpPort);
  await view(m, 'has a client', ({ clients }) => clients.length === 1);
  await m.manager.signal('SIGKILL');
  await m.manager.waitExit();
  await peer.end();
  const waiting = await dial(tcpPort);
  waiting.send('78');
  await m.again();
  await has(line, 1);
  await view(m, 'has the new client', ({ clients, connects }) => clients.length === 1 && connects === 1);
  // And a restart after that hands over as ever.
  await m.restart();
  waiting.send('79');
  await has(line, 2);
  // Of clients that were handed over once nothing is left behind: they are told the end, too.
  await m.kill9();
  await waiting.end();
  expect((await m.manager.store()).filter((name) => name.includes('-socket-'))).toEqual([]);
});

test('a port of another configuration begins anew, at the same TCP port', async () => {
  const tcpPort = await freePort();
  const { m, line } = await offered({ mode: 'tcp-server', tcpPort });
  const peer = await dial(tcpPort);
  await view(m, 'has a client', ({ clients }) => clients.length === 1);
  await m.handOver();
  m.whole.configure({ serialPorts: { 1: { device: line.path, mode: 'rfc2217', tcpPort } } });
  await m.again();
  await peer.end();
  await view(m, 'is up in its new mode', ({ state, mode }) => state === 'up' && mode === 'rfc2217');
  // And without it nothing is kept.
  await m.handOver();
  m.whole.configure({ serialPorts: {} });
  await m.again();
  await expect(dial(tcpPort)).rejects.toThrow();
  // The manager hears of it after that.
  await eventually(
    () => 'the store has nothing of it',
    async () => !(await m.manager.store()).some((name) => name.startsWith('serial-')),
  );
});

test('a reload lets the TCP port and the device go, and another port may have them', async () => {
  const tcpPort = await freePort();
  const { m, line } = await offered({ mode: 'tcp-server', tcpPort });
  for (const mode of ['rfc2217', 'tcp-server', 'rfc2217']) {
    m.whole.configure({ serialPorts: { 1: { device: line.path, mode, tcpPort } } });
    await m.whole.client.reload();
    await view(m, `is up as ${mode}`, (port) => port.state === 'up' && port.mode === mode);
  }
});

test('an adapter that was unplugged while no daemon ran: its client is told the end, and it is waited for', async () => {
  const tcpPort = await freePort();
  const { m, line } = await offered({ mode: 'tcp-server', tcpPort });
  const peer = await dial(tcpPort);
  await view(m, 'has a client', ({ clients }) => clients.length === 1);
  await m.handOver();
  line.unplug();
  await m.again();
  await peer.end();
  await view(m, 'waits', ({ state }) => state === 'waiting');
});

test('a store without room: the client is told the end, and the next daemon begins anew', async () => {
  const tcpPort = await freePort();
  const { m } = await offered({ mode: 'tcp-server', tcpPort }, makeLine(), 2);
  const peer = await dial(tcpPort);
  await view(m, 'has a client', ({ clients }) => clients.length === 1);
  await m.restart();
  await peer.end();
  await view(m, 'is up', ({ state, clients }) => state === 'up' && clients.length === 0);
});

test('stopped: nothing is kept', async () => {
  const tcpPort = await freePort();
  const { m } = await offered({ mode: 'tcp-server', tcpPort });
  const peer = await dial(tcpPort);
  await view(m, 'has a client', ({ clients }) => clients.length === 1);
  await m.manager.stop();
  await peer.end();
  await expect(dial(tcpPort)).rejects.toThrow();
});
