// One port is flooded by those who connect to it, and its neighbours do not notice; afterwards it works as it did. One daemon has a
// port in each mode that others connect or send to. Modes that connect by themselves, the modem, and lines are in the files beside.
import { createSocket, type Socket as Datagrams } from 'node:dgram';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually } from '../support/e2e.js';
import { comesAndGoes, flood, floodLine, floodSocket, garbage } from '../support/floods.js';
import { freePorts } from '../support/free-ports.js';
import { Neighbourhood } from '../support/neighbours.js';
import { hex, RawPeer } from '../support/raw-peer.js';

const ends: (() => unknown)[] = [];
let hood: Neighbourhood;
let tcp: Record<'data' | 'command' | 'rfc2217' | 'tcp-server' | 'shared' | 'pair-slave' | 'reverse-telnet', number>;
let udpPort = 0;
let udpPeer: Datagrams;
const heard: Buffer[] = [];

beforeAll(async () => {
  const [data = 0, command = 0, rfc2217 = 0, server = 0, shared = 0, slave = 0, telnet = 0, udp = 0] =
    await freePorts(8);
  tcp = {
    data,
    command,
    rfc2217,
    'tcp-server': server,
    shared,
    'pair-slave': slave,
    'reverse-telnet': telnet,
  };
  udpPort = udp;
  udpPeer = createSocket('udp4').bind(0, '127.0.0.1');
  await once(udpPeer, 'listening');
  udpPeer.on('message', (bytes) => heard.push(bytes));
  hood = await Neighbourhood.start({
    'real-com': { mode: 'real-com', dataPort: data, commandPort: command },
    rfc2217: { mode: 'rfc2217', tcpPort: rfc2217 },
    'tcp-server': { mode: 'tcp-server', tcpPort: server, maxConnection: 2 },
    shared: {
      mode: 'tcp-server',
      tcpPort: shared,
      maxConnection: 4,
      ignoreJammedIp: true,
      arbitrate: 'request-response',
      responseTimeout: '200ms',
    },
    'pair-slave': { mode: 'pair-slave', tcpPort: slave },
    'reverse-telnet': { mode: 'reverse-telnet', tcpPort: telnet },
    udp: { mode: 'udp', udpPort: udp, destinations: [`127.0.0.1:${udpPeer.address().port}`] },
  });
});

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

afterAll(async () => {
  udpPeer?.close();
  await hood?.close();
});

/** Reads, or does not, what it is sent, and keeps nothing of it. */
async function dial(port: number, reads: boolean): Promise<Socket> {
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

/** A client of the time after the flood. */
async function talksTo(name: string, port: number): Promise<void> {
  await hood.portIs(name, 'has nobody', ({ clients }) => clients.length === 0);
  const peer = await RawPeer.connect(port);
  ends.push(() => peer.close());
  await hood.speaks(name, peer);
}

/** Of each mode that has such. */
const TCP_PORTS = {
  'real-com': ['data', 'command'],
  rfc2217: ['rfc2217'],
  'tcp-server': ['tcp-server'],
  'pair-slave': ['pair-slave'],
  'reverse-telnet': ['reverse-telnet'],
} as const;

describe('clients that come and go', () => {
  test.each(Object.keys(TCP_PORTS).filter(isKeyOf(TCP_PORTS)))(
    'hundreds of them, at a port in mode %s',
    async (name) => {
      const ports = TCP_PORTS[name].map((port) => tcp[port]);
      const four = (n: number) =>
        Promise.all(ports.flatMap((port) => [0, 1, 2, 3].map((i) => comesAndGoes(port, n + i))));
      await hood.floods(async () => {
        await flood(500, four, 25);
      });
      await talksTo(name, ports[0] ?? 0);
    },
  );
});

const TELNET = ['rfc2217', 'pair-slave', 'reverse-telnet'] as const;

describe.each(TELNET)('telnet to a port in mode %s', (name) => {
  const OPTIONS = Buffer.from(
    [0xfb, 0xfd, 0xfc, 0xfe].flatMap((verb) => Array.from({ length: 255 }, (_, option) => [0xff, verb, option]).flat()),
  );
  const ASKED = hex('ff f6 ff f3 ff fd 2c ff fb 2c ff fd 00 ff fb 00 ff fe 00 ff fc 00');

  test('options without end, of a client that reads and of one that does not', async () => {
    await hood.floods(async () => {
      const socket = await dial(tcp[name], true);
      const asked = (n: number) => (n % 2 === 0 ? OPTIONS : ASKED);
      expect(await floodSocket(socket, 400, asked)).toBeGreaterThan(10_000);
      await gone(socket);
      const mute = await dial(tcp[name], false);
      await hood.holdsUp(mute, asked);
      await gone(mute);
    });
    hood.line(name).forget();
    await talksTo(name, tcp[name]);
  });

  test('subnegotiations: one without end, and empty or unknown ones', async () => {
    const begun = Buffer.concat([hex('ff fa 2c'), Buffer.alloc(60_000, 0x41)]);
    const short = Buffer.from(
      Array.from({ length: 100 }, (_, i) => [...hex('ff fa 2c'), i, 1, 2, ...hex('ff f0 ff fa ff f0')]).flat(),
    );
    await hood.floods(async () => {
      for (const bytes of [begun.subarray(3), short]) {
        const socket = await dial(tcp[name], true);
        socket.write(begun);
        expect(await floodSocket(socket, 300, () => bytes)).toBeGreaterThan(10_000);
        await gone(socket);
      }
    });
    hood.line(name).forget();
    await talksTo(name, tcp[name]);
  });
});

describe('clients that never read their answers', () => {
  const ECHOING = {
    'real-com': 'data',
    rfc2217: 'rfc2217',
    'tcp-server': 'tcp-server',
    'reverse-telnet': 'reverse-telnet',
  } as const;

  test.each(Object.keys(ECHOING).filter(isKeyOf(ECHOING)))(
    'of a line in mode %s that says back what they send, and clients of a line that stands',
    async (name) => {
      const line = hood.line(name);
      line.echo = true;
      const question = 'a question '.repeat(100);
      await hood.floods(async () => {
        const socket = await dial(tcp[ECHOING[name]], false);
        await Promise.all([floodSocket(socket, 500, () => Buffer.from(question)), floodLine(line, 500, question)]);
        await gone(socket);
        line.echo = false;
        line.deaf = true;
        const next = await dial(tcp[ECHOING[name]], true);
        await hood.holdsUp(next, () => Buffer.from(question));
        await gone(next);
        line.deaf = false;
      });
      line.forget();
      await talksTo(name, tcp[ECHOING[name]]);
    },
  );
});

describe('a real-com port', () => {
  const PORT_INIT = hex('2c 08 06 03 01 01 00 00 00 00');

  test('garbage at its command port, and clients that never read what it answers', async () => {
    await hood.floods(async () => {
      const socket = await dial(tcp.command, true);
      await floodSocket(socket, 600, (n) => garbage(2000, n + 1));
      await gone(socket);
      const mute = await dial(tcp.command, false);
      mute.write(PORT_INIT);
      const asked = Buffer.concat(Array.from({ length: 500 }, () => hex('13 00 15 00 16 00')));
      await floodSocket(mute, 600, () => asked);
      await gone(mute);
    });
    const data = await RawPeer.connect(tcp.data);
    const command = await RawPeer.connect(tcp.command);
    ends.push(
      () => data.close(),
      () => command.close(),
    );
    expect(await command.ask(PORT_INIT.toString('hex'), 5)).toBe('2c03010101');
    await hood.speaks('real-com', data);
  });
});

describe('an arbitrated port', () => {
  test('requests without end of four clients, of whom one never reads', async () => {
    const line = hood.line('shared');
    line.echo = true;
    await hood.floods(async () => {
      const clients = await Promise.all([true, true, true, false].map((reads) => dial(tcp.shared, reads)));
      const answered = new Set<number>();
      for (const [i, client] of clients.entries()) if (i < 3) client.on('data', () => answered.add(i));
      await Promise.all(
        clients.map((client, i) => floodSocket(client, 1000, () => Buffer.alloc(700, `request of ${i} `))),
      );
      await eventually('each that reads has been answered', () => answered.size === 3);
      for (const client of clients) await gone(client);
    });
    await hood.portIs('shared', 'has nobody', ({ clients }) => clients.length === 0);
    // What the line says to those who are gone is over: nobody can tell whose answer it is.
    let had = -1;
    await eventually('the line is quiet', async () => {
      const isQuiet = line.unsent === 0 && line.received.length === had;
      had = line.received.length;
      await new Promise((resolve) => setTimeout(resolve, 500));
      return isQuiet;
    });
    const peer = await RawPeer.connect(tcp.shared);
    ends.push(() => peer.close());
    peer.send(Buffer.from('the last request'));
    expect((await peer.take(16)).toString()).toBe('the last request');
    line.echo = false;
  });
});

describe('a UDP port', () => {
  test('datagrams of every length, from many, at a line that takes them and at one that does not', async () => {
    const line = hood.line('udp');
    const sources = Array.from({ length: 64 }, () => createSocket('udp4'));
    ends.push(() => sources.map((source) => source.close()));
    const bytes = garbage(65_507);
    const lengths = [0, 1, 2, 511, 1024, 1472, 1473, 9000, 65_506, 65_507];
    let sent = 0;
    const some = (n: number) =>
      Promise.all(
        sources.slice(0, 16).map((_, i) => {
          const length = n % 2 === 0 ? (lengths[(n / 2 + i) % lengths.length] ?? 0) : (n * 16 + i) % 2000;
          const source = sources[(n * 7 + i) % sources.length];
          return new Promise<void>((resolve) => {
            source?.send(bytes.subarray(0, length), udpPort, '127.0.0.1', (error) => {
              if (error === null) sent++;
              resolve();
            });
          });
        }),
      );
    await hood.floods(async () => {
      await flood(600, some, 100);
      line.deaf = true;
      await flood(1500, some);
      line.deaf = false;
    });
    expect(sent).toBeGreaterThan(1000);
    expect((await hood.port('udp')).clients).toHaveLength(16);
    line.forget();
    heard.length = 0;
    const peer = {
      send: (datagram: Buffer) => udpPeer.send(datagram, udpPort, '127.0.0.1'),
      get received() {
        return Buffer.concat(heard);
      },
    };
    await hood.speaks('udp', peer);
  });
});

function isKeyOf<T extends object>(object: T): (key: string) => key is Extract<keyof T, string> {
  return (key): key is Extract<keyof T, string> => key in object;
}
