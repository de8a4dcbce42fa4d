// This machine's serial ports offered by the built daemon: PTYs are the hardware, our own driver, socat and plain sockets
// the clients, and what is asserted is what the device at the end of the line sees.
import { chmodSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { SerialPortView } from '../../src/api/types.js';
import { Child, cli, eventually, Whole } from '../support/e2e.js';
import { freePorts } from '../support/free-ports.js';
import { parsePrometheus, sampleValue } from '../support/prometheus-text.js';
import { RawPeer } from '../support/raw-peer.js';
import { App, TERMIOS } from '../support/rig.js';
import { SerialLine } from '../support/serial-line.js';

const ends: (() => unknown)[] = [];
let ports: number[];

beforeEach(async () => {
  ports = await freePorts(4);
});

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function makeLine(options = {}) {
  const line = new SerialLine(options);
  ends.push(() => line.unplug());
  return line;
}

async function start(config: Readonly<Record<string, unknown>>, options = {}) {
  const whole = await Whole.start({ config, ...options });
  ends.push(() => whole.close());
  return whole;
}

async function dial(port: number) {
  const peer = await RawPeer.connect(port);
  ends.push(() => peer.close());
  return peer;
}

async function portIs(whole: Whole, what: string, is: (view: SerialPortView) => boolean, port = 1) {
  let view: SerialPortView | undefined;
  await eventually(
    () => `serial port ${port} ${what}: ${JSON.stringify(view)}\n${whole.daemon.stderr}`,
    async () => {
      view = (await whole.client.serialPorts()).find((one) => one.port === port);
      return view !== undefined && is(view);
    },
  );
  if (view === undefined) throw new Error('no port');
  return view;
}

const up = (view: SerialPortView) => view.state === 'up';

test('our driver at our device: bytes, settings and lines from a tty to the line of a real-com port', async () => {
  const line = makeLine({ echo: true });
  const [dataPort, commandPort] = ports;
  const whole = await start(
    { serialPorts: { 1: { device: line.path, mode: 'real-com', dataPort, commandPort } } },
    {
      servers: { own: { address: '127.0.0.1' } },
      ttys: { ttySER0: { server: 'own', port: 1, dataPort, commandPort } },
    },
  );
  await portIs(whole, 'is up', up);
  const app = new App(whole.path('ttySER0'));
  ends.push(() => app.close());
  await whole.portIs('is up', (view) => view.state === 'up', 'ttySER0');
  app.set({ baudRate: 57_600, cflag: (flags) => (flags | TERMIOS.CSTOPB) >>> 0 });
  const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  app.write(all);
  expect(await app.readExactly(256)).toEqual(all);
  expect(line.settings).toMatchObject({ baudRate: 57_600, stopBits: 2 });
  const view = await portIs(whole, 'has a client', ({ clients }) => clients.length === 1);
  expect(view).toMatchObject({
    mode: 'real-com',
    listen: '127.0.0.1',
    tcpPorts: [dataPort, commandPort],
    settings: { format: '57600,8N2' },
    lines: { dtr: true, rts: true, cts: true, dsr: true, dcd: true },
    clients: [{ address: '127.0.0.1', received: 256, sent: 256, dropped: 0 }],
    transmitted: { bytes: 256 },
    received: { bytes: 256 },
    reason: null,
  });
  const text = await cli(['ports', '--socket', whole.socketPath]);
  expect(text.stdout).toMatch(/ttySER0 +up/);
  expect(text.stdout).toMatch(
    new RegExp(`1 +${line.path} +up +real-com +127.0.0.1:${dataPort}\\+${commandPort} +57600,8N2`),
  );
  app.close();
  await portIs(
    whole,
    'has no client, and its lines are low',
    ({ clients, lines }) => clients.length === 0 && !lines.dtr,
  );
});

test('our driver at our RFC 2217 port: bytes, settings, what `ttynp ports` says, and garbage that is counted', async () => {
  const line = makeLine({ echo: true });
  const [tcpPort = 0] = ports;
  const whole = await start(
    { serialPorts: { 2: { device: line.path, mode: 'rfc2217', tcpPort } } },
    {
      servers: { own: { address: '127.0.0.1', protocol: 'rfc2217' } },
      ttys: { ttySER0: { server: 'own', port: 1, dataPort: tcpPort } },
    },
  );
  await portIs(whole, 'is up', up, 2);
  const junk = await dial(tcpPort);
  for (let i = 0; i < 100; i++) junk.send('ff fa ff f0');
  await portIs(whole, 'counted', ({ malformed }) => malformed === 100, 2);
  expect(whole.daemon.stderr.match(/sent a subnegotiation that is none/g)).toHaveLength(1);
  await junk.close();
  await portIs(whole, 'is free', ({ clients }) => clients.length === 0, 2);
  const app = new App(whole.path('ttySER0'));
  ends.push(() => app.close());
  await whole.portIs('is up', (view) => view.state === 'up', 'ttySER0');
  app.set({ baudRate: 57_600, cflag: (flags) => (flags | TERMIOS.CSTOPB) >>> 0 });
  const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
  app.write(all);
  expect(await app.readExactly(256)).toEqual(all);
  expect(line.settings).toMatchObject({ baudRate: 57_600, stopBits: 2 });
  const view = await portIs(whole, 'has a client', ({ clients }) => clients.length === 1, 2);
  expect(view).toMatchObject({
    mode: 'rfc2217',
    tcpPorts: [tcpPort],
    settings: { format: '57600,8N2' },
    lines: { dtr: true, rts: true },
    clients: [{ address: '127.0.0.1', received: 256, sent: 256, dropped: 0 }],
  });
  const text = await cli(['ports', '--serial', '--socket', whole.socketPath]);
  expect(text.stdout).toMatch(new RegExp(`2 +${line.path} +up +rfc2217 +127.0.0.1:${tcpPort} +57600,8N2.* 127.0.0.1`));
  const metrics = parsePrometheus(await whole.client.metrics());
  expect(sampleValue(metrics, 'ttynp_serial_port_malformed_total', { port: '2', mode: 'rfc2217' })).toBe(100);
  app.close();
  await portIs(whole, 'is low again', ({ clients, lines }) => clients.length === 0 && !lines.dtr, 2);
});

test('a tcp-server port: every client gets the line, socat too, and what they send goes out', async () => {
  const line = makeLine();
  const [tcpPort = 0] = ports;
  const serialPorts = { 3: { device: line.path, mode: 'tcp-server', tcpPort, maxConnection: 3, format: '19200,8N1' } };
  const whole = await start({ serialPorts });
  await portIs(whole, 'is up', up, 3);
  expect(line.settings.baudRate).toBe(19_200);
  const [one, two] = [await dial(tcpPort), await dial(tcpPort)];
  const socat = new Child(['socat', '-', `TCP:127.0.0.1:${tcpPort}`]);
  ends.push(async () => {
    socat.signal('SIGTERM');
    await socat.ended;
  });
  await portIs(whole, 'has three clients', ({ clients }) => clients.length === 3, 3);
  line.send('to all of you');
  expect((await one.take(13)).toString()).toBe('to all of you');
  expect((await two.take(13)).toString()).toBe('to all of you');
  await eventually('socat has it', () => socat.stdout === 'to all of you');
  socat.process.stdin.write('from socat');
  await eventually('the line has it', () => line.received.toString() === 'from socat');
  const fourth = await dial(tcpPort);
  await fourth.end();
  const view = await portIs(whole, 'refused one', ({ refused }) => refused.busy === 1, 3);
  expect(view.lines).toMatchObject({ dtr: true, rts: true });
  const metrics = parsePrometheus(await whole.client.metrics());
  const labels = { port: '3', mode: 'tcp-server' };
  expect(sampleValue(metrics, 'ttynp_serial_port_up', labels)).toBe(1);
  expect(sampleValue(metrics, 'ttynp_serial_port_bytes_total', { ...labels, direction: 'received' })).toBe(13);
  expect(sampleValue(metrics, 'ttynp_serial_port_bytes_total', { ...labels, direction: 'transmitted' })).toBe(10);
  expect(sampleValue(metrics, 'ttynp_serial_port_connections_total', { ...labels, outcome: 'taken' })).toBe(3);
  expect(sampleValue(metrics, 'ttynp_serial_port_connections_total', { ...labels, outcome: 'busy' })).toBe(1);
});

test('a reload begins, changes and ends only what changed; a wrong file disturbs nothing', async () => {
  const [first, second] = [makeLine(), makeLine()];
  const [a = 0, b = 0, c = 0] = ports;
  const one = { device: first.path, mode: 'tcp-server', tcpPort: a };
  const whole = await start({ serialPorts: { 1: one } });
  await portIs(whole, 'is up', up);
  const kept = await dial(a);
  await portIs(whole, 'has its client', ({ clients }) => clients.length === 1);
  whole.configure({ serialPorts: { 1: one, 2: { device: second.path, mode: 'tcp-server', tcpPort: b } } });
  const unchanged = { ok: true, removed: [], changed: [], unchanged: 2 };
  expect(await whole.client.reload()).toMatchObject({ ...unchanged, added: ['serial port 2'] });
  const moving = await dial(b);
  whole.configure({ serialPorts: { 1: one, 2: { device: second.path, mode: 'tcp-server', tcpPort: c } } });
  expect(await whole.client.reload()).toMatchObject({ added: [], changed: ['serial port 2'], unchanged: 2 });
  await moving.end();
  const moved = await dial(c);
  whole.configure({ serialPorts: { 1: one, 2: { device: 'nonsense' } } });
  const wrong = await whole.client.reload();
  expect(wrong.ok).toBe(false);
  expect(wrong.errors[0]).toContain('serialPorts.2.device: must be an absolute path');
  moved.send(Buffer.from('moved'));
  await eventually('the second line has it', () => second.received.toString() === 'moved');
  whole.configure({ serialPorts: { 1: one } });
  expect(await whole.client.reload()).toMatchObject({ removed: ['serial port 2'], changed: [] });
  await moved.end();
  await expect(RawPeer.connect(c)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  kept.send(Buffer.from('all the time'));
  await eventually('the first line has it', () => first.received.toString() === 'all the time');
  expect(kept.ended).toBe(false);
});

test('an adapter that is unplugged ends its clients, and is found again by its path', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'ttynp-by-id-'));
  ends.push(() => rmSync(directory, { recursive: true }));
  const link = join(directory, 'usb-adapter');
  const first = makeLine();
  symlinkSync(first.path, link);
  const [tcpPort = 0] = ports;
  const whole = await start({ serialPorts: { 1: { device: link, mode: 'tcp-server', tcpPort } } });
  await portIs(whole, 'is up', up);
  const client = await dial(tcpPort);
  await portIs(whole, 'has its client', ({ clients }) => clients.length === 1);
  rmSync(link);
  first.unplug();
  await client.end();
  const away = await portIs(whole, 'waits for its device', ({ state }) => state === 'waiting');
  expect(away.reason).toMatchObject({ code: 'TTY_GONE' });
  expect(away.lines.cts).toBeNull();
  await expect(RawPeer.connect(tcpPort)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  const second = makeLine();
  symlinkSync(second.path, link);
  await portIs(whole, 'is up again', up);
  const again = await dial(tcpPort);
  again.send(Buffer.from('back'));
  await eventually('the line has it', () => second.received.toString() === 'back');
});

test('who is not in accessibleIps gets no byte, and is counted; the log is not filled', async () => {
  const line = makeLine();
  const [tcpPort = 0, dataPort = 0, commandPort = 0] = ports;
  const whole = await start({
    accessibleIps: ['127.0.0.0/8', '192.0.2.7'],
    serialPorts: { 1: { device: line.path, mode: 'tcp-server', tcpPort, accessibleIps: ['192.0.2.0 255.255.255.0'] } },
  });
  await portIs(whole, 'is up', up);
  for (let i = 0; i < 50; i++) {
    const peer = await dial(tcpPort);
    peer.send(Buffer.from('let me in'));
    await peer.end();
    expect(peer.received).toHaveLength(0);
  }
  await portIs(whole, 'refused them', ({ refused }) => refused.denied === 50);
  expect(whole.daemon.stderr.match(/127\.0\.0\.1 is not in accessibleIps/g)).toHaveLength(5);
  whole.configure({ serialPorts: { 1: { device: line.path, dataPort, commandPort, accessibleIps: ['127.0.0.1'] } } });
  await whole.client.reload();
  await portIs(whole, 'is up', up);
  const data = await dial(dataPort);
  const command = await dial(commandPort);
  expect(await command.ask('2c 08 06 03 01 01 00 00 00 00', 5)).toBe('2c03010101');
  data.send(Buffer.from('in'));
  await eventually('the line has it', () => line.received.toString() === 'in');
});

test('a port that cannot be had says why in one line, and the others are served', async () => {
  const [free, taken] = [makeLine(), makeLine()];
  const [tcpPort = 0, other = 0, third = 0] = ports;
  const listener = createServer().listen(other, '127.0.0.1');
  ends.push(() => new Promise((resolve) => listener.close(resolve)));
  const whole = await start({
    serialPorts: {
      1: { device: free.path, mode: 'tcp-server', tcpPort },
      2: { device: taken.path, mode: 'tcp-server', tcpPort: other },
      3: { device: '/dev/ttyNothing', mode: 'tcp-server', tcpPort: third },
      4: { device: free.path, mode: 'disabled' },
    },
  });
  await portIs(whole, 'is up', up, 1);
  const second = await portIs(whole, 'waits', ({ reason }) => reason !== null, 2);
  expect(second.reason?.message).toBe(
    `cannot listen on 127.0.0.1 port ${other}: already in use (choose another with tcpPort, or see who has it: ss -ltnp)`,
  );
  expect((await portIs(whole, 'waits', ({ reason }) => reason !== null, 3)).reason?.message).toBe(
    '/dev/ttyNothing is not there',
  );
  await portIs(whole, 'is disabled', ({ state, tcpPorts }) => state === 'disabled' && tcpPorts.length === 0, 4);
  const client = await dial(tcpPort);
  client.send(Buffer.from('served'));
  await eventually('the line has it', () => free.received.toString() === 'served');
  const text = await cli(['ports', '--serial', '--socket', whole.socketPath]);
  expect(text.stdout).toMatch(/3 +\/dev\/ttyNothing +waiting +tcp-server +- .*is not there/);
  const json = await cli(['ports', '--serial', '--json', '--socket', whole.socketPath]);
  expect(JSON.parse(json.stdout)).toMatchObject([{ port: 1 }, { port: 2 }, { port: 3 }, { port: 4 }]);
});

test('a list that shuts out the address from where a reload is asked is refused, unless by force', async () => {
  const line = makeLine();
  const [tcpPort = 0] = ports;
  const one = { device: line.path, mode: 'tcp-server', tcpPort };
  const whole = await start({ serialPorts: { 1: one } });
  await portIs(whole, 'is up', up);
  const kept = await dial(tcpPort);
  const reload = (from: string, ...more: string[]) =>
    cli(['reload', ...more, '--socket', whole.socketPath], { env: { SSH_CONNECTION: `${from} 50000 127.0.0.1 22` } });
  whole.configure({ serialPorts: { 1: { ...one, accessibleIps: ['192.0.2.0/24'] } } });
  const refused = await reload('198.51.100.7');
  expect(refused.code).toBe(1);
  expect(refused.stderr).toBe(
    'accessibleIps would no longer admit 198.51.100.7, from where you ask, to serial port 1 (if you mean it: ttynp reload --force)\nttynp: not reloaded, nothing has changed\n',
  );
  kept.send(Buffer.from('not disturbed'));
  await eventually('the line has it', () => line.received.toString() === 'not disturbed');
  expect((await reload('192.0.2.7')).code).toBe(0);
  whole.configure({ serialPorts: { 1: { ...one, accessibleIps: ['203.0.113.0/24'] } } });
  expect((await reload('192.0.2.7')).code).toBe(1);
  expect((await reload('192.0.2.7', '--force')).stdout).toContain('changed serial port 1');
});

test('ports below 1024 without the right to them: one line says what gives it, and it is tried again', async () => {
  const line = makeLine();
  chmodSync(line.path, 0o666);
  const whole = await start({ serialPorts: { 1: { device: line.path } } }, { daemon: { unprivileged: true } });
  const { reason } = await portIs(whole, 'waits', ({ state, reason }) => state === 'waiting' && reason !== null);
  expect(reason).toMatchObject({
    code: 'PERMISSION',
    message:
      'cannot listen on 127.0.0.1 port 950: ports below 1024 need root (choose higher ones with dataPort and commandPort, or give the service CAP_NET_BIND_SERVICE: see ttynpd(8))',
  });
  expect(whole.daemon.stderr.split('\n').filter((one) => one.includes('port 950'))).toHaveLength(1);
});
