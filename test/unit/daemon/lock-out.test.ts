// What counts as shutting out who asks: by the configuration that an operator writes, and the six rows by which the vendor's
// guide explains its accessible IPs.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';
import { lockOut } from '../../../src/daemon/lock-out.js';

const folder = mkdtempSync(join(tmpdir(), 'ttynp-lock-out-'));
afterAll(() => rmSync(folder, { recursive: true }));

function load(text: string) {
  const file = join(folder, 'ttynp.yaml');
  writeFileSync(file, `version: 1\n${text}`);
  return loadConfig(file, { uid: 1000, runtimeHome: undefined, devWritable: false }).config;
}
const served = (lists: string, own = '') => load(`${lists}\nserialPorts:\n  1: { device: /dev/a${own} }\n`);
const OPEN = served('');

test.each([
  ['one host', '192.168.1.120/255.255.255.255', '192.168.1.120', '192.168.1.121'],
  ['a class C network', '192.168.1.0/255.255.255.0', '192.168.1.254', '192.168.2.1'],
  ['a class B network', '192.168.0.0/255.255.0.0', '192.168.255.254', '192.169.0.1'],
  ['its lower half', '192.168.1.0/255.255.255.128', '192.168.1.126', '192.168.1.129'],
  ['its upper half', '192.168.1.128/255.255.255.128', '192.168.1.129', '192.168.1.126'],
  ['everybody', '', '203.0.113.9', undefined],
])('%s: who is in it is not shut out, who is not is', (_, range, inside, outside) => {
  const narrowed = served(range === '' ? 'accessibleIps: []' : `accessibleIps: ["${range}"]`);
  expect(lockOut(OPEN, narrowed, { address: inside })).toBeUndefined();
  if (outside === undefined) return;
  expect(lockOut(OPEN, narrowed, { address: outside })).toBe(
    `accessibleIps would no longer admit ${outside}, from where you ask, to serial port 1 (if you mean it: ttynp reload --force)`,
  );
  expect(lockOut(OPEN, narrowed, { address: outside, force: true })).toBeUndefined();
  expect(lockOut(OPEN, narrowed, {})).toBeUndefined();
  // It was not admitted before.
  expect(lockOut(narrowed, narrowed, { address: outside })).toBeUndefined();
});

test('every listener counts, and only those that were and are', () => {
  const before = load(
    'serialPorts:\n  1: { device: /dev/a }\ndiscovery: { listen: 10.0.0.1 }\nmetrics: { listen: "10.0.0.1:9200" }\n',
  );
  const after = load(
    'accessibleIps: [10.0.0.0/8]\nserialPorts:\n  1: { device: /dev/a, mode: disabled }\n  2: { device: /dev/b }\ndiscovery: { listen: 10.0.0.1 }\nmetrics: { listen: "10.0.0.1:9200" }\n',
  );
  expect(lockOut(before, after, { address: '192.0.2.7' })).toContain('to discovery, metrics (');
  expect(lockOut(before, after, { address: '10.9.9.9' })).toBeUndefined();
  expect(lockOut(before, after, { address: '2001:db8::7' })).toContain('to discovery, metrics (');
  const ports = (list: string) =>
    load(`${list}serialPorts:\n${[1, 2, 3, 4, 5].map((n) => `  ${n}: { device: /dev/${n} }\n`).join('')}`);
  expect(lockOut(ports(''), ports('accessibleIps: [::1]\n'), { address: '::ffff:192.0.2.7' })).toContain(
    'serial port 1, serial port 2, serial port 3 and 2 more',
  );
});
