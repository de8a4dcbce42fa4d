// The modes that connect, send, pair and dial: what the daemon gets of a good entry, and the line that an operator reads of a bad one.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { addressesOf, destinationText, hostsOf, parseDestination } from '../../../src/config/destination.js';
import { loadConfig } from '../../../src/config/load.js';
import { ConfigFault } from '../../../src/config/problems.js';
import { descriptorsOf, destinationsOf, tcpPortsOf, udpPortsOf } from '../../../src/config/serial-ports.js';
import { suggestions } from '../../../src/config/suggestions.js';

const folder = mkdtempSync(join(tmpdir(), 'ttynp-modes-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'ttynp.yaml');

function load(...entries: string[]) {
  const ports = entries.map((entry, i) => `  ${i + 1}: ${entry}\n`).join('');
  writeFileSync(file, `version: 1\nserialPorts:\n${ports}`);
  return loadConfig(file, { uid: 1000, runtimeHome: undefined, devWritable: false }).config;
}

function errorsOf(...entries: string[]): string[] {
  try {
    load(...entries);
  } catch (error) {
    if (error instanceof ConfigFault) return error.errors.map((line) => line.replace(`${file}:`, ''));
    throw error;
  }
  return [];
}

const servedOf = (keys: string) => load(`{ device: /dev/a, ${keys} }`).serialPorts[0]?.served;
const to = (host: string, port = 4001, more = {}) => ({ host, lastHost: null, port, localPort: 0, ...more });

describe('destinations', () => {
  test.each([
    ['10.0.0.7', to('10.0.0.7')],
    ['10.0.0.7:23', to('10.0.0.7', 23)],
    ['plc-1.example', to('plc-1.example')],
    ['plc_1:65535', to('plc_1', 65535)],
    ['2001:db8::7', to('2001:db8::7')],
    ['[2001:db8::7]:950', to('2001:db8::7', 950)],
    ['[fe80::1%eth0]:950', to('fe80::1%eth0', 950)],
    ['10.0.0.1-10.0.0.9', to('10.0.0.1', 4001, { lastHost: '10.0.0.9' })],
    ['10.0.0.1 - 10.0.1.0:5', to('10.0.0.1', 5, { lastHost: '10.0.1.0' })],
    ['rack-10', to('rack-10')],
    [' host ', to('host')],
  ])('%s', (text, expected) => {
    const parsed = parseDestination(text);
    expect(parsed).toEqual(expected);
    if (parsed) expect(parseDestination(destinationText(parsed))).toEqual(expected);
  });

  test.each([
    '',
    ':4001',
    'host:0',
    'host:65536',
    'host:x',
    '1.2.3',
    '1.2.3.256',
    '10.0.0.9-10.0.0.1',
    '[10.0.0.1]:5',
    '[2001:db8::7',
    'two words',
    'a..b',
    '-a',
    'a/b',
    `${'a'.repeat(254)}`,
    'host:1:2',
  ])('%j is none', (text) => expect(parseDestination(text)).toBeUndefined());

  test('a range is every address of it', () => {
    const range = parseDestination('10.0.0.254-10.0.1.1:7');
    expect(range && [addressesOf(range), hostsOf(range)]).toEqual([
      4,
      ['10.0.0.254', '10.0.0.255', '10.0.1.0', '10.0.1.1'],
    ]);
  });
});

test('what is left out is as the device servers have it', () => {
  expect(servedOf('mode: tcp-client, destinations: [10.0.0.7]')).toEqual({
    mode: 'tcp-client',
    destinations: [to('10.0.0.7')],
    connectionControl: 'startup',
    inactivityTimeMs: 0,
    ignoreJammedIp: false,
  });
  expect(servedOf('mode: udp, destinations: ["10.0.0.1-10.0.0.3:9"]')).toMatchObject({ mode: 'udp', udpPort: 4001 });
  expect(servedOf('mode: pair-master, destinations: ["slave:4003"]')).toEqual({
    mode: 'pair-master',
    destination: to('slave', 4003),
  });
  expect(servedOf('mode: pair-slave')).toEqual({ mode: 'pair-slave', tcpPort: 4001 });
  expect(servedOf('mode: ethernet-modem, tcpPort: 5000')).toEqual({ mode: 'ethernet-modem', tcpPort: 5000 });
  expect(servedOf('mode: reverse-telnet, inactivityTime: 2m, mapCrLf: cr')).toEqual({
    mode: 'reverse-telnet',
    tcpPort: 4001,
    inactivityTimeMs: 120_000,
    mapCrLf: 'cr',
  });
  expect(
    servedOf('mode: tcp-client, destinations: [{ address: "2001:db8::7", port: 5, localPort: 5011 }]'),
  ).toMatchObject({
    destinations: [to('2001:db8::7', 5, { localPort: 5011 })],
  });
  const { serialPorts } = load('{ device: /dev/a, echoSuppression: on, turnaroundDelay: 5ms }');
  expect(serialPorts[0]).toMatchObject({ echoSuppression: true, turnaroundDelayMs: 5 });
});

test('arbitration: off unless asked for, and what it may be told', () => {
  expect(servedOf('maxConnection: 2')).toMatchObject({ arbitration: null });
  expect(servedOf('maxConnection: 2, arbitrate: off')).toMatchObject({ arbitration: null });
  expect(servedOf('maxConnection: 2, arbitrate: request-response')).toMatchObject({
    arbitration: { responseTimeoutMs: 1000, lateAnswers: 'discard' },
  });
  expect(
    servedOf('mode: tcp-server, arbitrate: request-response, responseTimeout: 200ms, lateAnswers: last-requester'),
  ).toMatchObject({ arbitration: { responseTimeoutMs: 200, lateAnswers: 'last-requester' } });
});

test('who shares a Modbus line without it is told, and nobody else', () => {
  const modbus = 'mode: tcp-server, maxConnection: 2, packing: modbus-rtu';
  const config = load(
    `{ device: /dev/a, ${modbus} }`,
    `{ device: /dev/b, ${modbus}, arbitrate: request-response }`,
    '{ device: /dev/c, mode: tcp-server, packing: modbus-rtu }',
    '{ device: /dev/d, mode: tcp-server, maxConnection: 8 }',
  );
  expect(suggestions(config)).toEqual([
    expect.stringMatching(/:3: serialPorts\.1: several masters .*arbitrate: request-response/),
  ]);
});

test('datagrams that could not leave this machine are told of', () => {
  const udp = (listen: string, to: string) =>
    `{ device: /dev/a, mode: udp, listen: ${listen}, destinations: ["${to}"] }`;
  expect(suggestions(load(udp('127.0.0.1', '10.0.0.7')))).toEqual([
    expect.stringContaining('127.0.0.1 reaches this machine only, and 10.0.0.7:4001 is beyond it: set listen'),
  ]);
  for (const entry of [udp('0.0.0.0', '10.0.0.7'), udp('127.0.0.1', '127.0.0.9'), udp('127.0.0.1', 'name')])
    expect(suggestions(load(entry))).toEqual([]);
});

test('ports and descriptors of each', () => {
  const served = [
    'mode: tcp-client, destinations: [a, b]',
    'mode: udp, destinations: [a]',
    'mode: pair-master, destinations: [a]',
    'mode: pair-slave',
  ].map((keys) => servedOf(keys) ?? { mode: 'disabled' as const });
  expect(served.map((one) => tcpPortsOf(one).length)).toEqual([0, 0, 0, 1]);
  expect(served.map((one) => udpPortsOf(one).length)).toEqual([0, 1, 0, 0]);
  expect(served.map((one) => destinationsOf(one).length)).toEqual([2, 1, 1, 0]);
  expect(served.map(descriptorsOf)).toEqual([6, 4, 4, 5]);
});

test.each([
  ['mode: tcp-client', 'destinations: is missing: mode tcp-client needs to know where to'],
  ['mode: udp', 'destinations: is missing: mode udp'],
  ['mode: pair-master', 'destinations: is missing'],
  ['mode: pair-master, destinations: [a, b]', 'destinations: must be one'],
  ['mode: tcp-client, destinations: []', 'destinations: needs at least one destination'],
  ['mode: tcp-client, destinations: [a, b, c, d, e]', 'destinations: must be at most 4 destinations'],
  ['mode: tcp-client, destinations: ["a:0"]', 'destinations[0]: must be an address or a name'],
  ['mode: tcp-client, destinations: [10.0.0.1-10.0.0.2]', 'only udp has ranges'],
  ['mode: tcp-client, destinations: ["239.1.1.1:5"]', 'only udp has multicast'],
  ['mode: udp, destinations: [10.0.0.1-10.0.0.65]', 'has 65 addresses, and 64 are the most'],
  ['mode: udp, destinations: [{ address: a, localPort: 5 }]', 'udp is sent from udpPort'],
  [
    'mode: tcp-client, destinations: [a], connectionControl: dcd',
    'connectionControl: must be one of startup, any-char',
  ],
  [
    'mode: tcp-client, destinations: [a], inactivityTime: 5s',
    'inactivityTime: needs connectionControl: any-character/',
  ],
  ['mode: tcp-client, destinations: [a], connectionControl: any-character/inactivity-time', 'needs an inactivityTime'],
  ['mode: tcp-client, destinations: [a], accessibleIps: [10.0.0.0/8]', 'accessibleIps: belongs to mode real-com, '],
  ['mode: pair-slave, destinations: [a]', 'destinations: belongs to mode tcp-client, udp or pair-master'],
  ['mode: pair-slave, packing: modbus-rtu', 'packing: belongs to mode'],
  ['mode: rfc2217, arbitrate: request-response', 'arbitrate: belongs to mode real-com or tcp-server, not to rfc2217'],
  ['responseTimeout: 1s', 'responseTimeout: needs arbitrate: request-response'],
  ['lateAnswers: all', 'lateAnswers: needs arbitrate: request-response'],
  ['arbitrate: on', 'arbitrate: must be request-response or off'],
  ['mode: reverse-telnet, mapCrLf: nl', 'mapCrLf: must be one of cr-lf, cr, lf'],
])('%s', (keys, message) => {
  const errors = errorsOf(`{ device: /dev/a, ${keys} }`);
  expect(errors).toEqual([expect.stringContaining(message)]);
  expect(errors[0]).toMatch(/^3: serialPorts\.1/);
});

test('two ports may not have the same UDP port; one of TCP is another', () => {
  const udp = (device: string) => `{ device: ${device}, mode: udp, udpPort: 4001, destinations: [a] }`;
  expect(errorsOf(udp('/dev/a'), udp('/dev/b'))).toEqual([
    expect.stringContaining('UDP port 4001 on 127.0.0.1 is that of serial port 1'),
  ]);
  expect(errorsOf(udp('/dev/a'), '{ device: /dev/b, mode: tcp-server, tcpPort: 4001 }')).toEqual([]);
});
