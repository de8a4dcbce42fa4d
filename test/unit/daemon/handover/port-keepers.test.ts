// Which descriptors under which names make a port of an earlier process, and what happens to those that make none. The
// store is a model of one that outlives the process: what is in it is what the next process finds.
import { fstatSync } from 'node:fs';
import type net from 'node:net';
import { expect, test } from 'vitest';
import { PortKeepers } from '../../../../src/daemon/handover/port-keepers.js';
import { createStateFile } from '../../../../src/native/descriptor.js';
import { KeepFile } from '../../../../src/native/keep-file.js';
import { createPty } from '../../../../src/native/pty.js';
import { closeFd, listenTcp, socketPair } from '../../../../src/native/socket.js';
import { DEFAULT_SETTINGS } from '../../../../src/serial/line.js';
import { initialTermios } from '../../../../src/serial/termios.js';
import { LogRecorder } from '../log-recorder.js';
import { ModelStore, storeTests } from './model-store.js';

const { stored, mine, accepted, connection: tcp } = storeTests();

/** A process begins; `taken` is closed at the end of the test. */
function begin({ limit = 100, present = true } = {}) {
  const log = new LogRecorder();
  const store = new ModelStore(stored, limit, present);
  const keepers = new PortKeepers(store, log);
  const adopt = (name: string, single = false) => {
    const adopted = keepers.adopt(name, false, single);
    if (!adopted) return undefined;
    mine.push(adopted.tty.master ?? -1, adopted.tty.file.fd);
    const { connection } = adopted.port;
    if (connection) mine.push(connection.data, ...(connection.command === undefined ? [] : [connection.command]));
    return adopted;
  };
  return { log, store, keepers, adopt };
}

const pty = async () => createPty(initialTermios(DEFAULT_SETTINGS)).fd;
const memfd = async () => {
  const file = KeepFile.create('test');
  file.write({ was: 'here' });
  return file.fd;
};
const make = { tty: pty, state: memfd, data: tcp, command: tcp };

/** What an earlier process left under these names. */
async function left(names: Record<string, keyof typeof make | (() => Promise<number>)>): Promise<void> {
  for (const [name, how] of Object.entries(names))
    stored.set(name, await (typeof how === 'string' ? make[how] : how)());
}

const WHOLE = { 'tty-a': 'tty', 'state-a': 'state', 'data-a': 'data', 'command-a': 'command' } as const;
const ended = (socket: net.Socket | undefined) => new Promise((resolve) => socket?.resume().once('end', resolve));
const names = () => [...stored.keys()].sort();

test('a whole port: its tty, its record, its connection', async () => {
  await left(WHOLE);
  const { adopt, keepers } = begin();
  const port = adopt('a');
  expect(port?.port.record).toEqual({ was: 'here' });
  expect(port?.port.connection).toBeDefined();
  expect(keepers.isKept('a')).toBe(true);
  keepers.discardRest();
  expect(names()).toEqual(['command-a', 'data-a', 'state-a', 'tty-a']);
});

test('nothing of it: nothing', () => {
  const { adopt, log } = begin();
  expect(adopt('a')).toBeUndefined();
  expect(log.lines).toEqual([]);
});

test.each(['data', 'command'] as const)('without its %s connection the other is ended', async (role) => {
  const { [`${role}-a` as const]: _, ...rest } = WHOLE;
  await left(rest);
  const { adopt } = begin();
  expect(adopt('a')?.port.connection).toBeUndefined();
  await ended(accepted[0]);
  expect(names()).toEqual(['state-a', 'tty-a']);
});

test('of a port with one connection: that one, and nothing beside it', async () => {
  const { 'command-a': _, ...one } = WHOLE;
  await left(one);
  const { adopt, keepers } = begin();
  const connection = adopt('a', true)?.port.connection;
  expect(connection?.data).toBeDefined();
  expect(connection?.command).toBeUndefined();
  keepers.connection('a', 'there')?.made({ data: connection?.data ?? -1 });
  expect(names()).toEqual(['data-a', 'state-a', 'tty-a']);
});

test('two connections are of no use to a port with one: both are ended', async () => {
  await left(WHOLE);
  const { adopt } = begin();
  expect(adopt('a', true)?.port.connection).toBeUndefined();
  await Promise.all(accepted.map(ended));
  expect(names()).toEqual(['state-a', 'tty-a']);
});

test('a tty without its state: the application stays, the state is made anew, and is kept', async () => {
  await left({ 'tty-a': 'tty', 'data-a': 'data', 'command-a': 'command' });
  const { adopt } = begin();
  const port = adopt('a');
  expect(port?.port.record).toBeUndefined();
  expect(names()).toContain('state-a');
  expect(fstatSync(stored.get('state-a') ?? -1).ino).toBe(fstatSync(port?.tty.file.fd ?? -1).ino);
});

test('a state without its tty is discarded, and what the new tty puts under the name stays', async () => {
  const { 'tty-a': _, ...rest } = WHOLE;
  await left(rest);
  const { adopt, keepers } = begin();
  expect(adopt('a')).toBeUndefined();
  await Promise.all(accepted.map(ended));
  const fresh = KeepFile.create('fresh');
  const master = await pty();
  mine.push(fresh.fd, master);
  keepers.pty('a')?.made(master, fresh);
  keepers.discardRest();
  expect(names()).toEqual(['state-a', 'tty-a']);
  expect(fstatSync(stored.get('state-a') ?? -1).ino).toBe(fstatSync(fresh.fd).ino);
});

test.each<[keyof typeof make, string]>([
  ['tty', 'tty-a'],
  ['state', 'state-a'],
  ['data', 'data-a'],
  ['command', 'command-a'],
])('what is none of its kind under the name of the %s is closed and said', async (_, name) => {
  const wrong = async () => {
    const [one, other] = socketPair();
    closeFd(other);
    return one;
  };
  await left({ ...WHOLE, [name]: wrong });
  const { adopt, log } = begin();
  const port = adopt('a');
  expect(log.lines.join()).toContain(`warn: what is kept as ${name} is none of that kind: closed`);
  expect(port === undefined).toBe(name === 'tty-a');
  if (name !== 'state-a') expect(port?.port.connection).toBeUndefined();
  expect(names().includes(name)).toBe(name === 'state-a'); // made anew
});

test('a listening socket is no connection', async () => {
  const listening = async () => listenTcp({ host: '127.0.0.1', port: 0 });
  await left({ ...WHOLE, 'data-a': listening });
  expect(begin().adopt('a')?.port.connection).toBeUndefined();
});

test('what belongs to no port is closed, removed, and said in one line', async () => {
  await left({ ...WHOLE, 'tty-b': 'tty', 'state-b': 'state', junk: 'state' });
  const { adopt, keepers, log } = begin();
  adopt('a');
  keepers.discardRest();
  expect(names()).toEqual(['command-a', 'data-a', 'state-a', 'tty-a']);
  expect(log.lines).toEqual([
    'warn: 3 kept descriptors belong to no port of the configuration, closed: tty-b, state-b, junk',
  ]);
});

test('room is for whole ports, and the pump', async () => {
  const { keepers, log } = begin({ limit: 8 });
  const hand = keepers.hand();
  if (hand) mine.push(hand.file.fd);
  for (const name of ['a', 'b', 'c']) {
    const file = KeepFile.create(name);
    const master = await pty();
    mine.push(file.fd, master);
    keepers.pty(name)?.made(master, file);
  }
  expect(['a', 'b', 'c'].map((name) => keepers.isKept(name))).toEqual([true, false, false]);
  expect(log.lines).toHaveLength(1);
  const connection = { data: await tcp(), command: await tcp() };
  mine.push(connection.data, connection.command);
  keepers.connection('b', 'there')?.made(connection);
  expect(names()).toEqual(['pump', 'state-a', 'tty-a']);
  keepers.connection('a', 'there')?.made(connection);
  expect(names()).toEqual(['command-a', 'data-a', 'pump', 'state-a', 'tty-a']);
  keepers.pty('a')?.gone();
  expect(names()).toEqual(['pump']);
});

test('what one daemon says of itself the next one hears', () => {
  const first = begin().keepers;
  mine.push(first.hand()?.file.fd ?? -1);
  first.sign({ version: '1.2.3', handedOver: true });
  const second = begin().keepers;
  const hand = second.hand();
  mine.push(hand?.file.fd ?? -1);
  expect(hand?.before).toEqual({ version: '1.2.3', handedOver: true });
});

test.each([[null], ['text'], [{}], [{ version: 3 }]])('a pump file that says %j says nothing', async (record) => {
  await left({
    pump: async () => {
      const file = new KeepFile(createStateFile('pump', 0));
      file.write(record);
      return file.fd;
    },
  });
  const hand = begin().keepers.hand();
  mine.push(hand?.file.fd ?? -1);
  expect(hand?.before).toBeUndefined();
});

test('without a store nothing is kept, and what there is can be adopted still', async () => {
  await left(WHOLE);
  const { keepers, adopt } = begin({ present: false });
  expect([keepers.hand(), keepers.pty('a'), keepers.connection('a', '')]).toEqual([undefined, undefined, undefined]);
  expect(adopt('a')?.port.connection).toBeDefined();
});
