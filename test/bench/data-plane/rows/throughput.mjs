// As fast as it goes on one port: from the application to the wire, the other way, and both at once; what a GB costs the tunnel,
// and what memory it has then.

import { ANYWHERE } from '../placement.mjs';
import { cpuNs, load, memoryMb } from '../rig.mjs';
import { interleaved } from '../rounds.mjs';

const WAYS = [
  ['down', 'application -> wire'],
  ['up', 'wire -> application'],
  ['both', 'both ways at once, sum'],
];

function judged(run) {
  if (run.difference !== undefined) throw new Error(`byte ${run.difference.offset} is wrong`);
  if (run.received < run.sent) throw new Error(`${run.sent - run.received} of ${run.sent} bytes did not come`);
  return run;
}

async function stream({ tunnel, ends }, way, durationNs) {
  const [tty] = ends.near;
  const [net] = ends.far;
  const down = { out: tty, in: net };
  const up = { out: net, in: tty };
  const ways = way === 'down' ? [down] : way === 'up' ? [up] : [down, up];
  const before = cpuNs(tunnel.pids);
  const runs = await Promise.all(ways.map((w) => load.measureStream({ ...w, durationNs, quietNs: 5e9 })));
  const cpu = cpuNs(tunnel.pids) - before;
  const bytes = runs.map(judged).reduce((sum, { received }) => sum + received, 0);
  const rate = runs.reduce((sum, { received, elapsedNs }) => sum + (received * 1000) / elapsedNs, 0);
  return { rate, cpu: tunnel.pids.length === 0 ? Number.NaN : cpu / bytes };
}

export const throughput = {
  id: 'throughput',
  async run({ single, rounds, quick, say, place }) {
    const tables = [];
    for (const [way, title] of WAYS) {
      say(`throughput ${title}`);
      const results = await interleaved(single, rounds, (variant) => stream(variant, way, quick ? 150e6 : 500e6));
      const metrics = [
        { key: 'rate', title: 'MB/s', digits: 0, better: 'more' },
        { key: 'cpu', title: 'CPU s/GB', digits: 2 },
      ];
      const id = `throughput-${way}${place.suffix}`;
      tables.push({ id, title: `throughput ${title}, one port${place.title}`, metrics, results });
    }
    return place === ANYWHERE ? [...tables, memoryOf(single)] : tables;
  },
};

function memoryOf(single) {
  const measured = single.filter(({ tunnel }) => tunnel.pids.length > 0);
  const results = measured.map(({ name, tunnel }) => {
    const { rss, pss } = memoryMb(tunnel.pids);
    return [name, { rss: [rss], pss: [pss] }];
  });
  const metrics = [
    { key: 'rss', title: 'RSS MB', digits: 1 },
    { key: 'pss', title: 'PSS MB', digits: 1 },
  ];
  return { id: 'memory-1', title: 'memory with one port, afterwards', metrics, results: new Map(results) };
}
