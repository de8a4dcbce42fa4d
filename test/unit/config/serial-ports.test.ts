// `serialPorts:`: what the daemon gets of a good entry, and the line that an operator reads of a bad one.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { BlockList } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parseAddressRange, rangeText } from '../../../src/config/address-range.js';
import { loadConfig } from '../../../src/config/load.js';
import { ConfigFault } from '../../../src/config/problems.js';
import { sameSerialPort } from '../../../src/config/resolve.js';

const folder = mkdtempSync(join(tmpdir(), 'ttynp-config-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'ttynp.yaml');

function load(text: string) {
  writeFileSync(file, `version: 1\n${text}`);
  return loadConfig(file, { uid: 1000, runtimeHome: undefined, devWritable: false }).config;
}

function errorsOf(text: string): string[] {
  try {
    load(text);
  } catch (error) {
    if (error instanceof ConfigFault) return error.errors.map((line) => line.replace(`${file}:`, ''));
    throw error;
  }
  return [];
}

test('everything is filled in, as the device servers have it', () => {
  const { serialPorts } = load('serialPorts:\n  1: { device: /dev/ttyS0 }\n  17: { device: /dev/ttyS16 }\n');
  expect(serialPorts[0]).toEqual({
    port: 1,
    device: '/dev/ttyS0',
    served: {
      mode: 'real-com',
      dataPort: 950,
      commandPort: 966,
      maxConnection: 1,
      maxPerAddress: 1,
      ignoreJammedIp: false,
      arbitration: null,
      allowDriverControl: true,
    },
    listen: '127.0.0.1',
    accessibleIps: [],
    aliveCheckMs: 420_000,
    settings: {
      baudRate: 9600,
      dataBits: 8,
      parity: 'none',
      stopBits: 1,
      flowControl: { rtsCts: false, xonXoffIn: false, xonXoffOut: false, xon: 0x11, xoff: 0x13 },
    },
    rs485: false,
    turnaroundDelayMs: 0,
    echoSuppression: false,
    packing: null,
    connectionGoesDown: 'low',
    source: { file, line: 3 },
  });
  expect(serialPorts[1]?.served).toMatchObject({ dataPort: 982, commandPort: 998 });
});

test('several hosts of Real COM do not set the line, unless it is allowed; of TCP server none does', () => {
  const { serialPorts } = load(`serialPorts:
  1: { device: /dev/a, maxConnection: 2 }
  2: { device: /dev/b, maxConnection: 2, allowDriverControl: on }
  3: { device: /dev/c, mode: tcp-server }
  4: { device: /dev/d, mode: tcp-server, allowDriverControl: on }
`);
  expect(serialPorts.map(({ served }) => served)).toMatchObject([
    { maxConnection: 2, allowDriverControl: false },
    { allowDriverControl: true },
    { commandPort: null, allowDriverControl: false },
    { commandPort: 969, allowDriverControl: true },
  ]);
});

test('packing: the preset, and the rules', () => {
  const of = (text: string) =>
    load(`serialPorts:\n  1: { device: /dev/a, packing: ${text} }\n`).serialPorts[0]?.packing;
  const none = { packetLength: 0, delimiter: [], delimiterProcess: 0, forceTransmit: 0 };
  expect(of('modbus-rtu')).toEqual({ ...none, forceTransmit: 'modbus-rtu' });
  expect(of('{ delimiter1: 0x0d, delimiter2: 10, delimiterProcess: strip-delimiter }')).toEqual({
    ...none,
    delimiter: [13, 10],
    delimiterProcess: 'strip',
  });
  expect(of('{ packetLength: 1024, forceTransmit: 20ms }')).toEqual({ ...none, packetLength: 1024, forceTransmit: 20 });
  expect(of('{ delimiter1: 0, delimiterProcess: delimiter+2 }')).toEqual({
    ...none,
    delimiter: [0],
    delimiterProcess: 2,
  });
  expect(of('{ packetLength: 0 }')).toBeNull();
});

test.each([
  ['packing: { delimiter2: 10 }', 'delimiter2 needs delimiter1'],
  ['packing: { delimiterProcess: strip-delimiter }', 'delimiterProcess needs delimiter1'],
  ['maxConnection: 2, maxConnectionPerIp: 3', 'is more than maxConnection (2)'],
  ['packing: { delimiter1: 10, packetLength: 5 }', 'delimiters need packetLength 0'],
  ['packing: { delimiter1: 256 }', 'packing'],
  ['packing: { forceTransmit: 66s }', 'packing'],
  ['packing: { delimiter1: 13, delimiterProcess: strip }', 'packing.delimiterProcess: must be one of do-nothing, deli'],
  ['packing: { packetLenght: 10 }', 'packing.packetLenght: unknown key (did you mean "packetLength"?)'],
  ['packing: { packetLength: 1025 }', 'packing.packetLength: '],
  ['packing: modbus', 'must be modbus-rtu, or'],
  ['mode: tcp-server, packing: { forceTransmit: 100ms }, inactivityTime: 100ms', 'longer than forceTransmit (100 ms)'],
  ['mode: tcp-server, commandPort: 966', 'needs allowDriverControl: on'],
  ['inactivityTime: 5s', 'belongs to mode tcp-server, tcp-client or reverse-telnet, not to real-com'],
])('what does not go together is said: %s', (keys, message) => {
  const errors = errorsOf(`serialPorts:\n  1: { device: /dev/a, ${keys} }\n`);
  expect(errors).toHaveLength(1);
  expect(errors[0]).toMatch(/^3: serialPorts\.1/);
  expect(errors[0]).toContain(message);
});

test('a TCP server has port 4000+n, and what it says', () => {
  const { serialPorts } = load(`accessibleIps: [10.0.0.0/8]
serialPorts:
  2: { device: /dev/ttyS1, mode: tcp-server, listen: 0.0.0.0, format: "19200,7E2", flowControl: rts-cts }
  3: { device: /dev/ttyS2, mode: tcp-server, tcpPort: 7001, maxConnection: 8, ignoreJammedIp: on, inactivityTime: 500ms,
       accessibleIps: ["10.1.0.0 255.255.0.0", "fd00::/8"], aliveCheck: 0 }
`);
  expect(serialPorts[0]).toMatchObject({
    served: { mode: 'tcp-server', tcpPort: 4002, maxConnection: 1, ignoreJammedIp: false, inactivityTimeMs: 0 },
    connectionGoesDown: 'high',
    listen: '0.0.0.0',
    settings: { baudRate: 19_200, dataBits: 7, parity: 'even', stopBits: 2, flowControl: { rtsCts: true } },
    accessibleIps: [[{ address: '10.0.0.0', prefix: 8 }]],
  });
  expect(serialPorts[1]).toMatchObject({
    served: { tcpPort: 7001, maxConnection: 8, ignoreJammedIp: true, inactivityTimeMs: 500 },
    aliveCheckMs: 0,
    accessibleIps: [
      [{ address: '10.0.0.0', prefix: 8 }],
      [
        { address: '10.1.0.0', prefix: 16, family: 'ipv4' },
        { address: 'fd00::', prefix: 8, family: 'ipv6' },
      ],
    ],
  });
});

test('an RFC 2217 server has port 4000+n too', () => {
  const { serialPorts } = load(`serialPorts:
  2: { device: /dev/ttyS1, mode: rfc2217 }
  3: { device: /dev/ttyS2, mode: rfc2217, tcpPort: 2217, connectionGoesDown: high }
`);
  expect(serialPorts.map(({ served, connectionGoesDown }) => ({ ...served, connectionGoesDown }))).toEqual([
    { mode: 'rfc2217', tcpPort: 4002, connectionGoesDown: 'low' },
    { mode: 'rfc2217', tcpPort: 2217, connectionGoesDown: 'high' },
  ]);
});

test.each([
  ['{ device: ttyS0 }', '3: serialPorts.1.device: must be an absolute path, got "ttyS0"'],
  ['{ mode: real-com }', '3: serialPorts.1.device: is missing'],
  [
    '{ device: /dev/a, mode: realcom }',
    '3: serialPorts.1.mode: must be one of real-com, rfc2217, tcp-server, tcp-client, udp, pair-master, pair-slave, ethernet-modem, reverse-telnet, disabled, got "realcom"',
  ],
  [
    '{ device: /dev/a, tcpPort: 4001 }',
    '3: serialPorts.1.tcpPort: belongs to mode rfc2217, tcp-server, pair-slave, ethernet-modem or reverse-telnet, not to real-com',
  ],
  [
    '{ device: /dev/a, mode: tcp-server, dataPort: 950 }',
    '3: serialPorts.1.dataPort: belongs to mode real-com, not to tcp-server',
  ],
  [
    '{ device: /dev/a, listen: localhost }',
    '3: serialPorts.1.listen: must be an IPv4 or IPv6 address, got "localhost"',
  ],
  [
    '{ device: /dev/a, accessibleIps: [10.0.0.0/33] }',
    '3: serialPorts.1.accessibleIps[0]: must be an address, address/prefix or address/netmask, got "10.0.0.0/33"',
  ],
  [
    '{ device: /dev/a, maxConnection: 9, mode: tcp-server }',
    '3: serialPorts.1.maxConnection: must be a number of connections, 1 to 8, got 9',
  ],
  [
    '{ device: /dev/a, dataPort: 966 }',
    '3: serialPorts.1.commandPort: TCP port 966 on 127.0.0.1 is that of serial port 1 (dataPort) already',
  ],
  [
    '{ device: /dev/a, mode: rfc2217, maxConnection: 2 }',
    '3: serialPorts.1.maxConnection: belongs to mode real-com or tcp-server, not to rfc2217',
  ],
  [
    '{ device: /dev/a, format: "99999999999,8N1" }',
    '3: serialPorts.1.format: must have a rate of 50 to 12000000 baud, got "99999999999,8N1"',
  ],
  ['{ device: /dev/a, format: 49 }', '3: serialPorts.1.format: must have a rate of 50 to 12000000 baud, got "49"'],
  [
    '{ device: /dev/a, protocol: rfc2217 }',
    '3: serialPorts.1.protocol: unknown key: what is spoken is mode here: real-com, rfc2217 or tcp-server',
  ],
  [
    '{ device: /dev/a, port: 4001 }',
    '3: serialPorts.1.port: unknown key: the TCP port is tcpPort, or dataPort and commandPort in mode real-com',
  ],
  ['{ device: /dev/a, tcport: 4001 }', '3: serialPorts.1.tcport: unknown key (did you mean "tcpPort"?)'],
])('%s', (entry, error) => {
  expect(errorsOf(`serialPorts:\n  1: ${entry}\n`)).toEqual([error]);
});

test('two ports share no device and no TCP port, unless on addresses that do not meet', () => {
  const two = (a: string, b: string) => errorsOf(`serialPorts:\n  1: { ${a} }\n  2: { ${b} }\n`);
  const tcp = 'mode: tcp-server, tcpPort: 5000';
  expect(two('device: /dev/a', 'device: /dev/a')).toEqual(['4: serialPorts.2.device: /dev/a is serial port 1 already']);
  expect(two('device: /dev/a', 'device: /dev/a, mode: disabled')).toEqual([]);
  const taken = '4: serialPorts.2.tcpPort: TCP port 5000 on 0.0.0.0 is that of serial port 1 (tcpPort) already';
  expect(two(`device: /dev/a, ${tcp}, listen: 10.0.0.1`, `device: /dev/b, ${tcp}, listen: 0.0.0.0`)).toEqual([taken]);
  expect(two(`device: /dev/a, ${tcp}, listen: 10.0.0.1`, `device: /dev/b, ${tcp}, listen: 10.0.0.2`)).toEqual([]);
  expect(
    errorsOf('metrics: { listen: "127.0.0.1:4001" }\nserialPorts:\n  1: { device: /dev/a, mode: tcp-server }\n'),
  ).toEqual(['4: serialPorts.1.tcpPort: TCP port 4001 on 127.0.0.1 is that of the metrics already']);
});

test.each(['0', '257', 'one', '1.5'])('%s is no number of a port', (number) => {
  expect(errorsOf(`serialPorts:\n  "${number}": { device: /dev/a }\n`)).toEqual([
    `3: serialPorts.${number}: must be a number, 1 to 256`,
  ]);
});

test('where an entry stands does not make it another', () => {
  const [first] = load('serialPorts:\n  1: { device: /dev/a }\n').serialPorts;
  const [moved] = load('# more\n\nserialPorts:\n\n  1: { device: /dev/a, mode: real-com }\n').serialPorts;
  const [other] = load('serialPorts:\n  1: { device: /dev/a, format: 19200 }\n').serialPorts;
  if (!first || !moved || !other) throw new Error('no port');
  expect(sameSerialPort(first, moved)).toBe(true);
  expect(sameSerialPort(first, other)).toBe(false);
});

// The rows by which the vendor's guide explains accessible IPs: [address, netmask, first and last host, an outsider].
test.each([
  ['192.168.1.120', '255.255.255.255', '192.168.1.120', '192.168.1.120', '192.168.1.121'],
  ['192.168.1.0', '255.255.255.0', '192.168.1.1', '192.168.1.254', '192.168.2.1'],
  ['192.168.0.0', '255.255.0.0', '192.168.0.1', '192.168.255.254', '192.169.0.1'],
  ['192.168.1.0', '255.255.255.128', '192.168.1.1', '192.168.1.126', '192.168.1.129'],
  ['192.168.1.128', '255.255.255.128', '192.168.1.129', '192.168.1.254', '192.168.1.126'],
  ['0.0.0.0', '0.0.0.0', '0.0.0.1', '255.255.255.254', undefined],
])('%s %s admits %s to %s', (address, netmask, first, last, outsider) => {
  const range = parseAddressRange(`${address}/${netmask}`);
  if (range === undefined) throw new Error('no range');
  expect(parseAddressRange(`${address} ${netmask}`)).toEqual(range);
  expect(parseAddressRange(`${address}/${range.prefix}`)).toEqual(range);
  const list = new BlockList();
  list.addSubnet(range.address, range.prefix, range.family);
  expect([first, last].map((one) => list.check(one))).toEqual([true, true]);
  if (outsider !== undefined) expect(list.check(outsider)).toBe(false);
});

test.each(['', '10.0.0.0/255.0.255.0', '10.0.0/8', 'fe80::1%eth0', '::/129', '10.0.0.1/24/8', '::/255.0.0.0', 'host'])(
  '"%s" is no range',
  (text) => {
    expect(parseAddressRange(text)).toBeUndefined();
  },
);

test('a range is written as it is read', () => {
  for (const text of ['10.0.0.7', '10.0.0.0/8', '2001:db8::/32', '::1']) {
    const range = parseAddressRange(text);
    expect(range && rangeText(range)).toBe(text);
  }
});

test('discovery and metrics: filled in, and within the global list', () => {
  expect(load('').discovery).toBeNull();
  expect(load('discovery: { listen: 192.168.1.10 }').discovery).toEqual({
    listen: ['192.168.1.10'],
    port: 4800,
    name: null,
    connections: true,
    accessibleIps: [],
  });
  const { discovery, metrics } = load(`accessibleIps: [10.0.0.0/8]
discovery: { listen: ["0.0.0.0", "::"], port: 14800, name: rack 4, connections: off, accessibleIps: [10.1.0.0/16] }
metrics: { listen: "10.0.0.1:9200", accessibleIps: [10.2.0.1] }
`);
  expect(discovery).toMatchObject({
    listen: ['0.0.0.0', '::'],
    port: 14_800,
    name: 'rack 4',
    connections: false,
    accessibleIps: [[{ address: '10.0.0.0' }], [{ address: '10.1.0.0', prefix: 16 }]],
  });
  expect(metrics?.accessibleIps).toMatchObject([[{ address: '10.0.0.0' }], [{ address: '10.2.0.1', prefix: 32 }]]);
});

test.each([
  ['{ listen: eth0 }', '2: discovery.listen: must be an IP address or a list of them, got "eth0"'],
  ['{ }', '2: discovery.listen: is missing'],
  ['{ listen: 10.0.0.1, name: "größe" }', '2: discovery.name: must be 1 to 39 ASCII characters, got "größe"'],
  ['{ listen: 10.0.0.1, port: 0 }', '2: discovery.port: must be a UDP port number, got 0'],
])('discovery: %s', (entry, error) => {
  expect(errorsOf(`discovery: ${entry}\n`)).toEqual([error]);
});

describe('a list of its own that has nothing in common with the global one admits nobody', () => {
  const text = (own: string, everywhere = '[192.168.1.0/24]') => `accessibleIps: ${everywhere}
serialPorts:
  1: { device: /dev/a,
       accessibleIps: ${own} }
`;
  const said = (list: string) =>
    `admits nobody: a client has to be in the global accessibleIps at line 2 (${list}), too; add these addresses there`;

  test.each([
    ['another network', '[10.0.0.0/8]'],
    ['next to it', '[192.168.0.0/24, 192.168.2.0/24]'],
    ['another family', '["fd00::/8"]'],
  ])('%s', (_, own) => {
    expect(errorsOf(text(own))).toEqual([`5: serialPorts.1.accessibleIps: ${said('192.168.1.0/24')}`]);
  });

  test.each([
    ['the same', '[192.168.1.0/24]'],
    ['within it', '[192.168.1.7]'],
    ['around it', '[192.168.0.0/16]'],
    ['around it, with bits beyond the prefix', '[192.168.77.1/16]'],
    ['one of two', '[10.0.0.0/8, 192.168.1.128/25]'],
    ['empty', '[]'],
  ])('but not: %s', (_, own) => {
    expect(errorsOf(text(own))).toEqual([]);
  });

  test('nor a port that is disabled, or one without a global list', () => {
    expect(errorsOf(text('[10.0.0.0/8]').replace('/dev/a,', '/dev/a, mode: disabled,'))).toEqual([]);
    expect(errorsOf(text('[10.0.0.0/8]', '[]'))).toEqual([]);
  });

  test('of a long global list the beginning is told; discovery and metrics have lists, too', () => {
    const everywhere = 'accessibleIps: [10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4, 10.0.0.5]\n';
    const list = '10.0.0.1, 10.0.0.2, 10.0.0.3 and 2 more';
    expect(errorsOf(`${everywhere}discovery: { listen: 0.0.0.0, accessibleIps: [10.0.0.6] }\n`)).toEqual([
      `3: discovery.accessibleIps: ${said(list)}`,
    ]);
    expect(errorsOf(`${everywhere}metrics: { listen: "10.0.0.9:9200", accessibleIps: [10.1.0.1] }\n`)).toEqual([
      `3: metrics.accessibleIps: ${said(list)}`,
    ]);
  });
});

test.each([
  [50, '"50,7E1"'],
  [12_000_000, '12000000'],
])('a rate of %i is one that a port may have', (baudRate, written) => {
  const [port] = load(`serialPorts:\n  1: { device: /dev/a, format: ${written} }\n`).serialPorts;
  expect(port?.settings.baudRate).toBe(baudRate);
});

test('a share of the connections for each address', () => {
  const { serialPorts } = load(
    'serialPorts:\n  1: { device: /dev/a, maxConnection: 4 }\n  2: { device: /dev/b, mode: tcp-server, maxConnection: 4, maxConnectionPerIp: 2 }\n',
  );
  expect(serialPorts.map(({ served }) => served)).toMatchObject([{ maxPerAddress: 4 }, { maxPerAddress: 2 }]);
});
