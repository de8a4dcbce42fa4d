// What only shows on sockets: an RFC 2217 link whose server sends more than anybody reads, takes nothing, ends, floods, or
// is none. Bounds are asserted by how much a peer got rid of, order and wholeness by what arrived.

import { once } from 'node:events';
import { readdirSync, readlinkSync, readSync, writeSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import type { Fault } from '../../src/base/fault.js';
import type { Log } from '../../src/base/log.js';
import { DataRelay } from '../../src/link/data-relay.js';
import { Rfc2217Link, type Rfc2217LinkOptions } from '../../src/link/rfc2217.js';
import { TcpLink } from '../../src/link/tcp.js';
import { connectTcp, listenTcp } from '../../src/native/socket.js';
import { escapeData } from '../../src/protocol/telnet/encoder.js';
import { DEFAULT_SETTINGS, type LineReport, type LineRequest } from '../../src/serial/line.js';
import { eventually } from '../contract/link-contract.js';
import { Rfc2217Peer, type Rfc2217PeerOptions } from '../support/rfc2217-peer.js';

const clock = new SystemClock();
const BREAK: LineRequest = { type: 'break', on: true };
const settings = (baudRate: number): LineRequest => ({
  type: 'settings',
  settings: { ...DEFAULT_SETTINGS, baudRate },
  lines: { dtr: true, rts: true },
});
const cleanups: (() => Promise<unknown>)[] = [];
let before = 0;
/** Of this process; other descriptors come and go with the event loop. */
function sockets(): number {
  const names = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // the descriptor of this very listing
    }
  });
  return names.filter((name) => name.startsWith('socket:')).length;
}
beforeEach(() => {
  before = sockets();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  await eventually(() => (sockets() <= before ? true : undefined));
});

async function listening(options: Rfc2217PeerOptions = {}): Promise<Rfc2217Peer> {
  const peer = await Rfc2217Peer.listen(options);
  cleanups.push(() => peer.close());
  return peer;
}

async function connected(options: Partial<Rfc2217LinkOptions> = {}) {
  const peer = await listening();
  const logged: string[] = [];
  const log: Log = { log: (_, message) => logged.push(message), child: () => log };
  const link = new Rfc2217Link({ addresses: ['127.0.0.1'], dataPort: peer.port, clock, log, ...options });
  cleanups.push(() => link.close());
  const seen = { reports: [] as LineReport[], faults: [] as Fault[] };
  await link.connect(
    { report: (report) => seen.reports.push(report), down: (fault) => seen.faults.push(fault) },
    new AbortController().signal,
  );
  const socket = await eventually(() => peer.socket);
  return { peer, socket, link, logged, seen };
}

/** Undefined where there is nothing, or no room. */
function now<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return undefined;
    throw error;
  }
}

function readNow(fd: number): Buffer | undefined {
  const buffer = Buffer.alloc(65_536);
  return now(() => Buffer.from(buffer.subarray(0, readSync(fd, buffer))));
}

/** Waits until a number has not changed for a while; a while too short makes the bound tighter, not looser. */
async function settled(value: () => number): Promise<number> {
  for (let last = value(), same = 0; ; ) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    same = value() === last ? same + 1 : 0;
    last = value();
    if (same === 20) return last;
  }
}

const pattern = (bytes: number) =>
  Buffer.from(Uint8Array.from({ length: bytes }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
const MEGABYTE = 1024 * 1024;

describe('room', () => {
  test('nobody reads: the server is asked to send no more, and is not read from; then all of it comes', async () => {
    const { peer, socket, link } = await connected();
    await link.request(settings(115_200));
    const all = pattern(16 * MEGABYTE);
    peer.line?.write(all);
    await settled(() => socket.bytesWritten - socket.writableLength);
    expect(peer.suspended).toBe(true);
    const parts: Buffer[] = [];
    for (let have = 0; have < all.length; ) {
      const part = await eventually(() => readNow(link.dataFd));
      have += part.length;
      parts.push(part);
    }
    expect(Buffer.concat(parts).equals(all)).toBe(true);
    await eventually(() => (peer.suspended ? undefined : true));
    await link.request(BREAK);
  });

  test('nobody reads: what the process keeps is bounded', async () => {
    const { socket, link, peer } = await connected();
    const chunk = Buffer.alloc(65_536, 'x');
    let given = 0;
    const fill = () => {
      while (socket.writable && given < 64 * MEGABYTE && socket.writableLength < MEGABYTE) {
        socket.write(chunk);
        given += chunk.length;
      }
    };
    socket.on('drain', fill);
    fill();
    await settled(() => socket.bytesWritten);
    const taken = given - socket.writableLength;
    // Ours: 64 KiB and a read in JavaScript, the pair's and the receive buffer; the rest is in the peer's send buffer.
    const near = link.discardInput();
    expect(near).toBeGreaterThan(0);
    expect(taken).toBeLessThan(8 * MEGABYTE);
    expect(peer.suspended).toBe(true);
  });

  test('a command is answered though data are in the way, as long as they have room', async () => {
    const { peer, link } = await connected();
    peer.line?.write(Buffer.alloc(60_000));
    await link.request(BREAK);
    expect(peer.requests).toEqual([BREAK]);
  });

  test('the server takes nothing: no more is on the way than the look-ahead and a read; all of it comes in order', async () => {
    const received: Buffer[] = [];
    const server = createServer({ pauseOnConnect: true });
    server.listen({ fd: listenTcp({ host: '127.0.0.1', port: 0, receiveBuffer: 4096 }) });
    await once(server, 'listening');
    const accepted = once(server, 'connection');
    const { port } = server.address() as AddressInfo;
    const fd = await connectTcp({ host: '127.0.0.1', port, timeoutMs: 5000, sendBuffer: 64 * 1024 });
    const [socket] = (await accepted) as [Socket];
    let sent = 0;
    const count = (bytes: number) => {
      sent += bytes;
    };
    const events = { received() {}, sent: count, held() {}, ended() {} };
    const relay = new DataRelay(fd, clock, events);
    cleanups.push(async () => {
      await relay.close();
      socket.destroy();
      server.close();
      await once(server, 'close');
    });
    relay.lookAhead = 4096;
    const all = pattern(200_000);
    let given = 0;
    const give = () => {
      given += now(() => writeSync(relay.dataFd, all, given)) ?? 0;
    };
    give();
    await settled(() => sent);
    // What its kernel took is no more than twice its receive buffer; each 0xff is two bytes on the way.
    expect(sent).toBeLessThan(8192 + 4096 + 4096);
    expect(relay.unsent).toBeGreaterThanOrEqual(4096);
    socket.on('data', (bytes) => received.push(bytes));
    socket.resume();
    await eventually(() => {
      give();
      return given === all.length && relay.unsent === 0 ? true : undefined;
    });
    const wire = Buffer.from(escapeData(all));
    await eventually(() => (received.reduce((sum, part) => sum + part.length, 0) >= wire.length ? true : undefined));
    expect(Buffer.concat(received).equals(wire)).toBe(true);
  });

  test('a flush drops what has not left here', async () => {
    const { peer, link, socket } = await connected({ commandTimeoutMs: 50 });
    socket.write(Buffer.from('fffa2c6cfff0', 'hex')); // FLOWCONTROL-SUSPEND
    await eventually(() => {
      writeSync(link.dataFd, 'x');
      return link.unsent > 50 ? true : undefined;
    });
    await link.request({ type: 'flush', queue: 'tx' });
    await eventually(() => (link.unsent === 0 ? true : undefined));
    socket.write(Buffer.from('fffa2c6dfff0', 'hex')); // FLOWCONTROL-RESUME
    writeSync(link.dataFd, 'after');
    await eventually(() => (Buffer.from(peer.dataBytes).includes('after') ? true : undefined));
    expect(peer.requests).toEqual([{ type: 'flush', queue: 'tx' }]);
    expect(Buffer.from(peer.dataBytes).toString()).toMatch(/^x{0,20}after$/);
  });

  test('a flush of input throws away what is still to be brought to the pump', async () => {
    const { peer, socket, link } = await connected();
    peer.line?.write(Buffer.alloc(120_000, 'x'));
    await settled(() => socket.writableLength);
    await link.request({ type: 'flush', queue: 'rx' });
    expect(link.discardInput()).toBe(120_000);
    peer.line?.write('new');
    expect((await eventually(() => readNow(link.dataFd))).toString()).toBe('new');
  });

  test('the server takes no data: suspended, commands go on, and it gets them once it wants them', async () => {
    const { peer, socket, link } = await connected();
    socket.write(Buffer.from('fffa2c6cfff0', 'hex'));
    await link.request(BREAK);
    writeSync(link.dataFd, 'ab');
    await link.request({ type: 'break', on: false });
    expect(peer.dataBytes).toEqual([]);
    expect(link.unsent).toBe(2);
    socket.write(Buffer.from('fffa2c6dfff0', 'hex'));
    await eventually(() => (peer.dataBytes.length === 2 ? true : undefined));
  });

  test('a flood of offers whose answers nobody reads: no more is read, and no more is kept', async () => {
    const { socket, seen } = await connected();
    socket.removeAllListeners('data');
    socket.pause();
    const offers = Buffer.alloc(60_000, Buffer.from([255, 251, 99]));
    let given = 0;
    const fill = () => {
      while (given < 64 * MEGABYTE && socket.writableLength < MEGABYTE) {
        socket.write(offers);
        given += offers.length;
      }
    };
    socket.on('drain', fill);
    fill();
    await settled(() => socket.bytesWritten);
    expect(given).toBeLessThan(40 * MEGABYTE);
    expect(seen.faults).toEqual([]);
  });
});

describe('ends', () => {
  test('what the server sent before its end arrives before it is told', async () => {
    const { peer, socket, link, seen } = await connected();
    const all = pattern(30_000);
    peer.line?.write(all, () => socket.end());
    let got = Buffer.alloc(0);
    const early: number[] = [];
    while (got.length < all.length) {
      if (seen.faults.length > 0) early.push(got.length);
      got = Buffer.concat([got, await eventually(() => readNow(link.dataFd))]);
    }
    expect(got.equals(all)).toBe(true);
    expect(early).toEqual([]);
    await eventually(() => (seen.faults.length > 0 ? true : undefined));
    expect(seen.faults.map(({ code }) => code)).toEqual(['PEER_CLOSED']);
  });

  test('an end is told though nobody reads', async () => {
    const { peer, socket, seen } = await connected();
    peer.line?.write(pattern(50_000), () => socket.end());
    await eventually(() => (seen.faults.length > 0 ? true : undefined));
    expect(seen.faults.map(({ code }) => code)).toEqual(['PEER_CLOSED']);
  });

  test('a command that is not answered behind data is gone on without; one that nothing holds up ends it', async () => {
    const { peer, link, logged, seen } = await connected({ commandTimeoutMs: 50 });
    peer.mute = true;
    writeSync(link.dataFd, 'x');
    await eventually(() => (peer.dataBytes.length > 0 ? true : undefined));
    await link.request(BREAK);
    await link.request(BREAK);
    expect(logged.filter((line) => line.includes('held up'))).toHaveLength(1);
    expect(seen.faults).toEqual([]);
    const other = await connected({ commandTimeoutMs: 50 });
    other.peer.mute = true;
    await expect(other.link.request(BREAK)).rejects.toMatchObject({ code: 'PEER_MUTE' });
    expect(other.seen.faults.map(({ code }) => code)).toEqual(['PEER_MUTE']);
  });
});

describe('a server that is none', () => {
  const rows: [string, (socket: Socket) => void, string][] = [
    ['is silent', () => {}, 'PEER_MUTE'],
    ['accepts, then closes', (socket) => socket.end(), 'PEER_BUSY'],
    ['says that it is busy, then closes', (socket) => socket.end('Port already in use\r\n'), 'PEER_BUSY'],
    ['resets', (socket) => socket.resetAndDestroy(), 'PEER_BUSY'],
    ['refuses COM-PORT', (socket) => socket.write(Buffer.from('fffe2cfffc2c', 'hex')), 'PEER_PROTOCOL'],
    ['agrees, and answers nothing', (socket) => socket.write(Buffer.from('fffd2c', 'hex')), 'PEER_MUTE'],
    ['echoes', (socket) => socket.pipe(socket), 'PEER_MUTE'],
  ];
  for (const [what, script, code] of rows) {
    test(`${what}: ${code}`, async () => {
      const peer = await listening({ script });
      const link = new Rfc2217Link({ addresses: ['127.0.0.1'], dataPort: peer.port, clock, negotiationTimeoutMs: 100 });
      const attempt = link.connect({ report() {}, down() {} }, new AbortController().signal);
      await expect(attempt).rejects.toMatchObject({ code });
      expect(link.dataFd).toBe(-1);
    });
  }

  test('raw TCP that accepts, then closes: PEER_BUSY; that resets: PEER_BUSY; that is not there: PEER_REFUSED', async () => {
    const ends: ((socket: Socket) => void)[] = [(socket) => socket.end('in use'), (socket) => socket.resetAndDestroy()];
    for (const script of ends) {
      const peer = await listening({ script });
      const link = new TcpLink({ addresses: ['127.0.0.1'], dataPort: peer.port, clock });
      const attempt = link.connect({ report() {}, down() {} }, new AbortController().signal);
      await expect(attempt).rejects.toMatchObject({ code: 'PEER_BUSY' });
    }
    const gone = await listening();
    const { port } = gone;
    await gone.close();
    for (const link of [
      new TcpLink({ addresses: ['127.0.0.1'], dataPort: port, clock }),
      new Rfc2217Link({ addresses: ['127.0.0.1'], dataPort: port, clock }),
    ]) {
      const attempt = link.connect({ report() {}, down() {} }, new AbortController().signal);
      await expect(attempt).rejects.toMatchObject({ code: 'PEER_REFUSED' });
    }
  });
});
