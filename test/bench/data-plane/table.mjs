// Results as text for people, and as values for JSON. Pure.
import { best, median } from './rounds.mjs';

const number = (value, digits) => (Number.isFinite(value) ? value.toFixed(digits) : '-');

/** "median / best" in each cell; one value where there was one round. */
function cell(values, { digits, better }) {
  if (values === undefined) return '-';
  if (values.length === 1) return number(values[0], digits);
  return `${number(median(values), digits)} / ${number(best(values, better), digits)}`;
}

export function columns(rows) {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows.map((row) =>
    row.map((text, i) => (i === 0 ? text.padEnd(widths[i]) : text.padStart(widths[i]))).join('  '),
  );
}

export function tableText({ title, metrics, results }) {
  const several = [...results.values()].some((r) => Object.values(r).some((values) => values.length > 1));
  const heading = ['', ...metrics.map((m) => m.title)];
  const rows = [...results].map(([name, r]) => [name, ...metrics.map((m) => cell(r[m.key], m))]);
  return [`${title}${several ? ' (median / best)' : ''}`, ...columns([heading, ...rows]).map((line) => `  ${line}`)];
}

export function tableJson({ id, title, metrics, results }) {
  const values = [...results].map(([name, r]) => {
    const told = metrics.map((m) => {
      const rounds = r[m.key] ?? [];
      return [m.key, { median: median(rounds), best: best(rounds, m.better), rounds }];
    });
    return [name, Object.fromEntries(told)];
  });
  return { id, title, metrics, results: Object.fromEntries(values) };
}
