// What a served port shows to a trace, where clients share its line: who is given what the line says, and who loses it.
import { afterEach, expect, test } from 'vitest';
import type { TraceRecord } from '../../src/api/types.js';
import { SystemClock } from '../../src/base/clock.js';
import { ServedTrace } from '../../src/daemon/served/served-trace.js';
import { TcpServerPort } from '../../src/serve/tcp-server.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import { RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const until = async (done: () => boolean) => {
  for (const end = Date.now() + 10_000; !done(); ) {
    if (Date.now() > end) throw new Error('it did not happen');
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
};

const bytesOf = (record: TraceRecord) => (record.type === 'data' ? Buffer.from(record.data, 'base64').length : 0);

test('a client that does not read and loses bytes: the trace says so, and whose the others are', async () => {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const clock = new SystemClock();
  const trace = new ServedTrace(clock);
  const records: TraceRecord[] = [];
  ends.push(trace.add((record) => records.push(record)));
  const server = new TcpServerPort({
    clock,
    address: '127.0.0.1',
    uart: new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' }),
    port: 0,
    maxConnection: 2,
    ignoreJammedIp: true,
    trace,
  });
  ends.push(() => server.close());
  await server.open();
  const [tcpPort = 0] = server.tcpPorts;
  const dial = async () => {
    const peer = await RawPeer.connect(tcpPort);
    ends.push(() => peer.close('reset'));
    return { peer, place: `127.0.0.1:${peer.socket.localPort}` };
  };
  const reading = await dial();
  const jammed = await dial();
  await until(() => server.clients.length === 2);
  jammed.peer.socket.pause();
  const chunk = Buffer.alloc(16_384, 'x');
  const dropped = () => server.clients.reduce((sum, client) => sum + client.dropped, 0);
  while (dropped() === 0) {
    line.send(chunk);
    await until(() => line.unsent === 0);
  }
  const given = (peer: string) => records.filter((record) => record.type === 'data' && record.peer === peer);
  const lost = records
    .map((record) => (record.type === 'event' ? record.text : ''))
    .flatMap((text) => /^(\S+) does not read: (\d+) bytes are lost to it$/.exec(text)?.slice(1) ?? []);
  expect(lost[0]).toBe(jammed.place);
  const lostBytes = lost.filter((_, i) => i % 2 === 1).reduce((sum, bytes) => sum + Number(bytes), 0);
  expect(lostBytes).toBe(dropped());
  expect(given(reading.place).reduce((sum, record) => sum + bytesOf(record), 0)).toBe(lostBytes);
});

test('packed: what nobody hears is shown as it comes, and what is heard as the packets that are given', async () => {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const clock = new SystemClock();
  const trace = new ServedTrace(clock);
  const records: TraceRecord[] = [];
  ends.push(trace.add((record) => records.push(record)));
  const server = new TcpServerPort({
    clock,
    address: '127.0.0.1',
    uart: new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' }),
    port: 0,
    packing: { packetLength: 0, delimiter: [0x3b], delimiterProcess: 0, forceTransmit: 0 },
    trace,
  });
  ends.push(() => server.close());
  await server.open();
  line.send('nobody');
  await until(() => records.reduce((sum, record) => sum + bytesOf(record), 0) === 6);
  expect(records.some((record) => 'peer' in record)).toBe(false);
  records.splice(0);
  const [tcpPort = 0] = server.tcpPorts;
  const peer = await RawPeer.connect(tcpPort);
  ends.push(() => peer.close());
  await until(() => server.clients.length === 1);
  line.send('one;two;');
  expect((await peer.take(8)).toString()).toBe('one;two;');
  const place = `127.0.0.1:${peer.socket.localPort}`;
  const shown = records.flatMap((record) =>
    record.type === 'data' ? [[Buffer.from(record.data, 'base64').toString(), record.peer]] : [],
  );
  expect(shown).toEqual([
    ['one;', place],
    ['two;', place],
  ]);
});
