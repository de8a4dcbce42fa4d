// Serial ports that are offered, over a restart of the daemon at which something cannot go on, or has not begun: what a client did to
// the line is undone whoever ends it, and a break that waits is begun by the next daemon.
import { mkdtempSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { SerialPortView } from '../../src/api/types.js';
import { eventually } from '../support/e2e.js';
import { freePort, freePorts } from '../support/free-ports.js';
import { type Managed, managedTests } from '../support/managed.js';
import { PlayedDriver } from '../support/played-driver.js';
import { RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const { cleanups, managed } = managedTests();

const PORT_INIT_9600 = '2c 08 06 03 01 01 00 00 00 00';
const SETXOFF = '34 00';
const START_BREAK = '21 00';

function makeLine(): SerialLine {
  const line = new SerialLine();
  cleanups.push(() => line.unplug());
  return line;
}

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), 'ttynp-served-'));
  cleanups.push(() => rmSync(dir, { recursive: true }));
  return dir;
}

async function offered(device: string, mode: Readonly<Record<string, unknown>>, env = {}): Promise<Managed> {
  const m = await managed({ config: { ttys: {}, serialPorts: { 1: { device, ...mode } } } }, { env });
  await view(m, 'is up', ({ state }) => state === 'up');
  return m;
}

async function view(m: Managed, what: string, is: (port: SerialPortView) => boolean): Promise<SerialPortView> {
  return eventually(
    () => `serial port 1 ${what}\n${m.manager.stderr}`,
    async () => {
      const [port] = await m.whole.client.serialPorts().catch(() => []);
      return port !== undefined && is(port) && port;
    },
  );
}

async function dial(port: number): Promise<RawPeer> {
  const peer = await RawPeer.connect(port);
  cleanups.push(() => peer.close());
  return peer;
}

/** For the daemon. */
function playedDriver(): PlayedDriver {
  const driver = new PlayedDriver();
  cleanups.push(() => driver.close());
  return driver;
}

test('of a host that reads nothing and is ended, the next one has neither bytes nor a stopped transmitter', async () => {
  const [dataPort = 0, commandPort = 0] = await freePorts(2);
  const line = makeLine();
  const m = await offered(line.path, { mode: 'real-com', dataPort, commandPort });
  const command = await dial(commandPort);
  const data = await dial(dataPort);
  await command.ask(PORT_INIT_9600, 5);
  await command.ask(SETXOFF, 3);
  data.send('6f 6c 64');
  await view(m, 'has its bytes', ({ clients: [client] }) => client?.received === 3);
  data.socket.pause();
  line.send(Buffer.alloc(12_000_000, 0x55));
  let [before, since] = [0, performance.now()];
  await view(m, 'is jammed', ({ received }) => {
    if (received.bytes !== before) since = performance.now();
    before = received.bytes;
    // A kernel takes more after a while, when it has made its buffers larger.
    return performance.now() - since > 800 && before > 0 && line.unsent > 0;
  });
  await m.restart();
  expect(m.manager.stderr).toContain('reads nothing');
  data.socket.destroy();
  await view(m, 'has no host', ({ state, clients }) => state === 'up' && clients.length === 0);
  const nextCommand = await dial(commandPort);
  const nextData = await dial(dataPort);
  await nextCommand.ask(PORT_INIT_9600, 5);
  nextData.send('6e 65 77');
  await eventually('its bytes leave', () => line.received.length >= 3);
  expect(line.received.toString()).toBe('new');
});

test('what a client of the command port did is undone where it was reset while no daemon ran', async () => {
  const [tcpPort = 0, commandPort = 0] = await freePorts(2);
  const line = makeLine();
  const m = await offered(line.path, { mode: 'tcp-server', tcpPort, allowDriverControl: true, commandPort });
  const command = await dial(commandPort);
  const data = await dial(tcpPort);
  await command.ask(SETXOFF, 3);
  data.send('61 62 63');
  await view(m, 'has its bytes', ({ clients: [client] }) => client?.received === 3);
  expect(line.received.length).toBe(0);
  await m.handOver();
  await command.close('reset');
  await m.again();
  await eventually('they leave', () => line.received.length >= 3);
  expect(line.received.toString()).toBe('abc');
  expect(data.ended).toBe(false);
});

test.each<[string, string, string, string]>([
  ['real-com', 'real-com', START_BREAK, '214f4b'],
  ['rfc2217', 'rfc2217', 'ff fb 2c ff fd 2c ff fa 2c 05 05 ff f0', 'fffa2c6905fff0'],
])('%s: a break that waits until the driver is empty begins at the next daemon', async (_, mode, begin, answer) => {
  const [dataPort = 0, commandPort = 0] = await freePorts(2);
  const uart = playedDriver();
  // CTS and DSR.
  uart.set('lines', 0x120);
  const ports = mode === 'rfc2217' ? { tcpPort: commandPort } : { dataPort, commandPort };
  const m = await offered(makeLine().path, { mode, ...ports }, uart.env);
  const command = await dial(commandPort);
  if (mode === 'real-com') await dial(dataPort);
  if (mode === 'real-com') await command.ask(PORT_INIT_9600, 5);
  // Four seconds at 9600; RFC 2217 gives up waiting after one, and asks for the break.
  uart.set('queued', 4000);
  command.send(begin);
  await new Promise((resolve) => setTimeout(resolve, 1500));
  expect(await m.restart()).toBe(0);
  await view(m, 'has its client', ({ clients }) => clients.length === 1);
  expect(uart.get('breaks')).toBe(0);
  uart.set('queued', 0);
  await eventually('the break', () => uart.get('breaks') === 1);
  await eventually(
    () => command.received.toString('hex'),
    () => command.received.toString('hex').includes(answer),
  );
  expect([command.ended, uart.get('ended')]).toEqual([false, 0]);
});

test('a link that leads to another device meanwhile: the new one is served, and nothing goes to the old one', async () => {
  const tcpPort = await freePort();
  const [old, other] = [makeLine(), makeLine()];
  const link = join(folder(), 'port');
  symlinkSync(old.path, link);
  const m = await offered(link, { mode: 'tcp-server', tcpPort });
  const peer = await dial(tcpPort);
  await view(m, 'has a client', ({ clients }) => clients.length === 1);
  await m.handOver();
  symlinkSync(other.path, `${link}2`);
  renameSync(`${link}2`, link);
  await m.again();
  await peer.end();
  await view(m, 'is up', ({ state }) => state === 'up');
  const next = await dial(tcpPort);
  next.send('31');
  await eventually('it leaves', () => other.received.length === 1);
  expect(old.received.length).toBe(0);
});
