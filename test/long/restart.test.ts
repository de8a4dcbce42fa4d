// Restarts and kills at random times under every kind of use at once, and many restarts of many ports: what an application
// and a device see of it is asserted at both; how long no daemon moves bytes is printed.
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { eventually } from '../support/e2e.js';
import { type Managed, managedTests } from '../support/managed.js';
import { onDescriptor } from '../support/pty-app.js';
import { App } from '../support/rig.js';

const STORM_MS = Number(process.env.TTYNP_STORM_SECONDS ?? 60) * 1000;
const RESTARTS = Number(process.env.TTYNP_RESTARTS ?? 200);
const RATES = [9600, 19_200, 38_400, 57_600, 115_200];

const { managed, open: openTty } = managedTests();
const open = (m: Managed, n: number) => openTty(m, `ttyNP${n - 1}`);

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const record = (n: number) => Buffer.from(`${String(n).padStart(7, '0')}\n`);

/** Records that came twice or out of order, and how many never came. */
function audit(bytes: Buffer, written: number): { disorder: number; missing: number } {
  let expected = 0;
  let disorder = 0;
  let seen = 0;
  for (const { 0: digits } of bytes.toString('latin1').matchAll(/\d{7}(?=\n)/g)) {
    const n = Number(digits);
    if (n < expected) disorder++;
    else seen++;
    expected = Math.max(expected, n + 1);
  }
  return { disorder, missing: written - seen };
}

/** Uses of ports 1 to 4 until `over`; each resolves with what is to be asserted at last. */
function uses(m: Managed, over: () => boolean) {
  const app = open(m, 1);
  const steady = async () => {
    let n = 0;
    let rest = record(n);
    while (!over()) {
      rest = rest.subarray(app.write(rest));
      if (rest.length === 0) {
        n++;
        rest = record(n);
      }
      await sleep(n % 40 === 0 ? 1 : 0);
    }
    for (; rest.length > 0; await sleep(1)) rest = rest.subarray(app.write(rest));
    return n + 1;
  };
  const changer = open(m, 2);
  const changing = async () => {
    let lost = 0;
    for (let turn = 0; !over(); turn++) {
      const index = turn % RATES.length;
      changer.set({ baudRate: RATES[index] ?? 9600 });
      const before = m.whole.recorder(2).bytes.length;
      changer.write(String.fromCharCode(65 + index).repeat(8));
      const arrived = () => m.whole.recorder(2).bytes.length >= before + 8;
      for (const until = performance.now() + 6000; !arrived() && performance.now() < until; ) await sleep(2);
      if (!arrived()) lost++;
    }
    return lost;
  };
  const flusher = open(m, 3);
  const flushing = async () => {
    for (; !over(); await sleep(20)) {
      flusher.write('to be flushed');
      onDescriptor(flusher.fd, 'termios.tcflush(0, termios.TCIOFLUSH)');
    }
  };
  const reopening = async () => {
    let n = 0;
    for (; !over(); await sleep(n % 3 === 0 ? 30 : 0)) {
      const short = new App(m.whole.path('ttyNP3'));
      if (short.write(record(n)) === 8) n++;
      short.close();
    }
    return n;
  };
  return Promise.all([steady(), changing(), flushing(), reopening()]).then(([written, lost, , reopened]) => ({
    app,
    flusher,
    written,
    lost,
    reopened,
  }));
}

test.each(['restart', 'kill9'] as const)('a storm of uses, by %s', async (how) => {
  const m = await managed({ ports: 4, simulator: { echo: false, unpaced: true } });
  const end = performance.now() + STORM_MS;
  const storm = uses(m, () => performance.now() > end);
  const peers = await Promise.all([1, 2, 3].map((n) => m.connected(n)));
  let times = 0;
  for (; performance.now() < end; times++) {
    await sleep(Math.random() * 400);
    await m[how]();
  }
  const { app, flusher, written, lost, reopened } = await storm;
  await eventually(
    'all has arrived',
    async () => {
      const before = m.whole.recorder(1).bytes.length + m.whole.recorder(4).bytes.length;
      await sleep(500);
      return before === m.whole.recorder(1).bytes.length + m.whole.recorder(4).bytes.length;
    },
    60_000,
  );
  const steady = audit(m.whole.recorder(1).bytes, written);
  const short = audit(m.whole.recorder(4).bytes, reopened);
  process.stdout.write(`${how}: ${times} times, ${written} records, ${JSON.stringify({ steady, short, lost })}\n`);
  expect([1, 2, 3].map((n) => m.peer(n))).toEqual(peers);
  expect([steady.disorder, short.disorder]).toEqual([0, 0]);
  // A read of a PTY gives 4095 bytes at the most.
  const allowed = how === 'restart' ? 0 : times;
  expect(steady.missing).toBeLessThanOrEqual(allowed * 512);
  expect(short.missing).toBeLessThanOrEqual(allowed);
  expect(lost).toBeLessThanOrEqual(allowed);
  // No byte at another rate than its own.
  for (const [i, byte] of m.whole.recorder(2).bytes.entries()) {
    expect(m.whole.recorder(2).rates[i]).toBe(RATES[byte - 65]);
    if (i > 2000) break;
  }
  for (const n of [1, 2, 3]) expect(m.whole.simulator.line(n).outputLines).toEqual({ dtr: true, rts: true });
  const flushed = m.whole.recorder(3).of('flush').length;
  expect(flushed).toBeGreaterThan(0);
  flusher.write('after');
  await eventually('goes on', () => m.whole.recorder(3).bytes.toString().endsWith('after'));
  expect(await m.manager.store()).toHaveLength(1 + 4 * 4 - (m.whole.simulator.port(4).up ? 0 : 2));
  app.close();
});

const memory = (pid: number) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]);

test(`${RESTARTS} restarts leave the store, the memory and the connections as they were`, async () => {
  const ports = 16;
  const m = await managed({ ports, simulator: { echo: true, unpaced: true } });
  const apps = Array.from({ length: ports }, (_, i) => open(m, i + 1));
  const peers: string[] = [];
  for (let n = 1; n <= ports; n++) peers.push(await m.connected(n));
  await eventually('all are up', async () => (await m.whole.client.status()).up === ports, 30_000);
  const kilobytes: number[] = [];
  for (let round = 0; round < RESTARTS; round++) {
    await m.restart();
    const { pid } = await m.whole.client.status();
    kilobytes.push(memory(pid));
    const app = apps[round % ports];
    app?.write(`round ${round}`);
    expect((await app?.readExactly(`round ${round}`.length))?.toString()).toBe(`round ${round}`);
    expect(await m.manager.store()).toHaveLength(1 + 4 * ports);
  }
  expect(peers).toEqual(peers.map((_, i) => m.peer(i + 1)));
  process.stdout.write(`resident: ${kilobytes[0]} kB at first, ${kilobytes.at(-1)} kB at last\n`);
  expect(kilobytes.at(-1)).toBeLessThan(1.2 * (kilobytes[0] ?? 0));
  for (const app of apps) app.close();
});

test.each([1, 64, 256])('%i ports with traffic: how long no daemon moves bytes', async (ports) => {
  const m = await managed({ ports, simulator: { echo: true, unpaced: true } });
  const apps = Array.from({ length: ports }, (_, i) => open(m, i + 1));
  for (let n = 1; n <= ports; n++) await m.connected(n);
  await eventually('all are up', async () => (await m.whole.client.status()).up === ports, 60_000);
  const gaps: number[] = [];
  const last: number[] = [];
  for (let round = 0; round < 5; round++) {
    const began = performance.now();
    let first: number | undefined;
    let all: number | undefined;
    const restarting = m.restart().then(() => performance.now() - began);
    // Written once the old one is gone: what comes back was moved by the new one.
    await m.manager.until('the old one is gone', () => m.manager.count('exited') === round + 1);
    for (const app of apps) app.write('x');
    const waiting = new Set(apps);
    while (all === undefined) {
      for (const app of waiting) if ((app.read() ?? []).length > 0) waiting.delete(app);
      if (waiting.size < apps.length) first ??= performance.now() - began;
      if (waiting.size === 0) all = performance.now() - began;
      await sleep(2);
    }
    gaps.push(first ?? 0);
    last.push(all);
    await restarting;
  }
  const shown = (times: number[]) => times.map((ms) => Math.round(ms)).join(' ');
  process.stdout.write(`${ports} ports: first byte after ${shown(gaps)} ms, each port after ${shown(last)} ms\n`);
  for (const app of apps) app.close();
});
