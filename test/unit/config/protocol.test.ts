// The protocol of servers and ttys: what ports follow from it, and what the operator reads where two things do not go together.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';
import { ConfigFault } from '../../../src/config/problems.js';
import { type ResolvedTty, sameTty } from '../../../src/config/resolved.js';

const folder = mkdtempSync(join(tmpdir(), 'ttynp-protocol-'));
afterAll(() => rmSync(folder, { recursive: true }));

function load(text: string): readonly ResolvedTty[] {
  const file = join(folder, 'ttynp.yaml');
  writeFileSync(file, `version: 1\n${text}`);
  return loadConfig(file).config.ttys;
}

function errorsOf(text: string): string[] {
  try {
    load(text);
  } catch (error) {
    if (error instanceof ConfigFault) return error.errors.map((line) => line.replace(`${folder}/`, ''));
    throw error;
  }
  return [];
}

const brief = ({ name, protocol, dataPort, commandPort }: ResolvedTty) => [name, protocol, dataPort, commandPort];

describe('localPort', () => {
  test('of udp: counted from the number of the server, or exactly the number of the tty; else any', () => {
    const ttys = load(`servers:
  a: { address: h1, protocol: udp, ports: 3, firstTty: ttyA0, localPort: 4100 }
  b: { address: h2, ports: 2, firstTty: ttyB0 }
ttys:
  ttyA1: { localPort: 5000 }
  ttyA2: { protocol: tcp }
  ttyB1: { protocol: udp }
`);
    expect(ttys.map(({ name, localPort }) => [name, localPort])).toEqual([
      ['ttyA0', 4100],
      ['ttyA1', 5000],
      ['ttyA2', 0],
      ['ttyB0', 0],
      ['ttyB1', 0],
    ]);
  });

  test('of another protocol, twice, and what a served port has', () => {
    expect(
      errorsOf(`servers:
  a: { address: h1, protocol: tcp, localPort: 4100 }
  b: { address: h2, protocol: udp, ports: 4, firstTty: ttyB0, localPort: 65533 }
ttys:
  ttyC: { server: a, port: 1, localPort: 4100 }
  ttyD: { server: b, port: 1, localPort: 4801 }
  ttyE: { server: b, port: 2, localPort: 4801 }
discovery: { listen: [127.0.0.1] }
serialPorts:
  1: { device: /dev/a, mode: udp, udpPort: 4801, destinations: [h9] }
  2: { device: /dev/b, mode: udp, udpPort: 4800, destinations: [h9] }
`),
    ).toEqual([
      expect.stringMatching(/:3: servers\.a\.localPort: is of protocol udp only: tcp connects from any free port/),
      expect.stringMatching(/:4: servers\.b\.localPort: 65536 of ttyB3 is above 65535/),
      expect.stringMatching(/:6: ttys\.ttyC\.localPort: is of protocol udp only/),
      expect.stringMatching(/:8: ttys\.ttyE\.localPort: 4801 is that of ttyD already \(.*:7\)/),
      expect.stringMatching(
        /serialPorts\.1\.udpPort: UDP port 4801 on 127\.0\.0\.1 is that of ttyD \(localPort\) already/,
      ),
      expect.stringMatching(/serialPorts\.2\.udpPort: UDP port 4800 on 127\.0\.0\.1 is that of discovery already/),
    ]);
  });
});

describe('ports', () => {
  test('rfc2217 and tcp have one each, counted from 4001 or from dataPort, without a jump', () => {
    const ttys = load(`servers:
  a: { address: h1, protocol: rfc2217, ports: 20, firstTty: ttyA0 }
  b: { address: h2, protocol: tcp, ports: 2, firstTty: ttyB0, dataPort: 7000 }
  c: { address: h3, ports: 2, firstTty: ttyC0 }
`);
    expect(
      ttys.filter(({ name }) => ['ttyA0', 'ttyA16', 'ttyA19', 'ttyB1', 'ttyC1'].includes(name)).map(brief),
    ).toEqual([
      ['ttyA0', 'rfc2217', 4001, null],
      ['ttyA16', 'rfc2217', 4017, null],
      ['ttyA19', 'rfc2217', 4020, null],
      ['ttyB1', 'tcp', 7001, null],
      ['ttyC1', 'realcom', 951, 967],
    ]);
  });

  test("a tty of another protocol than its server's: the server's numbers are none of its", () => {
    const ttys = load(`servers:
  a: { address: h1, ports: 3, firstTty: ttyA0, dataPort: 900, commandPort: 930 }
  b: { address: h2, protocol: rfc2217, ports: 2, firstTty: ttyB0, dataPort: 900 }
ttys:
  ttyA1: { protocol: tcp }
  ttyA2: { protocol: rfc2217, dataPort: 5555 }
  ttyB1: { protocol: realcom, commandPort: 1000 }
`);
    expect(ttys.map(brief)).toEqual([
      ['ttyA0', 'realcom', 900, 930],
      ['ttyA1', 'tcp', 4002, null],
      ['ttyA2', 'rfc2217', 5555, null],
      ['ttyB0', 'rfc2217', 900, null],
      ['ttyB1', 'realcom', 951, 1000],
    ]);
  });

  test('of all servers, in the defaults', () => {
    const ttys = load(`defaults: { server: { protocol: tcp, dataPort: 5001 } }
servers:
  a: { address: h1, ports: 1, firstTty: ttyA0 }
  b: { address: h2, ports: 1, firstTty: ttyB0, protocol: realcom, dataPort: 950 }
`);
    expect(ttys.map(brief)).toEqual([
      ['ttyA0', 'tcp', 5001, null],
      ['ttyB0', 'realcom', 950, 966],
    ]);
  });

  test('another protocol is another port: it does not stay as it is at a reload', () => {
    const [one] = load('servers: { a: { address: h, protocol: tcp, ports: 1, firstTty: ttyA0 } }');
    const [other] = load('servers: { a: { address: h, protocol: rfc2217, ports: 1, firstTty: ttyA0 } }');
    if (!one || !other) throw new Error('no tty');
    expect(sameTty(one, one)).toBe(true);
    expect(sameTty(one, other)).toBe(false);
  });
});

describe('errors, one line each', () => {
  const rows: [string, string, string[]][] = [
    [
      'no such protocol',
      'servers:\n  a: { address: h, protocol: telnet }',
      ['ttynp.yaml:3: servers.a.protocol: must be realcom, rfc2217, tcp or udp'],
    ],
    [
      'a command port of a server without one',
      'servers:\n  a: { address: h, protocol: rfc2217, ports: 1, firstTty: ttyA0, commandPort: 966 }',
      ['ttynp.yaml:3: servers.a.commandPort: is of protocol realcom only: rfc2217 has one connection, to dataPort'],
    ],
    [
      'a preamble of a server without Real COM',
      'servers:\n  a: { address: h, protocol: tcp, ipv6Preamble: on }',
      ['ttynp.yaml:3: servers.a.ipv6Preamble: is of protocol realcom only: tcp has one connection, to dataPort'],
    ],
    [
      'a command port of a tty without one',
      'servers:\n  a: { address: h, ports: 2, firstTty: ttyA0 }\nttys:\n  ttyA1: { protocol: tcp, commandPort: 4100 }',
      ['ttynp.yaml:5: ttys.ttyA1.commandPort: is of protocol realcom only: tcp has one connection, to dataPort'],
    ],
    [
      'the word of serialPorts for a TCP port',
      'servers:\n  a: { address: h, ports: 2, firstTty: ttyA0, tcpPort: 4001 }\nttys:\n  ttyA1: { protocol: tcp, tcpPort: 4001 }',
      [
        'ttynp.yaml:3: servers.a.tcpPort: unknown key: the TCP port is dataPort here; tcpPort is an option of serialPorts',
        'ttynp.yaml:5: ttys.ttyA1.tcpPort: unknown key: the TCP port is dataPort here; tcpPort is an option of serialPorts',
      ],
    ],
    [
      'the rate by itself, also in the defaults',
      'defaults: { tty: { baudRate: 9600 } }\nservers:\n  a: { address: h, ports: 2, firstTty: ttyA0, parity: even }',
      [
        'ttynp.yaml:2: defaults.tty.baudRate: unknown key: format has rate, data bits, parity and stop bits, such as "9600,8N1"',
        'ttynp.yaml:4: servers.a.parity: unknown key: format has rate, data bits, parity and stop bits, such as "9600,8N1"',
      ],
    ],
    [
      'a server or tty of that name is none of these words',
      'servers:\n  listen: { address: h, ports: 1, firstTty: ttyA0 }\n  tcpPort: {}\nparity: 1',
      ['ttynp.yaml:4: servers.tcpPort.address: is missing', 'ttynp.yaml:5: parity: unknown key'],
    ],
    ['defaults are those of something', 'defaults: { parity: even }', ['ttynp.yaml:2: defaults.parity: unknown key']],
    [
      'one TCP port for two ttys',
      'servers:\n  a: { address: h, protocol: tcp, ports: 2, firstTty: ttyA0 }\nttys:\n  ttyA1: { dataPort: 4001 }',
      ['ttynp.yaml:5: ttys.ttyA1.dataPort: 4001 is the data port of ttyA0 (port 1 of a) at h already'],
    ],
    [
      'a number that there is not',
      'servers:\n  a: { address: h, protocol: tcp, ports: 2, firstTty: ttyA0, dataPort: 65535 }',
      ['ttynp.yaml:3: servers.a.dataPort: 65536 of ttyA1 (port 2) is above 65535'],
    ],
  ];
  for (const [shows, text, errors] of rows) test(shows, () => expect(errorsOf(text)).toEqual(errors));
});
