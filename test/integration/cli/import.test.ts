// `ttynp import` and `ttynp server` as typed, where no daemon runs: what goes to stdout, what to stderr, and what is on
// disk afterwards.
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { CommandIo } from '../../../src/cli/io.js';
import { runCli } from '../../../src/cli.js';
import { loadConfig } from '../../../src/config/load.js';

let folder: string;
const path = (name: string) => join(folder, name);

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ttynp-import-cli-'));
});
afterEach(() => {
  process.exitCode = 0;
  rmSync(folder, { recursive: true });
});

async function run(...argv: string[]): Promise<{ code: number; out: string; err: string }> {
  const result = { code: -1, out: '', err: '' };
  const io: CommandIo = {
    out(text) {
      result.out += text;
    },
    err(text) {
      result.err += text;
    },
    columns: undefined,
    colour: false,
    interrupted: () => ({ signal: new AbortController().signal, dispose() {} }),
    now: () => 0,
  };
  result.code = await runCli(argv, io);
  return result;
}

/** Exit code, one line on stderr, nothing on stdout. */
async function fails(code: number, argv: string[], said: string | RegExp): Promise<void> {
  const result = await run(...argv);
  expect(result, result.err).toMatchObject({ code, out: '' });
  expect(result.err).toMatch(/^ttynp: [^\n]+\n$/);
  expect(result.err).toMatch(said);
}

describe('import', () => {
  const lines = [
    '# npreal2d.cf',
    '0\t10.0.0.1\t950\t966\t1\t0\tttyr00\tcur00\t0\t0\t',
    '1\t10.0.0.1\t951\t967\t1\t1\tttyr01\tcur01\t0\t0\t',
  ];

  test('the configuration goes to stdout and is good; the table and the counts go to stderr', async () => {
    writeFileSync(path('npreal2d.cf'), `${lines.join('\n')}\n`);
    const { code, out, err } = await run('import', path('npreal2d.cf'));
    expect(code).toBe(0);
    writeFileSync(path('ttynp.yaml'), out);
    expect((await run('config', 'check', path('ttynp.yaml'))).out).toContain('ok, 1 tty on 1 server');
    expect(err.split('\n')).toEqual([
      'LINE  OLD     NEW     WHAT          WHY',
      '   2  ttyr00  ttyr00  imported',
      expect.stringMatching(/^ {3}3 {2}ttyr01 {2}ttyr01 {2}needs a hand {2}SSL is on/),
      '3 lines of npreal2: 1 imported, 1 need a hand, 1 skipped',
      '',
    ]);
    const renamed = await run('import', path('npreal2d.cf'), '--rename', 'ttyNP8');
    expect(renamed.out).toContain('\n  ttyNP8: { server: 10.0.0.1, port: 1 }');
    expect(renamed.err).toContain('ttyr01  ttyNP9');
  });

  test('a socat command, with and without its own name', async () => {
    for (const command of ['socat PTY,link=/dev/ttyNP0 TCP:10.0.0.1:950', 'PTY,link=/dev/ttyNP0 TCP:10.0.0.1:950']) {
      const { code, out, err } = await run('import', 'socat', command);
      expect(code).toBe(0);
      expect(out).toContain('\n  ttyNP0: { server: 10.0.0.1, port: 1, protocol: tcp, dataPort: 950 }');
      expect(err).toContain('bytes alone');
    }
  });

  test('what cannot be imported is one line', async () => {
    writeFileSync(path('letter.txt'), 'Dear sir\n');
    await fails(1, ['import', path('none')], /none: there is no such file/);
    await fails(1, ['import', folder], /is a directory/);
    await fails(1, ['import', path('letter.txt')], /is not recognised: say what it is with --kind/);
    await fails(2, ['import', path('letter.txt'), 'PTY'], /only socat takes a command/);
    await fails(2, ['import', 'socat'], /the command is missing/);
    await fails(2, ['import', path('letter.txt'), '--kind', 'minicom'], /minicom/);
    await fails(1, ['import', 'socat', 'PTY TCP:a:1', '--rename', 'a/b'], /cannot begin the name/);
  });
});

describe('server', () => {
  const FILE = `# Our plant
version: 1
servers:   # by building
  hall:  { address: 10.0.0.1, ports: 2, firstTty: ttyNP0 }   # old
ttys:
  ttyNP1: { format: 7E1 }   # the scale
  plc:    { server: hall, port: 2, alias: ttyNP5 }
`;
  let file: string;
  const content = () => readFileSync(file, 'utf8');
  const server = (...argv: string[]) => run('-c', file, '--socket', path('control.sock'), 'server', ...argv);
  const refused = (code: number, argv: string[], said: RegExp) =>
    fails(code, ['-c', file, '--socket', path('control.sock'), 'server', ...argv], said);

  beforeEach(() => {
    file = path('ttynp.yaml');
    writeFileSync(file, FILE.replace('  plc:    { server: hall, port: 2, alias: ttyNP5 }\n', ''));
    chmodSync(file, 0o640);
  });

  test('add takes the next free names, keeps the rest of the file and its mode, and says that no daemon runs', async () => {
    writeFileSync(file, FILE.replace('ports: 2', 'ports: 3').replace('port: 2', 'port: 3'));
    const { code, out, err } = await server('add', '10.0.0.2', '--ports', '3');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toBe(
      'added 10.0.0.2 (10.0.0.2): 3 ttys, ttyNP6 to ttyNP8\nno daemon runs: it takes effect when one starts\n',
    );
    expect(content()).toContain('# old\n  10.0.0.2: { address: 10.0.0.2, ports: 3, firstTty: ttyNP6 }\nttys:\n');
    expect(content()).toContain('# Our plant\nversion: 1\nservers:   # by building\n  hall:  {');
    expect(statSync(file).mode & 0o777).toBe(0o640);
    expect(readdirSync(folder)).toEqual(['ttynp.yaml']);
  });

  test('add with everything said', async () => {
    const options = ['--name', 'press', '--first-tty', 'ttyr0', '--data-port', '4001', '--command-port', '5001'];
    expect((await server('add', 'fe80::1%eth1', '--ports', '1', ...options)).code).toBe(0);
    expect(loadConfig(file).config.ttys.find((tty) => tty.name === 'ttyr0')).toMatchObject({
      serverName: 'press',
      address: 'fe80::1%eth1',
      dataPort: 4001,
      commandPort: 5001,
    });
  });

  test('add of another protocol; a command port that it has not is refused', async () => {
    expect((await server('add', 'plc', '--ports', '2', '--name', 'press', '--protocol', 'rfc2217')).code).toBe(0);
    expect(content()).toContain('press: { address: plc, ports: 2, firstTty: ttyNP2, protocol: rfc2217 }');
    const more = ['--protocol', 'tcp', '--command-port', '966'];
    await refused(1, ['add', 'plc2', '--ports', '1', ...more], /not added: .*is of protocol realcom only/);
    await refused(2, ['add', 'plc2', '--ports', '1', '--protocol', 'telnet'], /protocol/);
  });

  test('a file behind a link is edited where it is', async () => {
    symlinkSync('ttynp.yaml', path('link.yaml'));
    expect(
      (await run('-c', path('link.yaml'), '--socket', path('x'), 'server', 'add', 'plc', '--ports', '1')).code,
    ).toBe(0);
    expect(content()).toContain('plc: { address: plc, ports: 1, firstTty: ttyNP2 }');
    expect(readdirSync(folder).sort()).toEqual(['link.yaml', 'ttynp.yaml']);
  });

  test('remove takes the entries of its ttys along, in the file that has them', async () => {
    writeFileSync(file, `${FILE}include: more.yaml\n`.replace('port: 2,', 'port: 1,'));
    writeFileSync(path('more.yaml'), 'servers:\n  # new\n  press: { address: plc, ports: 4, firstTty: ttyr0 }\n');
    expect((await server('remove', 'press')).out).toContain('removed press (plc): 4 ttys, ttyr0 to ttyr3\n');
    expect(readFileSync(path('more.yaml'), 'utf8')).toBe('servers:\n  # new\n');
    const { code, out } = await server('remove', 'hall');
    expect({ code, out }).toMatchObject({ code: 0, out: expect.stringContaining('removed hall (10.0.0.1): 2 ttys') });
    expect(content()).toBe('# Our plant\nversion: 1\nservers:   # by building\nttys:\ninclude: more.yaml\n');
    expect(loadConfig(file).config).toMatchObject({ servers: [], ttys: [] });
  });

  test('what would not be a good configuration is refused on one line, and nothing is written', async () => {
    const before = content();
    await refused(
      1,
      ['add', '10.0.0.2', '--ports', '1', '--name', 'hall'],
      /there is a server hall already: 10\.0\.0\.1/,
    );
    await refused(
      1,
      ['add', '10.0.0.2', '--ports', '1', '--first-tty', 'ttyNP1'],
      /makes ttyNP1, which is port 2 of hall/,
    );
    await refused(1, ['add', '10.0.0.2', '--ports', '2', '--first-tty', 'serial'], /not added: .*firstTty/);
    await refused(1, ['add', '10.0.0.1', '--ports', '1'], /not added: .*950 .*is the data port of ttyNP0/);
    await refused(1, ['add', 'no address', '--ports', '1'], /not added: .*address/);
    await refused(1, ['add', '10.0.0.2', '--ports', '1', '--name', 'a b'], /not added: /);
    await refused(1, ['remove', 'hal'], /no server "hal" in .* \(there are: hall\)/);
    await refused(2, ['add', '10.0.0.2', '--ports', 'many'], /--ports must be a whole number/);
    await refused(2, ['add', '10.0.0.2', '--ports', '257'], /--ports must be 1 to 256/);
    await refused(2, ['add', '10.0.0.2'], /ports/);
    await refused(2, [], /add or remove/);
    expect(content()).toBe(before);
    expect(readdirSync(folder)).toEqual(['ttynp.yaml']);
  });

  test('a configuration that is wrong already is told with its lines, and left as it is', async () => {
    writeFileSync(file, 'version: 1\nservers:\n  a: { adress: b }\n');
    const { code, out, err } = await server('add', '10.0.0.2', '--ports', '1');
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain('ttynp.yaml:3: servers.a.adress: unknown key');
    expect(content()).toContain('adress');
  });
});
