// `ttynp trace serial:N` of the built daemon: PTYs are the hardware, our own driver and plain sockets the clients.
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { TraceRecord } from '../../src/api/types.js';
import { Child, CLI, cli, eventually, Whole } from '../support/e2e.js';
import { freePorts } from '../support/free-ports.js';
import { RawPeer } from '../support/raw-peer.js';
import { App } from '../support/rig.js';
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
  await eventually('the ports are up', async () =>
    (await whole.client.serialPorts()).every(({ state }) => state === 'up'),
  );
  return whole;
}

async function dial(port: number) {
  const peer = await RawPeer.connect(port);
  ends.push(() => peer.close());
  return peer;
}

/** Begun when it returns. */
async function trace(whole: Whole, port: number, ...more: string[]) {
  const child = new Child([process.execPath, CLI, '--socket', whole.socketPath, 'trace', `serial:${port}`, ...more]);
  ends.push(async () => {
    child.signal('SIGTERM');
    await child.exit();
  });
  await eventually(
    () => `the trace has begun: ${child.stdout}${child.stderr}`,
    () => child.stdout.includes(`serial port ${port} (`),
  );
  return child;
}

test('Real COM: connects, commands and answers by name, settings, data both ways, and the end', async () => {
  const line = makeLine({ echo: true });
  const [dataPort, commandPort] = ports;
  const whole = await start(
    { serialPorts: { 1: { device: line.path, mode: 'real-com', dataPort, commandPort } } },
    {
      servers: { own: { address: '127.0.0.1' } },
      ttys: { ttySER0: { server: 'own', port: 1, dataPort, commandPort } },
    },
  );
  const hex = await trace(whole, 1);
  const app = new App(whole.path('ttySER0'));
  ends.push(() => app.close());
  await whole.portIs('is up', (view) => view.state === 'up', 'ttySER0');
  app.set({ baudRate: 57_600 });
  app.write('hello');
  expect(await app.readExactly(5)).toEqual(Buffer.from('hello'));
  app.close();
  const said = () => hex.stdout;
  await eventually(said, () => / - 127\.0\.0\.1 left: /.test(hex.stdout));
  const address = '127\\.0\\.0\\.1:\\d+';
  for (const expected of [
    `- data connection from ${address}`,
    `- command connection from ${address}`,
    `> ${address} \\[PORT_INIT .*\\] 2c08`,
    `< ${address} \\[PORT_INIT dsr=1 cts=1 dcd=1\\] 2c03`,
    `- line: 57600,8N1 flow none dtr on rts on`,
    `> ${address} 68 65 6c 6c 6f  \\|hello\\|`,
    `< ${address} .*\\|hello\\|`,
    `- line: dtr off rts off`,
  ])
    expect(said()).toMatch(new RegExp(`^\\d\\d:\\d\\d:\\d\\d\\.\\d{3} ${expected}`, 'm'));
  const data = /data connection from (\S+)/.exec(said())?.[1];
  expect(said()).toContain(`> ${data} 68 65`);
  hex.signal('SIGINT');
  expect(await hex.exit()).toEqual({ code: 0, signal: null });
});

test('RFC 2217: messages by name; what the line says is shown though nobody is there, and the trace outlives a reload', async () => {
  const line = makeLine();
  const [tcpPort = 0, other = 0] = ports;
  const whole = await start({ serialPorts: { 2: { device: line.path, mode: 'rfc2217', tcpPort } } });
  const json = await trace(whole, 2, '--json');
  const records = (): TraceRecord[] =>
    json.stdout
      .split('\n')
      .slice(0, -1)
      .map((text): TraceRecord => JSON.parse(text));
  const has = (expected: object) =>
    eventually(
      () => `${JSON.stringify(expected)} in ${json.stdout}`,
      () => {
        const wanted = Object.entries(expected);
        return records().some((record) => wanted.every(([key, value]) => Reflect.get(record, key) === value));
      },
    );
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  line.send('nobody');
  await has({ type: 'data', direction: 'received', data: base64('nobody') });
  expect(records().find(({ type }) => type === 'data')).not.toHaveProperty('peer');
  const client = await dial(tcpPort);
  const peer = `127.0.0.1:${client.socket.localPort}`;
  await has({ type: 'event', text: `data connection from ${peer}` });
  client.send('ff fb 2c ff fa 2c 01 00 00 96 00 ff f0');
  await has({ type: 'event', text: `${peer} speaks RFC 2217` });
  await has({ type: 'command', direction: 'sent', text: 'SET-BAUDRATE 38400', peer });
  await has({ type: 'command', direction: 'received', text: 'SET-BAUDRATE 38400', peer });
  await has({ type: 'event', text: 'line: 38400,8N1 flow none dtr on rts on' });
  client.send(Buffer.from('to the line'));
  await has({ type: 'data', direction: 'sent', data: base64('to the line'), peer });
  line.send('from it');
  await has({ type: 'data', direction: 'received', data: base64('from it'), peer });
  await client.close();
  await has({ type: 'event', text: '127.0.0.1 left: it closed the connection' });
  whole.configure({ serialPorts: { 2: { device: line.path, mode: 'tcp-server', tcpPort: other } } });
  expect(await whole.client.reload()).toMatchObject({ ok: true });
  const again = await dial(other);
  again.send(Buffer.from('after it'));
  await has({ type: 'data', direction: 'sent', data: base64('after it'), peer: `127.0.0.1:${again.socket.localPort}` });
});

test('tcp-server: whose bytes they are, who is given those of the line, and commands on their own port', async () => {
  const line = makeLine();
  const [tcpPort = 0, commandPort = 0] = ports;
  const serialPorts = {
    3: { device: line.path, mode: 'tcp-server', tcpPort, commandPort, maxConnection: 2, allowDriverControl: true },
  };
  const whole = await start({ serialPorts });
  const hex = await trace(whole, 3, '--ascii');
  const one = await dial(tcpPort);
  const two = await dial(tcpPort);
  const [first, second] = [one, two].map(({ socket }) => `127.0.0.1:${socket.localPort}`);
  const has = (text: string) =>
    eventually(
      () => `${text} in ${hex.stdout}`,
      () => hex.stdout.includes(text),
    );
  await has(`data connection from ${second}`);
  one.send(Buffer.from('of one'));
  await has(`> ${first} of one`);
  two.send(Buffer.from('of two'));
  await has(`> ${second} of two`);
  line.send('to both');
  await has(`< ${first}, ${second} to both`);
  const command = await dial(commandPort);
  const commander = `127.0.0.1:${command.socket.localPort}`;
  await command.ask('2c 08 06 03 01 01 00 00 00 00', 5);
  await has(`> ${commander} [PORT_INIT 9600,8N1 dtr=1 rts=1] 2c08`);
  await has(`< ${commander} [PORT_INIT `);
});

test('a serial port that is not there: one line, exit 1', async () => {
  const line = makeLine();
  const [tcpPort = 0] = ports;
  const whole = await start({ serialPorts: { 1: { device: line.path, mode: 'tcp-server', tcpPort } } });
  const none = await cli(['trace', 'serial:9', '--socket', whole.socketPath]);
  expect(none).toMatchObject({ code: 1, stdout: '', stderr: 'ttynp: no serial port 9\n' });
  const tty = await cli(['trace', 'serial:x', '--socket', whole.socketPath]);
  expect(tty).toMatchObject({ code: 1, stdout: '', stderr: 'ttynp: no tty serial:x\n' });
});
