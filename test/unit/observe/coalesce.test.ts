import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Log, LogFields, LogLevel } from '../../../src/base/log.js';
import { FailureLog } from '../../../src/observe/coalesce.js';
import { ManualClock } from '../../support/manual-clock.js';

let clock: ManualClock;
let lines: [LogLevel, string, LogFields | undefined][];
let failures: FailureLog;

beforeEach(() => {
  clock = new ManualClock();
  lines = [];
  const log: Log = { log: (level, message, fields) => lines.push([level, message, fields]), child: () => log };
  failures = new FailureLog(log, clock);
});
afterEach(() => expect(clock.timers).toBe(0));

const refused = (tty: string, server = 'hall') => ({
  server,
  tty,
  code: 'PEER_REFUSED',
  message: 'refused by 10.0.0.1',
});

test('one port alone is one line, after the window', () => {
  failures.failed(refused('ttyNP0'));
  clock.advance(1999);
  expect(lines).toEqual([]);
  clock.advance(1);
  expect(lines).toEqual([['warn', 'refused by 10.0.0.1', { tty: 'ttyNP0', server: 'hall', code: 'PEER_REFUSED' }]]);
});

test('sixteen ports of one server within the window are one line, each counted once', () => {
  for (let i = 0; i < 16; i++) {
    failures.failed(refused(`ttyNP${i}`));
    failures.failed(refused(`ttyNP${i}`));
    clock.advance(100);
  }
  clock.advance(2000);
  expect(lines.map((l) => l[1])).toEqual([
    '16 ports of hall (ttyNP0, ttyNP1, ttyNP2 and 13 more): refused by 10.0.0.1',
  ]);
});

test('another server, another cause and a later time are other lines', () => {
  failures.failed(refused('a'));
  failures.failed(refused('b', 'yard'), 'error');
  failures.failed({ ...refused('c'), code: 'PEER_TIMEOUT', message: 'no answer' });
  clock.advance(2000);
  failures.failed(refused('d'));
  clock.advance(2000);
  expect(lines.map((l) => [l[0], l[2]?.tty])).toEqual([
    ['warn', 'a'],
    ['error', 'b'],
    ['warn', 'c'],
    ['warn', 'd'],
  ]);
});

test('flush says at once what waits, and leaves no timer', () => {
  failures.failed(refused('a'));
  failures.failed(refused('b'));
  failures.flush();
  failures.flush();
  expect(lines.map((l) => l[1])).toEqual(['2 ports of hall (a, b): refused by 10.0.0.1']);
});
