// Round trips of 1, 8 and 256 bytes on one port: application -> wire -> application, one at a time; and what of it the tunnel
// computes. Each round is cut into slices, and it is the slices that are interleaved: whether the machine is in a fast or a slow
// moment changes within a second, and every variant is to meet both.
import { awake } from '../awake.mjs';
import { ANYWHERE } from '../placement.mjs';
import { cpuNs, load, MS } from '../rig.mjs';
import { interleaved, quantile } from '../rounds.mjs';

const SIZES = [1, 8, 256];
/** Wherever the scheduler puts it: enough to show what that adds. */
const SIZES_ANYWHERE = [8];
const WARM_UP = 30;
const SLICES = 6;

async function slice({ tunnel, ends }, bytes, count) {
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
  const cpu = tunnel.pids.length === 0 ? Number.NaN : (cpuNs(tunnel.pids) - before) / count / 1000;
  if (run.lost + run.mismatched > 0)
    throw new Error(`${run.lost} round trips lost, ${run.mismatched} with wrong bytes`);
  return { times: run.timesNs.sort(), cpu, split: run.split, gap: run.gapNs / 1000 };
}

/** Of each round. */
function summed({ times, cpu, split, gap }) {
  const rounds = Array.from({ length: times.length / SLICES }, (_, i) => [i * SLICES, (i + 1) * SLICES]);
  const whole = rounds.map(([from, to]) => Float64Array.from(times.slice(from, to).flatMap((t) => [...t])).sort());
  return {
    p50: whole.map((t) => quantile(t, 0.5) / 1000),
    p99: whole.map((t) => quantile(t, 0.99) / 1000),
    p999: whole.map((t) => quantile(t, 0.999) / 1000),
    cpu: rounds.map(([from, to]) => cpu.slice(from, to).reduce((sum, n) => sum + n, 0) / SLICES),
    split: rounds.map(([from, to]) => split.slice(from, to).reduce((sum, n) => sum + n, 0)),
    gap: rounds.map(([from, to]) => Math.max(...gap.slice(from, to))),
  };
}

const METRICS = [
  { key: 'p50', title: 'p50 us', digits: 1 },
  { key: 'p99', title: 'p99 us', digits: 1 },
  { key: 'p999', title: 'p99.9 us', digits: 0 },
  { key: 'cpu', title: 'CPU us each', digits: 1 },
];
/** Of frames: how many were not readable in one piece, and the longest time between two pieces. */
const FRAMES = [
  { key: 'split', title: 'split frames', digits: 0 },
  { key: 'gap', title: 'longest gap us', digits: 0 },
];

export const latency = {
  id: 'latency',
  run: ({ single, rounds, quick, say, stayAwake, place }) =>
    awake(stayAwake && place === ANYWHERE, async () => {
      const tables = [];
      const count = Math.ceil((quick ? 1800 : 8000) / SLICES);
      for (const bytes of place === ANYWHERE ? SIZES_ANYWHERE : SIZES) {
        say(`round trips of ${bytes} bytes`);
        const slices = await interleaved(single, rounds * SLICES, (variant) => slice(variant, bytes, count));
        const results = new Map([...slices].map(([name, measured]) => [name, summed(measured)]));
        const title = `round trip of ${bytes} byte${bytes === 1 ? '' : 's'}, one port${place.title}`;
        tables.push({
          id: `latency-${bytes}${place.suffix}`,
          title,
          metrics: bytes > 8 ? [...METRICS, ...FRAMES] : METRICS,
          results,
        });
      }
      return tables;
    }),
};
