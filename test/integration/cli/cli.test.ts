// The commands against the real control server with a daemon that the test sets by hand.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { silentLog } from '../../../src/base/log.js';
import type { CommandIo } from '../../../src/cli/io.js';
import { runCli } from '../../../src/cli.js';
import { ControlServer } from '../../../src/control/server.js';
import { FakeDaemon, portView } from '../../support/fake-daemon.js';

let folder: string;
let socket: string;
let daemon: FakeDaemon;
let server: ControlServer;
let interrupt: AbortController;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ttynp-cli-'));
  socket = join(folder, 'control.sock');
  daemon = new FakeDaemon(
    portView('ttyNP0'),
    portView('ttyNP1', { aliases: ['gas-meter'], state: 'idle', open: false }),
  );
  server = await ControlServer.bind({ path: socket, mode: 0o600, group: null, log: silentLog });
  server.serve(daemon);
  interrupt = new AbortController();
});
afterEach(async () => {
  await server.close();
  process.exitCode = 0;
  expect(daemon.watchers.size + daemon.tracers.size).toBe(0);
  rmSync(folder, { recursive: true });
});

interface Result {
  code: number;
  out: string;
  err: string;
}

async function run(argv: string[], onOut: (all: string) => void = () => {}): Promise<Result> {
  const result = { code: -1, out: '', err: '' };
  const io: CommandIo = {
    out(text) {
      result.out += text;
      onOut(result.out);
    },
    err(text) {
      result.err += text;
    },
    columns: undefined,
    colour: false,
    interrupted: () => ({ signal: interrupt.signal, dispose() {} }),
    now: () => Date.parse('2026-01-31T12:01:00Z'),
  };
  result.code = await runCli(argv, io);
  return result;
}

const ttynp = (...argv: string[]) => run([...argv, '--socket', socket]);

describe('--json prints the contract', () => {
  test('status', async () => expect(JSON.parse((await ttynp('status', '--json')).out)).toEqual(daemon.status()));
  test('ports', async () => expect(JSON.parse((await ttynp('ports', '--json')).out)).toEqual(daemon.ports()));
  test('port', async () =>
    expect(JSON.parse((await ttynp('port', 'gas-meter', '--json')).out)).toEqual(daemon.port('ttyNP1')));
  test('reload', async () => expect(JSON.parse((await ttynp('reload', '--json')).out)).toEqual(daemon.reloadResult));
  test('watch', async () => {
    const { out, code } = await run(['watch', '--json', '--socket', socket], (all) => {
      if (all.split('\n').length === 3) daemon.set(portView('ttyNP1'));
      if (all.split('\n').length === 4) interrupt.abort();
    });
    expect(code).toBe(0);
    const events = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events).toEqual(
      [
        ...[portView('ttyNP0'), { ...portView('ttyNP1'), aliases: ['gas-meter'], state: 'idle', open: false }],
        portView('ttyNP1'),
      ].map((port) => ({ type: 'port', port })),
    );
  });
});

test('for people', async () => {
  expect((await ttynp('status')).out).toContain('2 ttys: 1 open, 1 connected, 0 failed');
  expect((await ttynp('ports')).out).toMatch(/^TTY .*\nttyNP0 +up +yes .*\nttyNP1 +idle +- /);
  expect((await ttynp('reload')).out).toBe('reloaded: 1 unchanged\n');
});

test('reload --choose-backend: of the ttys that are named, else of all', async () => {
  await ttynp('reload', '--choose-backend', 'ttyNP1', 'ttyNP0');
  expect(daemon.chosen).toEqual(['ttyNP0', 'ttyNP1']);
  await ttynp('reload', '--choose-backend', 'ttyNP1');
  expect(daemon.chosen).toEqual(['ttyNP1']);
  await ttynp('reload', '--choose-backend');
  expect(daemon.chosen).toEqual(['ttyNP0', 'ttyNP1']);
  expect((await ttynp('reload', '--choose-backend', 'nix')).err).toBe('ttynp: no tty nix\n');
});

describe('a tty may be named by', () => {
  test('its name, its alias, its path, its device, and a link to it', async () => {
    const device = join(folder, 'device');
    writeFileSync(device, '');
    symlinkSync(device, join(folder, 'ttyNP5'));
    symlinkSync(join(folder, 'ttyNP5'), join(folder, 'meter'));
    daemon.set(portView('ttyNP5', { aliases: ['meter'], path: join(folder, 'ttyNP5'), devicePath: device }));
    for (const name of ['ttyNP5', 'meter', join(folder, 'ttyNP5'), device, join(folder, 'meter')]) {
      expect((await ttynp('port', name)).out, name).toMatch(/^ttyNP5 \(meter\) up /);
    }
  });
  test('nothing else', async () => {
    expect(await ttynp('port', 'ttyNP9')).toEqual({ code: 1, out: '', err: 'ttynp: no tty ttyNP9\n' });
    expect((await ttynp('port', '/dev/null')).err).toBe(
      'ttynp: /dev/null is no tty of this daemon (ttynp ports lists them)\n',
    );
  });
});

test('who holds a tty is found by its device', async () => {
  // Nobody else has this device open.
  const fd = openSync('/dev/full', 'r');
  const child = spawn('sleep', ['60'], { stdio: [fd, 'ignore', 'ignore'] });
  await once(child, 'spawn');
  closeSync(fd);
  daemon.set(portView('ttyNP2', { devicePath: '/dev/full' }));
  // Between fork and exec it still has the name of its parent.
  let held = '';
  while (!held.includes(' sleep ')) held = /held by .*/.exec((await ttynp('port', 'ttyNP2')).out)?.[0] ?? '';
  child.kill();
  await once(child, 'exit');
  expect(held).toBe(`held by       sleep (pid ${child.pid})`);
});

describe('trace', () => {
  const data = (text: string) =>
    ({ type: 'data', atUs: 0, direction: 'sent', data: Buffer.from(text).toString('base64') }) as const;

  /** Sends the record again and again from when the trace has begun. */
  function traced(text: string): () => void {
    const timer = setInterval(() => daemon.traced(data(text)), 5);
    return () => clearInterval(timer);
  }

  test('until Ctrl-C', async () => {
    const stop = traced('hello');
    const { out, code } = await run(['trace', 'gas-meter', '--no-timestamps', '--socket', socket], () =>
      interrupt.abort(),
    );
    stop();
    expect(code).toBe(0);
    expect(out).toMatch(/^> 68 65 6c 6c 6f {2}\|hello\|\n/);
  });

  test('for a time, into a file that only its owner reads', async () => {
    const stop = traced('hello');
    const file = join(folder, 'out');
    const begun = Date.now();
    expect(await ttynp('trace', 'ttyNP0', '--ascii', '--for', '300ms', '--output', file)).toEqual({
      code: 0,
      out: '',
      err: '',
    });
    stop();
    expect(Date.now() - begun).toBeGreaterThanOrEqual(299);
    expect(readFileSync(file, 'utf8')).toMatch(/^\d\d:\d\d:\d\d\.\d{3} > hello\n/);
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });

  test('that cannot be', async () => {
    expect((await ttynp('trace', 'ttyNP0', '--hex', '--ascii')).code).toBe(2);
    expect((await ttynp('trace', 'ttyNP0', '--for', 'soon')).code).toBe(2);
    expect(await ttynp('trace', 'nothing')).toMatchObject({ code: 1, err: 'ttynp: no tty nothing\n' });
    expect(await ttynp('trace', 'ttyNP0', '--output', '/nonexistent/x')).toMatchObject({
      code: 1,
      err: expect.stringContaining('ENOENT'),
    });
  });

  test('ends with an error when the daemon does', async () => {
    const stop = traced('x');
    const running = run(['trace', 'ttyNP0', '--socket', socket], () => void server.close());
    expect(await running).toMatchObject({ code: 1, err: expect.stringContaining('has ended') });
    stop();
  });
});

test('a refused reload is exit code 1 with every error', async () => {
  daemon.reloadResult = {
    ok: false,
    added: [],
    removed: [],
    changed: [],
    unchanged: 2,
    errors: ['f:1: a: b', 'f:2: c: d'],
  };
  expect(await ttynp('reload')).toEqual({
    code: 1,
    out: '',
    err: 'f:1: a: b\nf:2: c: d\nttynp: not reloaded, nothing has changed\n',
  });
});

test('metrics are printed as they come', async () => {
  expect(await ttynp('metrics')).toEqual({ code: 0, out: daemon.metrics(), err: '' });
});

test('health: one line and an exit code, the daemon there or not', async () => {
  expect(await ttynp('health')).toMatchObject({
    code: 0,
    out: expect.stringMatching(/^TTYNP OK - [^\n]+\n$/),
    err: '',
  });
  expect(JSON.parse((await ttynp('health', '--json')).out)).toMatchObject({ health: 'ok', code: 0, ports: 2 });
  daemon.set(portView('ttyNP1', { state: 'failed' }));
  expect((await ttynp('health')).code).toBe(1);
  const none = ['--socket', join(folder, 'none.sock')];
  expect(await run(['health', ...none])).toMatchObject({
    code: 2,
    out: expect.stringMatching(/^TTYNP CRITICAL - no daemon/),
  });
  expect(JSON.parse((await run(['health', '--json', ...none])).out)).toMatchObject({ health: 'critical', ports: null });
});

describe('the socket', () => {
  test('follows the configuration that is named', async () => {
    const file = join(folder, 'ttynp.yaml');
    writeFileSync(file, `version: 1\nruntimeDir: ${folder}\n`);
    expect((await run(['ports', '--config', file])).out).toContain('ttyNP0');
    expect((await run(['-c', file, 'ports'])).code).toBe(0);
  });
  test('without a daemon is one line with a hint', async () => {
    const none = join(folder, 'none.sock');
    const expected = {
      code: 1,
      out: '',
      err: `ttynp: no daemon at ${none} (start ttynpd, or name its socket with --socket)\n`,
    };
    for (const command of ['status', 'ports', 'reload', 'watch'])
      expect(await run([command, '--socket', none])).toEqual(expected);
    expect((await run(['status', '--socket', none, '--debug'])).err).toContain('\n    at ');
  });
});

describe('config', () => {
  test('check: ok', async () => {
    const file = join(folder, 'c.yaml');
    writeFileSync(file, 'version: 1\nservers: { s: { address: h, ports: 2, firstTty: ttyX0 } }\n');
    expect(await run(['config', 'check', file])).toEqual({
      code: 0,
      out: `${file}: ok, 2 ttys on 1 server\n`,
      err: '',
    });
    expect(parse((await run(['config', 'show', file])).out)).toMatchObject({
      version: 1,
      ttys: [{ name: 'ttyX0', mode: '0660', dataPort: 950 }, { name: 'ttyX1' }],
    });
  });
  test('check: every error, and exit code 1', async () => {
    const file = join(folder, 'c.yaml');
    writeFileSync(file, 'version: 2\nportz: 1\n');
    expect(await run(['config', 'check', file])).toEqual({
      code: 1,
      out: '',
      err: `${file}:1: version: must be 1\n${file}:2: portz: unknown key\n`,
    });
    expect((await run(['config', 'show', file])).code).toBe(1);
    expect((await run(['status', '--config', file])).err).toContain('version: must be 1');
  });
  test('schema', async () =>
    expect(JSON.parse((await run(['config', 'schema'])).out)).toMatchObject({ required: ['version'] }));
});

test('a wrong word is answered with the right one', async () => {
  expect((await run(['trase'])).err).toBe('ttynp: no such command: did you mean trace? (ttynp --help tells more)\n');
  expect((await run(['port'])).err).toBe('ttynp: an argument is missing (ttynp --help tells more)\n');
});

test('what is no command is exit code 2 and one line', async () => {
  for (const argv of [
    [],
    ['nothing'],
    ['ports', '--nope'],
    ['port'],
    ['config'],
    ['config', 'nope'],
    ['ports', 'extra'],
  ]) {
    const { code, out, err } = await run(argv);
    expect([code, out, err.split('\n').length], argv.join(' ')).toEqual([2, '', 2]);
    expect(err).toMatch(/^ttynp: .* \(ttynp --help tells more\)$/m);
  }
});
