// `npm run bench [-- --quick] [--only latency,ports] [--rounds N] [--json FILE] [--svg FILE] [--docs] [--asleep] [--goals]`: what
// the data plane of the built program costs, beside the machine's limits, a C bridge, socat and ser2net, all in the same rounds.
// Figures for people: docs/performance.md says how to read them. Loopback only. With --goals a missed goal ends it with 1.
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { cannotStayAwake } from './awake.mjs';
import { DRAWING, intoPage } from './docs.mjs';
import { goalRows, goals } from './goals.mjs';
import { machine, machineText } from './machine.mjs';
import { packet, plain } from './peers/bridge.mjs';
import { loopback, pty } from './peers/limits.mjs';
import { ser2net } from './peers/ser2net.mjs';
import { servedRealcom, servedRfc2217, servedTcp } from './peers/served.mjs';
import { socat } from './peers/socat.mjs';
import { realcom, tcp } from './peers/ttynp.mjs';
import { ANYWHERE, notOnOneCpu, ONE_CPU, onOneCpu } from './placement.mjs';
import { withPeers } from './rounds.mjs';
import { blockedJavaScript } from './rows/blocked.mjs';
import { firstByte } from './rows/first-byte.mjs';
import { idle } from './rows/idle.mjs';
import { latency } from './rows/latency.mjs';
import { outage } from './rows/outage.mjs';
import { ports } from './rows/ports.mjs';
import { throughput } from './rows/throughput.mjs';
import { svgOf } from './svg.mjs';
import { columns, tableJson, tableText } from './table.mjs';

const LIMITS = [pty, loopback];
const PEERS = [plain, packet, socat, ser2net, tcp, realcom];
/** What a protocol and a second ttynp add; on one port only. */
const SERVED = [servedTcp, servedRealcom, servedRfc2217];
/** On one port, all peers running at once; and those that start what they need themselves. */
const SINGLE = [latency, throughput];
const OTHERS = [ports, blockedJavaScript, firstByte, idle, outage];
const ROUNDS = 5;

const { values: args } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    rounds: { type: 'string', default: String(ROUNDS) },
    json: { type: 'string' },
    svg: { type: 'string' },
    asleep: { type: 'boolean', default: false },
    docs: { type: 'boolean', default: false },
    goals: { type: 'boolean', default: false },
  },
});
const rounds = Number(args.rounds);
const wanted = args.only?.split(',');
const known = [...SINGLE, ...OTHERS].map((row) => row.id);
const unknown = wanted?.filter((id) => !known.includes(id)) ?? [];
if (unknown.length > 0 || !(Number.isInteger(rounds) && rounds > 0)) {
  console.error(unknown.length > 0 ? `no row ${unknown.join(', ')}: ${known.join(', ')}` : '--rounds must be a number');
  process.exit(2);
}

const say = (text) => process.stderr.isTTY && process.stderr.write(`\r\x1b[K${text}`);
const here = machine();
const missing = PEERS.filter((peer) => peer.missing() !== undefined);
const began = performance.now();
for (const line of machineText(here)) console.log(line);
for (const peer of missing) console.log(`${peer.name} is not in the tables: ${peer.missing()}`);
console.log(`${rounds} interleaved rounds${args.quick ? ', short ones (--quick)' : ''}\n`);

const sleepy = args.asleep ? 'as asked' : cannotStayAwake();
if (sleepy !== undefined) console.log(`CPUs may sleep between round trips: ${sleepy}\n`);

const scattered = notOnOneCpu();
const oneCpu = scattered === undefined;
if (!oneCpu) console.log(`nothing is measured on one CPU: ${scattered}\n`);

const tables = [];
function add(found) {
  for (const table of found) {
    tables.push(table);
    say('');
    console.log(`${tableText(table).join('\n')}\n`);
  }
}

const chosen = (rows) => rows.filter((row) => wanted === undefined || wanted.includes(row.id));
const context = { rounds, quick: args.quick, say, peers: PEERS, stayAwake: sleepy === undefined, oneCpu };
if (chosen(SINGLE).length > 0) {
  await withPeers([...LIMITS, ...PEERS, ...SERVED], 1, say, async (single) => {
    if (oneCpu) {
      await onOneCpu(single, async () => {
        for (const row of chosen(SINGLE)) add(await row.run({ ...context, single, place: ONE_CPU }));
      });
    }
    for (const row of chosen(SINGLE)) add(await row.run({ ...context, single, place: ANYWHERE }));
  });
}
for (const row of chosen(OTHERS)) add(await row.run(context));

const reached = goals(tables);
console.log(columns(goalRows(reached)).join('\n'));
const minutes = ((performance.now() - began) / 60_000).toFixed(1);
console.log(`\n${minutes} minutes; load when it ended: ${machine().load.join(' ')}`);
if (args.json !== undefined) {
  const report = {
    ...here,
    loadAtEnd: machine().load,
    quick: args.quick,
    awake: sleepy === undefined,
    rounds,
    minutes: Number(minutes),
  };
  const peersMissing = missing.map((peer) => ({ name: peer.name, why: peer.missing() }));
  const json = { ...report, peersMissing, goals: reached, tables: tables.map(tableJson) };
  writeFileSync(args.json, `${JSON.stringify(json, null, 2)}\n`);
}
const drawing = args.svg ?? (args.docs ? DRAWING : undefined);
if (drawing !== undefined) {
  const when = `${here.date.slice(0, 10)}, Linux ${here.kernel}, ${here.cores} cores`;
  const svg = svgOf(tables, `${when}, median of ${rounds} rounds${args.quick ? ' of 1 s' : ''}`);
  if (svg === undefined) console.error('no SVG: it needs the rows of "ports"');
  else writeFileSync(drawing, svg);
}
if (args.docs) {
  const { load: loadAtEnd } = machine();
  intoPage({ here, loadAtEnd, quick: args.quick, rounds, goals: reached, tables, missing });
}
if (args.goals && reached.some((goal) => goal.reached === false)) process.exitCode = 1;
