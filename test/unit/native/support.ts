// What the native tests share: real PTYs, real sockets, and a check that each test ends with what it began with.
import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { constants, openSync, readdirSync, readSync, writeSync } from 'node:fs';
import net from 'node:net';
import { afterEach, beforeEach, expect } from 'vitest';
import type { ChannelEvent } from '../../../src/native/channel.js';
import { createPty, type Pty } from '../../../src/native/pty.js';
import { type ChannelOptions, liveCounts, Pump, type PumpChannel } from '../../../src/native/pump.js';
import {
  closeFd,
  connectTcp,
  listenTcp,
  localAddress,
  type SocketOptions,
  socketPair,
} from '../../../src/native/socket.js';
import { DEFAULT_SETTINGS, type LineSettings } from '../../../src/serial/line.js';
import { initialTermios } from '../../../src/serial/termios.js';

export const PYTHON = '/usr/bin/python3';

/** Turns of the event loop until `condition` holds; the test's own timeout ends a wait for what never comes. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

/** What is there now; undefined: nothing yet, or nothing any more. */
export function readSome(fd: number, bytes = 65536): Buffer | undefined {
  const buffer = Buffer.allocUnsafe(bytes);
  try {
    return buffer.subarray(0, readSync(fd, buffer));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return undefined;
    throw error;
  }
}

export function writeSome(fd: number, bytes: Uint8Array): number {
  try {
    return writeSync(fd, bytes);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return 0;
    throw error;
  }
}

export async function readExactly(fd: number, bytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let have = 0;
  await until(() => {
    const part = readSome(fd, bytes - have);
    if (part !== undefined) parts.push(part);
    have += part?.length ?? 0;
    return have >= bytes;
  });
  return Buffer.concat(parts);
}

/** Writes until nobody takes more for `quietMs`; returns how many bytes were taken. */
export async function writeUntilStuck(fd: number, quietMs = 100): Promise<number> {
  const chunk = Buffer.alloc(4096, 0x55);
  let taken = 0;
  let last = performance.now();
  await until(() => {
    const n = writeSome(fd, chunk);
    if (n > 0) last = performance.now();
    taken += n;
    return performance.now() - last > quietMs;
  });
  return taken;
}

/** Writes until `condition` holds; returns how many bytes were taken. */
export async function writeUntil(fd: number, condition: () => boolean): Promise<number> {
  const chunk = Buffer.alloc(4096, 0x55);
  let taken = 0;
  await until(() => {
    taken += writeSome(fd, chunk);
    return condition();
  });
  return taken;
}

/** A condition that held for 50 looks in a row: what a kernel worker may still move has been moved. */
export function steadily(condition: () => boolean): () => boolean {
  let looks = 0;
  return () => {
    looks = condition() ? looks + 1 : 0;
    return looks > 50;
  };
}

/** Waits without a turn of the event loop. */
export function block(condition: () => boolean): void {
  while (!condition());
}

export function openSlave(path: string): number {
  return openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
}

/** A line of Python that has `fd` as 3 (0 to 2 would be made blocking): for the ioctls that node does not have. */
export function onDescriptor(fd: number, python: string): SpawnSyncReturns<string> {
  const run = spawnSync(PYTHON, ['-c', `import termios, fcntl\n${python}`], {
    stdio: ['ignore', 'pipe', 'pipe', fd],
    encoding: 'utf8',
  });
  expect(run.stderr).toBe('');
  return run;
}

/** Position-dependent bytes: a lost, doubled or moved byte shows. */
export function pattern(at: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let i = 0; i < length; i++) {
    const p = at + i;
    bytes[i] = (p * 31 + (p >>> 8) * 17 + (p >>> 16) * 7) & 0xff;
  }
  return bytes;
}

export interface Rig {
  readonly pump: Pump;
  readonly pty: Pty;
  readonly channel: PumpChannel;
  readonly events: ChannelEvent[];
  /** Our end and the peer's end. */
  readonly net: readonly [number, number];
  /** Forgets earlier events and waits for this one. */
  expectEvent(event: ChannelEvent): Promise<void>;
  openSlave(): number;
  closeSlave(fd: number): void;
}

const cleanups: (() => void | Promise<void>)[] = [];

export function onEnd(cleanup: () => void | Promise<void>): void {
  cleanups.push(cleanup);
}

export interface TestPty {
  settings?: LineSettings;
  hangUpOnClose?: boolean;
  uid?: number;
  gid?: number;
  mode?: number;
}

export function makePty({ settings = DEFAULT_SETTINGS, hangUpOnClose = true, ...rest }: TestPty = {}): Pty {
  return createPty({ ...initialTermios(settings, hangUpOnClose), ...rest });
}

/** A PTY, a channel on it, and a socket pair that is attached unless told otherwise. */
export function rig(options: Partial<ChannelOptions> & { attach?: boolean; pty?: TestPty } = {}): Rig {
  const { attach = true, pty: ptyOptions, ...rest } = options;
  const pump = new Pump();
  const pty = makePty(ptyOptions);
  const pair = socketPair();
  const channel = pump.open(pty.fd, { kind: 'pty', path: pty.path, ...rest });
  const events: ChannelEvent[] = [];
  channel.onEvent = (event) => events.push(event);
  if (attach) channel.attach(pair[0]);
  const slaves = new Set<number>();
  const closeSlave = (fd: number) => {
    if (slaves.delete(fd)) closeFd(fd);
  };
  onEnd(() => {
    for (const fd of slaves) closeFd(fd);
    pump.close();
    for (const fd of [pty.fd, ...pair]) closeFd(fd);
  });
  return {
    pump,
    pty,
    channel,
    events,
    net: pair,
    closeSlave,
    openSlave: () => {
      const fd = openSlave(pty.path);
      slaves.add(fd);
      return fd;
    },
    expectEvent: async (event) => {
      await until(() => events.includes(event));
      events.splice(0, events.indexOf(event) + 1);
    },
  };
}

/** A slave that the channel knows to be open. */
export async function opened(r: Rig): Promise<number> {
  const fd = r.openSlave();
  await r.expectEvent('opened');
  return fd;
}

export interface TcpPair {
  readonly fd: number;
  readonly peer: net.Socket;
  /** Closes our end; later calls do nothing. */
  close(): void;
}

/** Our end as a descriptor, the peer's as a paused net.Socket. */
export async function tcpPair(options: SocketOptions = {}, peerReceiveBuffer = 0): Promise<TcpPair> {
  const server = net.createServer({ pauseOnConnect: true });
  const listener = listenTcp({ host: '127.0.0.1', port: 0, receiveBuffer: peerReceiveBuffer });
  await new Promise<void>((resolve) => server.listen({ fd: listener }, resolve));
  const address = localAddress(listener);
  const accepted = new Promise<net.Socket>((resolve) => server.once('connection', resolve));
  const fd = await connectTcp({ host: '127.0.0.1', port: address.port, timeoutMs: 5000, ...options });
  const peer = await accepted;
  peer.on('error', () => {});
  let open = true;
  const close = () => {
    if (open) closeFd(fd);
    open = false;
  };
  onEnd(async () => {
    close();
    const ended = new Promise((resolve) => peer.once('close', resolve));
    const done = new Promise((resolve) => server.close(resolve));
    if (!peer.destroyed) {
      peer.destroy();
      await ended;
    }
    await done;
  });
  return { fd, peer, close };
}

function held() {
  return {
    descriptors: readdirSync('/proc/self/fd').length,
    threads: readdirSync('/proc/self/task').length,
    live: liveCounts(),
  };
}

/** Each test of the file ends with the descriptors, threads and native objects that it began with. */
export function leavesNothingBehind(): void {
  let before = held();
  beforeEach(async () => {
    // A net.Socket closes its descriptor a turn after it says so.
    await new Promise((resolve) => setImmediate(resolve));
    before = held();
  });
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
    await until(() => JSON.stringify(held()) === JSON.stringify(before));
  });
}
