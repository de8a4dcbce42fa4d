// The command as a user types it, against the daemon as it runs: what it prints, its exit code, and that an error is one
// line. What each option does in detail is tested where the commands are.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { Child, CLI, cli, eventually, run, Whole } from '../support/e2e.js';
import { Python } from '../support/e2e-python.js';
import { freePorts } from '../support/free-ports.js';
import { App } from '../support/rig.js';

let whole: Whole;

beforeAll(async () => {
  // Let go of by a pause, and found again.
  const [dataPort = 0, commandPort = 0] = await freePorts(2);
  whole = await Whole.start({
    ports: 2,
    simulator: { unpaced: true, dataPort, commandPort },
    tty: { disconnectDelay: '50ms', format: 115200 },
    ttys: { ttyNP1: { alias: 'gas-meter' } },
  });
});
afterAll(() => whole.close());
beforeEach(() => {
  if (whole.daemon.end) throw new Error(`the daemon has ended\n${whole.daemon.stderr}`);
});

const apps: App[] = [];
const open = (tty = 'ttyNP0') => {
  const app = new App(whole.path(tty));
  apps.push(app);
  return app;
};
afterEach(async () => {
  for (const app of apps.splice(0)) app.close();
  for (const tty of ['ttyNP0', 'ttyNP1']) await whole.portIs('idle', (view) => view.state === 'idle', tty);
});

const ttynp = (...argv: string[]) => cli(['--socket', whole.socketPath, ...argv]);
const live = (...argv: string[]) => new Child([process.execPath, CLI, '--socket', whole.socketPath, ...argv]);

/** One line on stderr, nothing on stdout. */
async function fails(code: number, argv: string[], ...said: string[]): Promise<void> {
  const result = await cli(argv);
  expect(result.code, result.stderr).toBe(code);
  expect(result.stdout).toBe('');
  const first = result.stderr.split('\n')[0] ?? '';
  for (const text of said) expect(result.stderr).toContain(text);
  expect(first).toMatch(/^ttynp: /);
  expect(result.stderr).not.toMatch(/^\s+at /m);
}

describe('what is there', () => {
  test('status, plain and as JSON', async () => {
    const plain = await ttynp('status');
    expect(plain).toMatchObject({ code: 0, stderr: '' });
    expect(plain.stdout).toContain(`pid ${whole.daemon.pid}`);
    expect(plain.stdout).toContain('simulator');
    const json: unknown = JSON.parse((await ttynp('status', '--json')).stdout);
    expect(json).toMatchObject({ apiVersion: 1, pid: whole.daemon.pid, ports: 2, configFile: whole.configFile });
  });

  test('ports, plain and as JSON, without colours where it is no terminal', async () => {
    const plain = await ttynp('ports');
    expect(plain.stdout.trim().split('\n').length).toBe(3);
    expect(plain.stdout).not.toContain('\x1b');
    const json: unknown = JSON.parse((await ttynp('ports', '--json')).stdout);
    expect(json).toMatchObject([
      { name: 'ttyNP0', state: 'idle' },
      { name: 'ttyNP1', aliases: ['gas-meter'] },
    ]);
  });

  test('port: who holds it, by pid and name; its settings and lines', async () => {
    const python = new Python();
    await python.run(`s = serial.Serial(${JSON.stringify(whole.path())}, 57600, timeout=5)`);
    await python.run(`s.write(b'counted')`);
    await python.run('s.read(7)');
    const { stdout, code } = await ttynp('port', 'ttyNP0');
    expect(code).toBe(0);
    expect(stdout).toContain(`python3 (pid ${python.child.pid})`);
    expect(stdout).toMatch(/ttyNP0 up since/);
    expect(stdout).toMatch(/acknowledged\s+57600,8N1/);
    expect(stdout).toMatch(/lines\s+DTR on RTS on, from the device: CTS on DSR on DCD on/);
    expect(stdout).toMatch(/sent\s+7 bytes/);
    expect(stdout).toMatch(/received\s+7 bytes/);
    await python.close();
    await whole.portIs('idle', (view) => view.state === 'idle');
    expect((await ttynp('port', whole.path())).stdout).toMatch(/held by\s+nobody/);
    expect(JSON.parse((await ttynp('port', 'gas-meter', '--json')).stdout)).toMatchObject({ name: 'ttyNP1' });
  });
});

describe('live', () => {
  test('watch: every port first, then what happens', async () => {
    const watch = live('watch');
    await eventually('both ports', () => /ttyNP0 idle[\s\S]*ttyNP1 idle/.test(watch.stdout));
    const app = open();
    await eventually('up', () => /ttyNP0 up open, 127\.0\.0\.1:\d+, \d+,8N1, DTR RTS CTS DSR DCD/.test(watch.stdout));
    app.close();
    await eventually('idle again', () => /ttyNP0 up[\s\S]*ttyNP0 idle/.test(watch.stdout));
    watch.signal('SIGINT');
    expect(await watch.exit()).toEqual({ code: 0, signal: null });
    expect(watch.stderr).toBe('');
  });

  test('watch --json: each line is an event', async () => {
    const watch = live('watch', '--json');
    await eventually('two lines', () => watch.stdout.split('\n').length > 2);
    for (const line of watch.stdout.trim().split('\n')) expect(JSON.parse(line)).toMatchObject({ type: 'port' });
    watch.signal('SIGTERM');
    expect((await watch.exit()).code).toBe(0);
  });

  test('trace --for ends by itself', async () => {
    expect(await ttynp('trace', 'ttyNP1', '--for', '300ms')).toMatchObject({ code: 0, stderr: '' });
  });

  test('trace: bytes both ways, commands decoded, connects; --ascii and --output', async () => {
    const output = join(whole.dir, 'trace.txt');
    const hex = live('trace', 'ttyNP1');
    const ascii = live('trace', whole.path('gas-meter'), '--ascii', '--output', output);
    const written = () => (existsSync(output) ? readFileSync(output, 'utf8') : '');
    await eventually('they look on', () => traces('ttyNP1', () => hex.stdout, written));
    const from = hex.stdout.length;
    const fromAscii = written().length;
    const said = () => hex.stdout.slice(from);
    const app = open('gas-meter');
    app.write('two\r\nlines');
    await app.readExactly(10);
    app.set({ baudRate: 2400 });
    await eventually('2400', () => whole.simulator.line(2).settings.baudRate === 2400);
    app.close();
    await eventually('the end of it', () => /-> idle/.test(said()) && /-> idle/.test(written().slice(fromAscii)));
    expect(said()).toContain('74 77 6f 0d 0a 6c 69 6e 65 73  |two..lines|');
    expect(said()).toMatch(/PORT_INIT 115200,8N1 dtr=1 rts=1/);
    expect(said()).toMatch(/PORT_INIT 2400,8N1/);
    expect(said()).toMatch(/opened, 115200,8N1/);
    hex.signal('SIGINT');
    expect(await hex.exit()).toEqual({ code: 0, signal: null });
    ascii.signal('SIGINT');
    expect(await ascii.exit()).toEqual({ code: 0, signal: null });
    expect(written().match(/two\\r\\nlines/g)?.length).toBe(2);
    expect(ascii.stdout).not.toContain('two');
  });

  /** Whether the traces have begun: each shows a short use of the port from its begin to its end, and no other use is under way. */
  async function traces(tty: string, ...texts: (() => string)[]): Promise<boolean> {
    const before = texts.map((text) => text().length);
    new App(whole.path(tty)).close();
    const shown = () => texts.every((text, i) => /idle -> [\s\S]*-> idle/.test(text().slice(before[i])));
    return eventually('the use is shown', shown, 1000).catch(() => false);
  }
});

describe('reload and config', () => {
  test('reload says what changed; a file with errors is refused with all of them', async () => {
    const good = readFileSync(whole.configFile, 'utf8');
    expect(await ttynp('reload')).toMatchObject({ code: 0, stdout: 'reloaded: 2 unchanged\n' });
    writeFileSync(
      whole.configFile,
      'version: 1\nttys:\n  a/b: { server: x }\n  ttyNP0: { server: simulator, prot: 1 }\n',
    );
    const refused = await ttynp('reload');
    expect(refused.code).toBe(1);
    expect(refused.stderr).toMatch(/ttynp\.yaml:4: .*prot/);
    expect(refused.stderr.trim().split('\n').length).toBeGreaterThan(2);
    const checked = await cli(['config', 'check', whole.configFile]);
    expect(checked.code).toBe(1);
    expect(checked.stderr).toMatch(/ttynp\.yaml:4: .*prot/);
    writeFileSync(whole.configFile, good);
    expect(JSON.parse((await ttynp('reload', '--json')).stdout)).toMatchObject({ ok: true, unchanged: 2 });
  });

  test('config check, show and schema', async () => {
    expect(await cli(['config', 'check', whole.configFile])).toMatchObject({ code: 0, stderr: '' });
    const shown: unknown = parse((await cli(['config', 'show', '-c', whole.configFile])).stdout);
    expect(shown).toMatchObject({ runtimeDir: whole.dir, ttys: [{ name: 'ttyNP0' }, { name: 'ttyNP1' }] });
    const schema: unknown = JSON.parse((await cli(['config', 'schema'])).stdout);
    expect(schema).toMatchObject({ type: 'object', properties: { servers: {}, ttys: {} } });
  });
});

describe('errors', () => {
  test('no daemon there: one line with a hint, exit 1; a stack only with --debug', async () => {
    const nowhere = join(whole.dir, 'nowhere.sock');
    for (const command of [['status'], ['ports'], ['port', 'ttyNP0'], ['reload'], ['watch'], ['trace', 'ttyNP0']]) {
      await fails(1, ['--socket', nowhere, ...command], 'no daemon', nowhere);
    }
    const debug = await cli(['--socket', nowhere, '--debug', 'status']);
    expect(debug.stderr).toMatch(/^\s+at /m);
  });

  test('no such tty, no such command, no such option', async () => {
    await fails(1, ['--socket', whole.socketPath, 'port', 'ttyNP7'], 'ttyNP7');
    await fails(1, ['--socket', whole.socketPath, 'trace', 'ttyNP7'], 'ttyNP7');
    await fails(2, ['sttaus'], 'status');
    await fails(2, ['status', '--jsn']);
    await fails(2, []);
    await fails(2, ['--socket', whole.socketPath, 'trace', 'ttyNP0', '--for', 'ever'], '--for');
  });

  test('--help and --version', async () => {
    const help = await cli(['--help']);
    expect(help.code).toBe(0);
    for (const command of ['status', 'ports', 'watch', 'trace', 'doctor', 'simulate', 'demo']) {
      expect(help.stdout).toContain(command);
    }
    expect((await cli(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test('a reader that goes away (| head) is no error', async () => {
    const { code, stderr } = await run([
      'sh',
      '-c',
      '"$0" "$1" --socket "$2" config schema | head -n 1; "$0" "$1" --socket "$2" ports --json | head -c 1',
      process.execPath,
      CLI,
      whole.socketPath,
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  });
});

describe('without a daemon', () => {
  test('demo --once checks itself and leaves nothing', async () => {
    const tmp = join(whole.dir, 'tmp');
    const { code, stdout, stderr } = await run(
      ['sh', '-c', 'mkdir -p "$TMPDIR"; exec "$0" "$1" demo --once', process.execPath, CLI],
      {
        env: { TMPDIR: tmp },
      },
    );
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain('All checks passed.');
    expect(stdout).not.toContain('FAILED');
    expect((await run(['ls', '-A', tmp])).stdout).toBe('');
  });

  test('simulate as a program of its own serves the daemon', async () => {
    const { dataPort, commandPort } = whole.simulator.port(1);
    const argv = ['simulate', '--listen', '127.0.0.1', '--unpaced'];
    // Its numbers are fixed: it is given those that the test's own simulator leaves for a moment.
    await whole.simulator.port(1).pauseAccepting();
    const child = new Child([
      process.execPath,
      CLI,
      ...argv,
      '--data-port',
      `${dataPort}`,
      '--command-port',
      `${commandPort}`,
    ]);
    const app = open();
    app.write('hello');
    expect((await app.readExactly(5)).toString()).toBe('hello');
    app.close();
    await whole.portIs('idle', (view) => view.state === 'idle');
    child.signal('SIGINT');
    expect((await child.exit()).code).toBe(0);
    await whole.simulator.port(1).resumeAccepting();
  });

  test('doctor: of a port that works, and of one whose server is away', async () => {
    const app = open();
    app.write('x');
    await app.readExactly(1);
    const fine = await ttynp('doctor', 'ttyNP0');
    expect(fine.stdout).not.toMatch(/^ *FAILED/m);
    expect(fine.code).toBe(0);
    app.close();
    await whole.simulator.port(2).pauseAccepting();
    const other = open('ttyNP1');
    await whole.portIs('waiting', (view) => view.reason !== null, 'ttyNP1');
    const away = await ttynp('doctor', 'ttyNP1');
    expect(away.code).toBe(1);
    expect(away.stdout).toMatch(/^ *FAILED .*refused/m);
    other.close();
    await whole.simulator.port(2).resumeAccepting();
  });
});
