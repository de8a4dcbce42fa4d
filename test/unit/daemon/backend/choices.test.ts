// Which backend a tty with `backend: auto` gets, and that it keeps it whatever the machine has later.
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadConfig } from '../../../../src/config/load.js';
import type { ResolvedConfig } from '../../../../src/config/resolved.js';
import { BackendChoices } from '../../../../src/daemon/backend/choices.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { LogRecorder } from '../log-recorder.js';

let dir: string;
let file: string;
let run: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ttynp-choices-'));
  run = join(dir, 'run');
  mkdirSync(run);
  file = join(dir, 'backends.json');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const NONE = 'no usbip helper listens';

function config(ttys: Record<string, object>): ResolvedConfig {
  const path = join(dir, 'ttynp.yaml');
  const all = Object.fromEntries(
    Object.entries(ttys).map(([name, more], i) => [name, { server: 's', port: i + 1, ...more }]),
  );
  const value = { version: 1, runtimeDir: run, linkDir: run, servers: { s: { address: '127.0.0.1' } }, ttys: all };
  writeFileSync(path, JSON.stringify(value));
  return loadConfig(path).config;
}

/** A daemon's life: what it says, and how often it asked the machine. */
function start(trouble: string | undefined, at: string | null = file) {
  const log = new LogRecorder();
  const machine = { trouble, asked: 0 };
  const choices = new BackendChoices({
    file: at ?? undefined,
    clock: new ManualClock(),
    log,
    usbipTrouble: async () => {
      machine.asked++;
      return machine.trouble;
    },
  });
  const backends = async (ttys: Record<string, object>, again?: (name: string) => boolean) =>
    (await choices.choose(config(ttys), again)).ttys.map(({ backend }) => backend);
  return { choices, machine, log, backends };
}

test('usbip where the machine gives it, else pty with the reason; the machine is asked once for all', async () => {
  const rich = start(undefined);
  expect(await rich.backends({ a: {}, b: {} })).toEqual(['usbip', 'usbip']);
  expect(rich.machine.asked).toBe(1);
  expect(rich.choices.view('a')).toMatchObject({ by: 'auto', why: 'this machine gives it' });
  rmSync(file);
  const poor = start(NONE);
  expect(await poor.backends({ a: {}, b: { backend: 'usbip' }, c: { backend: 'pty' } })).toEqual([
    'pty',
    'usbip',
    'pty',
  ]);
  expect(poor.choices.view('a')).toMatchObject({ by: 'auto', why: NONE });
  expect(poor.choices.view('b')).toEqual({ by: 'configuration', at: null, why: null });
});

test('a choice stays over restarts, both ways, and the machine is not even asked', async () => {
  await start(undefined).backends({ a: {} });
  const without = start(NONE);
  expect(await without.backends({ a: {}, b: {} })).toEqual(['usbip', 'pty']);
  const with_ = start(undefined);
  expect(await with_.backends({ a: {}, b: {} })).toEqual(['usbip', 'pty']);
  expect(with_.machine.asked).toBe(0);
  expect(with_.log.lines).toEqual([]);
});

test('chosen again where that is asked for, of one tty or of all', async () => {
  await start(NONE).backends({ a: {}, b: {} });
  const { backends } = start(undefined);
  expect(await backends({ a: {}, b: {} }, (name) => name === 'b')).toEqual(['pty', 'usbip']);
  expect(await backends({ a: {}, b: {} }, () => true)).toEqual(['usbip', 'usbip']);
  expect(await start(NONE).backends({ a: {}, b: {} })).toEqual(['usbip', 'usbip']);
});

test('a backend in the configuration ends what was chosen; a tty that goes for a while keeps it', async () => {
  const { backends, machine } = start(undefined);
  await backends({ a: {}, b: {} });
  machine.trouble = NONE;
  expect(await backends({ a: { backend: 'pty' } })).toEqual(['pty']);
  expect(await backends({ a: {}, b: {} })).toEqual(['pty', 'usbip']);
});

test('a tty that an earlier daemon made as a PTY stays one, at the start and not for ever', async () => {
  symlinkSync('/dev/pts/9', join(run, 'a'));
  const { backends, choices } = start(undefined);
  expect(await backends({ a: {}, b: {} })).toEqual(['pty', 'usbip']);
  expect(choices.view('a').why).toBe('it was a pty already');
  expect(await backends({ a: {}, b: {} }, () => true)).toEqual(['usbip', 'usbip']);
});

test('what an application needs decides: never kept as a pty, and usbip as soon as there is one', async () => {
  const { backends, machine } = start(NONE);
  const needy = { a: { needs: ['parity'] } };
  expect(await backends({ a: {} })).toEqual(['pty']);
  expect(await backends(needy)).toEqual(['pty']);
  machine.trouble = undefined;
  expect(await backends(needy)).toEqual(['usbip']);
  machine.trouble = NONE;
  expect(await backends(needy)).toEqual(['usbip']);
});

test('nothing to remember in: a pty, always', async () => {
  const { choices, machine } = start(undefined, null);
  const chosen = await choices.choose(config({ a: {} }));
  expect(chosen.ttys[0]?.backend).toBe('pty');
  expect(machine.asked).toBe(0);
});

test.each(['{', '[]', '{"version":2,"ttys":{}}', '{"version":1,"ttys":{"a":{"backend":"cuse","at":"","why":""}}}'])(
  'a broken file (%s) is a warning, and replaced',
  async (text) => {
    writeFileSync(file, text);
    const { backends, log } = start(undefined);
    expect(await backends({ a: {} })).toEqual(['usbip']);
    expect(log.lines[0]).toMatch(/^warn: .*not known any more$/);
    expect(await start(NONE).backends({ a: {} })).toEqual(['usbip']);
  },
);

test('a file that cannot be written is a warning; the choice holds as long as the process', async () => {
  const nowhere = join(dir, 'none', 'backends.json');
  const { choices, machine, log } = start(undefined, nowhere);
  expect((await choices.choose(config({ a: {} }))).ttys[0]?.backend).toBe('usbip');
  expect(log.lines.at(-1)).toMatch(/^warn: .*cannot be remembered: ENOENT/);
  machine.trouble = NONE;
  expect((await choices.choose(config({ a: {} }))).ttys[0]?.backend).toBe('usbip');
  expect(existsSync(nowhere)).toBe(false);
  // A directory in its place.
  mkdirSync(file);
  expect(await start(undefined).backends({ a: {} })).toEqual(['usbip']);
  rmSync(file, { recursive: true });
});

test('the file is whole, readable for all, and written only when something changes', async () => {
  const { backends } = start(undefined);
  await backends({ a: {} });
  expect(JSON.parse(readFileSync(file, 'utf8'))).toMatchObject({ version: 1, ttys: { a: { backend: 'usbip' } } });
  chmodSync(file, 0o600);
  writeFileSync(file, ' ');
  await backends({ a: {} });
  expect(readFileSync(file, 'utf8')).toBe(' ');
});
