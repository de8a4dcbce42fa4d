import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { TraceRecord } from '../../../src/api/types.js';
import { portText } from '../../../src/cli/port.js';
import { portsText } from '../../../src/cli/ports.js';
import { statusText } from '../../../src/cli/status.js';
import { bytesText, clean, clockText, painter, table } from '../../../src/cli/text.js';
import { recordLines } from '../../../src/cli/trace.js';
import { eventText } from '../../../src/cli/watch.js';
import { FakeDaemon, portView } from '../../support/fake-daemon.js';

const plain = painter(false);
const problem = { code: 'PEER_REFUSED', message: 'refused by 192.168.127.254:950', at: '2026-01-31T12:00:00Z' };

describe('table', () => {
  test('columns as wide as needed, numbers to the right, no blanks at the end', () => {
    const rows = [
      [{ text: 'a' }, { text: '5', right: true }, { text: '' }],
      [{ text: 'long' }, { text: '1234', right: true }, { text: 'note' }],
    ];
    expect(table(['X', 'COUNT', 'N'], rows, plain)).toBe('X     COUNT  N\na         5\nlong   1234  note\n');
  });
  test('the last column is cut to the width of the terminal, and only there', () => {
    const rows = [[{ text: 'abc' }, { text: 'y'.repeat(200) }]];
    expect(table(['A', 'B'], rows, plain, 40).split('\n')[1]).toHaveLength(40);
    expect(table(['A', 'B'], rows, plain).split('\n')[1]).toHaveLength(205);
  });
  test('256 ordinary ttys fit in 80 columns', () => {
    const ports = Array.from({ length: 256 }, (_, i) =>
      portView(`ttyNP${i}`, { port: i + 1, reason: problem, state: 'waiting' }),
    );
    for (const line of portsText(ports, { columns: 80, colour: false }).split('\n'))
      expect(line.length).toBeLessThanOrEqual(80);
  });
});

test('byte counts take at most six characters', () => {
  expect([0, 9999, 10_000, 65_536, 1_048_576, 1_099_511_627_776].map(bytesText)).toEqual([
    '0',
    '9999',
    '9.8K',
    '64.0K',
    '1.0M',
    '1.0T',
  ]);
  fc.assert(fc.property(fc.maxSafeNat(), (n) => void expect(bytesText(n).length).toBeLessThanOrEqual(6)));
});

test('no text moves the cursor', () => {
  expect(clean('a\x1b[2J\r\n\x9bb')).toBe('a?[2J???b');
});

describe('trace', () => {
  const at = new Date(2026, 0, 31, 12, 0, 1, 234).getTime() * 1000;
  const data = (text: string | Buffer, direction: 'sent' | 'received' = 'sent'): TraceRecord => ({
    type: 'data',
    atUs: at,
    direction,
    data: Buffer.from(text).toString('base64'),
  });
  const hex = { ascii: false, timestamps: true };
  test('hexadecimal', () => {
    expect(recordLines(data('hello'), hex)).toEqual(['12:00:01.234 > 68 65 6c 6c 6f  |hello|']);
    expect(recordLines(data('\x00A\xff', 'received'), { ...hex, timestamps: false })).toEqual([
      '< 00 41 c3 bf  |.A..|',
    ]);
  });
  test('long data is in lines of sixteen that stand under each other', () => {
    const lines = recordLines(data('0123456789abcdefXY'), hex);
    expect(lines).toHaveLength(2);
    expect(lines[1]).toMatch(/> 58 59 {44}\|XY\|$/);
    expect(lines[0]?.indexOf('|')).toBe(lines[1]?.indexOf('|'));
  });
  test('as text', () => {
    expect(recordLines(data('a\\b\r\n\t\x07'), { ascii: true, timestamps: false })).toEqual(['> a\\\\b\\r\\n\\t\\x07']);
  });
  test('commands, events and what is missing', () => {
    const command = {
      type: 'command',
      atUs: at,
      direction: 'sent',
      data: Buffer.from([0x14, 1, 2]).toString('base64'),
      text: 'FLUSH both',
    } as const;
    expect(recordLines(command, hex)).toEqual(['12:00:01.234 > [FLUSH both] 140102']);
    expect(recordLines({ ...command, peer: '192.0.2.1:40000' }, hex)).toEqual([
      '12:00:01.234 > 192.0.2.1:40000 [FLUSH both] 140102',
    ]);
    expect(recordLines({ type: 'event', atUs: at, text: 'connected' }, hex)).toEqual(['12:00:01.234 - connected']);
    expect(recordLines({ type: 'dropped', atUs: at, bytes: 99 }, hex)[0]).toContain('! 99 bytes are missing');
  });
  test('every byte can be read back from the hexadecimal', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const lines = recordLines(data(Buffer.from(bytes)), { ascii: false, timestamps: false });
        const read = lines
          .flatMap((line) => [...(line.slice(2).split('  |')[0]?.trim().split(' ') ?? [])])
          .map((h) => Number.parseInt(h, 16));
        expect(read).toEqual([...bytes]);
      }),
    );
  });
});

describe('watch', () => {
  test('a change of a counter is no line; a change of state, lines or settings is', () => {
    const said = new Map<string, string>();
    const at = new Date(0);
    const line = (change: Parameters<typeof portView>[1]) =>
      eventText({ type: 'port', port: portView('ttyNP0', change) }, said, plain, at)?.slice(13);
    expect(line({})).toBe('ttyNP0 up open, 192.168.127.254:950, 9600,8N1, DTR RTS CTS');
    expect(line({ sent: { bytes: 500, lastByteAgeMs: 1, parkedBytes: 0, stalls: 0 } })).toBeUndefined();
    expect(line({ state: 'waiting', peer: null, reason: problem })).toBe(
      'ttyNP0 waiting open, refused by 192.168.127.254:950',
    );
    expect(eventText({ type: 'removed', name: 'ttyNP0' }, said, plain, at)).toBe(`${clockText(at)} ttyNP0 removed`);
  });
});

test('status names what is down and why', () => {
  const status = new FakeDaemon(portView('ttyNP0')).status();
  const down = {
    ...status.servers[0],
    name: 'hall',
    address: 'h',
    protocol: 'realcom',
    ports: 2,
    up: 0,
    down: true,
    reason: problem,
  };
  const text = statusText(
    { ...status, servers: [...status.servers, down] },
    { columns: 100, colour: false, now: () => Date.parse(status.startedAt) + 65_000 },
  );
  expect(text).toContain('running for 1 min 5 s, /etc/ttynp/ttynp.yaml\n1 ttys: 1 open, 1 connected, 0 failed\n');
  expect(text).toMatch(/\nboiler-house\s+192.168.127.254\s+16\s+1\s+ok\n/);
  expect(text).toMatch(/\nhall\s+h\s+2\s+0\s+down: refused by 192.168.127.254:950\n$/);
});

test('a port shows what was asked, acknowledged and refused, drops by cause, and colours only where wanted', () => {
  const port = portView('ttyNP7', {
    aliases: ['gas-meter'],
    reason: problem,
    state: 'waiting',
    peer: null,
    asked: { format: '300,7E1', flowControl: 'RTS/CTS' },
    refused: { format: '300,7E1', flowControl: 'none' },
    drops: { ...portView('x').drops, offline: 12, stale: 3 },
    warnings: ['line mode on'],
  });
  const io = { colour: false, columns: undefined, now: () => Date.parse(port.since) + 1000 };
  const text = portText(port, 'picocom (pid 99)', io);
  for (const part of [
    'ttyNP7 (gas-meter) waiting since',
    'held by       picocom (pid 99)',
    '300,7E1 RTS/CTS',
    'offline 12, stale 3',
    'DSR ?',
    'line mode on',
    '[PEER_REFUSED]',
  ])
    expect(text).toContain(part);
  for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are such characters
  expect(portText(port, 'picocom (pid 99)', { ...io, colour: true }).replace(/\x1b\[\d+m/g, '')).toBe(text);
  const narrow = portText(port, 'picocom (pid 99)', { ...io, columns: 80 });
  expect(narrow.split('\n').filter((line) => line.length > 80)).toEqual([]);
  expect(narrow.replace(/\s+/g, ' ')).toBe(text.replace(/\s+/g, ' '));
});
