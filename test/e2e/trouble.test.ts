// What a machine may lack: permissions, descriptors, room on a disk. Each is a clear error in one line, and a port that
// does not suffer from it does not notice.
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { Child, CLI, cli, eventually, run, startDaemon, Whole, type WholeOptions } from '../support/e2e.js';
import { App } from '../support/rig.js';

const open: { close(): unknown }[] = [];
const keep = <T extends { close(): unknown }>(thing: T): T => {
  open.push(thing);
  return thing;
};
const start = async (options?: WholeOptions) => keep(await Whole.start(options));
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close();
});

const root = process.getuid?.() === 0;

async function echo(app: App, text: string): Promise<void> {
  app.write(text);
  expect((await app.readExactly(text.length)).toString()).toBe(text);
}

/** RLIMIT_NOFILE of the running daemon. */
function limit(whole: Whole, descriptors: number): void {
  expect(spawnSync('prlimit', [`--pid=${whole.daemon.pid}`, `--nofile=${descriptors}:4096`]).status).toBe(0);
}

/** An error as a user should see it: one line that says what and where, no stack. */
function expectOneLine(stderr: string, ...said: string[]): void {
  const lines = stderr.trim().split('\n');
  expect(lines.length, stderr).toBe(1);
  for (const text of said) expect(lines[0]).toContain(text);
}

describe('permissions', () => {
  test('a runtimeDir that the user may not write', async () => {
    const whole = await start({ idle: true });
    const closed = join(whole.dir, 'closed');
    mkdirSync(closed);
    chmodSync(closed, 0o555);
    chmodSync(whole.dir, 0o755);
    for (const runtimeDir of [closed, join(closed, 'below')]) {
      whole.configure({ runtimeDir, linkDir: runtimeDir });
      const daemon = startDaemon(whole.configFile, { unprivileged: true });
      expect((await daemon.exit()).code).toBe(1);
      expectOneLine(daemon.stderr, 'runtimeDir', closed);
    }
  });

  test('an unprivileged user has its ttys in its runtimeDir, and they work', async () => {
    const whole = await start({ daemon: { unprivileged: true }, simulator: { unpaced: true } });
    expect(readFileSync(`/proc/${whole.daemon.pid}/status`, 'utf8')).toMatch(
      root ? /^Uid:\s+65534/m : /^Uid:\s+[1-9]/m,
    );
    let returned = 0;
    for (let i = 0; i < 100; i++) {
      const app = new App(whole.path());
      const word = `round ${i}`;
      const unread = 'left unread by this one';
      await echo(app, word);
      app.write(unread);
      returned += word.length + unread.length;
      await whole.portIs('has it back', (view) => view.received.bytes === returned);
      app.close();
      await whole.portIs('noticed', (view) => !view.open);
    }
    expect((await whole.stopDaemon()).code).toBe(0);
    expect(existsSync(whole.path())).toBe(false);
  });

  test('mode, owner and group of a tty and of the control socket', async () => {
    const group = root ? 65534 : process.getgid?.();
    const whole = await start({ tty: { mode: '0640', group }, config: { control: { mode: '0600', group } } });
    const tty = statSync(whole.path());
    expect(tty.mode & 0o777).toBe(0o640);
    expect(tty.gid).toBe(group);
    const socket = statSync(whole.socketPath);
    expect(socket.mode & 0o777).toBe(0o600);
    expect(socket.gid).toBe(group);
    // Also the PTY that replaces one that was hung up.
    const app = keep(new App(whole.path()));
    await echo(app, 'x');
    whole.configure({ ttys: { ttyNP0: whole.entry(1, { format: 4800, mode: '0620' }) } });
    expect(await whole.client.reload()).toMatchObject({ ok: true, changed: ['ttyNP0'] });
    expect(statSync(whole.path()).mode & 0o777).toBe(0o620);
  });

  test('without a word of the configuration the tty is of the daemon', async () => {
    const whole = await start();
    const { uid, gid } = statSync(whole.path());
    expect([uid, gid]).toEqual([process.geteuid?.(), process.getegid?.()]);
  });

  test('who may not use the control socket is told so', async ({ skip }) => {
    if (!root) skip('to be somebody else needs root');
    const whole = await start({ config: { control: { mode: '0600' } } });
    chmodSync(whole.dir, 0o755);
    const { code, stderr } = await cli(['--socket', whole.socketPath, 'status'], { unprivileged: true });
    expect(code).toBe(1);
    expectOneLine(stderr, 'not allowed', whole.socketPath);
    const bench = ['--socket', whole.socketPath, 'bench', 'latency', 'ttyNP0', '--loop-plug'];
    const measured = await cli(bench, { unprivileged: true });
    expect(measured.code).toBe(1);
    expectOneLine(measured.stderr, 'not allowed', 'give the path of the tty');
  });

  test('a group that there is not', async () => {
    const whole = await start({ ports: 2, ttys: { ttyNP0: { group: 'no-such-group' } } });
    expect(await whole.port('ttyNP0')).toMatchObject({ state: 'failed' });
    expect((await whole.port('ttyNP0')).reason?.message).toContain('no-such-group');
    await echo(keep(new App(whole.path('ttyNP1'))), 'fine');
  });
});

describe('descriptors', () => {
  test('too few at start: the ttys that could be made work, the others say why', async () => {
    const whole = await start({ idle: true, simulator: { unpaced: true }, daemon: { maxDescriptors: 200 } });
    const { dataPort, commandPort } = whole.simulator.port(1);
    whole.configure({
      servers: { far: { address: '127.0.0.1', ports: 256, firstTty: 'ttyNP0', dataPort: 1000, commandPort: 3000 } },
      ttys: { ttyNP0: { server: 'far', port: 1, dataPort, commandPort } },
    });
    await whole.startDaemon();
    const views = await whole.client.ports();
    const failed = views.filter((view) => view.state === 'failed');
    expect(failed.length).toBeGreaterThan(40);
    expect(whole.daemon.stderr).toContain('256 ttys need up to 832 file descriptors, and the limit is 200');
    expect(failed.length).toBeLessThan(200);
    for (const view of failed) expect(view.reason).toMatchObject({ code: 'NO_DESCRIPTORS' });
    expect(failed[0]?.reason?.message).toMatch(/LimitNOFILE/);
    expect(whole.daemon.stderr).not.toMatch(/\n\s+at /);
  });

  test('used up by connections: some wait with a reason, those that are up go on, and all come when there is room', async () => {
    const whole = await start({ ports: 30, simulator: { unpaced: true } });
    const first = keep(new App(whole.path('ttyNP0')));
    await echo(first, 'first');
    const before = whole.daemon.descriptors;
    limit(whole, before + 20);
    const apps = Array.from({ length: 29 }, (_, i) => keep(new App(whole.path(`ttyNP${i + 1}`))));
    await eventually(
      () => `some lack descriptors: ${whole.daemon.descriptors} ${whole.daemon.stderr}`,
      async () => {
        await echo(first, 'goes on');
        return whole.daemon.stderr.includes('out of file descriptors');
      },
    );
    limit(whole, 1024);
    for (const [i, app] of apps.entries()) {
      const view = await whole.portIs('up', ({ state }) => state === 'up', `ttyNP${i + 1}`);
      if (view.lastError) expect(view.lastError).toMatchObject({ code: 'NO_DESCRIPTORS' });
      app.write('room again');
    }
    for (const [i, app] of apps.entries()) expect(`${i} ${await app.readExactly(10)}`).toBe(`${i} room again`);
    await echo(first, 'went on');
    expect((await whole.port('ttyNP0')).connects).toBe(1);
    for (const app of apps) app.close();
    await eventually('no descriptor was lost', () => whole.daemon.descriptors <= before);
    expect(whole.daemon.stderr.split('\n').length).toBeLessThan(60);
  });
});

describe('the log', () => {
  test('a full disk: the daemon goes on', async ({ skip }) => {
    if (!root) skip('mounting a full disk needs root');
    const whole = await start({ idle: true, simulator: { unpaced: true } });
    const disk = join(whole.dir, 'disk');
    mkdirSync(disk);
    const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', disk]);
    if (mounted.status !== 0) skip('mounting is not allowed here');
    keep({ close: () => spawnSync('umount', ['-l', disk]) });
    whole.configure({ log: { file: join(disk, 'ttynp.log'), level: 'debug' } });
    spawnSync('sh', ['-c', `head -c 60000 /dev/zero > ${join(disk, 'filler')}`]);
    await whole.startDaemon();
    for (let i = 0; i < 40; i++) {
      whole.configure({
        log: { file: join(disk, 'ttynp.log'), level: 'debug' },
        ttys: { ttyNP0: whole.entry(1, { format: 300 + i }) },
      });
      expect(await whole.client.reload()).toMatchObject({ ok: true });
    }
    spawnSync('sh', ['-c', `cat /dev/zero > ${join(disk, 'more')} 2>/dev/null`]);
    for (let i = 0; i < 5; i++) {
      const app = new App(whole.path());
      await echo(app, 'the disk is full');
      app.close();
      expect(await whole.client.reload()).toMatchObject({ ok: true });
    }
    expect((await whole.stopDaemon()).code).toBe(0);
  });

  test('a file that cannot be written: it says so, logs to where it was started, and runs', async () => {
    const whole = await start({ config: { log: { file: '/proc/nothing/ttynp.log' } }, simulator: { unpaced: true } });
    expect(whole.daemon.stderr).toMatch(/^log file \/proc\/nothing\/ttynp\.log cannot be written .*\n.*ttynpd .* runs/);
    await echo(keep(new App(whole.path())), 'fine');
  });
});

describe('taken', () => {
  test('simulate on ports that are in use: one line, exit 1', async () => {
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
    const address = taken.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const argv = ['simulate', '--listen', '127.0.0.1', '--data-port', String(port), '--command-port', '1'];
    const { code, stderr } = await cli(argv);
    taken.close();
    expect(code).toBe(1);
    expectOneLine(stderr, String(port), 'in use');
  });

  test('a control socket path that holds something else is not touched', async () => {
    const whole = await start({ idle: true });
    writeFileSync(whole.socketPath, 'precious');
    const daemon = startDaemon(whole.configFile);
    expect((await daemon.exit()).code).toBe(1);
    expectOneLine(daemon.stderr, whole.socketPath);
    expect(readFileSync(whole.socketPath, 'utf8')).toBe('precious');
  });

  test('a configuration file that is not there, and one that is no YAML', async () => {
    const whole = await start({ idle: true });
    const missing = await run([process.execPath, CLI, 'daemon', '-c', join(whole.dir, 'none.yaml')]);
    expect(missing.code).toBe(78);
    expectOneLine(missing.stderr, 'none.yaml');
    writeFileSync(whole.configFile, 'version: 1\nttys: [unclosed\n');
    const broken = new Child([process.execPath, CLI, 'daemon', '-c', whole.configFile]);
    expect((await broken.exit()).code).toBe(78);
    expect(broken.stderr).toMatch(/ttynp\.yaml:\d+: /);
    expect(broken.stderr).not.toMatch(/\n\s+at /);
  });
});
