// 256 ports that are open and silent: what they cost. Keep-alives are on, as they always are, and EXTPROC is cleared on every tty
// (as node-serialport does), so that the kernel tells of no change of settings any more and ttynp has to look.
import { cpuNs, memoryMb, sleep, withoutExtproc } from '../rig.mjs';
import { withPeers } from '../rounds.mjs';

const PORTS = 256;
/** What start-up left behind has been collected by then. */
const SETTLE_MS = 12_000;

export const idle = {
  id: 'idle',
  async run({ peers, quick, say }) {
    const forMs = quick ? 5000 : 20_000;
    const results = new Map();
    for (const peer of peers) {
      await withPeers([peer], PORTS, say, async ([variant]) => {
        if (variant === undefined) return;
        const { tunnel, ends } = variant;
        for (const fd of ends.near) withoutExtproc(fd);
        await sleep(SETTLE_MS);
        const before = cpuNs(tunnel.pids);
        await sleep(forMs);
        const percent = (cpuNs(tunnel.pids) - before) / (forMs * 1e4);
        results.set(peer.name, { percent: [percent], rss: [memoryMb(tunnel.pids).rss] });
      });
    }
    const metrics = [
      { key: 'percent', title: 'CPU % of a core', digits: 2 },
      { key: 'rss', title: 'RSS MB', digits: 1 },
    ];
    return [{ id: 'idle', title: '256 ports open and silent, EXTPROC cleared', metrics, results }];
  },
};
