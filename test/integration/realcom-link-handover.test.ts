// A Real COM connection through the hands of two processes: what the first keeps while it lives, what the second makes of
// it, and how it ends where somebody else holds the sockets too. Asserted at the peer.
import { fstatSync } from 'node:fs';
import type { Socket } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import type { Fault } from '../../src/base/fault.js';
import type { LinkHandover } from '../../src/link/link.js';
import { RealComLink, type RealComLinkOptions } from '../../src/link/realcom.js';
import { closeFd, dup } from '../../src/native/socket.js';
import type { LineReport, LineRequest } from '../../src/serial/line.js';
import { eventually } from '../contract/link-contract.js';
import { RealComPeer } from '../support/realcom-peer.js';

const clock = new SystemClock();
const FIFO: LineRequest = { type: 'fifo', bytes: 16 };
const LINES: LineRequest = { type: 'lines', lines: { dtr: true, rts: true } };

const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

/** A peer whose command side is a bare socket, and a first link to it with a record of what was kept. */
async function connected(options: Partial<RealComLinkOptions> = {}) {
  let command: Socket | undefined;
  const peer = await RealComPeer.listen({
    command: (socket) => {
      command = socket;
    },
  });
  cleanups.push(() => peer.close());
  const { dataPort, commandPort } = peer;
  const make = (more: Partial<RealComLinkOptions> = {}) => {
    const link = new RealComLink({ addresses: ['127.0.0.1'], dataPort, commandPort, clock, ...options, ...more });
    cleanups.push(() => link.close());
    return link;
  };
  const first = make();
  /** As the port's file has it: what a kill leaves. */
  const kept: { state: unknown } = { state: undefined };
  const keep = () => {
    const { handover } = first;
    if (handover) kept.state = JSON.parse(JSON.stringify(handover.state));
  };
  await first.connect({ report() {}, down() {}, changed: keep }, new AbortController().signal);
  keep();
  const socket = await eventually(() => command);
  await eventually(() => peer.dataSocket);
  /** The first process is dead from here on: it neither reads nor writes. */
  const given = async (): Promise<LinkHandover & { readonly command: number }> => {
    const { handover } = first;
    if (!handover) throw new Error('nothing to hand over');
    const sockets = { data: dup(handover.data), command: dup(handover.command) };
    await first.close();
    return { ...sockets, state: kept.state };
  };
  const seen = { reports: [] as LineReport[], faults: [] as Fault[] };
  const events = { report: (r: LineReport) => seen.reports.push(r), down: (f: Fault) => seen.faults.push(f) };
  return { peer, socket, first, make, kept, given, seen, events };
}

const open = (fd: number) => {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
};

test('killed with half a reply: the other half is no frame of its own', async () => {
  const t = await connected();
  t.first.request(FIFO).catch(() => {});
  await eventually(() => (t.peer.commandBytes.length === 3 ? true : undefined));
  t.socket.write(Uint8Array.of(0x30, 0x4f));
  await eventually(() => (JSON.stringify(t.kept.state).includes('"pending":[48,79]') ? true : undefined));
  const second = t.make();
  second.adopt(t.events, await t.given());
  const asked = second.request(LINES);
  expect(t.peer.commandBytes).toHaveLength(3);
  t.socket.write(Uint8Array.of(0x4b));
  await eventually(() => (t.peer.commandBytes.length === 7 ? true : undefined));
  t.socket.write(Uint8Array.of(0x12, 0x4f, 0x4b));
  await asked;
  expect(t.seen.faults).toEqual([]);
});

test('what the device told while nobody read is read', async () => {
  const t = await connected();
  const handover = await t.given();
  t.socket.write(Uint8Array.of(0x26, 0x01, 0x30, 0x00, 0x27, 0x01, 0x24));
  const second = t.make();
  second.adopt(t.events, handover);
  await eventually(() => (t.peer.commandBytes.length === 3 ? true : undefined));
  expect(t.peer.commandBytes).toEqual([0x28, 0x01, 0x24]);
  expect(t.seen.reports.length).toBeGreaterThan(0);
  expect(second.peer).toBe(`127.0.0.1:${t.peer.dataPort}`);
});

test('closed by the device while nobody looked: told once, and nothing is left', async () => {
  const t = await connected();
  const handover = await t.given();
  t.peer.drop();
  const second = t.make();
  second.adopt(t.events, handover);
  await eventually(() => (t.seen.faults.length > 0 ? true : undefined));
  await second.close();
  expect(t.seen.faults).toHaveLength(1);
  expect([handover.data, handover.command].map(open)).toEqual([false, false]);
});

test('reset by the device while nobody looked: the same', async () => {
  const t = await connected();
  const handover = await t.given();
  t.socket.resetAndDestroy();
  t.peer.dataSocket?.resetAndDestroy();
  await eventually(() => (t.peer.order.includes('-command') ? true : undefined));
  const second = t.make();
  second.adopt(t.events, handover);
  await eventually(() => (t.seen.faults.length > 0 ? true : undefined));
  await second.close();
  expect([handover.data, handover.command].map(open)).toEqual([false, false]);
});

test('what is no state of ours: a Fault, both sockets closed, and the link is spent', async () => {
  for (const state of [undefined, null, 'up', {}, { peer: 'x', commandPlace: 'y', engine: { pending: ['a'] } }]) {
    const t = await connected();
    const handover = { ...(await t.given()), state };
    const second = t.make();
    expect(() => second.adopt(t.events, handover)).toThrow('no Real COM connection');
    expect([handover.data, handover.command].map(open)).toEqual([false, false]);
    expect(second.handover).toBeUndefined();
    await expect(second.connect(t.events, new AbortController().signal)).rejects.toMatchObject({ code: 'CANCELED' });
  }
});

test('shared: an end is told though somebody else holds the sockets; not shared it is not', async () => {
  for (const shared of [true, false]) {
    const t = await connected({ shared: false });
    const handover = await t.given();
    const held = [dup(handover.data), dup(handover.command)];
    cleanups.push(() => held.forEach(closeFd));
    const second = t.make({ shared });
    second.adopt(t.events, handover);
    await second.close();
    if (shared) await eventually(() => (t.peer.order.length === 4 ? true : undefined));
    else for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(t.peer.order.filter((what) => what.startsWith('-')).sort()).toEqual(shared ? ['-command', '-data'] : []);
  }
});

test('before connect, after the loss and after close there is nothing to hand over', async () => {
  const t = await connected();
  expect(t.make().handover).toBeUndefined();
  const { first } = t;
  expect(first.handover).toBeDefined();
  t.peer.drop();
  await eventually(() => (first.handover ? undefined : true));
  await first.close();
  expect(first.handover).toBeUndefined();
});
