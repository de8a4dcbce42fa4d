// The API over a real unix socket: our client, and peers that send whatever they like.
import { chmodSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { DaemonClient } from '../../../src/api/client.js';
import type { TraceRecord, WatchEvent } from '../../../src/api/types.js';
import { silentLog } from '../../../src/base/log.js';
import { ControlServer } from '../../../src/control/server.js';
import { FakeDaemon, portView, serialPortView } from '../../support/fake-daemon.js';

let folder: string;
let path: string;
let daemon: FakeDaemon;
let server: ControlServer;
let client: DaemonClient;

const bind = () => ControlServer.bind({ path, mode: 0o660, group: null, log: silentLog });

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'ttynp-control-'));
  path = join(folder, 'control.sock');
  daemon = new FakeDaemon(portView('ttyNP0'), portView('ttyNP1', { aliases: ['gas-meter'], state: 'idle' }));
  server = await bind();
  server.serve(daemon);
  client = new DaemonClient(path, 5000);
});
afterEach(async () => {
  await server.close();
  expect(existsSync(path)).toBe(false);
  expect(daemon.watchers.size + daemon.tracers.size).toBe(0);
  rmSync(folder, { recursive: true });
});

/** Sends bytes as they are and resolves with all that comes back until the end. */
function raw(text: string | Buffer): Promise<string> {
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(path, () => socket.write(text));
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
  });
}

const get = (target: string, method = 'GET', more = '') =>
  raw(`${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${more}\r\n`);

describe('the contract', () => {
  test('status, ports, one port by name and by alias, reload', async () => {
    expect(await client.status()).toEqual(daemon.status());
    expect(await client.ports()).toEqual(daemon.ports());
    expect((await client.port('ttyNP0')).name).toBe('ttyNP0');
    expect((await client.port('gas-meter')).name).toBe('ttyNP1');
    expect(await client.reload()).toEqual(daemon.reloadResult);
    expect(daemon.reloads).toBe(1);
  });

  test('a reload may choose backends again: of all, or of ttys by name or alias, and of none that is unknown', async () => {
    await client.reload();
    expect(daemon.chosen).toEqual([]);
    await client.reload(['*']);
    expect(daemon.chosen).toEqual(['ttyNP0', 'ttyNP1']);
    await client.reload(['gas-meter']);
    expect(daemon.chosen).toEqual(['ttyNP1']);
    const before = daemon.reloads;
    await expect(client.reload(['ttyNP0', 'a&b'])).rejects.toMatchObject({
      code: 'NO_SUCH_TTY',
      message: 'no tty a&b',
    });
    expect(daemon.reloads).toBe(before);
  });

  test('a reload tells from where it is asked, and whether by force', async () => {
    await client.reload([], { address: '2001:db8::7' });
    expect(daemon.asker).toEqual({ address: '2001:db8::7', force: false });
    await client.reload(['*'], { address: '192.0.2.7', force: true });
    expect(daemon.asker).toEqual({ address: '192.0.2.7', force: true });
    expect(daemon.chosen).toEqual(['ttyNP0', 'ttyNP1']);
    await client.reload();
    expect(daemon.asker).toEqual({ address: undefined, force: false });
    expect(await get('/v1/reload?from=somewhere', 'POST')).toContain(' 400 ');
  });

  test('usbip: suspend and resume', async () => {
    expect(await client.usbip('suspend')).toEqual({ adapters: 2 });
    expect(daemon.suspended).toBe(true);
    await client.usbip('resume');
    expect(daemon.suspended).toBe(false);
    expect(await get('/v1/usbip/suspend')).toContain(' 405 ');
    expect(await get('/v1/usbip/sleep', 'POST')).toContain(' 404 ');
  });

  test('metrics are text as Prometheus reads it', async () => {
    expect(await client.metrics()).toBe(daemon.metrics());
    expect(await get('/metrics')).toMatch(/^HTTP\/1.1 200 [\s\S]*Content-Type: text\/plain; version=0.0.4/);
  });

  test('a tty that is not there', async () => {
    await expect(client.port('no/such %')).rejects.toMatchObject({ code: 'NO_SUCH_TTY', message: 'no tty no/such %' });
    await expect(client.trace('x').next()).rejects.toMatchObject({ code: 'NO_SUCH_TTY' });
  });

  test('a daemon that throws is one error, and goes on', async () => {
    daemon.status = () => {
      throw new Error('broken');
    };
    await expect(client.status()).rejects.toMatchObject({ code: 'SYSTEM', message: 'broken' });
    expect(await client.ports()).toHaveLength(2);
  });

  test('watch: all ports first, then changes, until the client ends it', async () => {
    const stop = new AbortController();
    const seen: string[] = [];
    for await (const event of client.watch(stop.signal)) {
      seen.push(event.type === 'port' ? `${event.port.name} ${event.port.state}` : event.type);
      if (seen.length === 2) {
        daemon.set(portView('ttyNP1', { state: 'connecting' }));
        daemon.emit({ type: 'removed', name: 'ttyNP0' });
        daemon.emit({ type: 'reload', result: daemon.reloadResult });
      }
      if (seen.length === 5) stop.abort();
    }
    expect(seen).toEqual(['ttyNP0 up', 'ttyNP1 idle', 'ttyNP1 connecting', 'removed', 'reload']);
    await until(() => daemon.watchers.size === 0);
  });

  test('trace of a serial port, by its number; of one that is not there it is an error', async () => {
    const stop = new AbortController();
    daemon.serial = [serialPortView(7)];
    const record: TraceRecord = { type: 'data', atUs: 1, direction: 'sent', data: 'QUI=', peer: '192.0.2.1:40000' };
    const reading = client.traceSerialPort(7, stop.signal).next();
    await until(() => daemon.tracers.size === 1);
    expect([...daemon.tracers.values()]).toEqual(['serial port 7']);
    daemon.traced(record);
    expect((await reading).value).toEqual(record);
    stop.abort();
    await until(() => daemon.tracers.size === 0);
    const none = client.traceSerialPort(8).next();
    await expect(none).rejects.toMatchObject({ code: 'NO_SUCH_TTY', message: 'no serial port 8' });
    expect(daemon.tracers.size).toBe(0);
  });

  test('trace of an alias ends when the server ends', async () => {
    const records: TraceRecord[] = [];
    const reading = (async () => {
      for await (const record of client.trace('gas-meter')) records.push(record);
    })();
    await until(() => daemon.tracers.size === 1);
    expect([...daemon.tracers.values()]).toEqual(['ttyNP1']);
    daemon.traced({ type: 'event', atUs: 1, text: 'up' });
    await until(() => records.length === 1);
    await server.close();
    await reading;
    expect(records).toEqual([{ type: 'event', atUs: 1, text: 'up' }]);
  });
});

describe('what is not in the contract', () => {
  const table: [string, string, string, string][] = [
    ['an unknown path', 'GET', '/v1/nothing', '404'],
    ['the root', 'GET', '/', '404'],
    ['a longer path', 'GET', '/v1/ports/a/b/c', '404'],
    ['an escape that is none', 'GET', '/v1/ports/%zz', '404'],
    ['a reload by GET', 'GET', '/v1/reload', '405'],
    ['metrics by POST', 'POST', '/metrics', '405'],
    ['a port by DELETE', 'DELETE', '/v1/ports/ttyNP0', '405'],
    ['a path that is no path', 'GET', 'http://elsewhere/v1/status', '404'],
  ];
  for (const [shows, method, target, status] of table) {
    test(shows, async () => {
      const answer = await get(target, method);
      expect(answer.split('\r\n')[0]).toContain(` ${status} `);
      expect(JSON.parse(answer.split('\r\n\r\n')[1] ?? '')).toMatchObject({
        error: { code: expect.any(String), message: expect.any(String) },
      });
    });
  }

  test('garbage, half requests, long headers and long bodies harm nobody', async () => {
    expect(await raw(Buffer.from('\x00\xff\xfe garbage\r\n\r\n', 'latin1'))).toContain(' 400 ');
    expect(await raw('SSH-2.0-OpenSSH\r\n')).toContain(' 400 ');
    expect(await get('/v1/status', 'GET', `X: ${'y'.repeat(20_000)}\r\n`)).toMatch(/ (400|431) /);
    const long = 'z'.repeat(100_000);
    expect(await get('/v1/reload', 'POST', `Content-Length: ${long.length}\r\n\r\n${long}`)).toContain(' 413 ');
    expect(daemon.reloads).toBe(0);
    const half: Socket = connect(path, () => half.write('GET /v1/sta'));
    await new Promise((resolve) => half.on('connect', resolve));
    half.destroy();
    expect((await client.status()).ports).toBe(2);
  });
});

describe('slow clients', () => {
  /** Asks for a stream and does not read. */
  async function deaf(target: string): Promise<Socket> {
    const socket = connect(path);
    await new Promise((resolve) => socket.on('connect', resolve));
    socket.pause();
    socket.write(`GET ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
    return socket;
  }
  /** The JSON lines of a chunked answer, until `enough`. */
  async function linesOf<T>(socket: Socket, enough: (lines: T[]) => boolean): Promise<T[]> {
    let text = '';
    const lines: T[] = [];
    let read = 0;
    for await (const chunk of socket) {
      text += chunk;
      const all = text.split('\r\n').filter((l) => l.startsWith('{'));
      // The last one may be cut.
      for (; read < all.length - 1; read++) lines.push(JSON.parse(all[read] ?? '') as T);
      try {
        if (enough([...lines, JSON.parse(all[read] ?? '') as T])) return [...lines, JSON.parse(all[read] ?? '') as T];
      } catch {}
    }
    return lines;
  }

  test('trace: bounded, and what was missed is said in bytes', async () => {
    const socket = await deaf('/v1/ports/ttyNP0/trace');
    await until(() => daemon.tracers.size === 1);
    const data = Buffer.alloc(3000, 'x').toString('base64');
    const before = process.memoryUsage().heapUsed;
    for (let i = 0; i < 20_000; i++) daemon.traced({ type: 'data', atUs: i, direction: 'sent', data });
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(60e6 * 0.8);
    const records = await linesOf<TraceRecord>(socket, (l) => l.some((r) => r.type === 'dropped'));
    const got = records.filter((r) => r.type === 'data').length * 3000;
    const missed = records.reduce((sum, r) => sum + (r.type === 'dropped' ? r.bytes : 0), 0);
    expect(got + missed).toBe(20_000 * 3000);
    socket.destroy();
    await until(() => daemon.tracers.size === 0);
  });

  test('watch: misses steps, never the last state', async () => {
    const socket = await deaf('/v1/watch');
    await until(() => daemon.watchers.size === 1);
    for (let i = 1; i <= 20_000; i++) daemon.set(portView('ttyNP0', { connects: i }));
    daemon.views.delete('ttyNP1');
    daemon.emit({ type: 'removed', name: 'ttyNP1' });
    daemon.emit({ type: 'reload', result: { ...daemon.reloadResult, unchanged: 77 } });
    const events = await linesOf<WatchEvent>(socket, (l) => l.at(-1)?.type === 'reload');
    expect(events.length).toBeLessThan(20_000);
    const states = events.flatMap((e) => (e.type === 'port' && e.port.name === 'ttyNP0' ? [e.port.connects] : []));
    expect(states.at(-1)).toBe(20_000);
    expect(events).toContainEqual({ type: 'removed', name: 'ttyNP1' });
    socket.destroy();
    await until(() => daemon.watchers.size === 0);
  });
});

describe('one daemon per socket', () => {
  test('the mode is as configured, whatever the umask', () => {
    expect(statSync(path).mode & 0o777).toBe(0o660);
  });

  test('a living one is not replaced, and named', async () => {
    await expect(bind()).rejects.toMatchObject({
      code: 'ALREADY_RUNNING',
      message: `already running, pid ${process.pid} at ${path}`,
    });
    expect(await client.ports()).toHaveLength(2);
  });

  test('one that is still starting says so, and is not replaced either', async () => {
    const other = join(folder, 'other.sock');
    const starting = await ControlServer.bind({ path: other, mode: 0o600, group: null, log: silentLog });
    await expect(new DaemonClient(other).status()).rejects.toMatchObject({
      code: 'NO_DAEMON',
      message: expect.stringContaining('starting'),
    });
    await expect(ControlServer.bind({ path: other, mode: 0o600, group: null, log: silentLog })).rejects.toMatchObject({
      code: 'ALREADY_RUNNING',
    });
    await starting.close();
  });

  test('a socket that a dead one left is replaced', async () => {
    const stale = join(folder, 'stale.sock');
    const dead = createServer();
    await new Promise<void>((resolve) => dead.listen(join(folder, 'tmp.sock'), resolve));
    const { linkSync } = await import('node:fs');
    linkSync(join(folder, 'tmp.sock'), stale);
    await new Promise((resolve) => dead.close(resolve));
    const replaced = await ControlServer.bind({ path: stale, mode: 0o660, group: null, log: silentLog });
    replaced.serve(daemon);
    expect(await new DaemonClient(stale).ports()).toHaveLength(2);
    await replaced.close();
  });

  test('a file that is no socket stays', async () => {
    const file = join(folder, 'file');
    writeFileSync(file, 'mine');
    await expect(ControlServer.bind({ path: file, mode: 0o660, group: null, log: silentLog })).rejects.toMatchObject({
      code: 'LINK_PATH_TAKEN',
    });
    expect(existsSync(file)).toBe(true);
  });

  test('a folder that is not there', async () => {
    await expect(
      ControlServer.bind({ path: '/nonexistent/c.sock', mode: 0o660, group: null, log: silentLog }),
    ).rejects.toMatchObject({ code: expect.stringMatching(/SYSTEM|PERMISSION/) });
  });

  test('a group that does not exist leaves the socket to its owner', async () => {
    const other = join(folder, 'other.sock');
    const lines: string[] = [];
    const log = { log: (_: string, text: string) => void lines.push(text), child: () => log };
    const s = await ControlServer.bind({ path: other, mode: 0o660, group: 'no-such-group', log });
    expect(statSync(other).mode & 0o777).toBe(0o700);
    expect(lines).toEqual([expect.stringContaining('no group "no-such-group"')]);
    await s.close();
  });
});

describe('no daemon', () => {
  test('nothing there', async () => {
    await expect(new DaemonClient(join(folder, 'none')).status()).rejects.toMatchObject({
      code: 'NO_DAEMON',
      message: expect.stringContaining('--socket'),
    });
    await expect(new DaemonClient(join(folder, 'none')).watch().next()).rejects.toMatchObject({ code: 'NO_DAEMON' });
  });
  test('something else answers', async () => {
    const other = join(folder, 'other.sock');
    for (const answer of [
      'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi',
      'hello\r\n',
      'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnull',
    ]) {
      const s = createServer((socket) =>
        socket
          .on('error', () => {})
          .resume()
          .end(answer),
      );
      await new Promise<void>((resolve) => s.listen(other, resolve));
      await expect(new DaemonClient(other).status()).rejects.toMatchObject({ code: 'PEER_PROTOCOL' });
      await new Promise((resolve) => s.close(resolve));
    }
  });
  test('it accepts and says nothing', async () => {
    const other = join(folder, 'other.sock');
    const s = createServer((socket) => socket.on('error', () => {}).resume());
    await new Promise<void>((resolve) => s.listen(other, resolve));
    await expect(new DaemonClient(other, 100).status()).rejects.toMatchObject({ code: 'PEER_TIMEOUT' });
    await new Promise((resolve) => s.close(resolve));
  });
  test('it may not be dialled', async () => {
    if (process.getuid?.() === 0) return;
    chmodSync(path, 0);
    await expect(client.status()).rejects.toMatchObject({ code: 'PERMISSION' });
  });
});

/** The kernel delivers a close when it does; every test has its own limit. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
