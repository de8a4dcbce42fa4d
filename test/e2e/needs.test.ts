// A tty whose backend lacks what the configuration says is needed: it does not come up, says why, and the others do not notice.
import { afterEach, expect, test } from 'vitest';
import { cli, Whole } from '../support/e2e.js';

let whole: Whole | undefined;
afterEach(async () => {
  await whole?.close();
  whole = undefined;
});

test('failed, with the reason and what to do, and health is not 0; a reload without the need brings it up', async () => {
  whole = await Whole.start({ ports: 2, ttys: { ttyNP1: { needs: ['parity', 'drain'] } } });
  const failed = await whole.port('ttyNP1');
  expect(failed.state).toBe('failed');
  expect(failed.lastError?.message).toBe('ttyNP1 needs parity, drain, which backend pty has not: set backend: usbip');
  expect((await whole.port('ttyNP0')).state).toBe('idle');
  const health = await cli(['health', '--socket', whole.socketPath]);
  expect(health.code).toBe(1);
  expect(health.stdout).toMatch(/WARNING.*1 .*failed/);
  whole.configure({ ttys: { ttyNP0: whole.entry(1), ttyNP1: whole.entry(2) } });
  await whole.client.reload();
  expect((await whole.port('ttyNP1')).state).toBe('idle');
});
