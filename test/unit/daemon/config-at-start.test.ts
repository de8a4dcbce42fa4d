import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadConfig } from '../../../src/config/load.js';
import { ConfigFault } from '../../../src/config/problems.js';
import type { ResolvedConfig } from '../../../src/config/resolved.js';
import { configAtStart } from '../../../src/daemon/config-at-start.js';
import { ManualClock } from '../../support/manual-clock.js';

const GOOD: ResolvedConfig = loadConfig(
  'ttynp.yaml',
  { uid: 1000, runtimeHome: '/run/user/1', devWritable: false },
  new Map([[join(process.cwd(), 'ttynp.yaml'), 'version: 1\n']]),
).config;
const WRONG = new ConfigFault(['/etc/ttynp/ttynp.yaml:3: nonsense: unknown key']);

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ttynp-start-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

function start(broken: () => boolean, runtimeDirectory: string | undefined = directory) {
  const clock = new ManualClock();
  const told: string[] = [];
  let state = 'waiting';
  const config = configAtStart({
    load: () => {
      if (broken()) throw WRONG;
      return GOOD;
    },
    runtimeDirectory,
    clock,
    waiting: (error) => told.push(error),
  });
  const settled = config.then(
    () => {
      state = 'started';
    },
    (error: unknown) => {
      state = error === WRONG ? 'refused' : String(error);
    },
  );
  const advance = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 1000) {
      clock.advance(1000);
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  return { told, advance, settled, state: () => state };
}

test('a good configuration is taken at once, and leaves nothing behind', async () => {
  const run = start(() => false);
  await run.settled;
  expect(run.state()).toBe('started');
  expect(readdirSync(directory)).toEqual([]);
});

test('without a service manager every start fails at once', async () => {
  for (let i = 0; i < 2; i++) {
    const run = start(() => true, '');
    await run.settled;
    expect(run.state()).toBe('refused');
  }
});

test('the first start fails at once, the next one waits until the file is mended', async () => {
  const first = start(() => true);
  await first.settled;
  expect(first.state()).toBe('refused');
  expect(first.told).toEqual([]);

  let broken = true;
  const second = start(() => broken);
  await second.advance(20_000);
  expect(second.state()).toBe('waiting');
  expect(second.told).toEqual(['/etc/ttynp/ttynp.yaml:3: nonsense: unknown key']);
  broken = false;
  await second.advance(1000);
  await second.settled;
  expect(second.state()).toBe('started');
  expect(readdirSync(directory)).toEqual([]);
  expect(process.listenerCount('SIGTERM')).toBe(0);
});

test('the waiting ends before the service manager ends it, and says again what is wrong', async () => {
  const first = start(() => true);
  await first.settled;
  const second = start(() => true);
  await second.advance(49_000);
  expect(second.state()).toBe('waiting');
  await second.advance(1000);
  await second.settled;
  expect(second.state()).toBe('refused');
  expect(process.listenerCount('SIGTERM')).toBe(0);
});

test('mended and broken again, the start after that is a first one', async () => {
  await start(() => true).settled;
  await start(() => false).settled;
  const third = start(() => true);
  await third.settled;
  expect(third.state()).toBe('refused');
});
