// A restart that neither the application nor the device notices: asserted at both, with the service manager's part played
// by the stand-in.
import { expect, test } from 'vitest';
import { transfer } from '../support/bulk.js';
import { CUT_RECORDS, killUnderTraffic } from '../support/kill-under-traffic.js';
import { type Managed, managedTests } from '../support/managed.js';

const { managed, open } = managedTests();

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
  // Each restart costs half a second of a processor, which others may want too.
}, 120_000);

test('a daemon killed 20 times under traffic loses at most what was in hand, and doubles nothing', async () => {
  const m = await managed({ simulator: { unpaced: true, echo: false } });
  const app = open(m);
  const peer = await m.connected();
  const { down, up } = await killUnderTraffic(m, app, 20);
  expect(m.peer()).toBe(peer);
  // One read each time at the most.
  expect(down.missing).toBeLessThanOrEqual(20 * (4096 + CUT_RECORDS));
  expect(up.missing).toBeLessThanOrEqual(20 * (16_384 + CUT_RECORDS));
}, 120_000);
