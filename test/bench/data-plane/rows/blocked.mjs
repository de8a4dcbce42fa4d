// 16 ports under the load of rows/ports while the daemon's event loop is blocked for 100 ms of every 500 ms, and while it is not.
// The blocked daemon runs only while it is measured, because it takes a fifth of a core from the others.
import { blocked, tcp } from '../peers/ttynp.mjs';
import { MS } from '../rig.mjs';
import { interleaved, withPeers } from '../rounds.mjs';
import { paced } from './ports.mjs';

const PORTS = 16;

export const blockedJavaScript = {
  id: 'blocked',
  async run({ rounds, quick, say }) {
    const results = await interleaved([tcp, blocked], rounds, (peer) =>
      withPeers([peer], PORTS, say, async ([variant]) => {
        await paced(variant, 200 * MS);
        return paced(variant, quick ? 2000 * MS : 5000 * MS);
      }),
    );
    const metrics = [
      { key: 'delivered', title: 'delivered %', digits: 1, better: 'more' },
      { key: 'p50', title: 'p50 us', digits: 0 },
      { key: 'p99', title: 'p99 us', digits: 0 },
      { key: 'most', title: 'slowest us', digits: 0 },
      { key: 'cpu', title: 'CPU % of a core', digits: 1 },
    ];
    return [{ id: 'blocked', title: '16 ports, JavaScript blocked 100 of 500 ms', metrics, results }];
  },
};
