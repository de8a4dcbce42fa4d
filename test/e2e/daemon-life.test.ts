// The daemon's life: start, what it tells the service manager, reload, end; and what it finds at start that another one,
// or somebody else, has left.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmdirSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from 'vitest';
import { cli, eventually, startDaemon, Whole, type WholeOptions } from '../support/e2e.js';
import { NotifySocket } from '../support/e2e-notify.js';
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

async function echo(app: App, text: string): Promise<void> {
  app.write(text);
  expect((await app.readExactly(text.length)).toString()).toBe(text);
}

describe('start and end', () => {
  test('256 ttys: ready when every link is there, gone at SIGTERM', async () => {
    const whole = await start({
      config: {
        servers: { far: { address: '127.0.0.1', ports: 256, firstTty: 'ttyNP0', dataPort: 20000, commandPort: 30000 } },
        ttys: {},
      },
      idle: true,
    });
    const notify = keep(await NotifySocket.bind(whole.dir));
    const daemon = startDaemon(whole.configFile, { env: { NOTIFY_SOCKET: notify.path } });
    await notify.until('READY', (all) => all.some((text) => /^READY=1$/m.test(text)));
    for (let i = 0; i < 256; i++) {
      const target = readlinkSync(whole.path(`ttyNP${i}`));
      expect(target).toMatch(/^\/dev\/pts\/\d+$/);
      expect(statSync(target).isCharacterDevice()).toBe(true);
    }
    expect(notify.datagrams.join('\n')).toMatch(/^STATUS=256 ports/m);
    const app = new App(whole.path('ttyNP255'));
    await eventually('it answers', async () => (await whole.client.port('ttyNP255')).open);
    app.close();
    const began = performance.now();
    daemon.signal('SIGTERM');
    expect(await daemon.exit()).toEqual({ code: 0, signal: null });
    expect(performance.now() - began).toBeLessThan(5000);
    await notify.until('STOPPING', (all) => all.some((text) => text.startsWith('STOPPING=1')));
    for (let i = 0; i < 256; i++) expect(lstatSync(whole.path(`ttyNP${i}`), { throwIfNoEntry: false })).toBeUndefined();
    expect(existsSync(whole.socketPath)).toBe(false);
  });

  test('the watchdog is fed at half of its time, a reload is told', async () => {
    const whole = await start({ idle: true });
    const notify = keep(await NotifySocket.bind(whole.dir));
    const env = { NOTIFY_SOCKET: notify.path, WATCHDOG_USEC: '200000' };
    const daemon = startDaemon(whole.configFile, { env });
    const count = (all: string[], text: string) => all.filter((datagram) => datagram.includes(text)).length;
    await notify.until('three WATCHDOGs', (all) => count(all, 'WATCHDOG=1') >= 3);
    daemon.signal('SIGHUP');
    await notify.until('RELOADING, then READY', (all) => {
      const reloading = all.findIndex((text) => /^RELOADING=1\nMONOTONIC_USEC=\d+$/.test(text));
      return reloading >= 0 && all.slice(reloading).some((text) => text.startsWith('READY=1'));
    });
    daemon.signal('SIGTERM');
    expect((await daemon.exit()).code).toBe(0);
  });

  test('SIGTERM within 5 s though the device holds its line and an application wrote; the application is hung up', async () => {
    const whole = await start({ tty: { format: 9600 } });
    const app = keep(new App(whole.path()));
    await echo(app, 'x');
    whole.simulator.line(1).hold(true);
    app.write(Buffer.alloc(3000));
    await whole.portIs('sent', (view) => view.sent.bytes > 1000);
    const { code, ms } = await whole.stopDaemon();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(5000);
    await eventually('hang-up', () => app.read() === undefined);
    await eventually('the device lost its host', () => whole.simulator.port(1).peer === undefined);
    expect(whole.simulator.line(1).outputLines.dtr).toBe(false);
  });

  test('SIGTERM with a command connection that has gone mute', async () => {
    const whole = await start();
    const app = keep(new App(whole.path()));
    await whole.portIs('up', (view) => view.state === 'up');
    whole.simulator.port(1).answers.mute = true;
    app.write('unheard');
    const { code, ms } = await whole.stopDaemon();
    expect(code).toBe(0);
    expect(ms).toBeLessThan(5000);
    expect(whole.daemon.stderr).not.toContain('not all ports ended');
  });

  test('SIGTERM lets what was written be transmitted', async () => {
    const whole = await start({ tty: { format: 9600 } });
    const app = keep(new App(whole.path()));
    const bytes = Buffer.alloc(1500, 'transmit me ');
    await whole.portIs('up', (view) => view.state === 'up');
    app.write(bytes);
    await whole.portIs('taken', (view) => view.sent.bytes + view.sent.parkedBytes === bytes.length);
    expect((await whole.stopDaemon()).code).toBe(0);
    expect(whole.recorder().bytes.equals(bytes)).toBe(true);
  });
});

describe('reload', () => {
  test('an unchanged port is not touched; others come, go and change', async () => {
    const whole = await start({ ports: 4, simulator: { unpaced: true } });
    const app = keep(new App(whole.path('ttyNP0')));
    await echo(app, 'before');
    const { counts } = whole.simulator.port(1);
    const { devicePath } = await whole.port('ttyNP0');
    const paired = counts.paired;
    const changing = keep(new App(whole.path('ttyNP1')));
    await echo(changing, 'before');
    whole.configure({
      ttys: {
        ttyNP0: whole.entry(1),
        ttyNP1: whole.entry(2, { format: 19200, alias: 'gas-meter' }),
        ttyNP9: whole.entry(4),
      },
    });
    whole.daemon.signal('SIGHUP');
    await eventually('the new port is there', () => existsSync(whole.path('ttyNP9')));
    expect(lstatSync(whole.path('ttyNP2'), { throwIfNoEntry: false })).toBeUndefined();
    await echo(app, 'after');
    expect(whole.simulator.port(1).counts).toMatchObject({ paired, data: 1, command: 1 });
    expect((await whole.port('ttyNP0')).devicePath).toBe(devicePath);
    await eventually('the changed port hung up', () => changing.read() === undefined);
    expect(realpathSync(whole.path('gas-meter'))).toBe(realpathSync(whole.path('ttyNP1')));
    const anew = keep(new App(whole.path('gas-meter')));
    await eventually('19200 at the device', () => whole.simulator.line(2).settings.baudRate === 19200);
    await echo(anew, 'by its alias');
    const added = keep(new App(whole.path('ttyNP9')));
    await echo(added, 'hello');
    await expect(whole.port('ttyNP2')).rejects.toMatchObject({ code: 'NO_SUCH_TTY' });
    expect(await whole.client.reload()).toMatchObject({ ok: true, added: [], removed: [], changed: [], unchanged: 3 });
  });

  test('with somebody who watches and traces: ports come and go under their eyes, and the daemon ends', async () => {
    const whole = await start({ ports: 2 });
    const seen: string[] = [];
    const watching = (async () => {
      for await (const event of whole.client.watch()) seen.push(event.type === 'port' ? event.port.name : event.type);
    })();
    const tracing = (async () => {
      for await (const record of whole.client.trace('ttyNP1')) seen.push(record.type);
    })();
    const app = keep(new App(whole.path('ttyNP1')));
    await echo(app, 'x');
    await eventually('both see it', () => seen.includes('ttyNP1') && seen.includes('data'));
    for (let i = 0; i < 5; i++) {
      whole.configure({ ttys: { ttyNP0: whole.entry(1) } });
      expect(await whole.client.reload()).toMatchObject({ ok: true, removed: ['ttyNP1'] });
      whole.configure({ ttys: { ttyNP0: whole.entry(1), ttyNP1: whole.entry(2, { format: 300 * (i + 1) }) } });
      expect(await whole.client.reload()).toMatchObject({ ok: true, added: ['ttyNP1'] });
    }
    await eventually('removed, and there again', () => seen.lastIndexOf('ttyNP1') > seen.indexOf('removed'));
    expect((await whole.stopDaemon()).code).toBe(0);
    await Promise.allSettled([watching, tracing]);
  });

  test('an invalid file changes nothing, and says all that is wrong with it', async () => {
    const whole = await start({ ports: 2 });
    const app = keep(new App(whole.path()));
    await echo(app, 'x');
    writeFileSync(whole.configFile, 'version: 1\nserverz: {}\nttys:\n  ttyNP0: { server: nobody, port: 0 }\n');
    const result = await whole.client.reload();
    expect(result.ok).toBe(false);
    expect(result.errors.length).toBeGreaterThanOrEqual(2);
    expect(result.errors.join('\n')).toMatch(/ttynp\.yaml:2: .*serverz/);
    expect(result.errors.join('\n')).toMatch(/ttynp\.yaml:4: .*port/);
    await echo(app, 'still here');
    expect((await whole.client.status()).lastReload).toMatchObject({ ok: false });
    expect((await whole.client.ports()).length).toBe(2);
    whole.configure();
    expect(await whole.client.reload()).toMatchObject({ ok: true, unchanged: 2 });
  });
});

describe('what it finds at start', () => {
  test('a living daemon is left alone', async () => {
    const whole = await start();
    const app = keep(new App(whole.path()));
    await echo(app, 'x');
    const second = startDaemon(whole.configFile);
    expect((await second.exit()).code).toBe(1);
    expect(second.stderr).toContain(`already running, pid ${whole.daemon.pid}`);
    expect(second.stderr.trim().split('\n').length).toBeLessThanOrEqual(2);
    await echo(app, 'untouched');
    expect((await whole.client.status()).pid).toBe(whole.daemon.pid);
  });

  test('the remains of a dead one are replaced, and the port works by the same name', async () => {
    const whole = await start({ ports: 2 });
    const app = keep(new App(whole.path()));
    await echo(app, 'x');
    whole.daemon.signal('SIGKILL');
    await whole.daemon.exit();
    await eventually('the application is hung up', () => app.read() === undefined);
    expect(lstatSync(whole.path()).isSymbolicLink()).toBe(true);
    expect(existsSync(whole.socketPath)).toBe(true);
    await whole.startDaemon();
    const again = keep(new App(whole.path()));
    await echo(again, 'after the restart');
  });

  test('a regular file in the way is renamed; a foreign link, a directory or a special file is not touched, its port has failed', async () => {
    const whole = await start({ ports: 5, idle: true });
    expect(spawnSync('mkfifo', [whole.path('ttyNP4')]).status).toBe(0);
    writeFileSync(whole.path('ttyNP0'), 'written while nothing was there');
    symlinkSync('/dev/null', whole.path('ttyNP1'));
    mkdirSync(whole.path('ttyNP2'));
    await whole.startDaemon();
    expect(readFileSync(`${whole.path('ttyNP0')}.stray`, 'utf8')).toBe('written while nothing was there');
    expect(readlinkSync(whole.path('ttyNP1'))).toBe('/dev/null');
    expect(statSync(whole.path('ttyNP2')).isDirectory()).toBe(true);
    expect(statSync(whole.path('ttyNP4')).isFIFO()).toBe(true);
    for (const name of ['ttyNP1', 'ttyNP2', 'ttyNP4']) {
      const view = await whole.port(name);
      expect(view).toMatchObject({ state: 'failed', reason: { code: 'LINK_PATH_TAKEN' } });
      expect(view.reason?.message).toContain(whole.path(name));
    }
    for (const name of ['ttyNP0', 'ttyNP3']) await echo(keep(new App(whole.path(name))), 'fine');
    expect(await whole.client.status()).toMatchObject({ failed: 3, ports: 5 });
    // Out of the way, a reload makes them.
    unlinkSync(whole.path('ttyNP1'));
    rmdirSync(whole.path('ttyNP2'));
    unlinkSync(whole.path('ttyNP4'));
    expect(await whole.client.reload()).toMatchObject({
      ok: true,
      changed: ['ttyNP1', 'ttyNP2', 'ttyNP4'],
      unchanged: 2,
    });
    await echo(keep(new App(whole.path('ttyNP1'))), 'fine now');
    unlinkSync(`${whole.path('ttyNP0')}.stray`);
  });

  test('a configuration with errors: all of them, with file and line, and exit code 78 (EX_CONFIG)', async () => {
    const whole = await start({ idle: true });
    writeFileSync(
      whole.configFile,
      `version: 1
runtimeDir: ${whole.dir}
servers:
  a: { address: 192.0.2.1, ports: 2, firstTty: ttyNP0, prots: 3 }
ttys:
  ttyNP5: { server: a, port: 300 }
  ttyNP6: { server: b, port: 1 }
`,
    );
    const daemon = startDaemon(whole.configFile);
    expect((await daemon.exit()).code).toBe(78);
    expect(daemon.stderr).toMatch(/ttynp\.yaml:4: .*prots/);
    expect(daemon.stderr).toMatch(/ttynp\.yaml:6: .*port/);
    expect(daemon.stderr).not.toMatch(/\n\s+at /);
    const check = await cli(['config', 'check', '-c', whole.configFile]);
    expect(check.code).toBe(1);
    expect(existsSync(join(whole.dir, 'ttyNP0'))).toBe(false);
  });
});
