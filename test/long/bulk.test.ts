// 64 MB through one port whose line takes no time, with a reader that stops now and then: byte-exact.
import { expect, test } from 'vitest';
import { transfer } from '../support/bulk.js';
import { startRig, until } from '../support/rig.js';

test('64 MB through one port', async () => {
  const rig = await startRig({ settings: { baudRate: 115_200 }, simulator: { unpaced: true } });
  try {
    const app = rig.open();
    await until('up', 3000, () => rig.session.state.name === 'up');
    const { sent, got } = await transfer(app, 64_000_000, 100);
    expect(got).toBe(sent);
    expect(rig.session.record.drops).toMatchObject({ offline: 0, unread: 0, linkLost: 0, stale: 0 });
  } finally {
    await rig.close();
  }
});
