// UDP 4800 of the built daemon: what the vendor's daemon asks while a host is connected, and what a flood of datagrams does not do.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { eventually, Whole } from '../support/e2e.js';
import { freePort, freePorts } from '../support/free-ports.js';
import { parsePrometheus, sampleValue } from '../support/prometheus-text.js';
import { RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const ends: (() => unknown)[] = [];
let line: SerialLine;
let host: Socket;
let answers: Buffer[];

beforeEach(async () => {
  line = new SerialLine();
  ends.push(() => line.unplug());
  answers = [];
  host = createSocket('udp4');
  host.on('message', (bytes) => answers.push(bytes));
  host.bind(0, '127.0.0.1');
  await once(host, 'listening');
  ends.push(() => new Promise<void>((resolve) => host.close(resolve)));
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function start(config: Readonly<Record<string, unknown>>) {
  const whole = await Whole.start({ config });
  ends.push(() => whole.close());
  await eventually('its serial port is up', async () => (await whole.client.serialPorts())[0]?.state === 'up');
  return whole;
}

async function ask(port: number, bytes: Uint8Array): Promise<Buffer> {
  const before = answers.length;
  host.send(bytes, port, '127.0.0.1');
  await eventually('there is an answer', () => answers.length > before);
  return answers[before] ?? Buffer.alloc(0);
}

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const SEARCH = hex('01 00 00 08 00 00 00 00');

test('a host finds the device, asks whether it lives, and sees its own connections', async () => {
  const [dataPort = 0, commandPort = 0, udpPort = 0] = await freePorts(3);
  const serialPorts = { 1: { device: line.path, dataPort, commandPort } };
  const discovery = { listen: '127.0.0.1', port: udpPort, name: 'rack-4' };
  const whole = await start({ serialPorts, discovery });
  await eventually('it answers', () =>
    whole.daemon.stderr.includes(`discovery: answers on 127.0.0.1 UDP port ${udpPort}`),
  );
  const found = await ask(udpPort, SEARCH);
  expect(found.toString('hex')).toMatch(/^8100001800000000.{24}7f000001$/);
  const id = found.subarray(8, 20);
  const request = (code: number, ...more: number[]) => {
    const bytes = Buffer.concat([hex('00 00 00 00 00 00 00 07'), id, Buffer.from(more)]);
    bytes[0] = code;
    bytes.writeUInt16BE(bytes.length, 2);
    return bytes;
  };
  expect((await ask(udpPort, request(0x10))).subarray(20).toString('latin1')).toBe('rack-4'.padEnd(40, '\0'));
  const kernel = await ask(udpPort, request(0x16));
  expect([kernel.length, kernel.readUInt32BE(4), kernel.readUInt16LE(34)]).toEqual([36, 7, 0]);

  const data = await RawPeer.connect(dataPort);
  ends.push(() => data.close());
  const command = await RawPeer.connect(commandPort);
  ends.push(() => command.close());
  const entries = async () => {
    const reply = await ask(udpPort, request(0x14, 0x80, 0x00));
    expect(reply.length).toBe(24 + 16 * reply.readUInt16LE(20));
    return Array.from({ length: reply.readUInt16LE(20) }, (_, i) => {
      const entry = reply.subarray(24 + 16 * i);
      return `${entry.readUInt16LE(8)} ${entry.readUInt16LE(10)} ${entry[13]}`;
    }).sort();
  };
  const listening = [`0 ${dataPort} 1`, `0 ${commandPort} 1`];
  await eventually('both of its connections are told', async () => {
    const told = await entries();
    return (
      told.join() ===
      [...listening, `${data.socket.localPort} ${dataPort} 4`, `${command.socket.localPort} ${commandPort} 4`]
        .sort()
        .join()
    );
  });
  data.close();
  await eventually('that they are gone is told', async () => (await entries()).join() === [...listening].sort().join());

  whole.configure({ serialPorts, discovery: { ...discovery, connections: false } });
  await whole.client.reload();
  expect(await entries()).toEqual([]);
  whole.configure({ serialPorts, discovery: undefined });
  await whole.client.reload();
  const left = createSocket('udp4');
  left.bind({ port: udpPort, address: '127.0.0.1', exclusive: true });
  await once(left, 'listening');
  left.close();
});

test('who is not in accessibleIps has no answer; a flood is counted, and does not fill the log', async () => {
  const [tcpPort = 0, udpPort = 0] = await freePorts(2);
  const serialPorts = { 1: { device: line.path, mode: 'tcp-server', tcpPort, accessibleIps: ['127.0.0.1'] } };
  const discovery = { listen: '127.0.0.1', port: udpPort, accessibleIps: ['192.0.2.0/24'] };
  const whole = await start({ serialPorts, discovery });
  const outcome = async (kind: string) =>
    sampleValue(parsePrometheus(await whole.client.metrics()), 'ttynp_discovery_datagrams_total', { outcome: kind });
  for (let i = 0; i < 40; i++) host.send(SEARCH, udpPort, '127.0.0.1');
  await eventually('they are counted', async () => (await outcome('denied')) === 40);
  expect(answers).toHaveLength(0);
  expect(whole.daemon.stderr.match(/is not in accessibleIps/g)).toHaveLength(5);

  whole.configure({ serialPorts, discovery: { ...discovery, accessibleIps: [] } });
  await whole.client.reload();
  const client = await RawPeer.connect(tcpPort);
  ends.push(() => client.close());
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 50; i++) host.send(Buffer.alloc(i * 7, round), udpPort, '127.0.0.1');
    await new Promise((resolve) => setImmediate(resolve));
  }
  client.send(Buffer.from('undisturbed'));
  await eventually('the line has it', () => line.received.toString() === 'undisturbed');
  // A queue that the flood has filled drops what comes after it, too.
  await eventually('there is an answer', async () => {
    host.send(SEARCH, udpPort, '127.0.0.1');
    await new Promise((resolve) => setTimeout(resolve, 50));
    return answers.length > 0;
  });
  expect(await outcome('malformed')).toBeGreaterThan(0);
  expect(whole.daemon.stderr.match(/which is no request/g)).toHaveLength(5);
});

test('a port that is taken is said once, and does not hold the serial ports up', async () => {
  const tcpPort = await freePort();
  const udpPort = host.address().port;
  const whole = await start({
    serialPorts: { 1: { device: line.path, mode: 'tcp-server', tcpPort } },
    discovery: { listen: ['127.0.0.1'], port: udpPort },
  });
  await eventually('it is said', () =>
    whole.daemon.stderr.includes(`cannot listen on 127.0.0.1 UDP port ${udpPort}: already in use`),
  );
  const client = await RawPeer.connect(tcpPort);
  client.close();
});
