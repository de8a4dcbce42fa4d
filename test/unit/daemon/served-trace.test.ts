import { expect, test } from 'vitest';
import type { TraceRecord } from '../../../src/api/types.js';
import { ServedTrace } from '../../../src/daemon/served/served-trace.js';
import { DEFAULT_SETTINGS, type LineReport, type LineRequest, NO_MODEM_LINES } from '../../../src/serial/line.js';
import type { PortEvent } from '../../../src/serve/port-server.js';
import { ManualClock } from '../../support/manual-clock.js';

const make = () => {
  const trace = new ServedTrace(new ManualClock());
  const records: TraceRecord[] = [];
  const end = trace.add((record) => records.push(record));
  const texts = () => records.splice(0).map((record) => ('text' in record ? record.text : record.type));
  return { trace, records, end, texts };
};

test('it is on only while somebody looks on, and several may', () => {
  const { trace, records, end } = make();
  const second: TraceRecord[] = [];
  const endSecond = trace.add((record) => second.push(record));
  end();
  expect(trace.on).toBe(true);
  trace.event('one');
  expect([records.length, second.length]).toEqual([0, 1]);
  endSecond();
  expect(trace.on).toBe(false);
});

test('bytes and commands say whose they are; what nobody was given has no client', () => {
  const { trace, records } = make();
  const bytes = Uint8Array.from([9, 65, 66, 9]).subarray(1, 3);
  trace.bytes('sent', bytes, '192.0.2.1:40000');
  trace.bytes('received', bytes, undefined);
  trace.command('sent', bytes, 'FLUSH both', '192.0.2.1:40001');
  bytes.fill(0);
  expect(records).toMatchObject([
    { type: 'data', direction: 'sent', data: 'QUI=', peer: '192.0.2.1:40000' },
    { type: 'data', direction: 'received', data: 'QUI=' },
    { type: 'command', direction: 'sent', data: 'QUI=', text: 'FLUSH both', peer: '192.0.2.1:40001' },
  ]);
  expect(records[1]).not.toHaveProperty('peer');
});

test('what the line was asked, and what it told, in words', () => {
  const { trace, texts } = make();
  const lines = { dtr: true, rts: false };
  const asked: LineRequest[] = [
    { type: 'settings', settings: DEFAULT_SETTINGS, lines },
    { type: 'lines', lines },
    { type: 'break', on: true },
    { type: 'flush', queue: 'rx' },
  ];
  for (const request of asked) trace.requested(request, true);
  trace.requested({ type: 'fifo', bytes: 16 }, false);
  expect(texts()).toEqual([
    'line: 9600,8N1 flow none dtr on rts off',
    'line: dtr on rts off',
    'line: break on',
    'line: flush rx',
    'line: fifo 16 refused',
  ]);
  const none = { parity: false, framing: false, overrun: false, bufferOverrun: false };
  const told: LineReport[] = [
    { type: 'lines', lines: { ...NO_MODEM_LINES, cts: true } },
    { type: 'errors', errors: { ...none, parity: true, overrun: true } },
    { type: 'break' },
  ];
  for (const report of told) trace.reported(report);
  expect(texts()).toEqual([
    'line told: cts on dsr off dcd off ri off',
    'line told: parity, overrun error',
    'line told: break',
  ]);
});

test('connects and ends are told; what is shown as a command or by the line is not told twice', () => {
  const { trace, texts } = make();
  const events: PortEvent[] = [
    { type: 'connected', kind: 'command', peer: '192.0.2.1:40000' },
    { type: 'disconnected', peer: '192.0.2.1', reason: 'it closed the connection' },
    { type: 'denied', kind: 'data', peer: '192.0.2.9' },
    { type: 'request', request: { type: 'break', on: true }, refused: false },
    { type: 'frame', bytes: new Uint8Array(0), frame: undefined },
  ];
  for (const event of events) trace.happened(event);
  expect(texts()).toEqual([
    'command connection from 192.0.2.1:40000',
    '192.0.2.1 left: it closed the connection',
    '192.0.2.9 is not in accessibleIps',
  ]);
});
