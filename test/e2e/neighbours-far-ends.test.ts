// Of the modes that connect by themselves, and of a tty: the far end floods, reads nothing, talks garbage or closes at once, and the
// neighbours do not notice; when it is as it should be the port works.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/e2e.js';
import { flood, floodSocket, garbage } from '../support/floods.js';
import { freePort } from '../support/free-ports.js';
import { Neighbourhood } from '../support/neighbours.js';
import { hex, RawPeer } from '../support/raw-peer.js';
import { Rfc2217Served } from '../support/rfc2217-served.js';
import { App } from '../support/rig.js';

/** A server of the test, that does with its connections what the test says; until then nothing. */
class FarEnd {
  readonly calls: Socket[] = [];
  readonly #server = createServer((socket) => {
    this.calls.push(socket);
    socket.on('error', () => {});
    this.does(socket);
  });
  does: (socket: Socket) => unknown = () => {};

  async listen(): Promise<number> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    return (this.#server.address() as AddressInfo).port;
  }

  /** The connection that there is, or the one that comes. */
  async call(): Promise<Socket> {
    const isOpen = (socket: Socket | undefined) => socket !== undefined && !socket.destroyed && socket.readable;
    await eventually('it is connected', () => isOpen(this.calls.at(-1)));
    const socket = this.calls.at(-1);
    if (socket === undefined) throw new Error('no connection');
    return socket;
  }

  close(): void {
    for (const socket of this.calls) socket.destroy();
    this.#server.close();
  }
}

const BLOCK = garbage(65_536);
const ends: (() => unknown)[] = [];
const [server, slave, device] = [new FarEnd(), new FarEnd(), new FarEnd()];
let hood: Neighbourhood;
let slavePort = 0;
let rfc2217: Rfc2217Served;

beforeAll(async () => {
  const [toServer, toSlave, toDevice] = [await server.listen(), await slave.listen(), await device.listen()];
  slavePort = await freePort();
  rfc2217 = await Rfc2217Served.open({ echo: true });
  hood = await Neighbourhood.start(
    {
      'tcp-client': { mode: 'tcp-client', destinations: [`127.0.0.1:${toServer}`] },
      'pair-master': { mode: 'pair-master', destinations: [`127.0.0.1:${toSlave}`] },
      'pair-slave': { mode: 'pair-slave', tcpPort: slavePort },
    },
    {
      ports: 2,
      servers: {
        raw: { address: '127.0.0.1', protocol: 'tcp' },
        rfc2217: { address: '127.0.0.1', protocol: 'rfc2217' },
      },
      ttys: {
        ttyRAW0: { server: 'raw', port: 1, dataPort: toDevice },
        ttyRFC0: { server: 'rfc2217', port: 1, dataPort: rfc2217.port },
      },
    },
  );
});

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

afterAll(async () => {
  for (const one of [server, slave, device]) one.close();
  await hood?.close();
  await rfc2217?.server.close();
});

describe('a pair-master', () => {
  test('its far end talks garbage, telnet without end, and closes; then it is a slave', async () => {
    const answers = Buffer.concat(
      Array.from({ length: 200 }, (_, i) => hex('ff fd 2c ff fb 2c ff fa 2c 6b').subarray(0, 10 - (i % 3))),
    );
    await hood.floods(async () => {
      const socket = await slave.call();
      socket.resume();
      expect(await floodSocket(socket, 700, () => answers)).toBeGreaterThan(10_000);
      await floodSocket(socket, 700, () => BLOCK);
    });
    slave.does = (socket) => {
      const onwards = connect(slavePort, '127.0.0.1');
      ends.push(() => onwards.destroy());
      onwards.on('error', () => {});
      socket.pipe(onwards).pipe(socket);
    };
    slave.calls.at(-1)?.destroy();
    for (const name of ['pair-slave', 'pair-master'])
      await hood.portIs(name, 'is connected', ({ clients }) => clients.length === 1);
    const [one, other] = [hood.line('pair-master'), hood.line('pair-slave')];
    other.forget();
    one.send('through the cable');
    await eventually('it arrives', () => other.received.includes('through the cable'));
    one.forget();
    other.send('and back');
    await eventually('it arrives', () => one.received.includes('and back'));
  }, 20_000);
});

describe('a tcp-client port', () => {
  const line = () => hood.line('tcp-client');

  test('its server floods it, with a line that takes it and with one that stands', async () => {
    const socket = await server.call();
    await hood.floods(async () => {
      expect(await floodSocket(socket, 800, () => BLOCK)).toBeGreaterThan(100_000);
      line().deaf = true;
      await hood.holdsUp(socket, () => BLOCK);
      line().deaf = false;
      await eventually('all of it is taken', () => socket.writableLength === 0);
    });
    line().forget();
    const peer = RawPeer.accepted(socket);
    await hood.speaks('tcp-client', peer);
  });

  test('its server reads nothing of what the line says', async () => {
    const was = await server.call();
    was.destroy();
    server.does = (socket) => socket.pause();
    await once(was, 'close');
    const socket = await server.call();
    const all = 12_000_000;
    let got = 0;
    await hood.floods(async () => {
      line().send(Buffer.alloc(all, 'measured '));
      let [before, same] = [0, 0];
      await eventually('the line is held up', async () => {
        same = line().unsent === before ? same + 1 : 0;
        before = line().unsent;
        await new Promise((resolve) => setTimeout(resolve, 10));
        return same >= 30 && before > 0;
      });
    });
    socket.on('data', (bytes) => {
      got += bytes.length;
    });
    socket.resume();
    await eventually(
      () => `it gets all of it: ${got} of ${all} bytes`,
      () => got === all,
      20_000,
    );
    await hood.speaks('tcp-client', RawPeer.accepted(socket));
  }, 40_000);

  test('its server closes each connection at once', async () => {
    const had = server.calls.length;
    server.does = (socket) => socket.resetAndDestroy();
    await hood.floods(async () => {
      server.calls.at(-1)?.destroy();
      await new Promise((resolve) => setTimeout(resolve, 1500));
    });
    expect(server.calls.length - had, 'connections in that time').toBeLessThan(5);
    server.does = () => {};
    await hood.speaks('tcp-client', RawPeer.accepted(await server.call()));
  }, 20_000);
});

describe('a tty', () => {
  test('its server floods an application that does not read, and reads nothing of one that writes; all of it arrives', async () => {
    const app = new App(hood.whole.path('ttyRAW0'));
    ends.push(() => app.close());
    const socket = await device.call();
    socket.pause();
    let [written, got, read] = [0, 0, 0];
    await hood.floods(async () => {
      await hood.holdsUp(socket, () => BLOCK);
      let before = -1;
      await eventually('the application is held up', async () => {
        before = written;
        await flood(200, () => {
          written += app.write(BLOCK.subarray(0, 4096));
        });
        return written === before && written > 0;
      });
    });
    socket.on('data', (bytes) => {
      got += bytes.length;
    });
    socket.resume();
    await eventually('the server has all of it', () => got === written);
    await eventually('the application has all of it', () => {
      for (let bytes = app.read(); bytes && bytes.length > 0; bytes = app.read()) read += bytes.length;
      return read === socket.bytesWritten;
    });
  });

  test.each(['ttyNP1', 'ttyRFC0'])('the device of %s moves its lines a thousand times a second', async (name) => {
    const app = new App(hood.whole.path(name));
    ends.push(() => app.close());
    await hood.whole.portIs('is up', ({ state }) => state === 'up', name);
    const line = name === 'ttyNP1' ? hood.whole.simulator.line(2) : rfc2217.uart;
    const lines = { cts: true, dsr: true, dcd: true, ri: false };
    await hood.floods(async () => {
      const began = performance.now();
      let changes = 0;
      await flood(1000, () => {
        for (; changes < performance.now() - began; changes++)
          line.forceLines({ ...lines, dsr: changes % 2 === 0, dcd: changes % 3 === 0, ri: changes % 5 === 0 });
      });
      expect(changes).toBeGreaterThan(500);
      line.forceLines({ ...lines, dcd: false });
    });
    const view = await hood.whole.portIs('has its lines', (v) => v.lines.dsr === true && v.lines.dcd === false, name);
    expect(view).toMatchObject({ state: 'up', connects: 1, lastError: null });
    app.write('as ever');
    expect((await app.readExactly(7)).toString()).toBe('as ever');
  });
});
