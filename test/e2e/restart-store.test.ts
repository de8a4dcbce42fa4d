// Many ports, ports that the store has no room for, and the end of the service.
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { eventually } from '../support/e2e.js';
import { managedTests } from '../support/managed.js';
import type { App } from '../support/rig.js';

const { managed, open } = managedTests();

test('256 ports: idle, open and replaced ones go on, with the same connections', { timeout: 120_000 }, async () => {
  const ports = 256;
  const m = await managed({ ports, simulator: { echo: true, unpaced: true } });
  // Every second one is open; a sixteenth was hung up and replaced before.
  const apps = new Map<number, App>();
  const openPort = (n: number) => apps.set(n, open(m, `ttyNP${n - 1}`));
  for (let n = 1; n <= ports; n += 2) openPort(n);
  for (const n of apps.keys()) await m.connected(n);
  m.whole.configure({
    ttys: Object.fromEntries(
      Array.from({ length: ports }, (_, i) => {
        const replaced = (i + 1) % 16 === 1;
        return [`ttyNP${i}`, m.whole.entry(i + 1, replaced ? { closingWait: '7s' } : {})];
      }),
    ),
  });
  const { changed } = await m.whole.client.reload();
  expect(changed).toHaveLength(16);
  for (const name of changed) {
    const n = Number(name.slice('ttyNP'.length)) + 1;
    apps.get(n)?.close();
    openPort(n);
  }
  await eventually('all are up', async () => (await m.whole.client.status()).up === apps.size, 30_000);
  const peers = new Map([...apps.keys()].map((n) => [n, m.peer(n)]));
  const stored = 1 + 2 * ports + 2 * apps.size;
  await eventually('the store has them', async () => new Set(await m.manager.store()).size === stored);
  expect([...peers.values()].every((peer) => peer !== undefined)).toBe(true);
  for (const end of ['restart', 'kill9'] as const) {
    await m[end]();
    for (const [n, app] of apps) app.write(`port ${n}`);
    for (const [n, app] of apps) {
      const text = `port ${n}`;
      expect((await app.readExactly(text.length)).toString()).toBe(text);
      expect(m.peer(n)).toBe(peers.get(n));
    }
  }
  // An idle one is as usable as before.
  const idle = open(m, 'ttyNP1');
  idle.write('hello');
  expect((await idle.readExactly(5)).toString()).toBe('hello');
  for (const app of apps.values()) app.close();
});

test('a stop is a clean end: the device is told, the names go, the store is empty', async () => {
  const m = await managed({ simulator: { echo: false } });
  const app = open(m);
  await m.connected();
  app.write('the end');
  await m.whole.recorder().until(() => m.whole.recorder().bytes.toString() === 'the end');
  expect(await m.manager.stop()).toBe(0);
  expect(m.whole.simulator.line(1).outputLines).toEqual({ dtr: false, rts: false });
  expect(m.whole.recorder().of('flush').length).toBeGreaterThan(0);
  await eventually('the connection has ended', () => !m.whole.simulator.port(1).up);
  await eventually('the application is hung up', () => app.read() === undefined);
  expect(existsSync(m.whole.path())).toBe(false);
});

test('a tty that goes takes its descriptors out of the store', async () => {
  const m = await managed({ ports: 2, simulator: { echo: true } });
  open(m, 'ttyNP1');
  await m.connected(2);
  await eventually('the store has both', async () => (await m.manager.store()).length === 7);
  m.whole.configure({ ttys: { ttyNP0: m.whole.entry(1) } });
  await m.whole.client.reload();
  await eventually('it has left', async () => (await m.manager.store()).length === 3);
});

test('no room in the store: said once, and the ports beyond it end cleanly at a restart', async () => {
  // The pump's file, and one port with its connection.
  const m = await managed({ ports: 2, simulator: { echo: true } }, { limit: 5 });
  const first = open(m, 'ttyNP0');
  const peer = await m.connected(1);
  const second = open(m, 'ttyNP1');
  await m.connected(2);
  await m.whole.portIs('is up', ({ state }) => state === 'up', 'ttyNP1');
  expect(await m.restart()).toBe(0);
  first.write('kept');
  expect((await first.readExactly(4)).toString()).toBe('kept');
  expect(m.peer(1)).toBe(peer);
  await eventually('the other is hung up', () => second.read() === undefined);
  // By each of the two daemons once.
  expect(
    m.manager.stderr.match(/a restart will hang up ttyNP1 and others: there is room to keep 1 ports/g),
  ).toHaveLength(2);
  const third = open(m, 'ttyNP1');
  third.write('anew');
  expect((await third.readExactly(4)).toString()).toBe('anew');
});

test('without a store SIGTERM is a clean end', async () => {
  const m = await managed({ simulator: { echo: true } }, { env: { FDSTORE: undefined } });
  const app = open(m);
  await m.connected();
  expect(await m.handOver()).toBe(0);
  expect(m.whole.simulator.line(1).outputLines).toEqual({ dtr: false, rts: false });
  await eventually('the application is hung up', () => app.read() === undefined);
  await m.again();
});
