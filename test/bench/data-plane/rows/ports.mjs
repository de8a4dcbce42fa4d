// N ports, each with 92,160 B/s both ways (what 921600 baud carries) in messages of 921 bytes every 10 ms: what was delivered,
// what the tunnel computed, and the time from when a message was due until its last byte was read at the other end.

import { ANYWHERE, ONE_CPU, onOneCpu } from '../placement.mjs';
import { cpuNs, load, MS, memoryMb } from '../rig.mjs';
import { interleaved, withPeers } from '../rounds.mjs';

export const MESSAGE_BYTES = 921;
export const INTERVAL_MS = 10;

export async function paced({ tunnel, ends }, durationNs) {
  const before = cpuNs(tunnel.pids);
  const run = await load.measureDuplex({
    a: ends.near,
    b: ends.far,
    messageBytes: MESSAGE_BYTES,
    intervalNs: INTERVAL_MS * MS,
    durationNs,
    threads: 2,
  });
  const cpu = cpuNs(tunnel.pids) - before;
  tunnel.check();
  if (run.wrong + run.failed > 0) {
    throw new Error(
      `${run.wrong} directions with wrong bytes, first ${JSON.stringify(run.difference)}, ${run.failed} ended`,
    );
  }
  const both = run.aToB.plus(run.bToA);
  return {
    delivered: (run.inTime / run.offered) * 100,
    cpu: (cpu / durationNs) * 100,
    p50: both.quantile(0.5) / 1000,
    p99: both.quantile(0.99) / 1000,
    most: both.quantile(1) / 1000,
    late: run.late.quantile(0.99) / 1000,
    missing: run.sent - run.received,
    generator: (run.generatorCpuNs / durationNs) * 100,
  };
}

const METRICS = [
  { key: 'delivered', title: 'delivered %', digits: 1, better: 'more' },
  { key: 'cpu', title: 'CPU % of a core', digits: 1 },
  { key: 'p50', title: 'p50 us', digits: 0 },
  { key: 'p99', title: 'p99 us', digits: 0 },
  { key: 'most', title: 'slowest us', digits: 0 },
  { key: 'late', title: 'generator late p99 us', digits: 0 },
];
const MEMORY = [
  { key: 'rss', title: 'RSS MB', digits: 1 },
  { key: 'pss', title: 'PSS MB', digits: 1 },
  { key: 'start', title: 'start-up s', digits: 2 },
];
export const COUNTS = [1, 16, 64, 256];

async function atCount(count, context) {
  return withPeers(context.peers, count, context.say, async (running) => {
    const tables = [await measured(count, ANYWHERE, running, context)];
    if (count === COUNTS.at(-1) && context.oneCpu) {
      tables.push(await onOneCpu(running, () => measured(count, ONE_CPU, running, context)));
    }
    return tables;
  });
}

async function measured(count, place, running, { rounds, quick, say }) {
  for (const variant of running) await paced(variant, 200 * MS); // every page of it touched once
  const results = await interleaved(running, rounds, (variant, round) => {
    say(`${count} ports, round ${round + 1} of ${rounds}: ${variant.name}`);
    return paced(variant, quick ? 1000 * MS : 3000 * MS);
  });
  for (const { name, tunnel, startMs } of running) {
    const { rss, pss } = memoryMb(tunnel.pids);
    Object.assign(results.get(name), { rss: [rss], pss: [pss], start: [startMs / 1000] });
  }
  const metrics = count === COUNTS.at(-1) ? [...METRICS, ...MEMORY] : [...METRICS, ...MEMORY.slice(0, 1)];
  return {
    id: `ports-${count}${place.suffix}`,
    title: `${count} port${count === 1 ? '' : 's'} at 92,160 B/s both ways${place.title}`,
    metrics,
    results,
  };
}

export const ports = {
  id: 'ports',
  async run(context) {
    const tables = [];
    for (const count of COUNTS) tables.push(...(await atCount(count, context)));
    return tables;
  },
};
