import { expect, test } from 'vitest';
import type { Log, LogFields } from '../../../src/base/log.js';
import { UseLog, type UseRecord } from '../../../src/daemon/use-log.js';
import { ManualClock } from '../../support/manual-clock.js';

function setUp() {
  const clock = new ManualClock();
  const lines: [string, LogFields | undefined][] = [];
  const log: Log = { log: (_level, message, fields) => lines.push([message, fields]), child: () => log };
  const uses = new UseLog(log, clock);
  let record: UseRecord = { peer: undefined, connects: 0, reason: null, totals: { downSent: 100, upTaken: 7 } };
  const look = (change: Partial<UseRecord>) => {
    record = { ...record, ...change };
    uses.look(record);
  };
  return { clock, lines, look };
}

const PEER = '192.0.2.1:950';

test('a connection that begins and ends: peer, cause, duration, bytes of its own', () => {
  const { clock, lines, look } = setUp();
  look({});
  look({ peer: PEER });
  expect(lines).toEqual([]);
  look({ connects: 1 });
  look({});
  clock.advance(12_000);
  look({ totals: { downSent: 512, upTaken: 107 } });
  look({ peer: undefined, reason: { code: 'PEER_CLOSED' } });
  look({});
  expect(lines).toEqual([
    [`connected to ${PEER}`, { event: 'connect', peer: PEER }],
    [
      `disconnected from ${PEER} after 12 s, 412 bytes sent, 100 received`,
      {
        event: 'disconnect',
        peer: PEER,
        cause: 'PEER_CLOSED',
        durationMs: 12_000,
        sentBytes: 412,
        receivedBytes: 100,
      },
    ],
  ]);
});

test('the next one is told when it is initialised, and one that we closed says so', () => {
  const { lines, look } = setUp();
  look({ peer: PEER, connects: 1 });
  look({ peer: undefined });
  look({ peer: PEER });
  expect(lines.length).toBe(2);
  expect(lines[1]?.[1]).toMatchObject({ cause: 'CLOSED' });
  look({ connects: 2 });
  expect(lines.length).toBe(3);
});

test('an attempt that fails before that is none', () => {
  const { lines, look } = setUp();
  look({ peer: PEER });
  look({ peer: undefined, reason: { code: 'PEER_MUTE' } });
  expect(lines).toEqual([]);
});
