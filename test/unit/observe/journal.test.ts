// Lines are read where they end: in a datagram socket of another process, decoded by the protocol's description.
import { closeSync, fstatSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { EVENTS } from '../../../src/observe/events.js';
import { encodeEntry, entryOf, isJournalStream } from '../../../src/observe/journal.js';
import { createLog } from '../../../src/observe/log.js';
import { DatagramReceiver, decodeEntry } from '../../support/datagram-receiver.js';
import { ManualClock } from '../../support/manual-clock.js';

let folder: string;
let path: string;
let out: string;
let fd: number;
let receiver: DatagramReceiver | undefined;
const clock = new ManualClock();

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ttynp-journal-'));
  path = join(folder, 'socket');
  out = join(folder, 'out');
  fd = openSync(out, 'a');
});
afterEach(async () => {
  await receiver?.close();
  receiver = undefined;
  closeSync(fd);
  rmSync(folder, { recursive: true });
  expect(clock.timers).toBe(0);
});

const make = () => createLog({ level: 'info', format: 'plain', colour: false, journal: path, fd }, clock);
const written = () => readFileSync(out, 'utf8');

describe('a journal that listens', () => {
  test('gets the text, the priority, who and what, and the id of the event', async () => {
    receiver = await DatagramReceiver.bind(path);
    const log = make();
    log.child({ tty: 'ttyNP7', server: 'boiler-house' }).log('warn', 'no answer', {
      event: 'disconnect',
      peer: '192.168.127.254',
      code: 'PEER_MUTE',
      none: undefined,
    });
    expect(decodeEntry(await receiver.one())).toEqual({
      MESSAGE: 'ttyNP7: no answer',
      PRIORITY: '4',
      SYSLOG_IDENTIFIER: 'ttynpd',
      MESSAGE_ID: EVENTS.get('disconnect')?.messageId,
      TTYNP_GROUP: 'opmode',
      TTYNP_TTY: 'ttyNP7',
      TTYNP_SERVER: 'boiler-house',
      TTYNP_EVENT: 'disconnect',
      TTYNP_PEER: '192.168.127.254',
      TTYNP_CODE: 'PEER_MUTE',
    });
    log.log('error', 'no event');
    log.log('debug', 'below the level');
    log.log('info', 'last', { event: 'of no name', atMs: 7 });
    expect(decodeEntry(await receiver.one())).toMatchObject({ MESSAGE: 'no event', PRIORITY: '3' });
    const last = decodeEntry(await receiver.one());
    expect(last).toMatchObject({ MESSAGE: 'last', PRIORITY: '6', TTYNP_EVENT: 'of no name', TTYNP_AT_MS: '7' });
    expect(last.MESSAGE_ID).toBeUndefined();
    log.close();
    expect(written()).toBe('');
  });

  test('that is slow is not waited for: lines are dropped, counted, and the count is told', async () => {
    receiver = await DatagramReceiver.bind(path);
    const log = make();
    for (let i = 0; i < 2000; i++) log.log('info', `line ${i}`);
    const before = await receiver.all();
    expect(before.length).toBeGreaterThan(0);
    expect(before.length).toBeLessThan(2000);
    log.log('info', 'after');
    const [notice, after] = (await receiver.all()).map(decodeEntry);
    expect(notice).toMatchObject({
      MESSAGE: `${2000 - before.length} log lines dropped: the journal is slow`,
      PRIORITY: '4',
    });
    expect(after?.MESSAGE).toBe('after');
    log.close();
    expect(written()).toBe('');
  });
});

test('without a journal lines go where they go otherwise', async () => {
  const log = make();
  log.log('info', 'nobody listens', { event: 'stopped' });
  expect(written()).toMatch(/info {2}nobody listens event=stopped\n$/);
  receiver = await DatagramReceiver.bind(path);
  log.log('info', 'somebody does');
  expect(decodeEntry(await receiver.one()).MESSAGE).toBe('somebody does');
  log.close();
});

describe('the encoding', () => {
  test('a value with a line feed cannot forge a field', () => {
    const bytes = Buffer.from(encodeEntry([['TTYNP_SERVER', 'a\nPRIORITY=0']]));
    expect(decodeEntry(bytes)).toEqual({ TTYNP_SERVER: 'a\nPRIORITY=0' });
  });

  test('whatever is logged comes out again, and every name is one that the journal takes', () => {
    const fields = fc.dictionary(fc.string({ minLength: 1 }), fc.oneof(fc.string(), fc.integer(), fc.boolean()));
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fields, (message, own) => {
        const entry = entryOf({ at: new Date(0), level: 'info', message, fields: own });
        const decoded = decodeEntry(Buffer.from(encodeEntry(entry)));
        expect(decoded.MESSAGE).not.toContain('\n');
        for (const [name] of entry) {
          const last = entry.filter(([other]) => other === name).at(-1);
          expect(decoded[name]).toBe(Buffer.from(last?.[1] ?? '').toString());
        }
      }),
    );
  });

  test('a value without end is cut', () => {
    expect(encodeEntry([['MESSAGE', 'x'.repeat(1e6)]]).length).toBeLessThan(20_000);
  });
});

test('ids are 128 bits, each its own', () => {
  const ids = [...EVENTS.values()].map(({ messageId }) => messageId);
  expect(ids.every((id) => /^[0-9a-f]{32}$/.test(id))).toBe(true);
  expect(new Set(ids).size).toBe(ids.length);
});

test('$JOURNAL_STREAM names this descriptor, or another, or nothing', () => {
  const { dev, ino } = fstatSync(fd, { bigint: true });
  expect(isJournalStream(`${dev}:${ino}`, fd)).toBe(true);
  expect(isJournalStream(`${dev}:${ino + 1n}`, fd)).toBe(false);
  for (const value of [undefined, '', 'x:y', `${dev}`]) expect(isJournalStream(value, fd)).toBe(false);
  expect(isJournalStream(`${dev}:${ino}`, 9999)).toBe(false);
});
