// Reads "SIDE NAME VALUE" lines of all rounds, c the emulator and d the daemon; prints the medians, their ratio, and the
// limit. Ends with 1 where one is missed, or a figure is missing.

/** d / c may be at most, or must be at least. */
const RATIOS = [
  { name: 'rtt1', title: 'round trip, 1 byte', unit: 'us', most: 1.25 },
  { name: 'rtt1-p10', title: '  10th percentile', unit: 'us' },
  { name: 'rtt1-p99', title: '  99th percentile', unit: 'us' },
  { name: 'rtt64', title: 'round trip, 64 bytes', unit: 'us', most: 1.3 },
  { name: 'rtt64-p10', title: '  10th percentile', unit: 'us' },
  { name: 'rtt64-p99', title: '  99th percentile', unit: 'us' },
  { name: 'write', title: 'write, calls of 4096', unit: 'kB/s', scale: 1e-3, least: 0.7 },
  { name: 'read', title: 'read, calls of 4096', unit: 'kB/s', scale: 1e-3, least: 0.7 },
  { name: 'many-delivered', title: '16 ports, each way', unit: 'kB/s', scale: 1e-3, least: 0.9 },
];
const TICKS = ['idle-closed', 'idle-open'];

const values = new Map();
for await (const chunk of process.stdin.setEncoding('utf8').iterator()) lines(chunk);
function lines(chunk) {
  lines.rest = (lines.rest ?? '') + chunk;
  const whole = lines.rest.split('\n');
  lines.rest = whole.pop();
  for (const line of whole) take(line);
}
function take(line) {
  const match = /^([cd]) (\S+) ([\d.]+)$/.exec(line);
  if (!match) return;
  const key = `${match[1]} ${match[2]}`;
  values.set(key, [...(values.get(key) ?? []), Number(match[3])]);
}

function median(side, name) {
  const sorted = (values.get(`${side} ${name}`) ?? []).toSorted((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle) - 1] ?? Number.NaN)) / 2;
}

let missed = 0;
const row = (...cells) => console.log(cells.map((cell, i) => (i === 0 ? cell.padEnd(24) : cell.padStart(11))).join(''));
function judge(good) {
  if (!good) missed++;
  return good ? 'ok' : 'MISSED';
}

row(`median of ${values.get('c rtt1')?.length ?? 0}`, 'C', 'ttynp', 'ratio', 'limit', '');
for (const { name, title, unit, scale = 1, most, least } of RATIOS) {
  const [c, d] = [median('c', name), median('d', name)];
  const ratio = d / c;
  const limit = most !== undefined ? `<= ${most}` : least !== undefined ? `>= ${least}` : '';
  // NaN, where a figure is missing, is neither.
  const verdict = limit === '' ? '' : judge(most !== undefined ? ratio <= most : ratio >= least);
  row(
    title,
    `${(c * scale).toFixed(0)} ${unit}`,
    `${(d * scale).toFixed(0)} ${unit}`,
    ratio.toFixed(2),
    limit,
    verdict,
  );
}
const lost = ['c', 'd'].map((side) => (values.get(`${side} many-lost`) ?? [Number.NaN]).reduce((a, b) => a + b));
row('16 ports, bytes lost', `${lost[0]}`, `${lost[1]}`, '', '0', judge(lost[1] === 0));
for (const name of TICKS) row(`${name}, 10 s`, `${median('c', name)} ticks`, `${median('d', name)} ticks`, '', '', '');
process.exitCode = missed > 0 ? 1 : 0;
