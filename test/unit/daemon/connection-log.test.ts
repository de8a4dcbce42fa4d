import { expect, test } from 'vitest';
import { Fault } from '../../../src/base/fault.js';
import type { Log } from '../../../src/base/log.js';
import { ConnectionLog } from '../../../src/daemon/connection-log.js';
import { ManualClock } from '../../support/manual-clock.js';

function setup() {
  const clock = new ManualClock();
  const lines: string[] = [];
  const log: Log = { log: (level, message) => lines.push(`${level}: ${message}`), child: () => log };
  return { clock, lines, log: new ConnectionLog(log, clock) };
}

const refused = new Fault('PEER_REFUSED', '10.0.0.1:966: connection refused');
const timeout = new Fault('PEER_TIMEOUT', '10.0.0.1:966: no answer');

test('a server that goes down is one line, however long its ports go on trying', () => {
  const { clock, lines, log } = setup();
  for (let i = 0; i < 16; i++) log.faulted('boiler', `ttyNP${i}`, refused, true);
  clock.advance(2000);
  expect(lines).toEqual([
    'warn: 16 ports of boiler (ttyNP0, ttyNP1, ttyNP2 and 13 more): 10.0.0.1:966: connection refused',
  ]);
  for (let second = 0; second < 60; second++) {
    log.faulted('boiler', `ttyNP${second % 20}`, refused, true);
    clock.advance(1000);
  }
  expect(lines).toHaveLength(1);
});

test('the end of the trouble is one line too, and the next trouble is told again', () => {
  const { clock, lines, log } = setup();
  for (const tty of ['ttyNP0', 'ttyNP1']) log.faulted('boiler', tty, refused, true);
  clock.advance(5000);
  for (const tty of ['ttyNP0', 'ttyNP1']) log.recovered('boiler', tty);
  clock.advance(2000);
  expect(lines[1]).toBe('info: 2 ports of boiler (ttyNP0, ttyNP1): boiler: connected again');
  log.faulted('boiler', 'ttyNP0', refused, true);
  clock.advance(2000);
  expect(lines).toHaveLength(3);
});

test('a port that never was in trouble says nothing when it connects', () => {
  const { clock, lines, log } = setup();
  log.recovered('boiler', 'ttyNP0');
  clock.advance(2000);
  expect(lines).toEqual([]);
});

test('one busy port after another, while the server is up, are lines of their own', () => {
  const { clock, lines, log } = setup();
  log.faulted('boiler', 'ttyNP0', refused, false);
  clock.advance(10_000);
  log.faulted('boiler', 'ttyNP1', refused, false);
  clock.advance(2000);
  expect(lines).toHaveLength(2);
});

test('another cause is another line', () => {
  const { clock, lines, log } = setup();
  log.faulted('boiler', 'ttyNP0', refused, true);
  clock.advance(5000);
  log.faulted('boiler', 'ttyNP0', timeout, true);
  clock.advance(5000);
  log.faulted('boiler', 'ttyNP0', timeout, true);
  clock.advance(5000);
  expect(lines).toEqual(['warn: 10.0.0.1:966: connection refused', 'warn: 10.0.0.1:966: no answer']);
});

test('ttys that cannot be made for the same cause are one line, those whose names are taken one each', () => {
  const { lines, log } = setup();
  const none = new Fault('NO_DESCRIPTORS', 'no PTY: out of file descriptors');
  for (let i = 0; i < 4; i++) log.unmade('boiler', `ttyNP${i}`, new Fault(none.code, `ttyNP${i}: ${none.message}`));
  log.unmade('boiler', 'ttyNP4', new Fault('LINK_PATH_TAKEN', '/dev/ttyNP4 is a directory'));
  log.unmade('boiler', 'ttyNP5', new Fault('LINK_PATH_TAKEN', '/dev/ttyNP5 is a device node'));
  log.flush();
  expect(lines).toEqual([
    'error: /dev/ttyNP4 is a directory',
    'error: /dev/ttyNP5 is a device node',
    'error: 4 ports of boiler (ttyNP0, ttyNP1, ttyNP2 and 1 more): no PTY: out of file descriptors',
  ]);
});

test('each line names its event and the address, so that the journal finds it', () => {
  const clock = new ManualClock();
  const seen: unknown[] = [];
  const log: Log = { log: (_level, _message, fields) => seen.push([fields?.event, fields?.peer]), child: () => log };
  const connections = new ConnectionLog(log, clock);
  connections.faulted('boiler', 'ttyNP0', refused, true, '10.0.0.1');
  clock.advance(2000);
  connections.recovered('boiler', 'ttyNP0');
  clock.advance(2000);
  connections.faulted('boiler', 'ttyNP0', timeout, false, '10.0.0.1');
  clock.advance(2000);
  connections.recovered('boiler', 'ttyNP0');
  clock.advance(2000);
  connections.unmade('boiler', 'ttyNP1', new Fault('LINK_PATH_TAKEN', 'taken'));
  expect(seen).toEqual([
    ['link-down', '10.0.0.1'],
    ['link-up', '10.0.0.1'],
    ['disconnect', '10.0.0.1'],
    ['connect', '10.0.0.1'],
    ['tty-failed', undefined],
  ]);
});

test('every event that is named has an id in the journal', async () => {
  const { EVENTS } = await import('../../../src/observe/events.js');
  for (const name of ['link-down', 'link-up', 'disconnect', 'connect', 'tty-failed'])
    expect(EVENTS.has(name)).toBe(true);
});
