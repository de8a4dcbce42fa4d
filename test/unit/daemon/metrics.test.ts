// Every number of a port's view and counts, read back from the text under the name and labels that the README promises.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { daemonMetrics } from '../../../src/daemon/metrics.js';
import { formatMetrics, Histogram } from '../../../src/observe/prometheus.js';
import { FakeDaemon, portView } from '../../support/fake-daemon.js';
import { parsePrometheus, sampleValue } from '../../support/prometheus-text.js';

const view = portView('ttyNP0', {
  state: 'waiting',
  sent: { bytes: 412, lastByteAgeMs: 1, parkedBytes: 7, stalls: 2 },
  received: { bytes: 99, lastByteAgeMs: 1, parkedBytes: 8, stalls: 3 },
  drops: { offline: 1, held: 2, flushed: 3, closing: 4, linkLost: 5, unread: 6, stale: 7, suspected: 8 },
  lineErrors: { parity: 1, framing: 2, overrun: 3, breaks: 4 },
  connects: 5,
});
const roundTrips = new Histogram([0.001, 0.01]);
roundTrips.observe(0.004);
const counts = { reconnects: new Map([['PEER_CLOSED', 3]]), connectFailures: new Map([['PEER_MUTE', 2]]), roundTrips };
const failed = portView('ttyNP1', { state: 'failed', open: false });
const daemon = new FakeDaemon(view, failed);

function read() {
  const ports = [
    { view, counts },
    { view: failed, counts: undefined },
  ];
  const own = { residentBytes: 1000, heapBytes: 500, cpuSeconds: 1.5 };
  return parsePrometheus(formatMetrics(daemonMetrics(daemon.status(), ports, own)));
}

const of = (name: string, labels: Record<string, string> = {}) =>
  sampleValue(read(), name, { tty: 'ttyNP0', server: 'boiler-house', ...labels });

test('bytes, parked bytes and stalls, each way', () => {
  expect(of('ttynp_port_sent_bytes_total')).toBe(412);
  expect(of('ttynp_port_received_bytes_total')).toBe(99);
  expect(of('ttynp_port_parked_bytes', { direction: 'sent' })).toBe(7);
  expect(of('ttynp_port_parked_bytes', { direction: 'received' })).toBe(8);
  expect(of('ttynp_port_stalls_total', { direction: 'sent' })).toBe(2);
  expect(of('ttynp_port_stalls_total', { direction: 'received' })).toBe(3);
});

test('the state is one of all', () => {
  const states = read().samples.filter(({ name, labels }) => name === 'ttynp_port_state' && labels.tty === 'ttyNP0');
  expect(states.length).toBe(6);
  expect(states.filter(({ value }) => value === 1).map(({ labels }) => labels.state)).toEqual(['waiting']);
});

test('drops by cause, line errors by kind, connections by cause', () => {
  const causes = ['offline', 'held', 'flushed', 'closing', 'link_lost', 'unread', 'stale'];
  expect(causes.map((cause) => of('ttynp_port_dropped_bytes_total', { cause }))).toEqual([1, 2, 3, 4, 5, 6, 7]);
  const kinds = ['parity', 'framing', 'overrun', 'break'];
  expect(kinds.map((kind) => of('ttynp_port_line_errors_total', { kind }))).toEqual([1, 2, 3, 4]);
  expect(of('ttynp_port_reconnects_total', { cause: 'peer_closed' })).toBe(3);
  expect(of('ttynp_port_connect_failures_total', { cause: 'peer_mute' })).toBe(2);
  expect(of('ttynp_port_connects_total')).toBe(5);
  expect(of('ttynp_command_round_trip_seconds_count')).toBe(1);
  expect(of('ttynp_command_round_trip_seconds_bucket', { le: '0.01' })).toBe(1);
});

test('lines that the device has not told are absent', () => {
  expect(of('ttynp_port_modem_line', { line: 'cts' })).toBe(1);
  expect(of('ttynp_port_modem_line', { line: 'dcd' })).toBe(0);
  expect(of('ttynp_port_modem_line', { line: 'dsr' })).toBeUndefined();
});

test('the daemon, its servers, a port that could not be made', () => {
  const all = read();
  expect(sampleValue(all, 'ttynp_build_info', { version: '0.1.0' })).toBe(1);
  expect(sampleValue(all, 'ttynp_pump_heartbeat_age_seconds')).toBe(0.003);
  expect(sampleValue(all, 'process_start_time_seconds')).toBe(Date.parse('2026-01-31T12:00:00Z') / 1000);
  expect(sampleValue(all, 'process_resident_memory_bytes')).toBe(1000);
  expect(sampleValue(all, 'process_cpu_seconds_total')).toBe(1.5);
  expect(sampleValue(all, 'ttynp_server_down', { server: 'boiler-house' })).toBe(0);
  expect(sampleValue(all, 'ttynp_config_last_reload_successful')).toBeUndefined();
  expect(sampleValue(all, 'ttynp_port_state', { tty: 'ttyNP1', state: 'failed' })).toBe(1);
  expect(sampleValue(all, 'ttynp_command_round_trip_seconds_count', { tty: 'ttyNP1' })).toBeUndefined();
});

test('counters end in _total, and the README has every name', () => {
  const readme = readFileSync(new URL('../../../README.md', import.meta.url), 'utf8');
  for (const [name, type] of Object.entries(read().types)) {
    expect(name.endsWith('_total'), name).toBe(type === 'counter');
    expect(readme).toContain(name);
  }
});
