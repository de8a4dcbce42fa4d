import { expect, test } from 'vitest';
import { Fault } from '../../../src/base/fault.js';
import { PortRecord } from '../../../src/driver/port-record.js';
import { MemoryDevice } from '../../../src/link/memory.js';
import { DEFAULT_SETTINGS } from '../../../src/serial/line.js';
import { ManualClock } from '../../support/manual-clock.js';
import { NO_COUNTERS, StillChannel } from './support.js';

function setUp() {
  const clock = new ManualClock(0, Date.UTC(2026, 0, 1));
  const channel = new StillChannel();
  return { clock, channel, record: new PortRecord({ channel }, clock), link: new MemoryDevice(clock).link() };
}

test('connecting shows as waiting between two attempts, with the reason', () => {
  const { clock, record } = setUp();
  record.entered('connecting');
  expect([record.state, record.reason]).toEqual(['connecting', null]);
  clock.advance(1500);
  record.failed(new Fault('PEER_REFUSED', '192.0.2.1:966: connection refused'));
  expect(record.state).toBe('waiting');
  expect(record.reason).toEqual({
    code: 'PEER_REFUSED',
    message: '192.0.2.1:966: connection refused',
    at: '2026-01-01T00:00:01.500Z',
  });
  record.connected('192.0.2.1:950');
  record.entered('initialising');
  expect(record.state).toBe('connecting');
  record.ready();
  record.entered('up');
  expect([record.state, record.reason, record.connects]).toEqual(['up', null, 1]);
  expect(record.lastError?.code).toBe('PEER_REFUSED');
});

test('since changes with what a status shows, not with the machine', () => {
  const { clock, record } = setUp();
  record.entered('up');
  const since = record.since;
  clock.advance(1000);
  record.entered('lingering');
  record.entered('up');
  expect(record.since).toBe(since);
  record.entered('closing');
  expect(record.since).not.toBe(since);
});

test('an idle port has no reason, whatever failed before', () => {
  const { record } = setUp();
  record.entered('connecting');
  record.failed(new Fault('PEER_TIMEOUT', 'no answer'));
  record.entered('idle');
  expect(record.reason).toBeNull();
});

test('totals survive the replacement of the channel, and drops are told apart', () => {
  const { channel, record } = setUp();
  record.absorb({ ...NO_COUNTERS, downTaken: 100, downDropped: 30, upUnread: 4, downDiscarded: 5, downLost: 6 });
  channel.counters.downTaken = 11;
  channel.counters.downDropped = 12;
  channel.counters.downOverflowed = 3;
  channel.counters.upDropped = 1;
  record.dropped('closing', 20);
  record.dropped('held', 7);
  record.dropped('stale', 9);
  expect(record.totals.downTaken).toBe(111);
  expect(record.drops).toEqual({
    offline: 5,
    held: 10,
    flushed: 42 - 20 - 7,
    closing: 20,
    linkLost: 6,
    unread: 5,
    stale: 9,
    suspected: 0,
  });
});

test('what the device told is forgotten with the connection; errors are counted', () => {
  const { record, link } = setUp();
  const lines = { cts: true, dsr: true, dcd: false, ri: false };
  record.acknowledged = DEFAULT_SETTINGS;
  record.reported({ type: 'lines', lines });
  record.reported({ type: 'errors', errors: { parity: true, framing: false, overrun: false, bufferOverrun: true } });
  record.reported({ type: 'errors', errors: { parity: false, framing: true, overrun: true, bufferOverrun: true } });
  record.reported({ type: 'break' });
  record.reported({ type: 'refused', settings: DEFAULT_SETTINGS });
  expect(record.lines({ dtr: true, rts: false })).toEqual({ dtr: true, rts: false, ...lines });
  expect(record.errors).toEqual({ parity: 1, framing: 1, overrun: 2, breaks: 1 });
  expect(record.refused).toEqual(DEFAULT_SETTINGS);
  record.disconnected(link);
  expect(record.acknowledged).toBeUndefined();
  expect(record.lines({ dtr: false, rts: false })).toMatchObject({ cts: null, dsr: null, dcd: null, ri: null });
});

test('reconnects are counted by why the last connection was lost, attempts by why they failed', () => {
  const { record } = setUp();
  record.entered('connecting');
  record.connectFailed(new Fault('PEER_REFUSED', 'refused'));
  record.connectFailed(new Fault('PEER_REFUSED', 'refused'));
  record.ready();
  expect(record.reconnects.size).toBe(0);
  record.lost(new Fault('PEER_CLOSED', 'closed'));
  record.connectFailed(new Fault('PEER_TIMEOUT', 'no answer'));
  record.ready();
  record.lost(new Fault('PEER_MUTE', 'mute'));
  record.ready();
  record.lost(new Fault('PEER_CLOSED', 'closed'));
  record.ready();
  expect(Object.fromEntries(record.reconnects)).toEqual({ PEER_CLOSED: 2, PEER_MUTE: 1 });
  expect(Object.fromEntries(record.connectFailures)).toEqual({ PEER_REFUSED: 2, PEER_TIMEOUT: 1 });
});

test('a connection for the next opener is no reconnect', () => {
  const { record } = setUp();
  record.entered('up');
  record.lost(new Fault('PEER_CLOSED', 'closed'));
  record.entered('idle');
  record.entered('connecting');
  record.ready();
  expect(record.reconnects.size).toBe(0);
});

test('round trips are counted by size, in seconds', () => {
  const { record } = setUp();
  for (const ms of [0.4, 3, 3, 20_000]) record.answered(ms);
  const { upperBounds, counts, count, sum } = record.roundTrips;
  expect(counts[upperBounds.indexOf(0.001)]).toBe(1);
  expect(counts[upperBounds.indexOf(0.005)]).toBe(2);
  expect([count, counts.reduce((a, b) => a + b, 0)]).toEqual([4, 3]);
  expect(sum).toBeCloseTo(20.0064);
});
