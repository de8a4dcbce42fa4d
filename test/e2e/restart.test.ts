// A restart that neither the application nor the device notices: asserted at both, with the service manager's part played
// by the stand-in.
import { expect, test } from 'vitest';
import { transfer } from '../support/bulk.js';
import { type Managed, managedTests } from '../support/managed.js';

const { cleanups, managed, open } = managedTests();

/** What the device saw of its lines and its queue, beside the bytes. */
function disturbances(m: Managed, n = 1): unknown[] {
  return m.whole.recorder(n).records.filter(({ type }) => type !== 'bytes');
}

test('an application and a device do not notice a restart', async () => {
  const m = await managed({ simulator: { echo: true } });
  const app = open(m);
  const peer = await m.connected();
  app.write('before');
  expect((await app.readExactly(6)).toString()).toBe('before');
  const seen = disturbances(m).length;
  for (let round = 0; round < 3; round++) {
    expect(await m.restart()).toBe(0);
    app.write(`round ${round}`);
    expect((await app.readExactly(7)).toString()).toBe(`round ${round}`);
  }
  expect(m.peer()).toBe(peer);
  expect(disturbances(m).slice(seen)).toEqual([]);
  expect((await m.whole.port()).state).toBe('up');
});

test('4 MB both ways through restarts arrive whole and in order', async () => {
  const m = await managed({ simulator: { echo: true, unpaced: true } });
  const app = open(m);
  const peer = await m.connected();
  let over = false;
  const restarts = (async () => {
    let count = 0;
    while (!over) {
      await m.restart();
      count++;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    return count;
  })();
  const { sent, got } = await transfer(app, 4 << 20, 20).finally(() => {
    over = true;
  });
  expect(got).toBe(sent);
  expect(await restarts).toBeGreaterThanOrEqual(1);
  expect(m.peer()).toBe(peer);
});

/** Records of eight bytes, numbered from `first` on. */
function numbered(first: number, count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, (_, i) => `${String(first + i).padStart(7, '0')}\n`).join(''));
}

/** Bytes that are missing between the records, and records that came twice or out of order. */
function audit(bytes: Buffer): { missing: number; disorder: number; last: number } {
  let expected = 0;
  let missing = 0;
  let disorder = 0;
  const text = bytes.toString('latin1');
  for (const { 0: digits } of text.matchAll(/\d{7}(?=\n)/g)) {
    const n = Number(digits);
    if (n < expected) disorder++;
    else missing += 8 * (n - expected);
    expected = n + 1;
  }
  return { missing, disorder, last: expected - 1 };
}

test('a daemon killed 20 times under traffic loses at most what was in hand, and doubles nothing', async () => {
  const m = await managed({ simulator: { unpaced: true, echo: false } });
  const app = open(m);
  const peer = await m.connected();
  const line = m.whole.simulator.line(1);
  const got: Buffer[] = [];
  let written = 0;
  let injected = 0;
  let rest: Buffer = Buffer.alloc(0);
  const traffic = setInterval(() => {
    got.push(app.read() ?? Buffer.alloc(0));
    if (rest.length === 0) {
      rest = numbered(written, 100);
      written += 100;
    }
    rest = rest.subarray(app.write(rest));
    if (line.inputQueue === 0) {
      line.inject(numbered(injected, 50));
      injected += 50;
    }
  }, 1);
  cleanups.push(() => clearInterval(traffic));
  for (let kill = 0; kill < 20; kill++) {
    await m.kill9();
    await new Promise((resolve) => setTimeout(resolve, 50 + 17 * (kill % 7)));
  }
  clearInterval(traffic);
  expect(m.peer()).toBe(peer);
  // What follows proves that the port goes on, and that nothing is still under way.
  for (const end = Buffer.from('end\n'); !m.whole.recorder().bytes.subarray(-4).equals(end); ) {
    rest = rest.subarray(app.write(rest));
    if (rest.length === 0) rest = end.subarray(app.write(end));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  line.inject(Buffer.from('end\n'));
  while (!Buffer.concat(got).subarray(-4).equals(Buffer.from('end\n'))) {
    got.push(app.read() ?? Buffer.alloc(0));
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  const down = audit(m.whole.recorder().bytes);
  const up = audit(Buffer.concat(got));
  expect(down).toMatchObject({ disorder: 0, last: written - 1 });
  expect(up).toMatchObject({ disorder: 0, last: injected - 1 });
  // One read each time at the most.
  expect(down.missing).toBeLessThanOrEqual(20 * 4096);
  expect(up.missing).toBeLessThanOrEqual(20 * 16_384);
});
