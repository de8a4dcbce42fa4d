// A Real COM link against peers that misbehave, on loopback sockets. What arrived is asserted at the peer; each test ends
// with the descriptors that it began with.
import { readdirSync, readlinkSync } from 'node:fs';
import type { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import { Fault } from '../../src/base/fault.js';
import { RealComLink, type RealComLinkOptions } from '../../src/link/realcom.js';
import { DEFAULT_SETTINGS, type LineReport, type LineRequest } from '../../src/serial/line.js';
import { eventually } from '../contract/link-contract.js';
import { type PeerOptions, RealComPeer } from '../support/realcom-peer.js';

const clock = new SystemClock();
const settings: LineRequest = { type: 'settings', settings: DEFAULT_SETTINGS, lines: { dtr: true, rts: true } };
const fifo: LineRequest = { type: 'fifo', bytes: 16 };
const PORT_INIT = [0x2c, 8, 6, 3, 1, 1, 0, 0, 0, 0];
const PORT_INIT_OK = Uint8Array.of(0x2c, 3, 1, 1, 0);

const peers: RealComPeer[] = [];
const links: RealComLink[] = [];
let before: string[] = [];

/** Sockets of this process; other descriptors come and go with the event loop. */
function sockets(): string[] {
  return readdirSync('/proc/self/fd')
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return ''; // the descriptor of this very listing
      }
    })
    .filter((name) => name.startsWith('socket:'));
}

beforeEach(() => {
  before = sockets();
});

afterEach(async () => {
  for (const link of links.splice(0)) await link.close();
  for (const peer of peers.splice(0)) await peer.close();
  await eventually(() => (sockets().length <= before.length ? true : undefined));
});

async function listen(options: PeerOptions = {}): Promise<RealComPeer> {
  const peer = await RealComPeer.listen(options);
  peers.push(peer);
  return peer;
}

function linkTo(peer: RealComPeer, options: Partial<RealComLinkOptions> = {}) {
  const { dataPort, commandPort } = peer;
  const link = new RealComLink({ addresses: ['127.0.0.1'], dataPort, commandPort, clock, ...options });
  links.push(link);
  const faults: Fault[] = [];
  const reports: LineReport[] = [];
  const connect = (signal = new AbortController().signal) =>
    link.connect({ report: (report) => reports.push(report), down: (fault) => faults.push(fault) }, signal);
  const down = () => eventually(() => faults[0]);
  return { link, connect, faults, reports, down };
}

/** A command side that does this with each chunk it receives. */
const scripted = (react: (socket: Socket, bytes: Buffer) => void): PeerOptions => ({
  command: (socket) => socket.on('data', (bytes) => react(socket, bytes)),
});

describe('connecting', () => {
  test('command first, then data; nothing is sent before the first request', async () => {
    const peer = await listen();
    const { link, connect } = linkTo(peer);
    await connect();
    await link.request(settings);
    expect(peer.order.slice(0, 2)).toEqual(['command', 'data']);
    expect(peer.commandBytes).toEqual(PORT_INIT);
    expect(link.peer).toBe(`127.0.0.1:${peer.dataPort}`);
  });

  test.each(['command', 'data'] as const)('%s port refused: the message names it', async (which) => {
    const peer = await listen();
    const port = which === 'command' ? peer.commandPort : peer.dataPort;
    const refused = linkTo(peer);
    (which === 'command' ? peer.commandServer : peer.dataServer).close();
    await expect(refused.connect()).rejects.toMatchObject({
      code: 'PEER_REFUSED',
      message: `127.0.0.1:${port}: connection refused`,
    });
    expect(refused.link.dataFd).toBe(-1);
  });

  test('addresses are tried in order; the one that answers is used', async () => {
    const peer = await listen();
    const { link, connect } = linkTo(peer, { addresses: async () => ['127.0.0.9', '127.0.0.1'] });
    await connect();
    await link.request(settings);
    expect(link.peer).toBe(`127.0.0.1:${peer.dataPort}`);
  });

  test('a resolver that fails, and one that finds nothing', async () => {
    const peer = await listen();
    const fault = new Fault('NAME_UNRESOLVED', 'boiler-house: name not resolved');
    await expect(linkTo(peer, { addresses: () => Promise.reject(fault) }).connect()).rejects.toBe(fault);
    await expect(linkTo(peer, { addresses: [] }).connect()).rejects.toMatchObject({ code: 'NAME_UNRESOLVED' });
  });

  test('aborted while the name is resolved: at once', async () => {
    const peer = await listen();
    const abort = new AbortController();
    const never = () => new Promise<readonly string[]>(() => {});
    const connecting = linkTo(peer, { addresses: never }).connect(abort.signal);
    abort.abort();
    await expect(connecting).rejects.toMatchObject({ code: 'CANCELED' });
    expect(peer.order).toEqual([]);
  });
});

describe('a device that', () => {
  test('answers byte by byte', async () => {
    const peer = await listen(
      scripted(async (socket, bytes) => {
        if (bytes[0] !== PORT_INIT[0]) return;
        for (const byte of [0x27, 1, 0x24, ...PORT_INIT_OK]) {
          socket.write(Uint8Array.of(byte));
          await new Promise((resolve) => setImmediate(resolve));
        }
      }),
    );
    const { link, connect } = linkTo(peer);
    await connect();
    await link.request(settings);
    expect(link.modemLines).toEqual({ dsr: true, cts: true, dcd: false, ri: false });
    await eventually(() => (peer.commandBytes.length === PORT_INIT.length + 3 ? true : undefined));
    expect(peer.commandBytes.slice(-3)).toEqual([0x28, 1, 0x24]);
  });

  test('says something before it is asked', async () => {
    const peer = await listen({
      command: (socket) => {
        socket.write(Uint8Array.of(0x26, 0, 0, 0x81, 0x26, 0x20, 0x10, 0));
      },
    });
    const { link, connect, reports } = linkTo(peer);
    await connect();
    await eventually(() => link.modemLines);
    expect(reports).toEqual([{ type: 'lines', lines: { cts: true, dsr: false, dcd: false, ri: false } }]);
  });

  test('answers late, but in time', async () => {
    const peer = await listen(scripted((socket) => setTimeout(() => socket.write(PORT_INIT_OK), 100)));
    const { link, connect } = linkTo(peer, { commandTimeoutMs: 5000 });
    await connect();
    const started = performance.now();
    await link.request(settings);
    expect(performance.now() - started).toBeGreaterThan(95);
    expect(link.lastRoundTripMs).toBeGreaterThan(95);
  });

  test('never answers: the connection ends, and both sockets with it', async () => {
    const peer = await listen(scripted(() => {}));
    const { link, connect, down } = linkTo(peer, { commandTimeoutMs: 50 });
    await connect();
    const waiting = link.request(settings);
    await expect(waiting).rejects.toMatchObject({
      code: 'PEER_MUTE',
      message: `127.0.0.1:${peer.commandPort}: PORT_INIT was not answered within 50 ms`,
    });
    expect((await down()).code).toBe('PEER_MUTE');
    await link.close();
    await eventually(() => (peer.order.includes('-data') && peer.order.includes('-command') ? true : undefined));
  });

  test('speaks HTTP', async () => {
    const peer = await listen(scripted((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')));
    const { link, connect, down } = linkTo(peer);
    await connect();
    await expect(link.request(settings)).rejects.toMatchObject({ code: 'PEER_PROTOCOL' });
    expect((await down()).message).toContain('not a Real COM answer: 48 54 54 50');
  });

  test('floods with POLLING and does not read: no queue grows here', async () => {
    const flood = Buffer.alloc(3 * 20_000, Uint8Array.of(0x27, 1, 0x24));
    let taken = 0;
    const peer = await listen({
      command: (socket) => {
        socket.pause();
        const pour = (): void => {
          while (taken < 200 && socket.write(flood)) taken++;
          if (taken < 200) socket.once('drain', pour);
        };
        pour();
      },
    });
    const { connect } = linkTo(peer);
    const heap = process.memoryUsage().arrayBuffers;
    await connect();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(process.memoryUsage().arrayBuffers - heap).toBeLessThan(8 * 1024 * 1024);
  });
});

describe('a device that closes', () => {
  test('at once after accepting: busy', async () => {
    const peer = await listen({ command: (socket) => socket.destroy() });
    const { connect, down } = linkTo(peer);
    await connect();
    expect(await down()).toMatchObject({ code: 'PEER_BUSY' });
  });

  test('after the command, before the answer: busy', async () => {
    const peer = await listen(scripted((socket) => socket.end()));
    const { link, connect, down } = linkTo(peer);
    await connect();
    await expect(link.request(settings)).rejects.toMatchObject({ code: 'PEER_BUSY' });
    expect((await down()).code).toBe('PEER_BUSY');
  });

  test('in the middle of an answer', async () => {
    const peer = await listen(scripted((socket) => socket.end(PORT_INIT_OK.subarray(0, 2))));
    const { link, connect } = linkTo(peer);
    await connect();
    await expect(link.request(settings)).rejects.toMatchObject({ code: 'PEER_BUSY' });
  });

  test.each([1, 2])('after %i answers: closed', async (answers) => {
    let given = 0;
    const replies = [PORT_INIT_OK, Uint8Array.of(0x30, 0x4f, 0x4b)];
    const peer = await listen(
      scripted((socket) => {
        const reply = replies[given++];
        if (reply && given <= answers) socket.write(reply);
        else socket.destroy();
      }),
    );
    const { link, connect, down } = linkTo(peer);
    await connect();
    const results = await Promise.allSettled([link.request(settings), link.request(fifo), link.request(fifo)]);
    expect(results.map(({ status }) => status)).toEqual([0, 1, 2].map((i) => (i < answers ? 'fulfilled' : 'rejected')));
    expect((await down()).code).toBe('PEER_CLOSED');
  });

  test('with a reset', async () => {
    const peer = await listen(
      scripted((socket, bytes) => (bytes[0] === 0x2c ? socket.write(PORT_INIT_OK) : socket.resetAndDestroy())),
    );
    const { link, connect, down } = linkTo(peer);
    await connect();
    await link.request(settings);
    await expect(link.request(fifo)).rejects.toMatchObject({ code: 'PEER_CLOSED' });
    expect((await down()).message).toContain('connection reset');
  });
});

describe('IPv6 preamble', () => {
  test('auto over IPv6: 16 bytes there and back, then commands', async () => {
    const peer = await listen({ host: '::1', preamble: 'on' });
    const found: boolean[] = [];
    const { link, connect } = linkTo(peer, { addresses: ['::1'], onPreamble: (supported) => found.push(supported) });
    await connect();
    await link.request(settings);
    expect(peer.commandBytes).toEqual([...new Uint8Array(16), ...PORT_INIT]);
    expect(found).toEqual([true]);
    expect(link.peer).toBe(`[::1]:${peer.dataPort}`);
  });

  test('auto, and a device that does not know it: connected anew without, and told', async () => {
    const peer = await listen({ host: '::1', preamble: 'off' });
    const found: boolean[] = [];
    const { link, connect, faults } = linkTo(peer, {
      addresses: ['::1'],
      preambleTimeoutMs: 50,
      onPreamble: (supported) => found.push(supported),
    });
    await connect();
    await link.request(settings);
    expect(peer.order.filter((what) => what === 'command')).toHaveLength(2);
    expect(peer.commandBytes).toEqual([...new Uint8Array(16), ...PORT_INIT]);
    expect(found).toEqual([false]);
    expect(faults).toEqual([]);
  });

  test('on, and no answer: the connect fails', async () => {
    const peer = await listen({ preamble: 'off' });
    const { connect } = linkTo(peer, { ipv6Preamble: 'on', preambleTimeoutMs: 50 });
    await expect(connect()).rejects.toMatchObject({ code: 'PEER_MUTE' });
  });

  test('off over IPv6, and auto over IPv4: none', async () => {
    const six = await listen({ host: '::1' });
    const withOff = linkTo(six, { addresses: ['::1'], ipv6Preamble: 'off' });
    await withOff.connect();
    await withOff.link.request(settings);
    expect(six.commandBytes).toEqual(PORT_INIT);
  });

  test('closed instead of answered: busy', async () => {
    const peer = await listen({ host: '::1', ...scripted((socket) => socket.end()) });
    const { connect } = linkTo(peer, { addresses: ['::1'] });
    await expect(connect()).rejects.toMatchObject({ code: 'PEER_BUSY' });
  });

  test('closed by us while it waits', async () => {
    const peer = await listen({ host: '::1', ...scripted(() => {}) });
    const { link, connect } = linkTo(peer, { addresses: ['::1'] });
    const connecting = expect(connect()).rejects.toMatchObject({ code: 'CANCELED' });
    await eventually(() => (peer.commandBytes.length === 16 ? true : undefined));
    await link.close();
    await connecting;
    await eventually(() => (peer.order.includes('-command') ? true : undefined));
  });
});

test('a device that reads no data keeps the link: nothing but the window is shut', async () => {
  const peer = await listen();
  const { link, connect, faults } = linkTo(peer);
  await connect();
  await link.request(settings);
  (await eventually(() => peer.dataSocket)).pause();
  const { writeSync } = await import('node:fs');
  const block = Buffer.alloc(16 * 1024);
  let sent = 0;
  try {
    for (;;) sent += writeSync(link.dataFd, block);
  } catch (error) {
    expect(error).toMatchObject({ code: 'EAGAIN' });
  }
  expect(sent).toBeGreaterThan(0);
  await link.request(fifo);
  expect(faults).toEqual([]);
});
