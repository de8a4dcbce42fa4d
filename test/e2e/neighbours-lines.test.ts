// One port's modem lines are changed a thousand times a second, by its client or by its terminal, and its neighbours do not notice;
// afterwards it works as it did, with the lines that it has then. The driver is played: a PTY has no lines.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { eventually } from '../support/e2e.js';
import { flood, floodSocket } from '../support/floods.js';
import { freePorts } from '../support/free-ports.js';
import { Neighbourhood } from '../support/neighbours.js';
import { PlayedDriver } from '../support/played-driver.js';
import { hex, RawPeer } from '../support/raw-peer.js';

/** TIOCM_ bits. */
const [CTS, DCD, RI, DSR] = [0x20, 0x40, 0x80, 0x100];
const ends: (() => unknown)[] = [];
const calls: Socket[] = [];
const server = createServer((socket) => {
  calls.push(socket);
  socket.on('error', () => {}).resume();
});
let hood: Neighbourhood;
let driver: PlayedDriver;
let tcp: Record<'data' | 'command' | 'rfc2217' | 'pair-slave' | 'reverse-telnet' | 'modem', number>;

beforeAll(async () => {
  const [data = 0, command = 0, rfc2217 = 0, slave = 0, telnet = 0, modem = 0] = await freePorts(6);
  tcp = { data, command, rfc2217, 'pair-slave': slave, 'reverse-telnet': telnet, modem };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  driver = new PlayedDriver();
  driver.set('lines', CTS | DSR | DCD);
  hood = await Neighbourhood.start(
    {
      'real-com': { mode: 'real-com', dataPort: data, commandPort: command },
      rfc2217: { mode: 'rfc2217', tcpPort: rfc2217 },
      'tcp-client': { mode: 'tcp-client', destinations: [`127.0.0.1:${port}`], connectionControl: 'dsr-on/dsr-off' },
      'pair-slave': { mode: 'pair-slave', tcpPort: slave },
      'pair-master': { mode: 'pair-master', destinations: [`127.0.0.1:${slave}`] },
      'reverse-telnet': { mode: 'reverse-telnet', tcpPort: telnet },
      'ethernet-modem': { mode: 'ethernet-modem', tcpPort: modem },
    },
    { daemon: { env: driver.env } },
  );
});

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

afterAll(async () => {
  for (const call of calls) call.destroy();
  server.close();
  await hood?.close();
  driver?.close();
});

async function dial(port: number, reads = true): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true });
  ends.push(() => socket.destroy());
  await once(socket, 'connect');
  socket.on('error', () => {});
  if (reads) socket.resume();
  else socket.pause();
  return socket;
}

async function gone(socket: Socket): Promise<void> {
  if (socket.closed) return;
  const closed = once(socket, 'close');
  socket.resetAndDestroy();
  await closed;
}

async function talksTo(name: string, port: number): Promise<void> {
  await hood.portIs(name, 'has nobody', ({ clients }) => clients.length === 0);
  const peer = await RawPeer.connect(port);
  ends.push(() => peer.close());
  await hood.speaks(name, peer);
}

const noBreak = () =>
  eventually(
    () => `${driver.get('breaks')} breaks, of which ${driver.get('ended')} ended`,
    () => driver.get('breaks') === driver.get('ended'),
  );

/** SET-CONTROL: DTR, RTS and the break on and off. */
const CONTROLS = Buffer.concat([8, 11, 9, 12, 5, 6].map((value) => Buffer.from([255, 250, 44, 5, value, 255, 240])));

test('a client of rfc2217 that sets DTR, RTS and the break without end, and reads, or does not, the answers', async () => {
  const sets = driver.get('sets');
  await hood.floods(async () => {
    const socket = await dial(tcp.rfc2217, true);
    socket.write(hex('ff fb 2c'));
    const areMany = () => driver.get('sets') - sets > 100;
    await floodSocket(socket, 600, () => CONTROLS, areMany);
    await gone(socket);
    const mute = await dial(tcp.rfc2217, false);
    mute.write(hex('ff fb 2c'));
    await floodSocket(mute, 600, () => CONTROLS);
    await gone(mute);
  });
  await talksTo('rfc2217', tcp.rfc2217);
  await noBreak();
});

test('a device that answers nothing, and a client that asks it for one thing after the other', async () => {
  driver.hang(hood.line('rfc2217'));
  await hood.floods(async () => {
    const socket = await dial(tcp.rfc2217, true);
    socket.write(hex('ff fb 2c'));
    await floodSocket(socket, 1000, () => CONTROLS);
    await gone(socket);
  });
  driver.hang(undefined);
  await talksTo('rfc2217', tcp.rfc2217);
  await noBreak();
});

/** LINECTRL with both lines on and off, a break and its end: five answers of three bytes. */
const COMMANDS = hex('12 02 01 01 12 02 00 00 21 00 22 00 12 02 01 00');

test('a host of real-com that sets lines and breaks a thousand times a second, and one that waits for no answer', async () => {
  const sets = driver.get('sets');
  await hood.floods(async () => {
    const data = await dial(tcp.data);
    const command = await RawPeer.connect(tcp.command);
    ends.push(() => command.close());
    await command.ask('2c 08 06 03 01 01 00 00 00 00', 5);
    const patiently = async () => {
      command.send(COMMANDS);
      await command.take(15);
      command.forget();
    };
    await flood(600, patiently, 60);
    // Each of them has a driver's calls.
    expect(driver.get('sets') - sets).toBeGreaterThan(100);
    await command.close();
    await gone(data);
    await hood.portIs('real-com', 'has nobody', ({ clients }) => clients.length === 0);
    const hasty = await dial(tcp.command, false);
    await floodSocket(hasty, 600, () => COMMANDS);
    await gone(hasty);
  });
  await talksTo('real-com', tcp.data);
  await noBreak();
});

test('terminals that move their lines a thousand times a second, in each mode that tells or obeys them', async () => {
  const [notified, mute, console] = [
    await dial(tcp.rfc2217),
    await dial(tcp.command, false),
    await dial(tcp['reverse-telnet']),
  ];
  notified.write(hex('ff fb 2c ff fa 2c 0b ff ff f0'));
  mute.write(hex('2c 08 06 03 01 01 00 00 00 00'));
  await hood.portIs('pair-slave', 'has its master', ({ clients }) => clients.length === 1);
  const before = calls.length;
  await hood.floods(async () => {
    const began = performance.now();
    let changes = 0;
    await flood(1500, () => {
      for (; changes < performance.now() - began; changes++)
        driver.set('lines', [CTS, CTS | DSR, DSR | DCD | RI, 0][changes % 4] ?? 0);
    });
    driver.set('lines', DSR);
  });
  expect(notified.bytesRead, 'bytes that tell of changes').toBeGreaterThan(100);
  expect(calls.length - before, 'calls in that time').toBeLessThan(10);
  for (const name of ['pair-slave', 'pair-master'])
    await hood.portIs(name, 'shows what the other end has', ({ lines }) => lines.dtr && !lines.rts);
  for (const name of ['rfc2217', 'real-com'])
    await hood.portIs(name, 'has its lines', ({ lines }) => lines.dsr === true && lines.cts === false);
  for (const socket of [notified, mute, console]) await gone(socket);
  await talksTo('rfc2217', tcp.rfc2217);
  await talksTo('real-com', tcp.data);
  await talksTo('reverse-telnet', tcp['reverse-telnet']);
  const [master, slave] = [hood.line('pair-master'), hood.line('pair-slave')];
  master.send('through the cable');
  await eventually('it arrives', () => slave.received.toString() === 'through the cable');
  slave.send('and back');
  await eventually('it arrives', () => master.received.toString() === 'and back');
  await hood.portIs('tcp-client', 'is connected', ({ clients }) => clients.length === 1);
  const modem = hood.line('ethernet-modem');
  modem.forget();
  modem.send('\rATE0\r');
  await eventually('the modem answers', () => modem.received.includes('OK\r\n'));
}, 20_000);
