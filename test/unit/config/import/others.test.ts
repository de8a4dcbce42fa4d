// ser2net.yaml and socat command lines, and how it is told which is which. Neither has a command port: what becomes a tty is
// raw TCP or RFC 2217, and what cannot be one is commented out.
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { importText, kindOf } from '../../../../src/config/import/import.js';
import { Folder } from './support.js';

const folder = new Folder();
afterAll(() => folder.remove());
const read = (text: string, rename?: string) => importText(text, { from: 'the input', rename });

/** The result as if somebody had taken the # from one entry. */
function uncommented(yaml: string, name: string): string {
  const server = /server: (\S+),/.exec(yaml.split('\n').find((line) => line.includes(`# ${name}: {`)) ?? '')?.[1];
  return yaml.replace(`# ${name}: {`, `${name}: {`).replace(`# ${server}: {`, `${server}: {`);
}

describe('socat', () => {
  // [what it shows, command, the entry, what is said of it]
  const imported: [string, string, string, object][] = [
    [
      'a port of the table',
      'socat PTY,link=/dev/ttyNP3,raw,echo=0 TCP:10.0.0.1:953',
      'ttyNP3: { server: 10.0.0.1, port: 4, protocol: tcp, dataPort: 953 }',
      { name: 'ttyNP3', address: '10.0.0.1', dataPort: 953 },
    ],
    [
      'a TCP server port, with format',
      '/usr/bin/socat -d -d pty,link=/dev/ttyS9,b19200,cs7,parenb,cstopb tcp:plc.example:4002,keepalive &',
      'ttyS9: { server: plc.example, port: 2, protocol: tcp, format: "19200,7E2" }',
      { name: 'ttyS9', address: 'plc.example', dataPort: 4002, settings: { baudRate: 19200, dataBits: 7 } },
    ],
    [
      'the other way around, quoted, with a zone',
      `exec socat 'TCP6-CONNECT:[fe80::1]:950,interface=eth1' "PTY,link=/var/run/scale,wait-slave" 2>/dev/null`,
      'scale: { server: fe80-1-eth1, port: 1, protocol: tcp, dataPort: 950 }',
      { name: 'scale', address: 'fe80::1%eth1', dataPort: 950 },
    ],
    [
      'no link',
      'socat PTY TCP:10.0.0.1:7000',
      'ttyNP0: { server: 10.0.0.1, port: 1, protocol: tcp, dataPort: 7000 }',
      { name: 'ttyNP0', dataPort: 7000 },
    ],
    [
      'a rate that no port has',
      'socat PTY,link=/dev/ttyS9,ispeed=10 TCP:10.0.0.1:7000',
      'ttyS9: { server: 10.0.0.1, port: 1, protocol: tcp, dataPort: 7000 }',
      { name: 'ttyS9', settings: { baudRate: 9600 } },
    ],
  ];
  for (const [shows, command, entry, tty] of imported) {
    test(shows, () => {
      const { yaml, rows, kind } = read(command);
      expect(kind).toBe('socat');
      expect(rows).toMatchObject([{ line: 1, outcome: 'imported', reason: expect.stringMatching(/bytes alone/) }]);
      expect(rows[0]?.reason?.includes('no link=')).toBe(!command.includes('link='));
      expect(yaml).toContain(`\n  ${entry}  #`);
      expect(folder.load(yaml).ttys).toMatchObject([{ protocol: 'tcp', commandPort: null, ...tty }]);
    });
  }

  // [what it shows, command, the commented-out entry, what the reason has]
  const commands: [string, string, string | undefined, RegExp][] = [
    ['TLS', 'socat PTY,link=/dev/ttyNP0 OPENSSL:10.0.0.1:950,verify=0', 'ttyNP0: { server: 10.0.0.1,', /TLS/],
    [
      'a server',
      'socat TCP-LISTEN:7000,fork FILE:/dev/ttyS0,b9600',
      '  1: { device: "/dev/ttyS0", mode: tcp-server,',
      /serves a local/,
    ],
    ['UDP', 'socat PTY,link=/dev/ttyNP0 UDP:10.0.0.1:950', undefined, /joins pty and udp/],
    ['a service by name', 'socat PTY,link=/dev/ttyNP0 TCP:10.0.0.1:telnet', undefined, /no HOST:PORT/],
    ['half a command', 'socat PTY', undefined, /two addresses/],
    ['two commands', 'socat PTY TCP:a:1; socat PTY TCP:b:1', undefined, /more than one/],
  ];
  for (const [shows, command, entry, reason] of commands) {
    test(shows, () => {
      const { yaml, rows, kind } = read(command);
      expect(kind).toBe('socat');
      expect(rows).toMatchObject([{ line: 1, outcome: 'needs a hand', reason: expect.stringMatching(reason) }]);
      expect(folder.load(yaml).ttys).toEqual([]);
      if (entry !== undefined) expect(yaml).toContain(`# ${entry}`);
    });
  }

  test('one that needed a hand is good once it has no #', () => {
    const { yaml } = read('socat PTY,link=/dev/plc,b9600 OPENSSL:10.0.0.1:4001');
    const { ttys } = folder.load(uncommented(yaml, 'plc'));
    expect(ttys).toMatchObject([{ name: 'plc', address: '10.0.0.1', protocol: 'tcp', dataPort: 4001 }]);
  });

  test('a script: commands over several lines, and what is none', () => {
    const { rows, lines, counts } = read(
      '#!/bin/sh\nset -e\n\nsocat \\\n  PTY,link=/dev/ttyNP0 \\\n  TCP:10.0.0.1:950 &\nsocat PTY,link=/dev/ttyNP1 TCP:10.0.0.1:951 &\n',
    );
    expect(lines).toBe(7);
    expect(counts).toEqual({ imported: 2, 'needs a hand': 0, skipped: 3 });
    expect(rows.map((row) => [row.line, row.new])).toEqual([
      [2, undefined],
      [4, 'ttyNP0'],
      [7, 'ttyNP1'],
    ]);
  });
});

const SER2NET = `%YAML 1.1
---
# As a distribution ships it, and what was added.
define: &banner \\r\\nser2net port \\p device \\d [\\s]\\r\\n\\r\\n
define: &other "port \\p"

connection: &con0096
    accepter: telnet(rfc2217),tcp,2000
    enable: on
    connector: serialdev,
              /dev/ttyS0,
              9600n81,local
    options:
      banner: *banner
      kickolduser: true

connection: &con1
    accepter: tcp,localhost,2001
    enable: off
    connector: serialdev,/dev/ttyUSB0,115200e72,local   # the scale
connection: &gas
  accepter: conacc(retry-time=1000),pty(link=/dev/ttyNP3)
  connector: tcp,10.0.0.7,952
connection: &tls
  accepter: conacc,pty(link=/dev/ttyNP4)
  connector: ssl(CA=/etc/ca),tcp,10.0.0.7,951
connection: &telnet
  accepter: conacc,pty
  connector: telnet(rfc2217),tcp,10.0.0.8,4001
connection: &plain
  accepter: pty(link=/dev/ttyNP6)
  connector: telnet,tcp,10.0.0.8,4009
connection: &off
  accepter: pty(link=/dev/ttyNP7)
  connector: tcp,10.0.0.8,4007
  enable: off
connection: &relay
  accepter: tcp,3000
  connector: tcp,10.0.0.8,4002
connection: &half
  accepter: tcp,3001
rotator: &rot
  accepter: tcp,4000
  connections: [ con0096 ]
novelty: 1
`;

test('ser2net.yaml with a rate that no port has: the entry to be taken over leaves it out', () => {
  const entry = (settings: string) =>
    read(`connection: &a\n  accepter: tcp,2001\n  connector: serialdev,/dev/ttyUSB0,${settings}\n`).yaml;
  expect(entry('12000000n81')).toContain('1: { device: "/dev/ttyUSB0"');
  expect(entry('12000000n81')).toContain('format: "12000000,8N1"');
  expect(entry('12000001n81')).not.toContain('format:');
});

describe('ser2net.yaml', () => {
  const { yaml, rows, counts, lines, kind } = read(SER2NET);

  test('a pty with a TCP connection is a tty, and all of it is accounted for', () => {
    expect(kind).toBe('ser2net');
    expect(folder.load(yaml).ttys).toMatchObject([
      { name: 'ttyNP3', address: '10.0.0.7', protocol: 'tcp', port: 3, dataPort: 952 },
      { name: 'ttyNP0', address: '10.0.0.8', protocol: 'rfc2217', port: 1, dataPort: 4001 },
    ]);
    expect(lines).toBe(SER2NET.split('\n').length - 1);
    expect(counts).toMatchObject({ imported: 2, 'needs a hand': 8 });
    expect(rows.map((row) => [row.line, row.outcome])).toEqual([
      [1, 'skipped'],
      [2, 'skipped'],
      [4, 'skipped'],
      [5, 'skipped'],
      [7, 'needs a hand'],
      [17, 'needs a hand'],
      [21, 'imported'],
      [24, 'needs a hand'],
      [27, 'imported'],
      [30, 'needs a hand'],
      [33, 'needs a hand'],
      [37, 'needs a hand'],
      [40, 'needs a hand'],
      [42, 'skipped'],
      [45, 'needs a hand'],
    ]);
  });

  test('what it serves becomes commented-out serial ports, which are good once they have no #', () => {
    expect(yaml).toContain('# serialPorts:\n');
    expect(yaml).toContain(
      '#   1: { device: "/dev/ttyS0", mode: rfc2217, listen: 0.0.0.0, tcpPort: 2000, format: "9600,8N1" }\n',
    );
    expect(yaml).toContain(
      '#   2: { device: "/dev/ttyUSB0", mode: tcp-server, tcpPort: 2001, format: "115200,7E2" }\n',
    );
    const served = yaml.replace('# serialPorts:', 'serialPorts:').replaceAll(/^# {3}(\d: \{ device)/gm, '  $1');
    expect(folder.load(served).serialPorts).toMatchObject([
      { port: 1, listen: '0.0.0.0', served: { mode: 'rfc2217', tcpPort: 2000 } },
      { port: 2, listen: '127.0.0.1', served: { mode: 'tcp-server', tcpPort: 2001 }, settings: { dataBits: 7 } },
    ]);
    expect(rows.find((row) => row.line === 17)?.reason).toMatch(/^is disabled in ser2net; /);
  });

  test('what ttynp does not speak becomes a commented-out tty, which is good once it has no #', () => {
    const reason = (line: number) => rows.find((row) => row.line === line)?.reason;
    expect(reason(24)).toMatch(/TLS/);
    expect(reason(30)).toMatch(/has telnet over TCP/);
    expect(reason(33)).toMatch(/^is disabled in ser2net; bytes alone/);
    expect(yaml).toContain('# ttyNP4: { server: 10.0.0.7, port: 2, protocol: tcp, dataPort: 951 }\n');
    expect(folder.load(uncommented(yaml, 'ttyNP4')).ttys).toContainEqual(
      expect.objectContaining({ name: 'ttyNP4', protocol: 'tcp', dataPort: 951 }),
    );
  });

  test('what is no YAML is said with its line', () => {
    expect(() => read('connection: &a\n  accepter: [tcp\nconnection:\n')).toThrow(/^line \d: not valid YAML/);
  });
});

describe('what it is', () => {
  test('told by the content', () => {
    expect(kindOf('# x\nttymajor=33\n', 'f')).toBe('npreal2');
    expect(kindOf('0\t10.0.0.1\t950\t966\t1\t0\tttyr00\tcur00\t0\t0\n', 'f')).toBe('npreal2');
    expect(kindOf(SER2NET, 'f')).toBe('ser2net');
    expect(kindOf('@reboot /usr/bin/socat PTY TCP:a:1\n', 'f')).toBe('socat');
  });

  test('or refused, with a way on', () => {
    expect(() => kindOf('', 'f')).toThrow('f: is not recognised: say what it is with --kind npreal2|ser2net|socat');
    expect(() => kindOf('2000:telnet:600:/dev/ttyS0:9600\n', 'f')).toThrow(/before version 4/);
    expect(() => kindOf('version: 1\nservers: {}\n', 'f')).toThrow(/of ttynp already/);
    expect(() => read('0 a 950 966 1 0 t c 0 0', 'a/b')).toThrow(/"a\/b" cannot begin the name/);
  });
});

test('whatever a socat command or a ser2net.yaml says, the result passes the check and has what was imported', () => {
  const word = fc.oneof(
    fc.constantFrom(
      'PTY,link=/dev/a',
      'TCP:',
      'TCP:h:950',
      'OPENSSL:h:1',
      'link=',
      '[fe80::1%e]:4001',
      '/dev/ttyS0',
      '-',
    ),
    fc.constantFrom('tcp,h,950', 'conacc,pty(link=/dev/x)', 'serialdev,/dev/ttyS0,9600n81', '(', '"', '\\', '#', ': '),
    fc.string({ maxLength: 6, unit: 'binary' }),
  );
  const words = fc.array(word, { maxLength: 6 });
  const socat = words.map((all) => `socat ${all.join(' ')}`);
  const ser2net = fc
    .tuple(word, word, word)
    .map(
      ([a, c, e]) =>
        `connection: &x\n  accepter: ${JSON.stringify(a)}\n  connector: ${JSON.stringify(c)}\n  enable: ${JSON.stringify(e)}\n`,
    );
  fc.assert(
    fc.property(fc.oneof(socat, ser2net), (text) => {
      const { yaml, lines, counts } = read(text);
      expect(folder.load(yaml).ttys).toHaveLength(counts.imported);
      expect(lines).toBe(text.replace(/\r?\n$/, '').split(/\r?\n/).length);
    }),
    { numRuns: 300 },
  );
});
