// The configuration from files in a folder of its own: what the operator reads when something is wrong, and what the
// daemon gets when nothing is.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';
import { ConfigFault } from '../../../src/config/problems.js';
import { type Environment, type ResolvedConfig, sameTty } from '../../../src/config/resolve.js';

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

const USER: Environment = { uid: 1000, runtimeHome: '/run/user/1000', devWritable: false };

function write(files: Record<string, string>): string {
  const folder = mkdtempSync(join(tmpdir(), 'ttynp-config-'));
  folders.push(folder);
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  return folder;
}

function load(text: string, others: Record<string, string> = {}, environment = USER): ResolvedConfig {
  return loadConfig(join(write({ 'ttynp.yaml': text, ...others }), 'ttynp.yaml'), environment).config;
}

/** The errors, with the folder taken off. */
function errorsOf(text: string, others: Record<string, string> = {}): string[] {
  const folder = write({ 'ttynp.yaml': text, ...others });
  try {
    loadConfig(join(folder, 'ttynp.yaml'), USER);
  } catch (error) {
    if (error instanceof ConfigFault) return error.errors.map((line) => line.replaceAll(`${folder}/`, ''));
    throw error;
  }
  return [];
}

const EXAMPLE = `version: 1
runtimeDir: /run/ttynp                # control socket
defaults: { tty: { group: dialout, mode: "0660" } }
servers:
  boiler-house: { address: 192.168.127.254, protocol: realcom, ports: 16, firstTty: ttyNP0 }
  hall-2:       { address: "fe80::1%eth1", ports: 2, firstTty: ttyr10 }
ttys:
  ttyNP7: { server: boiler-house, port: 8, format: 7E1, alias: [gas-meter], offlineData: block, fifo: false }
  plc3:   { server: hall-2, port: 1, dataPort: 4001, commandPort: 966 }
`;

describe('a good file', () => {
  const config = load(EXAMPLE);
  const tty = (name: string) => config.ttys.find((t) => t.name === name);

  test('every port of a server is a tty; a tty of its own name takes its port over', () => {
    const names = config.ttys.map((t) => t.name);
    expect(names).toEqual([...Array.from({ length: 16 }, (_, i) => `ttyNP${i}`), 'ttyr11', 'plc3']);
  });

  test('everything is filled in', () => {
    expect(tty('ttyNP7')).toEqual({
      name: 'ttyNP7',
      aliases: ['gas-meter'],
      serverName: 'boiler-house',
      address: '192.168.127.254',
      protocol: 'realcom',
      ipv6Preamble: 'auto',
      port: 8,
      dataPort: 957,
      commandPort: 973,
      localPort: 0,
      settings: {
        baudRate: 9600,
        dataBits: 7,
        parity: 'even',
        stopBits: 1,
        flowControl: { rtsCts: false, xonXoffOut: false, xonXoffIn: false, xon: 0x11, xoff: 0x13 },
      },
      formatFixed: { dataBits: true, parity: true },
      lines: { dtr: true, rts: true },
      policy: {
        connect: 'on-open',
        connectTimeoutMs: 10_000,
        closingWaitMs: 30_000,
        disconnectDelayMs: 500,
        onLinkLoss: 'keep',
        offlineData: 'block',
        holdTimeMs: 2_000,
        offlineOpen: 'succeed',
      },
      owner: null,
      group: 'dialout',
      mode: 0o660,
      fifoBytes: 1,
      backend: 'auto',
      needs: [],
      source: { file: expect.stringMatching(/ttynp\.yaml$/), line: 8 },
    });
  });

  test('a tty has exactly the port numbers it names', () => {
    expect(tty('plc3')).toMatchObject({ dataPort: 4001, commandPort: 966, address: 'fe80::1%eth1', port: 1 });
    expect(tty('ttyr11')).toMatchObject({ dataPort: 951, commandPort: 967, port: 2, source: { line: 6 } });
  });

  test('directories follow who runs it', () => {
    expect(config).toMatchObject({ runtimeDir: '/run/ttynp', linkDir: '/run/ttynp' });
    const root = { uid: 0, runtimeHome: undefined, devWritable: true };
    expect(load('version: 1', {}, root)).toMatchObject({ runtimeDir: '/run/ttynp', linkDir: '/dev' });
    expect(load('version: 1')).toMatchObject({ runtimeDir: '/run/user/1000/ttynp' });
    const bare = { uid: 1000, runtimeHome: undefined, devWritable: false };
    expect(load('version: 1', {}, bare)).toMatchObject({ runtimeDir: '/tmp/ttynp-1000', linkDir: '/tmp/ttynp-1000' });
  });

  test('options are laid over each other: defaults.tty, defaults.server, server, tty', () => {
    const { ttys } = load(`version: 1
defaults:
  tty: { connect: always, format: "19200,8N1", closingWait: 5, holdTime: 250ms, rts: off }
  server: { ports: 3, closingWait: 1m }
servers:
  a: { address: a.example, firstTty: ttyA08, format: 7E2, dtr: false }
ttys:
  ttyA10: { format: 1200, closingWait: 90, mode: 0600, group: 20 }
`);
    expect(ttys.map((t) => t.name)).toEqual(['ttyA08', 'ttyA09', 'ttyA10']);
    expect(ttys[0]?.settings).toMatchObject({ baudRate: 19200, dataBits: 7, parity: 'even', stopBits: 2 });
    expect(ttys[0]?.policy).toMatchObject({ connect: 'always', closingWaitMs: 60_000, holdTimeMs: 250 });
    expect(ttys[2]?.settings).toMatchObject({ baudRate: 1200, dataBits: 7, parity: 'even', stopBits: 2 });
    expect(ttys[2]?.policy.closingWaitMs).toBe(90_000);
    expect(ttys[2]).toMatchObject({ mode: 0o600, group: 20, lines: { dtr: false, rts: false } });
  });

  test('included files add servers and ttys, sorted, each once', () => {
    const { config: c, files } = loadConfig(
      join(
        write({
          'ttynp.yaml': 'version: 1\ninclude: [conf.d/*.yaml, "conf.d/a.yaml"]\n',
          'conf.d/b.yaml': 'ttys: { x: { server: s, port: 1 } }\n',
          'conf.d/a.yaml': 'version: 1\nservers: { s: { address: 10.0.0.1 } }\n',
          'conf.d/.hidden.yaml': 'nonsense: 1\n',
          'conf.d/c.txt': 'nonsense: 1\n',
        }),
        'ttynp.yaml',
      ),
      USER,
    );
    expect(c.ttys.map((t) => t.name)).toEqual(['x']);
    expect(files.map((f) => f.split('/').at(-1))).toEqual(['ttynp.yaml', 'a.yaml', 'b.yaml']);
  });

  test('one port needs no number in its name', () => {
    const { ttys } = load('version: 1\nservers: { s: { address: h, ports: 1, firstTty: tty-meter } }');
    expect(ttys.map(({ name, port }) => [name, port])).toEqual([['tty-meter', 1]]);
  });

  test('sections may be empty', () => {
    expect(load('version: 1\nservers:\nttys:\ndefaults:\nlog:\ncontrol:\n').ttys).toEqual([]);
    const { ttys } = load('version: 1\nservers: { s: { address: h, ports: 1, firstTty: ttyX0 } }\nttys: { ttyX0: }\n');
    expect(ttys.map((t) => t.name)).toEqual(['ttyX0']);
  });

  test('two files that mean the same give the same ttys; one option more does not', () => {
    const [a, b, c] = ['', '# moved down a line\n', '# \n'].map((prefix, i) => {
      const text = `${prefix}version: 1\nservers: { s: { address: h, ports: 1, firstTty: ttyX0${i === 2 ? ', rts: off' : ''} } }`;
      return load(text).ttys[0];
    });
    if (a === undefined || b === undefined || c === undefined) throw new Error('a tty is missing');
    expect(a.source.line).not.toBe(b.source.line);
    expect(sameTty(a, b)).toBe(true);
    expect(sameTty(a, c)).toBe(false);
  });
});

const HEAD = 'version: 1\nservers: { s: { address: 10.0.0.1, ports: 4, firstTty: ttyNP0 } }\n';

// [what it shows, file, errors expected]
const bad: [string, string, (string | RegExp)[]][] = [
  ['the version is wanted', 'ttys: {}', ['ttynp.yaml:1: version: is missing']],
  ['another version', 'version: 2', ['ttynp.yaml:1: version: must be 1']],
  ['an empty file', '', ['ttynp.yaml:1: version: is missing']],
  ['a list', '- a', [/^ttynp.yaml:1: must be a map of "name: value", got a list/]],
  ['an unknown key', `${HEAD}ttyz: {}`, ['ttynp.yaml:3: ttyz: unknown key (did you mean "ttys"?)']],
  ['nothing near', `${HEAD}zebra: {}`, ['ttynp.yaml:3: zebra: unknown key']],
  [
    'an unknown key of a tty',
    `${HEAD}ttys:\n  ttyNP1:\n    offlinedata: hold`,
    ['ttynp.yaml:5: ttys.ttyNP1.offlinedata: unknown key (did you mean "offlineData"?)'],
  ],
  [
    'a bad type',
    `${HEAD}ttys:\n  ttyNP1: { port: two }`,
    ['ttynp.yaml:4: ttys.ttyNP1.port: must be a port of the device server, 1 to 256, got "two"'],
  ],
  [
    'a bad choice',
    `${HEAD}ttys:\n  ttyNP1: { connect: never }`,
    ['ttynp.yaml:4: ttys.ttyNP1.connect: must be one of on-open, always, got "never"'],
  ],
  [
    'a bad format',
    `${HEAD}ttys:\n  ttyNP1: { format: 9N1 }`,
    [/^ttynp.yaml:4: ttys.ttyNP1.format: must be a line format .*, got "9N1"$/],
  ],
  [
    'a rate that no port has',
    `${HEAD}ttys:\n  ttyNP1: { format: 99999999999 }\n  ttyNP2: { format: "12000001,8N1" }\n  ttyNP3: { format: 1 }`,
    [
      'ttynp.yaml:4: ttys.ttyNP1.format: must have a rate of 50 to 12000000 baud, got "99999999999"',
      'ttynp.yaml:5: ttys.ttyNP2.format: must have a rate of 50 to 12000000 baud, got "12000001,8N1"',
      'ttynp.yaml:6: ttys.ttyNP3.format: must have a rate of 50 to 12000000 baud, got "1"',
    ],
  ],
  [
    'a comma between braces',
    `${HEAD}ttys:\n  ttyNP1: { format: 9600,8N1 }`,
    [/:4: ttys.ttyNP1.8N1: unknown key: between braces write format: "9600,8N1" with quotes/],
  ],
  [
    'a bad duration',
    `${HEAD}ttys:\n  ttyNP1: { holdTime: soon }`,
    [/:4: ttys.ttyNP1.holdTime: must be a duration such as 10s.*, got "soon"$/],
  ],
  [
    'too long a duration',
    `${HEAD}ttys:\n  ttyNP1: { holdTime: 25h }`,
    [/:4: ttys.ttyNP1.holdTime: .*at most 24h, got "25h"$/],
  ],
  [
    'a bad mode',
    `${HEAD}ttys:\n  ttyNP1: { mode: 0980 }`,
    ['ttynp.yaml:4: ttys.ttyNP1.mode: must be an octal mode such as "0660", got "0980"'],
  ],
  [
    'a bad switch',
    `${HEAD}ttys:\n  ttyNP1: { dtr: maybe }`,
    ['ttynp.yaml:4: ttys.ttyNP1.dtr: must be on or off, got "maybe"'],
  ],
  [
    'a bad alias',
    `${HEAD}ttys:\n  ttyNP1: { alias: [ok, a/b] }`,
    [/^ttynp.yaml:4: ttys.ttyNP1.alias\[1\]: must be a name/],
  ],
  ['a bad name', `${HEAD}ttys:\n  "../x": { server: s, port: 1 }`, [/^ttynp.yaml:4: ttys...\/x: must be a name/]],
  [
    'a bad firstTty',
    'version: 1\nservers:\n  s: { address: h, ports: 1, firstTty: com1 }',
    [/^ttynp.yaml:3: servers.s.firstTty: must be a name that begins with tty/],
  ],
  [
    'a firstTty that cannot count up',
    'version: 1\nservers:\n  s: { address: h, ports: 2, firstTty: ttyMeter }',
    ['ttynp.yaml:3: servers.s.firstTty: must end with a number to count up from: 2 ttys are made'],
  ],
  ['ttys as a list', 'version: 1\nttys: [a]', ['ttynp.yaml:2: ttys: must be a map of "name: value", got a list']],
  [
    'a server without address',
    'version: 1\nservers:\n  s: { ports: 1 }\nttys:\n  x: { server: s, port: 1 }',
    ['ttynp.yaml:3: servers.s.address: is missing'],
  ],
  [
    'a bad address',
    'version: 1\nservers:\n  s: { address: 10.0.0.300 }',
    [/^ttynp.yaml:3: servers.s.address: must be an IPv4 address.*, got "10.0.0.300"$/],
  ],
  [
    'too many ports',
    'version: 1\nservers:\n  s: { address: h, ports: 300 }',
    [/^ttynp.yaml:3: servers.s.ports: .*256/],
  ],
  [
    'firstTty without ports',
    'version: 1\nservers:\n  s: { address: h, firstTty: ttyX0 }',
    [/^ttynp.yaml:3: servers.s.ports: is missing/],
  ],
  [
    'an unknown server',
    `${HEAD}ttys:\n  x: { server: t2, port: 1 }\n  y: { server: ss, port: 2 }`,
    [
      'ttynp.yaml:4: ttys.x.server: unknown server "t2"',
      'ttynp.yaml:5: ttys.y.server: unknown server "ss" (did you mean "s"?)',
    ],
  ],
  ['a tty of nobody', `${HEAD}ttys:\n  x: {}`, ['ttynp.yaml:4: ttys.x.server: is missing: no server makes a tty x']],
  [
    'a tty without port',
    `${HEAD}ttys:\n  x: { server: s }`,
    ['ttynp.yaml:4: ttys.x.port: is missing: which port of s?'],
  ],
  [
    'a port the server has not',
    `${HEAD}ttys:\n  x: { server: s, port: 5 }`,
    ['ttynp.yaml:4: ttys.x.port: s has 4 ports, got 5'],
  ],
  [
    'a port twice',
    `${HEAD}ttys:\n  x: { server: s, port: 2 }\n  y: { server: s, port: 2 }`,
    ["ttynp.yaml:5: ttys.y.port: port 2 of s is x's already (ttynp.yaml:4)"],
  ],
  [
    'a port twice, once generated',
    `${HEAD}ttys:\n  ttyNP0: { port: 2 }`,
    ["ttynp.yaml:4: ttys.ttyNP0.port: port 2 of s is ttyNP1's already (ttynp.yaml:2)"],
  ],
  [
    'a tty twice',
    `${HEAD}ttys:\n  x: { server: s, port: 1 }\n  x: { server: s, port: 2 }`,
    ['ttynp.yaml:5: "x" is there twice'],
  ],
  [
    'an alias that is a tty',
    `${HEAD}ttys:\n  ttyNP1: { alias: ttyNP3 }`,
    ['ttynp.yaml:4: ttys.ttyNP1.alias: "ttyNP3" is the name of a tty (ttynp.yaml:2)'],
  ],
  [
    'an alias twice',
    `${HEAD}ttys:\n  ttyNP1: { alias: m }\n  ttyNP2: { alias: [m] }`,
    ['ttynp.yaml:5: ttys.ttyNP2.alias: "m" is an alias of ttyNP1 already (ttynp.yaml:4)'],
  ],
  [
    'two servers that make the same names',
    'version: 1\nservers:\n  a: { address: h1, ports: 4, firstTty: ttyX0 }\n  b: { address: h2, ports: 4, firstTty: ttyX3 }',
    ['ttynp.yaml:4: servers.b.firstTty: makes ttyX3, which is port 4 of a (ttynp.yaml:3) already'],
  ],
  [
    "a name of another server's",
    `version: 1\nservers:\n  a: { address: h1, ports: 2, firstTty: ttyX0 }\n  b: { address: h2 }\nttys:\n  ttyX1: { server: b, port: 1 }`,
    ['ttynp.yaml:6: ttys.ttyX1.server: the name is taken: it is port 2 of a (ttynp.yaml:3)'],
  ],
  [
    'bases that overlap',
    'version: 1\nservers:\n  a: { address: h, ports: 4, firstTty: ttyX0, dataPort: 4000, commandPort: 4002 }',
    [
      /^ttynp.yaml:3: servers.a.dataPort: 4002 of ttyX2 \(port 3\) is the command port of ttyX0 \(port 1 of a\) at h already$/,
    ],
  ],
  [
    'data port = command port',
    `${HEAD}ttys:\n  ttyNP0: { dataPort: 4000, commandPort: 4000 }`,
    ['ttynp.yaml:4: ttys.ttyNP0.commandPort: 4000 is its data port too'],
  ],
  [
    'two servers at one address',
    'version: 1\nservers:\n  a: { address: "fe80:0::1%e", ports: 2, firstTty: ttyX0 }\n  b: { address: "FE80::1%e", ports: 2, firstTty: ttyY0 }',
    [
      'ttynp.yaml:4: servers.b.dataPort: 950 of ttyY0 (port 1) is the data port of ttyX0 (port 1 of a) at FE80::1%e already',
    ],
  ],
  [
    'the 33rd port with the default bases',
    'version: 1\nservers:\n  a: { address: h, ports: 33, firstTty: ttyX0 }',
    [
      'ttynp.yaml:3: servers.a.dataPort: 998 of ttyX32 (port 33) is the command port of ttyX16 (port 17 of a) at h already',
    ],
  ],
  [
    'numbers that run out',
    'version: 1\nservers:\n  a: { address: h, ports: 2, firstTty: ttyX0, dataPort: 65535 }',
    ['ttynp.yaml:3: servers.a.dataPort: 65536 of ttyX1 (port 2) is above 65535'],
  ],
  [
    'a name the daemon needs',
    `${HEAD}ttys:\n  control.sock: { server: s, port: 1 }`,
    [/^ttynp.yaml:4: ttys.control.sock: is a name that the daemon needs/],
  ],
  [
    'a relative directory',
    'version: 1\nruntimeDir: run',
    [/^ttynp.yaml:2: runtimeDir: must be an absolute path, got "run"/],
  ],
  [
    'no YAML',
    'version: 1\nservers: [\nttys: x: y',
    [/^ttynp.yaml:\d: not valid YAML: /, /^ttynp.yaml:\d: not valid YAML: /],
  ],
  ['an alias without anchor', 'version: 1\nservers: *x', [/^ttynp.yaml:1: not valid YAML: unresolved alias/]],
  ['a missing include', 'version: 1\ninclude: more.yaml', ['ttynp.yaml:2: include: no file more.yaml']],
  [
    'an include of itself',
    'version: 1\ninclude: "*.yaml"',
    ['ttynp.yaml:2: include: *.yaml includes this file itself'],
  ],
];

describe('a bad file', () => {
  for (const [shows, text, expected] of bad) {
    test(shows, () => {
      const errors = errorsOf(text);
      expect(errors).toHaveLength(expected.length);
      for (const [i, want] of expected.entries()) {
        if (typeof want === 'string') expect(errors[i]).toBe(want);
        else expect(errors[i]).toMatch(want);
      }
    });
  }

  test('all errors are told at once, across files, in the order of their lines', () => {
    const errors = errorsOf(
      `${HEAD}include: "*.yml"
ttys:
  ttyNP1: { format: x, fifo: 3, nope: 1, alias: ttyNP2 }
  z: { server: nobody, port: 1 }
log: { levle: info }
`,
      { 'b.yml': 'servers: { s: { address: h } }\nruntimeDir: /x\n', 'a.yml': 'ttys: [\n' },
    );
    expect(errors).toEqual(
      [
        expect.stringMatching(/^ttynp.yaml:5: ttys.ttyNP1.format: /),
        expect.stringMatching(/^ttynp.yaml:5: ttys.ttyNP1.fifo: must be on or off, got 3/),
        expect.stringMatching(/^ttynp.yaml:5: ttys.ttyNP1.nope: unknown key/),
        'ttynp.yaml:7: log.levle: unknown key (did you mean "level"?)',
        expect.stringMatching(/^a.yml:\d: not valid YAML/),
        'b.yml:2: runtimeDir: unknown key',
      ].map((e) => e),
    );
    // Names can only be judged when every file can be read.
    const named = errorsOf(
      `${HEAD}include: "*.yml"\nttys:\n  ttyNP1: { fifo: 3, alias: ttyNP2 }\n  z: { server: nobody, port: 1 }\n`,
      {
        'b.yml': 'servers: { s: { address: h } }\n',
      },
    );
    expect(named).toEqual([
      'ttynp.yaml:5: ttys.ttyNP1.fifo: must be on or off, got 3',
      'ttynp.yaml:5: ttys.ttyNP1.alias: "ttyNP2" is the name of a tty (ttynp.yaml:2)',
      'ttynp.yaml:6: ttys.z.server: unknown server "nobody"',
      'b.yml:1: servers.s: is already in ttynp.yaml:2',
    ]);
  });

  test('a file that is not there is one line', () => {
    expect(() => loadConfig('/nonexistent/ttynp.yaml', USER)).toThrow(
      /^\/nonexistent\/ttynp.yaml:1: there is no such file$/,
    );
  });

  test('names that every object inherits are only names', () => {
    const { ttys } = load(
      'version: 1\nservers: { constructor: { address: h } }\nttys: { toString: { server: constructor, port: 1 } }',
    );
    expect(ttys.map((t) => [t.name, t.serverName])).toEqual([['toString', 'constructor']]);
    expect(errorsOf('version: 1\nttys: { valueOf: { server: hasOwnProperty, port: 1 } }')).toHaveLength(1);
    expect(
      errorsOf('version: 1\nservers: { __proto__: { address: h } }\nttys: { x: { server: __proto__, port: 1 } }')
        .length,
    ).toBeGreaterThan(0);
  });
});

describe('metrics.listen', () => {
  const listen = (address: string) => load(`version: 1\nmetrics: { listen: "${address}" }`).metrics?.listen;

  test('an address and a port, both said; without it nothing listens', () => {
    expect(load('version: 1').metrics).toBeNull();
    expect(listen('127.0.0.1:9200')).toEqual({ host: '127.0.0.1', port: 9200 });
    expect(listen('[::1]:9200')).toEqual({ host: '::1', port: 9200 });
  });

  for (const wrong of [
    '9200',
    ':9200',
    '127.0.0.1',
    '127.0.0.1:0',
    '127.0.0.1:65536',
    '::1:9200',
    '[127.0.0.1]:1',
    'host:1',
  ]) {
    test(`${wrong} is none`, () => {
      expect(errorsOf(`version: 1\nmetrics: { listen: "${wrong}" }`)).toEqual([
        expect.stringMatching(/^ttynp.yaml:2: metrics.listen: must be an IP address and a port/),
      ]);
    });
  }
});

test('whatever the file holds, the answer is a configuration or a list of errors', () => {
  const word = fc.constantFrom(
    'version',
    'servers',
    'ttys',
    'defaults',
    'tty',
    'server',
    'port',
    'address',
    'ttyX0',
    'format',
    'alias',
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.jsonValue({ maxDepth: 1 }),
      fc.dictionary(word, tie('value'), { maxKeys: 4 }),
      fc.array(tie('value'), { maxLength: 3 }),
    ),
  }));
  const folder = write({});
  const file = join(folder, 'ttynp.yaml');
  fc.assert(
    fc.property(
      fc.oneof(
        value.map((v) => JSON.stringify(v)),
        fc.string(),
        fc.dictionary(word, value).map((v) => JSON.stringify({ ...v, version: 1 })),
      ),
      (text) => {
        writeFileSync(file, text);
        try {
          expect(loadConfig(file, USER).config.version).toBe(1);
        } catch (error) {
          if (!(error instanceof ConfigFault)) throw error;
          expect(error.errors.length).toBeGreaterThan(0);
        }
      },
    ),
    { numRuns: 500 },
  );
});
