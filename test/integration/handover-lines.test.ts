// A port is handed over while its server is moving DTR and RTS, one client having left and another one come, and the driver takes its time:
// who is connected has them up afterwards.
import { expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import type { LineRequest } from '../../src/serial/line.js';
import { ReverseTelnetPort } from '../../src/serve/reverse-telnet.js';
import { Rfc2217Port } from '../../src/serve/rfc2217.js';
import { TcpServerPort } from '../../src/serve/tcp-server.js';
import { ForwardingUart } from '../../src/uart/forwarding.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import type { KeptUart } from '../../src/uart/uart.js';
import { endsOfTests, sleep, holds as until } from '../support/leftovers.js';
import { RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const ends = endsOfTests();
const clock = new SystemClock();

/** Lines as behind a slow adapter: one change after the other, and none of those that have not begun when the port is handed over. */
class SlowLines extends ForwardingUart {
  #last: Promise<unknown> = Promise.resolve();
  #left = false;

  override handOver(): KeptUart | undefined {
    this.#left = true;
    return super.handOver();
  }

  override request(request: LineRequest): Promise<boolean> {
    const done = this.#last.then(async () => {
      if (request.type === 'lines') await sleep(100);
      return !this.#left && super.request(request);
    });
    this.#last = done;
    return done;
  }
}

const SERVERS = { 'tcp-server': TcpServerPort, 'reverse-telnet': ReverseTelnetPort, rfc2217: Rfc2217Port };

test.each(Object.entries(SERVERS))('%s', async (_, Server) => {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const port = () => new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
  const server = new Server({ clock, uart: new SlowLines(port()), address: '127.0.0.1', port: 0, maxConnection: 1 });
  ends.push(() => server.close());
  await server.open();
  const client = async () => {
    const peer = await RawPeer.connect(server.tcpPorts[0] ?? 0);
    ends.push(() => peer.close());
    await until(() => server.clients.length === 1);
    return peer;
  };
  const first = await client();
  first.close();
  await until(() => server.clients.length === 0);
  const second = await client();
  const kept = await server.handOver(10_000);
  if (kept === undefined) throw new Error('it could not be kept');
  const next = port();
  const nextServer = new Server({
    clock,
    uart: next,
    address: '127.0.0.1',
    port: server.tcpPorts[0] ?? 0,
    maxConnection: 1,
  });
  ends.push(() => nextServer.close());
  await nextServer.open(kept);
  expect([nextServer.clients.length, next.outputLines, second.ended]).toEqual([1, { dtr: true, rts: true }, false]);
});
