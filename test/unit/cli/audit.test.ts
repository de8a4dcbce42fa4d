// What a configuration opens and connects to, judged: from the YAML that an operator writes to verdicts and exit code.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { rangesText, reachOf } from '../../../src/cli/audit/address.js';
import { auditConfig, type Endpoint } from '../../../src/cli/audit/judge.js';
import type { CommandIo } from '../../../src/cli/io.js';
import { runCli } from '../../../src/cli.js';
import { loadConfig } from '../../../src/config/load.js';

let folder: string;
let file: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ttynp-audit-'));
  file = join(folder, 'ttynp.yaml');
});
afterAll(() => {
  process.exitCode = 0;
  rmSync(folder, { recursive: true });
});

function write(text: string): string {
  writeFileSync(file, `version: 1\nruntimeDir: /run/ttynp\nlinkDir: /dev\n${text}\n`);
  return file;
}
const audit = (text: string) => auditConfig(loadConfig(write(text)).config);
const brief = ({ verdict, what, address, ports }: Endpoint) => [verdict, what, address, ports];

const GOOD = 'servers: { boiler-house: { address: 192.168.127.254, ports: 18, firstTty: ttyNP0 } }';

describe('what is opened and connected to', () => {
  test('every port by the vendor numbering, the jump at port 17 included', () => {
    expect(audit(GOOD).endpoints.map(brief)).toEqual([
      ['ok', 'control socket', '/run/ttynp/control.sock', null],
      ['note', 'boiler-house: Real COM data', '192.168.127.254', '950-965, 982-983'],
      ['note', 'boiler-house: Real COM command', '192.168.127.254', '966-981, 998-999'],
    ]);
  });

  test('one port each, under the name of what it speaks', () => {
    const servers =
      'servers: { a: { address: 10.0.0.1, protocol: tcp, ports: 2, firstTty: ttyA0 }, b: { address: 10.0.0.2, protocol: rfc2217, ports: 1, firstTty: ttyB0 } }';
    const { endpoints } = audit(`${servers}\nttys: { ttyA1: { protocol: realcom } }`);
    expect(endpoints.map(brief)).toEqual([
      ['ok', 'control socket', '/run/ttynp/control.sock', null],
      ['note', 'a: raw TCP', '10.0.0.1', '4001'],
      ['note', 'a: Real COM data', '10.0.0.1', '951'],
      ['note', 'a: Real COM command', '10.0.0.1', '967'],
      ['note', 'b: RFC 2217', '10.0.0.2', '4001'],
    ]);
  });

  test('discovery: never TCP, and who may ask decides', () => {
    const of = (listen: string, more = '') => audit(`discovery: { listen: "${listen}"${more} }`);
    expect(of('127.0.0.1').endpoints.slice(1).map(brief)).toEqual([['ok', 'discovery (DSCI)', '127.0.0.1', '4800']]);
    expect(of('192.168.1.10').endpoints[1]?.verdict).toBe('against');
    expect(of('192.168.1.10', ', accessibleIps: [192.168.1.0/24]').endpoints[1]?.verdict).toBe('note');
    const [row] = of('0.0.0.0').services;
    expect(row).toMatchObject({ verdict: 'against', now: 'UDP 4800 answers, TCP is never opened' });
  });

  test('serial ports of this machine: who may reach them decides', () => {
    const ports = (listen: string, more = '') => `serialPorts:
  1: { device: /dev/a, listen: "${listen}"${more} }
  2: { device: /dev/b, mode: tcp-server }
  3: { device: /dev/c, mode: disabled }`;
    const of = (text: string) => audit(text).endpoints.slice(1).map(brief);
    const second = ['ok', 'serial port 2: tcp-server', '127.0.0.1', '4002'];
    const first = (verdict: string, listen: string) => [verdict, 'serial port 1: real-com', listen, '950, 966'];
    expect(of(ports('127.0.0.1'))).toEqual([first('ok', '127.0.0.1'), second]);
    expect(of(ports('0.0.0.0'))).toEqual([first('against', '0.0.0.0'), second]);
    expect(of(ports('0.0.0.0', ', accessibleIps: [10.0.0.0/8]'))).toEqual([first('note', '0.0.0.0'), second]);
    expect(of(ports('203.0.113.1', ', accessibleIps: [10.0.0.0/8]'))).toEqual([
      first('against', '203.0.113.1'),
      second,
    ]);
    const rows = audit(ports('0.0.0.0')).modes.map(({ service, verdict, now }) => [service, verdict, now]);
    expect(rows[0]).toEqual(['Real COM', 'against', 'offered: 1 serial port of this machine']);
    expect(rows[2]).toEqual(['TCP Server', 'ok', 'offered: 1 serial port of this machine']);
    expect(audit(ports('0.0.0.0')).against).toBe(1);
  });

  test('no port of the configuration is left out', () => {
    const port = fc.integer({ min: 1, max: 65534 });
    const addresses = fc.uniqueArray(fc.ipV4(), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(addresses, port, (hosts, data) => {
        const servers = hosts.map(
          (address, i) => `s${i}: { address: "${address}", ports: 2, firstTty: tty${i}x0, dataPort: ${data} }`,
        );
        let config: ReturnType<typeof loadConfig>['config'];
        try {
          config = loadConfig(write(`servers: { ${servers.join(', ')} }`)).config;
        } catch {
          return; // the data port meets the command port
        }
        const { endpoints } = auditConfig(config);
        for (const tty of config.ttys) {
          const own = endpoints.filter((e) => e.address === tty.address && e.direction === 'connects');
          const reached = own.flatMap(({ ports }) =>
            (ports ?? '').split(', ').flatMap((range) => {
              const [from = 0, to = from] = range.split('-').map(Number);
              return Array.from({ length: to - from + 1 }, (_, i) => from + i);
            }),
          );
          expect(reached).toContain(tty.dataPort);
          expect(reached).toContain(tty.commandPort);
        }
      }),
    );
  });

  const listen: [string, string][] = [
    ['127.0.0.1:9200', 'ok'],
    ['[::1]:9200', 'ok'],
    ['192.168.1.5:9200', 'note'],
    ['0.0.0.0:9200', 'against'],
    ['[::]:9200', 'against'],
    ['203.0.113.7:9200', 'against'],
  ];
  for (const [address, verdict] of listen) {
    test(`metrics at ${address}: ${verdict}`, () => {
      const { endpoints, services } = audit(`metrics: { listen: "${address}" }`);
      expect(endpoints.find(({ what }) => what === 'metrics (HTTP)')).toMatchObject({ verdict, ports: '9200' });
      expect(services.find(({ service }) => service === 'HTTP')).toMatchObject({ verdict, advice: 'disable' });
    });
  }

  test('a public address, an open control socket and an open tty are against the advice', () => {
    const bad = audit(`control: { mode: "0666" }
servers: { far: { address: 203.0.113.7, ports: 1, firstTty: ttyf0, mode: "0666" } }`);
    expect(bad.endpoints.filter(({ verdict }) => verdict === 'against').map(({ what }) => what)).toEqual([
      'control socket',
      'far: Real COM data',
      'far: Real COM command',
      'ttys',
    ]);
    expect(bad.against).toBe(4);
    expect(bad.modes[0]).toMatchObject({ service: 'Real COM', verdict: 'against' });
  });

  test('a host name asks DNS', () => {
    const { endpoints, services } = audit('servers: { h: { address: plc.example.org, ports: 1, firstTty: ttyh0 } }');
    expect(endpoints.find(({ what }) => what === 'DNS')).toMatchObject({
      verdict: 'note',
      transport: 'udp',
      ports: '53',
    });
    expect(services.find(({ service }) => service.startsWith('DNS'))).toMatchObject({ now: 'asks' });
    expect(audit(GOOD).services.find(({ service }) => service.startsWith('DNS'))).toMatchObject({ now: 'off' });
  });

  test('every row of both tables, each with what is now and why', () => {
    const { services, modes } = audit(GOOD);
    expect(services.map(({ service }) => service)).toEqual([
      'Moxa Command (DSCI)',
      'DNS, WINS',
      'SNMP agent',
      'HTTP',
      'HTTPS',
      'Telnet console',
      'DHCP client',
      'SNTP client',
      'Remote syslog',
    ]);
    expect(modes.map(({ service }) => service)).toEqual([
      'Real COM',
      'RFC2217',
      'TCP Server',
      'UDP',
      'Pair Connection',
      'Ethernet Modem',
      'Reverse Telnet',
    ]);
    for (const row of [...services, ...modes]) expect(row.now.length * row.why.length).toBeGreaterThan(0);
    expect(modes[0]).toMatchObject({ now: 'connects to 18 ports of 1 server' });
  });
});

describe('where an address lies', () => {
  const table: [string, string][] = [
    ['127.0.0.1', 'loopback'],
    ['127.8.8.8', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['0.0.0.0', 'any'],
    ['::', 'any'],
    ['0:0::0', 'any'],
    ['10.0.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['172.32.0.0', 'public'],
    ['192.168.127.254', 'private'],
    ['100.64.0.1', 'private'],
    ['169.254.1.1', 'private'],
    ['fe80::1%eth1', 'private'],
    ['fd00::1', 'private'],
    ['::ffff:192.168.1.1', 'private'],
    ['8.8.8.8', 'public'],
    ['2001:4860:4860::8888', 'public'],
    ['plc.example.org', 'name'],
    ['localhost', 'name'],
  ];
  for (const [address, reach] of table) test(`${address}: ${reach}`, () => expect(reachOf(address)).toBe(reach));

  test('ranges', () => {
    expect(rangesText([966, 950, 951, 952, 4001, 950])).toBe('950-952, 966, 4001');
    expect(rangesText([])).toBe('');
  });
});

describe('the command', () => {
  async function run(...argv: string[]) {
    const seen = { code: -1, out: '', err: '' };
    const io: CommandIo = {
      out: (text) => {
        seen.out += text;
      },
      err: (text) => {
        seen.err += text;
      },
      columns: 80,
      colour: false,
      interrupted: () => ({ signal: new AbortController().signal, dispose() {} }),
      now: () => 0,
    };
    seen.code = await runCli(['audit', ...argv], io);
    return seen;
  }

  test('exit code 0 where nothing is against the advice, with the numbers last', async () => {
    const { code, out, err } = await run('-c', write(GOOD));
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('950-965, 982-983');
    expect(out.trim().split('\n').at(-1)).toBe('0 against the advice, 2 to know, 1 ok');
  });

  test('exit code 1 and JSON where something is', async () => {
    const { code, out } = await run('--json', '-c', write('metrics: { listen: "0.0.0.0:9200" }'));
    expect(code).toBe(1);
    expect(JSON.parse(out)).toEqual(audit('metrics: { listen: "0.0.0.0:9200" }'));
  });

  test('a wrong file is told by line', async () => {
    const { code, err } = await run('-c', write('nonsense: 1'));
    expect([code, err]).toEqual([1, expect.stringContaining(`${file}:4: nonsense`)]);
  });
});

test('served ports that connect, send and listen for datagrams: each is listed, and names are asked for', () => {
  const { endpoints, services, modes } = audit(`
servers: { a: { address: 10.0.0.1, protocol: udp, ports: 2, firstTty: ttyA0, localPort: 4100 } }
serialPorts:
  1: { device: /dev/a, mode: udp, listen: 0.0.0.0, destinations: ["10.0.0.1-10.0.0.9:4001", plc.example] }
  2: { device: /dev/b, mode: tcp-client, destinations: ["[2001:db8::7]:23"] }
  3: { device: /dev/c, mode: pair-master, destinations: ["192.0.2.1:4003"] }
`);
  const own = endpoints
    .slice(1)
    .map(({ transport, direction, ...one }) => [transport, direction, ...brief({ transport, direction, ...one })]);
  expect(own).toEqual(
    expect.arrayContaining([
      ['udp', 'connects', 'note', 'a: UDP', '10.0.0.1', '4001-4002'],
      ['udp', 'opens', 'note', 'a: UDP', 'any', '4100-4101'],
      ['udp', 'opens', 'against', 'serial port 1: udp', '0.0.0.0', '4001'],
      ['udp', 'connects', 'note', 'serial port 1: udp', '10.0.0.1-10.0.0.9', '4001'],
      ['udp', 'connects', 'note', 'serial port 1: udp', 'plc.example', '4001'],
      ['tcp', 'connects', 'note', 'serial port 2: tcp-client', '2001:db8::7', '23'],
      ['tcp', 'connects', 'note', 'serial port 3: pair-master', '192.0.2.1', '4003'],
    ]),
  );
  expect(services.find(({ service }) => service.startsWith('DNS'))).toMatchObject({
    verdict: 'note',
    why: 'for plc.example',
  });
  const row = (name: string) => modes.find(({ service }) => service === name);
  expect(row('UDP')).toMatchObject({ verdict: 'against' });
  expect(row('Pair Connection')).toMatchObject({ verdict: 'note', now: 'connects: 1 serial port of this machine' });
});
