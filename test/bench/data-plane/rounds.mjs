// Interleaved rounds: every variant once in each round, and in another order each time, so that what else the machine does
// meets all of them. What a round gave is kept; median and best are told of it.
import { openEnds } from './rig.mjs';

/** variants: [{ name }]; measure(variant, round) -> { metric: number }. -> Map of name -> { metric: [number] } */
export async function interleaved(variants, rounds, measure) {
  const results = new Map(variants.map(({ name }) => [name, {}]));
  for (let round = 0; round < rounds; round++) {
    for (let i = 0; i < variants.length; i++) {
      const variant = variants[(i + round) % variants.length];
      const measured = await measure(variant, round).catch((error) => {
        throw new Error(`${variant.name}, round ${round + 1}: ${error.message}`, { cause: error });
      });
      const into = results.get(variant.name);
      for (const [metric, value] of Object.entries(measured)) {
        into[metric] ??= [];
        into[metric].push(value);
      }
    }
  }
  return results;
}

export function median(values) {
  const sorted = [...values].filter(Number.isFinite).sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  if (sorted.length === 0) return Number.NaN;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/** Of times and costs the smallest, of rates the largest. */
export function best(values, better) {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return Number.NaN;
  return better === 'more' ? Math.max(...finite) : Math.min(...finite);
}

export function quantile(sorted, q) {
  return sorted[Math.max(0, Math.ceil(q * sorted.length) - 1)] ?? Number.NaN;
}

/** Starts each peer with so many ports and opens both ends; runs `use` with what could be started, and stops them. */
export async function withPeers(peers, count, say, use) {
  const running = [];
  try {
    for (const peer of peers) {
      const why = peer.missing();
      if (why !== undefined || (peer.mostPorts ?? count) < count) continue;
      const began = performance.now();
      const tunnel = await peer.start(count);
      const started = { name: peer.name, tunnel, startMs: tunnel.startMs ?? performance.now() - began };
      running.push(started);
      started.ends = await openEnds(tunnel);
      say(`${peer.name}: ${count} port(s)`);
    }
    return await use(running);
  } finally {
    for (const { tunnel, ends } of running.reverse()) {
      ends?.close();
      await tunnel.stop();
    }
  }
}
