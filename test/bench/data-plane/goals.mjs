// The goals, each as a ratio within one run, of the best rounds (median where it says so), and whether they are reached. Pure.
import { best } from './rounds.mjs';

const C = ['C bridge', 'C bridge, packet mode'];
const TTYNP = 'ttynp, tcp';
const SOCAT = 'socat';
const REALCOM = 'ttynp, Real COM';

/** tables by id -> the best of a metric; NaN where it was not measured. */
function reader(tables) {
  const byId = new Map(tables.map((t) => [t.id, t]));
  return (id, name, key) => {
    const table = byId.get(id);
    const better = table?.metrics.find((m) => m.key === key)?.better;
    return best(table?.results.get(name)?.[key] ?? [], better);
  };
}

/** A collection of JavaScript's heap may have come before one measurement and not before the other. */
const most = (...values) => Math.max(...values.filter(Number.isFinite));

export function goals(tables) {
  const of = reader(tables);
  const fastest = (id, key, pick) => pick(...C.map((name) => of(id, name, key)).filter(Number.isFinite));
  const against = (id, key, pick) => of(id, TTYNP, key) / fastest(id, key, pick);
  const list = [
    ['throughput application -> wire, of the C bridge', '>=', 0.95, against('throughput-down', 'rate', Math.max)],
    ['throughput wire -> application, of the C bridge', '>=', 0.9, against('throughput-up', 'rate', Math.max)],
    ['round trip of 8 bytes p50, of the C bridge', '<=', 1.05, against('latency-8', 'p50', Math.min)],
    ['round trip of 8 bytes p50, of socat', '<=', 0.9, of('latency-8', TTYNP, 'p50') / of('latency-8', SOCAT, 'p50')],
    ['the same over Real COM, of raw TCP', '<=', 1.05, of('latency-8', REALCOM, 'p50') / of('latency-8', TTYNP, 'p50')],
    [
      'p99 with JavaScript blocked 100 of 500 ms, 16 ports, of unblocked',
      '<=',
      3,
      of('blocked', 'ttynp, JavaScript blocked', 'p99') / of('blocked', TTYNP, 'p99'),
    ],
    ['CPU of 256 ports at 92 kB/s both ways, of the C bridge', '<=', 1, against('ports-256', 'cpu', Math.min)],
    ['CPU of 256 ports, of socat', '<=', 0.4, of('ports-256', TTYNP, 'cpu') / of('ports-256', SOCAT, 'cpu')],
    ['p99 at 256 ports, of socat', '<=', 0.1, of('ports-256', TTYNP, 'p99') / of('ports-256', SOCAT, 'p99')],
    [
      'memory of the daemon at 256 ports, at most, MB',
      '<=',
      80,
      most(of('ports-256', TTYNP, 'rss'), of('idle', TTYNP, 'rss')),
    ],
    ['256 ports usable again after an outage, s from listen()', '<', 4, of('outage', TTYNP, 'seconds')],
    ['idle, 256 open ports, EXTPROC cleared, % of a core', '<=', 0.5, of('idle', TTYNP, 'percent')],
  ];
  return list.map(([what, sign, limit, value]) => {
    const known = Number.isFinite(value);
    const reached = sign === '>=' ? value >= limit : sign === '<' ? value < limit : value <= limit;
    return { what, goal: `${sign} ${limit}`, value: known ? value : null, reached: known ? reached : null };
  });
}

export function goalRows(list) {
  const word = (reached) => (reached === null ? 'not measured' : reached ? 'reached' : 'MISSED');
  const rows = list.map((g) => [g.what, g.goal, g.value === null ? '-' : g.value.toPrecision(3), word(g.reached)]);
  return [['goal', 'wanted', 'measured', ''], ...rows];
}
