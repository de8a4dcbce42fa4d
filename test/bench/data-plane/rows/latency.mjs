// Round trips of 1, 8 and 256 bytes on one port: application -> wire -> application, one at a time; and what of it the tunnel
// computes.
import { cpuNs, load, MS } from '../rig.mjs';
import { interleaved, quantile } from '../rounds.mjs';

const SIZES = [1, 8, 256];
const WARM_UP = 100;

async function roundTrips({ tunnel, ends }, bytes, count) {
  const [tty] = ends.near;
  const [net] = ends.far;
  const legs = [
    { out: tty, in: net },
    { out: net, in: tty },
  ];
  const options = { legs, bytes, timeoutNs: 2000 * MS };
  await load.measureLatency({ ...options, count: WARM_UP });
  const before = cpuNs(tunnel.pids);
  const run = await load.measureLatency({ ...options, count });
  const cpu = cpuNs(tunnel.pids) - before;
  if (run.lost + run.mismatched > 0)
    throw new Error(`${run.lost} round trips lost, ${run.mismatched} with wrong bytes`);
  const times = run.timesNs.sort();
  return {
    p50: quantile(times, 0.5) / 1000,
    p99: quantile(times, 0.99) / 1000,
    p999: quantile(times, 0.999) / 1000,
    cpu: tunnel.pids.length === 0 ? Number.NaN : cpu / count / 1000,
  };
}

export const latency = {
  id: 'latency',
  async run({ single, rounds, quick, say }) {
    const tables = [];
    for (const bytes of SIZES) {
      say(`round trips of ${bytes} bytes`);
      const results = await interleaved(single, rounds, (variant) => roundTrips(variant, bytes, quick ? 1500 : 8000));
      tables.push({
        id: `latency-${bytes}`,
        title: `round trip of ${bytes} byte${bytes === 1 ? '' : 's'}, one port`,
        metrics: [
          { key: 'p50', title: 'p50 us', digits: 1 },
          { key: 'p99', title: 'p99 us', digits: 1 },
          { key: 'p999', title: 'p99.9 us', digits: 0 },
          { key: 'cpu', title: 'CPU us each', digits: 1 },
        ],
        results,
      });
    }
    return tables;
  },
};
