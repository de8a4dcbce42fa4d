// Device servers that are none, or that misbehave: the port says what is wrong, the others do not notice, and nobody
// makes the daemon big. One daemon has them all at once, beside a port that works.
import { once } from 'node:events';
import { createServer as createHttp } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, Whole } from '../support/e2e.js';
import { freePorts } from '../support/free-ports.js';
import { App } from '../support/rig.js';

type Kind = 'data' | 'command';
/** What a peer does with a connection. */
type Behaviour = (socket: Socket, kind: Kind) => void;

const servers: Server[] = [];
const sockets = new Set<Socket>();
const apps: App[] = [];
let whole: Whole;
let good: App;
let memoryBefore = 0;

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const PORT_INIT_ANSWER = hex('2c 03 01 01 01');

/** Answers `answers` to the first commands, one for each segment, then does `then`. */
const answering =
  (answers: readonly Buffer[], then: (socket: Socket) => void): Behaviour =>
  (socket, kind) => {
    if (kind === 'data') return;
    let n = 0;
    socket.on('data', () => {
      const answer = answers[n++];
      if (answer) socket.write(answer);
      else then(socket);
    });
  };

function flood(socket: Socket): void {
  const block = Buffer.alloc(65_536, 'garbage ');
  const more = () => {
    while (!socket.destroyed && socket.write(block));
  };
  socket.on('drain', more);
  more();
}

/** What the operator is told of each of them, and by which code. */
const BAD: Readonly<Record<string, { behaviour: Behaviour | 'http' | 'refused'; code: RegExp; text?: RegExp }>> = {
  refused: { behaviour: 'refused', code: /^PEER_REFUSED$/, text: /refused/ },
  closing: { behaviour: (socket) => socket.destroy(), code: /^PEER_BUSY$/ },
  resetting: { behaviour: (socket) => socket.resetAndDestroy(), code: /^PEER_(BUSY|CLOSED|REFUSED)$/ },
  mute: { behaviour: () => {}, code: /^PEER_MUTE$/ },
  garbage: { behaviour: (socket) => socket.write(Buffer.alloc(5000, 0xa5)), code: /^PEER_(PROTOCOL|MUTE)$/ },
  flooding: { behaviour: flood, code: /^PEER_(PROTOCOL|MUTE)$/ },
  http: { behaviour: 'http', code: /^PEER_(PROTOCOL|BUSY)$/ },
  'closes-data': {
    behaviour: (socket, kind) => kind === 'data' && socket.destroy(),
    code: /^PEER_(BUSY|CLOSED|MUTE)$/,
  },
  'closes-at-init': { behaviour: answering([], (socket) => socket.destroy()), code: /^PEER_(BUSY|CLOSED)$/ },
  'closes-in-answer': {
    behaviour: (socket, kind) =>
      kind === 'command' && socket.on('data', () => socket.end(PORT_INIT_ANSWER.subarray(0, 2))),
    code: /^PEER_(BUSY|CLOSED)$/,
  },
  'closes-after-init': {
    behaviour: answering([PORT_INIT_ANSWER], (socket) => socket.destroy()),
    code: /^PEER_(BUSY|CLOSED)$/,
  },
  'mute-after-init': { behaviour: answering([PORT_INIT_ANSWER], () => {}), code: /^PEER_MUTE$/ },
};

async function listen(server: Server): Promise<number> {
  servers.push(server);
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    socket.on('close', () => sockets.delete(socket));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

async function peer(behaviour: Behaviour | 'http' | 'refused') {
  if (behaviour === 'http') {
    const http = () => listen(createHttp((_, response) => response.end('<html>')));
    return { dataPort: await http(), commandPort: await http() };
  }
  if (behaviour === 'refused') {
    const [dataPort = 0, commandPort = 0] = await freePorts(2);
    return { dataPort, commandPort };
  }
  const one = (kind: Kind) => listen(createServer((socket) => behaviour(socket, kind)));
  return { dataPort: await one('data'), commandPort: await one('command') };
}

async function echo(app: App, text: string): Promise<void> {
  app.write(text);
  expect((await app.readExactly(text.length)).toString()).toBe(text);
}

beforeAll(async () => {
  const ttys: Record<string, Record<string, unknown>> = {};
  const names: Record<string, { address: string }> = {};
  for (const [name, { behaviour }] of Object.entries(BAD)) {
    ttys[`tty-${name}`] = { server: name, port: 1, ...(await peer(behaviour)) };
    names[name] = { address: '127.0.0.1' };
  }
  whole = await Whole.start({
    ports: 3,
    simulator: { unpaced: true },
    servers: { ...names, nowhere: { address: 'no-such-host.invalid' } },
    ttys: { ...ttys, 'tty-nowhere': { server: 'nowhere', port: 1 } },
  });
  good = new App(whole.path());
  await echo(good, 'before');
  memoryBefore = whole.daemon.memory;
  for (const name of [...Object.keys(ttys), 'tty-nowhere']) apps.push(new App(whole.path(name)));
});

afterAll(async () => {
  for (const app of [good, ...apps]) app?.close();
  await whole?.close();
  for (const socket of sockets) socket.destroy();
  for (const server of servers) server.close();
});

describe('the port says what is wrong', () => {
  for (const [name, { code, text }] of Object.entries(BAD)) {
    test(name, async () => {
      const tty = `tty-${name}`;
      const view = await whole.portIs('tells why', (v) => v.reason !== null, tty, 15_000);
      expect(view.reason?.code).toMatch(code);
      if (text) expect(view.reason?.message).toMatch(text);
      expect(view.reason?.message).toContain('127.0.0.1');
      expect(view.open).toBe(true);
      await whole.portIs('is not up', (v) => v.state === 'waiting' || v.state === 'connecting', tty);
      await echo(good, `beside ${name}`);
    });
  }

  test('a name that cannot be resolved', async () => {
    const view = await whole.portIs('tells why', (v) => v.reason !== null, 'tty-nowhere', 15_000);
    expect(view.reason).toMatchObject({ code: 'NAME_UNRESOLVED' });
    expect(view.reason?.message).toContain('no-such-host.invalid');
  });
});

describe('a device that is odd and not wrong', () => {
  test('it answers byte by byte', async () => {
    whole.simulator.port(2).answers.byteByByte = true;
    const app = new App(whole.path('ttyNP1'));
    await echo(app, 'byte by byte');
    app.set({ baudRate: 19200 });
    await eventually('19200', () => whole.simulator.line(2).settings.baudRate === 19200);
    await echo(app, 'byte by byte again');
    app.close();
    expect((await whole.port('ttyNP1')).lastError).toBeNull();
  });

  test('it answers late', async () => {
    whole.simulator.port(3).answers.delayMs = 200;
    const app = new App(whole.path('ttyNP2'));
    await echo(app, 'late');
    app.set({ baudRate: 19200 });
    app.write('then at 19200');
    await app.readExactly(13);
    expect(whole.recorder(3).rates.slice(-13)).toEqual(Array.from({ length: 13 }, () => 19200));
    app.close();
    expect((await whole.port('ttyNP2')).lastError).toBeNull();
  });
});

test('none of them made the daemon big, or its log long', async () => {
  await echo(good, 'at the end');
  expect(whole.daemon.memory - memoryBefore).toBeLessThan(64 * 1024 * 1024);
  expect(whole.daemon.stderr.split('\n').length).toBeLessThan(80);
  const view = await whole.port();
  expect(view).toMatchObject({ state: 'up', connects: 1, lastError: null });
  for (const app of apps) app.close();
});
