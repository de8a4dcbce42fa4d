// `npm run bench` as a program: what it measures comes out with values that can be, it leaves nothing behind, and a goal that is
// missed can end it with 1. No figure is judged.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';

const SUITE = new URL('../bench/data-plane/run.mjs', import.meta.url).pathname;
let dir: string;

interface Report {
  readonly goals: readonly { readonly what: string; readonly value: number | null; readonly reached: boolean | null }[];
  readonly peersMissing: readonly { readonly name: string }[];
  readonly tables: readonly {
    readonly id: string;
    readonly results: Record<
      string,
      Record<string, { readonly median: number | null; readonly rounds: readonly (number | null)[] }>
    >;
  }[];
}

beforeAll(() => {
  dir = mkdtempSync('/tmp/ttynp-suite-');
});

afterAll(() => rmSync(dir, { recursive: true }));

/** Its temporary folders are below `dir`. */
function suite(...args: string[]) {
  return spawnSync(process.execPath, [SUITE, '--quick', '--rounds', '1', ...args], {
    encoding: 'utf8',
    timeout: 280_000,
    env: { ...process.env, TMPDIR: dir },
  });
}

test('round trips and first bytes of every variant that is there, and nothing left', { timeout: 300_000 }, () => {
  const json = join(dir, 'report.json');
  const { status, stdout, stderr } = suite('--only', 'latency,first-byte', '--json', json);
  expect(stderr).toBe('');
  expect(status, stdout).toBe(0);
  const report: Report = JSON.parse(readFileSync(json, 'utf8'));
  // As root the kernel's workers can be placed, too.
  const one = stdout.includes('nothing is measured on one CPU')
    ? []
    : ['latency-1-one', 'latency-8-one', 'latency-256-one'];
  expect(report.tables.map((table) => table.id)).toEqual([...one, 'latency-8', 'first-byte']);
  const missing = report.peersMissing.map(({ name }) => name);
  const variants = ['C bridge', 'C bridge, packet mode', 'socat', 'ser2net', 'ttynp, tcp', 'ttynp, Real COM'];
  const present = variants.filter((name) => !missing.includes(name));
  for (const table of report.tables) {
    const key = table.id === 'first-byte' ? 'ms' : 'p50';
    for (const name of present) expect(table.results[name]?.[key]?.median, `${table.id} ${name}`).toBeGreaterThan(0);
    for (const name of present) expect(stdout).toContain(name);
  }
  for (const name of missing) expect(stdout).toContain(`${name} is not in the tables`);
  const trip = report.goals.find(({ what }) => what === 'round trip of 8 bytes p50, of the C bridge, anywhere');
  expect(trip?.value).toBeGreaterThan(0);
  expect(report.goals.filter(({ reached }) => reached === null).length).toBeGreaterThan(5);
  expect(readdirSync(dir)).toEqual(['report.json']);
});

test('a row that does not exist is refused with the names of those that do', () => {
  const { status, stderr } = suite('--only', 'latncy');
  expect(status).toBe(2);
  expect(stderr).toMatch(/no row latncy: latency, throughput, ports/);
});
