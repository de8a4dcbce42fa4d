// Which descriptors under which names make a serial port of an earlier process, and what happens to those that make none.
import { constants, fstatSync, openSync, writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ServedKeepers } from '../../../../src/daemon/handover/served-keepers.js';
import { createStateFile } from '../../../../src/native/descriptor.js';
import { createPty } from '../../../../src/native/pty.js';
import { closeFd, dup, listenTcp, localAddress } from '../../../../src/native/socket.js';
import { DEFAULT_SETTINGS } from '../../../../src/serial/line.js';
import { initialTermios } from '../../../../src/serial/termios.js';
import type { ServerHandover } from '../../../../src/serve/handover.js';
import { LogRecorder } from '../log-recorder.js';
import { ModelStore, storeTests } from './model-store.js';

const CONFIG = '{"port":3}';
const STATE = {
  uart: { output: Uint8Array.of(1, 2, 255) },
  server: { mode: 'tcp-server', packing: new Uint8Array(0), clients: [], commanders: [] },
} as unknown as ServerHandover['state'];

const { stored, mine, accepted, connection } = storeTests();

const own = (fd: number) => {
  mine.push(fd);
  return fd;
};

/** Of a server that ends: the descriptors become the keeper's. */
async function handover(sockets: number): Promise<ServerHandover> {
  const pty = createPty(initialTermios(DEFAULT_SETTINGS));
  own(pty.fd);
  const fds: number[] = [];
  for (let i = 0; i < sockets; i++) fds.push(await connection());
  return {
    uart: openSync(pty.path, constants.O_RDWR | constants.O_NOCTTY),
    listeners: [listenTcp({ host: '127.0.0.1', port: 0 })],
    sockets: fds,
    state: STATE,
  };
}

function keepers(limit = 100, log = new LogRecorder()): ServedKeepers {
  return new ServedKeepers(new ModelStore(stored, limit), log);
}

async function left(sockets = 2): Promise<ServerHandover> {
  const kept = await handover(sockets);
  const again = { ...kept, uart: own(dup(kept.uart)), listeners: kept.listeners.map((fd) => own(dup(fd))) };
  expect(keepers().keeper(3, CONFIG)?.leave(kept, { some: 'words' })).toBe(true);
  return again;
}

const same = (a: number, b: number) => fstatSync(a).ino === fstatSync(b).ino && fstatSync(a).rdev === fstatSync(b).rdev;
const ended = (i: number) =>
  new Promise<void>((resolve) => {
    const socket = accepted[i];
    socket?.on('error', () => {});
    socket?.once('close', () => resolve());
    socket?.resume();
  });

test('what was left is what the next process has, bytes and all; and it is out of the store until it is open', async () => {
  const was = await left();
  const next = await keepers().adopt(3, CONFIG);
  expect(next?.state).toEqual(STATE);
  expect(next?.about).toEqual({ some: 'words' });
  expect(next?.sockets).toHaveLength(2);
  expect(same(own(next?.uart ?? -1), was.uart)).toBe(true);
  for (const fd of [...(next?.listeners ?? []), ...(next?.sockets ?? [])]) own(fd);
  expect(localAddress(next?.listeners[0] ?? -1)).toEqual(localAddress(was.listeners[0] ?? -1));
  expect([...stored.keys()]).toEqual([]);
});

test('of a process that was killed: the device and what listens, without a state', async () => {
  const { uart, listeners } = await handover(0);
  for (const fd of [uart, ...listeners]) own(fd);
  keepers().keeper(3, CONFIG)?.opened({ uart, listeners });
  const next = await keepers().adopt(3, CONFIG);
  expect(next).toMatchObject({ state: undefined, sockets: [] });
  for (const fd of [next?.uart ?? -1, ...(next?.listeners ?? [])]) own(fd);
});

test('closed: nothing of it is stored', async () => {
  const { uart, listeners } = await handover(0);
  for (const fd of [uart, ...listeners]) own(fd);
  const keeper = keepers().keeper(3, CONFIG);
  keeper?.opened({ uart, listeners });
  expect(stored.size).toBe(3);
  keeper?.closed();
  expect(stored.size).toBe(0);
});

const damage: [string, () => void][] = [
  ['another configuration', () => {}],
  ['a socket that is missing', () => drop('serial-3-socket-0')],
  ['no device', () => drop('serial-3-uart')],
  ['nothing that listens', () => drop('serial-3-listen-0')],
  ['a listener where a client should be', () => swap('serial-3-socket-1', 'serial-3-listen-0')],
  ['no state', () => drop('serial-3-state')],
  ['a state that is empty', () => replaceState('')],
  ['a state that is cut', () => replaceState('{"format":1,"config":"{')],
  ['a state of another version', () => replaceState(JSON.stringify({ format: 0, config: CONFIG, kept: {} }))],
];

function drop(name: string): void {
  const fd = stored.get(name);
  if (fd === undefined) throw new Error(`no ${name}`);
  closeFd(fd);
  stored.delete(name);
}

function swap(name: string, by: string): void {
  drop(name);
  stored.set(name, dup(stored.get(by) ?? -1));
}

function replaceState(text: string): void {
  drop('serial-3-state');
  const fd = createStateFile('x', 8 + text.length);
  const length = Buffer.alloc(8);
  length.writeUInt32LE(text.length);
  writeSync(fd, Buffer.concat([length, Buffer.from(text)]));
  stored.set('serial-3-state', fd);
}

test.each(damage)('%s: its clients are told the end, and nothing is left', async (what, hurt) => {
  await left();
  hurt();
  const ends = [ended(0), ended(1)];
  const next = keepers();
  expect(await next.adopt(3, what === 'another configuration' ? '{"port":4}' : CONFIG)).toBeUndefined();
  // Whose descriptor was lost before is the test's own to end.
  const lost = what.startsWith('a socket') ? 0 : what.startsWith('a listener') ? 1 : undefined;
  if (lost !== undefined) accepted[lost]?.destroy();
  await Promise.all(ends);
  expect([...stored.keys()]).toEqual([]);
});

test('a port that is not offered any more: ended, and said', async () => {
  await left();
  const ends = [ended(0), ended(1)];
  const log = new LogRecorder();
  await keepers(100, log).endRest();
  await Promise.all(ends);
  expect(log.lines.join()).toContain('serial port 3 is not offered any more');
  expect(stored.size).toBe(0);
});

test('no room for all of it: none of it is kept, and its clients are told the end', async () => {
  const kept = await handover(2);
  const ends = [ended(0), ended(1)];
  expect(keepers(4).keeper(3, CONFIG)?.leave(kept, undefined)).toBe(false);
  await Promise.all(ends);
  expect(stored.size).toBe(0);
});

test('without a store nothing is kept', () => {
  expect(new ServedKeepers(new ModelStore(stored, 0, false), new LogRecorder()).keeper(3, CONFIG)).toBeUndefined();
});
