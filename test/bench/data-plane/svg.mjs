// p99 and CPU against the number of ports, as an SVG for docs/performance.md: the median of the rounds, both scales logarithmic.
// Pure; needs the rows of rows/ports.

import { median } from './rounds.mjs';
import { COUNTS } from './rows/ports.mjs';

const PANEL = { width: 380, height: 300, left: 62, top: 48, gap: 92 };
const COLOURS = ['#555555', '#999999', '#d95f02', '#7570b3', '#1b9e77', '#66a61e'];
const FONT = 'font-family="sans-serif" font-size="12"';

const escaped = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');
const line = (x1, y1, x2, y2, stroke) => `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="${stroke}"/>`;
const label = (x, y, text, more = '') => `<text x="${x}" y="${y}" ${FONT} ${more}>${escaped(text)}</text>`;

/** Powers of ten around the values. */
function decades(values) {
  const low = Math.floor(Math.log10(Math.min(...values)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...values))));
  return { low, high };
}

function panel({ title, key, factor }, tables, names, left) {
  const { width, height, top } = PANEL;
  const value = (table, name) => median(table.results.get(name)?.[key] ?? []) * factor;
  const all = tables.flatMap((t) => names.map((name) => value(t, name))).filter((v) => Number.isFinite(v) && v > 0);
  const { low, high } = decades(all);
  const x = (count) => left + (Math.log2(count) / Math.log2(COUNTS.at(-1))) * width;
  const y = (v) => top + height - ((Math.log10(v) - low) / (high - low)) * height;
  const parts = [label(left, top - 16, title, 'font-weight="bold"')];
  for (let power = low; power <= high; power++) {
    parts.push(line(left, y(10 ** power), left + width, y(10 ** power), '#dddddd'));
    parts.push(label(left - 8, y(10 ** power) + 4, String(10 ** power), 'text-anchor="end"'));
  }
  for (const count of COUNTS) {
    parts.push(line(x(count), top, x(count), top + height, '#eeeeee'));
    parts.push(label(x(count), top + height + 18, `${count}`, 'text-anchor="middle"'));
  }
  for (const [i, name] of names.entries()) {
    const points = tables.map((t, n) => [x(COUNTS[n]), y(value(t, name))]).filter(([, py]) => Number.isFinite(py));
    const path = points.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(' ');
    const colour = COLOURS[i % COLOURS.length];
    parts.push(`<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="2"/>`);
    for (const [px, py] of points)
      parts.push(`<circle cx="${px.toFixed(1)}" cy="${py.toFixed(1)}" r="3" fill="${colour}"/>`);
  }
  return parts;
}

/** undefined where the ports were not measured. */
export function svgOf(tables, caption) {
  const found = COUNTS.map((count) => tables.find((t) => t.id === `ports-${count}`));
  if (found.includes(undefined)) return undefined;
  const { width, height, left, top, gap } = PANEL;
  const names = [...found[0].results.keys()];
  const total = { width: left + 2 * width + gap + 30, height: top + height + 110 };
  const keys = names.flatMap((name, i) => {
    const kx = left + (i % 3) * 270;
    const ky = top + height + 44 + Math.trunc(i / 3) * 20;
    return [line(kx, ky - 4, kx + 24, ky - 4, `${COLOURS[i]}" stroke-width="3`), label(kx + 32, ky, name)];
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${total.width} ${total.height}" width="${total.width}" height="${total.height}">`,
    '<title>p99 of the round trip and CPU against the number of ports, for each of the tunnels compared</title>',
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    ...panel({ title: 'p99 in ms, against ports', key: 'p99', factor: 0.001 }, found, names, left),
    ...panel({ title: 'CPU in % of a core, against ports', key: 'cpu', factor: 1 }, found, names, left + width + gap),
    ...keys,
    label(left, total.height - 12, caption, 'fill="#555555"'),
    '</svg>',
    '',
  ].join('\n');
}
