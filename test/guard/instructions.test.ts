// How many instructions the pump's thread needs for a round trip of 8 bytes, counted by callgrind on the pump without Node
// (native-bindings/round_trips.c). The difference of two runs of different length, so that start and end do not count.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../support/e2e.js';
import { INSTRUCTIONS_COUNTED_WITH, INSTRUCTIONS_MARGIN, INSTRUCTIONS_PER_ROUND_TRIP } from './figures.js';

const NATIVE = fileURLToPath(new URL('../../native-bindings/', import.meta.url));
const DEARER = fileURLToPath(new URL('dearer.c', import.meta.url));
const FEW = 500;
const MANY = 1500;
/** Callgrind's number of the pump's thread: the main thread is 1 and starts no other. */
const PUMP = '02';

function unable(): string | undefined {
  if (spawnSync('valgrind', ['--version']).status !== 0) return 'valgrind is not installed';
  const asked = ['-dumpmachine', '-dumpversion'].map((flag) =>
    execFileSync(process.env.CC ?? 'cc', [flag], { encoding: 'utf8' }).trim(),
  );
  const compiler = asked.join(' ');
  if (compiler === INSTRUCTIONS_COUNTED_WITH) return undefined;
  return `the figure is of ${INSTRUCTIONS_COUNTED_WITH}, this compiler is ${compiler}`;
}

const missing = unable();
let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'ttynp-guard-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function build(name: string, ...more: string[]): string {
  const program = join(dir, name);
  execFileSync(process.execPath, ['build-harness.mjs', 'round_trips.c', program, ...more], { cwd: NATIVE });
  return program;
}

async function instructions(program: string, roundTrips: number): Promise<number> {
  const out = join(dir, `out.${roundTrips}`);
  const argv = ['valgrind', '--tool=callgrind', '--separate-threads=yes', `--callgrind-out-file=${out}`, program];
  const { code, stdout, stderr } = await run([...argv, `${roundTrips}`], { timeoutMs: 60_000 });
  expect(code, stderr).toBe(0);
  expect(stdout).toBe(`${roundTrips} round trips\n`);
  const total = /^totals: (\d+)$/m.exec(readFileSync(`${out}-${PUMP}`, 'latin1'))?.[1];
  return Number(total);
}

async function perRoundTrip(program: string): Promise<{ each: number; said: string }> {
  const each = ((await instructions(program, MANY)) - (await instructions(program, FEW))) / (MANY - FEW);
  const change = (each / INSTRUCTIONS_PER_ROUND_TRIP - 1) * 100;
  const changed = `${change < 0 ? '' : '+'}${change.toFixed(1)} %`;
  return {
    each,
    said: `${each.toFixed(0)} instructions in a round trip; ${INSTRUCTIONS_PER_ROUND_TRIP} are known: ${changed}`,
  };
}

const most = INSTRUCTIONS_PER_ROUND_TRIP * (1 + INSTRUCTIONS_MARGIN);
const least = INSTRUCTIONS_PER_ROUND_TRIP * (1 - INSTRUCTIONS_MARGIN);

test('a round trip of 8 bytes through a PTY and a socket', async (context) => {
  context.skip(missing !== undefined, missing);
  const { each, said } = await perRoundTrip(build('round-trips'));
  console.log(said);
  expect(each, said).toBeLessThan(most);
  expect(each, said).toBeGreaterThan(least);
}, 120_000);

test('a few hundred more would be seen', async (context) => {
  context.skip(missing !== undefined, missing);
  const { each, said } = await perRoundTrip(build('dearer', DEARER));
  expect(each, said).toBeGreaterThan(most);
}, 120_000);
