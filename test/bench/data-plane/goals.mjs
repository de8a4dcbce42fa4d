// The goals, each as a ratio within one run, of the best rounds (median where it says so), and whether they are reached. Pure.
import { ANYWHERE, ONE_CPU } from './placement.mjs';
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
  const over = (id, key, name, other) => of(id, name, key) / of(id, other, key);
  /** On one CPU, and wherever the scheduler puts it. */
  const both = (what, sign, limit, ratio) => [
    [`${what}, on one CPU`, sign, limit, ratio(ONE_CPU.suffix)],
    [`${what}, anywhere`, sign, limit, ratio(ANYWHERE.suffix)],
  ];
  const list = [
    ...both('throughput application -> wire, of the C bridge', '>=', 0.95, (at) =>
      against(`throughput-down${at}`, 'rate', Math.max),
    ),
    ...both('throughput wire -> application, of the C bridge', '>=', 0.9, (at) =>
      against(`throughput-up${at}`, 'rate', Math.max),
    ),
    ...both('round trip of 8 bytes p50, of the C bridge', '<=', 1.05, (at) =>
      against(`latency-8${at}`, 'p50', Math.min),
    ),
    ...both('round trip of 8 bytes p50, of socat', '<=', 0.9, (at) => over(`latency-8${at}`, 'p50', TTYNP, SOCAT)),
    ...both('the same over Real COM, of raw TCP', '<=', 1.05, (at) => over(`latency-8${at}`, 'p50', REALCOM, TTYNP)),
    [
      'p99 with JavaScript blocked 100 of 500 ms, 16 ports, of unblocked',
      '<=',
      3,
      of('blocked', 'ttynp, JavaScript blocked', 'p99') / of('blocked', TTYNP, 'p99'),
    ],
    ...both('CPU of 256 ports at 92 kB/s both ways, of the C bridge', '<=', 1, (at) =>
      against(`ports-256${at}`, 'cpu', Math.min),
    ),
    ...both('CPU of 256 ports, of socat', '<=', 0.4, (at) => over(`ports-256${at}`, 'cpu', TTYNP, SOCAT)),
    ...both('p99 at 256 ports, of socat', '<=', 0.1, (at) => over(`ports-256${at}`, 'p99', TTYNP, SOCAT)),
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
