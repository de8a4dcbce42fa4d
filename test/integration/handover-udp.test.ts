// A UDP port is handed over while its device talks: what the device says before the next process has its socket goes to the destinations,
// and after what the process before had of it.
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import type { PackingRules } from '../../src/config/packing.js';
import type { LineRequest } from '../../src/serial/line.js';
import { UdpPort } from '../../src/serve/udp.js';
import { ForwardingUart } from '../../src/uart/forwarding.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import { endsOfTests, sleep, holds as until } from '../support/leftovers.js';
import { SerialLine } from '../support/serial-line.js';

const ends = endsOfTests();
const clock = new SystemClock();

/** Lines as behind a slow adapter. */
class SlowLines extends ForwardingUart {
  override async request(request: LineRequest): Promise<boolean> {
    await sleep(100);
    return super.request(request);
  }
}

async function rig(packing?: PackingRules) {
  const socket = createSocket('udp4');
  const got: string[] = [];
  socket.on('message', (bytes) => got.push(bytes.toString('latin1')));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  ends.push(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const server = () => {
    const uart = new SlowLines(new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' }));
    const destinations = [{ host: '127.0.0.1', lastHost: null, port: socket.address().port, localPort: 0 }];
    const made = new UdpPort({ clock, uart, address: '127.0.0.1', port: 0, destinations, packing });
    ends.push(() => made.close());
    return made;
  };
  const first = server();
  await first.open();
  return { got, line, first, next: server() };
}

test('what the device says meanwhile is not lost', async () => {
  const { got, line, first, next } = await rig();
  line.send('before ');
  await until(() => got.join('') === 'before ');
  const kept = await first.handOver();
  if (kept === undefined) throw new Error('it could not be kept');
  line.send('meanwhile ');
  await next.open(kept);
  line.send('after');
  await until(() => got.join('').endsWith('after'));
  expect(got.join('')).toBe('before meanwhile after');
});

test('nor does it come before what waited for the end of its packet', async () => {
  const { got, line, first, next } = await rig({
    packetLength: 0,
    delimiter: [13],
    delimiterProcess: 0,
    forceTransmit: 0,
  });
  line.send('one\rtw');
  await until(() => got.join('') === 'one\r');
  const kept = await first.handOver();
  if (kept === undefined) throw new Error('it could not be kept');
  line.send('o\r');
  await next.open(kept);
  line.send('three\r');
  await until(() => got.join('').endsWith('three\r'));
  expect(got).toEqual(['one\r', 'two\r', 'three\r']);
});
