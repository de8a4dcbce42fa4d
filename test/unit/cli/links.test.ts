import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { updateLinks as update } from '../../../src/cli/links.js';
import { loadConfig } from '../../../src/config/load.js';
import type { ResolvedConfig } from '../../../src/config/resolved.js';
import { writeChoices } from '../../../src/daemon/backend/choice-file.js';

let dir: string;
let dev: string;
let run: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ttynp-links-'));
  dev = join(dir, 'dev');
  run = join(dir, 'run');
  mkdirSync(dev);
  mkdirSync(run);
  writeFileSync(join(run, 'control.sock'), '');
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

function config(ttys: string, linkDir = '/dev') {
  const file = join(dir, 'ttynp.yaml');
  writeFileSync(
    file,
    `version: 1\nruntimeDir: ${run}\nlinkDir: ${linkDir}\nservers: { s: { address: 127.0.0.1, ports: 4 } }\nttys:\n${ttys}`,
  );
  return loadConfig(file).config;
}

const ONE = '  ttyNP0: { server: s, port: 1, alias: meter, backend: pty }\n';

const updateLinks = (wanted: ResolvedConfig, at: string) => update(wanted, at, dir);

test('a link for each name and alias into the runtime directory, before the tty is there, and nothing the second time', () => {
  const first = updateLinks(config(ONE), dev);
  expect([...first.made].sort()).toEqual([join(dev, 'meter'), join(dev, 'ttyNP0')]);
  expect(readlinkSync(join(dev, 'ttyNP0'))).toBe(join(run, 'ttyNP0'));
  expect(readlinkSync(join(dev, 'meter'))).toBe(join(run, 'ttyNP0'));
  expect(updateLinks(config(ONE), dev)).toEqual({ made: [], removed: [], problems: [], pending: [] });
});

test('a name that the configuration has no more goes, a new one comes, an alias that moved is moved', () => {
  updateLinks(config(`${ONE}  ttyNP1: { server: s, port: 2, backend: pty }\n`), dev);
  const changes = updateLinks(config('  ttyNP2: { server: s, port: 3, alias: meter, backend: pty }\n'), dev);
  expect([...changes.removed].sort()).toEqual([join(dev, 'ttyNP0'), join(dev, 'ttyNP1')]);
  expect(readdirSync(dev).sort()).toEqual(['meter', 'ttyNP2']);
  expect(readlinkSync(join(dev, 'meter'))).toBe(join(run, 'ttyNP2'));
});

test('no daemon, no links: neither an empty runtime directory nor none at all', () => {
  for (const gone of [join(run, 'control.sock'), run]) {
    writeFileSync(join(run, 'control.sock'), '');
    updateLinks(config(ONE), dev);
    rmSync(gone, { recursive: true });
    expect(updateLinks(config(ONE), dev).removed).toHaveLength(2);
    expect(readdirSync(dev)).toEqual([]);
  }
});

test('names that the operator wants elsewhere are not made here', () => {
  expect(updateLinks(config(ONE, run), dev).made).toEqual([]);
});

test('what somebody else made stays: a file, a directory, a link elsewhere, a link deeper or next to our directory', () => {
  writeFileSync(join(dev, 'ttyNP0'), 'mine');
  mkdirSync(join(dev, 'ttyNP1'));
  symlinkSync('/nowhere', join(dev, 'ttyNP2'));
  symlinkSync(`${run}/below/ttyNP3`, join(dev, 'ttyNP3'));
  symlinkSync(`${run}2/other`, join(dev, 'other'));
  const ttys = [0, 1, 2, 3].map((n) => `  ttyNP${n}: { server: s, port: ${n + 1}, backend: pty }\n`).join('');
  const changes = updateLinks(config(ttys), dev);
  expect(changes).toMatchObject({ made: [], removed: [] });
  expect(changes.problems).toHaveLength(4);
  expect(changes.problems.join('\n')).toContain(`${dev}/ttyNP2: is a link to /nowhere, ttynp did not make it`);
  expect(lstatSync(join(dev, 'ttyNP0')).isFile()).toBe(true);
  expect(lstatSync(join(dev, 'ttyNP1')).isDirectory()).toBe(true);
  expect(readlinkSync(join(dev, 'ttyNP2'))).toBe('/nowhere');
  expect(existsSync(join(dev, 'other'))).toBe(false);
  expect(readlinkSync(join(dev, 'other'))).toBe(`${run}2/other`);
});

const AUTO = '  ttyNP0: { server: s, port: 1 }\n';
const choose = (backend: 'pty' | 'usbip') =>
  writeChoices(join(dir, 'backends.json'), new Map([['ttyNP0', { backend, at: '', why: '' }]]));

test('backend auto: what the daemon remembers; else nothing, until it has made its own link', () => {
  expect(updateLinks(config(AUTO), dev).made).toEqual([]);
  symlinkSync('/dev/pts/9', join(run, 'ttyNP0'));
  expect(updateLinks(config(AUTO), dev).made).toEqual([join(dev, 'ttyNP0')]);
  choose('usbip');
  expect(updateLinks(config(AUTO), dev).removed).toEqual([join(dev, 'ttyNP0')]);
  rmSync(join(run, 'ttyNP0'));
  choose('pty');
  expect(updateLinks(config(AUTO), dev).made).toEqual([join(dev, 'ttyNP0')]);
  writeFileSync(join(dir, 'backends.json'), '{');
  expect(updateLinks(config(AUTO), dev).removed).toEqual([join(dev, 'ttyNP0')]);
});

test('a name in the map is udev’s, whatever else says: our link to it goes, udev’s stays', () => {
  updateLinks(config(ONE), dev);
  writeFileSync(join(run, 'usbip-names'), 'ttynp0 0 ttyNP0 meter\n');
  rmSync(join(dev, 'meter'));
  symlinkSync('ttyUSB3', join(dev, 'meter'));
  expect(updateLinks(config(ONE), dev)).toMatchObject({ removed: [join(dev, 'ttyNP0')], made: [], pending: [] });
  expect(readlinkSync(join(dev, 'meter'))).toBe('ttyUSB3');
  expect(readdirSync(dev)).toEqual(['meter']);
});

test('what udev still has waits for udev; then the name is made', () => {
  symlinkSync('ttyUSB3', join(dev, 'ttyNP0'));
  const changes = updateLinks(config(ONE), dev);
  expect(changes).toMatchObject({ pending: [join(dev, 'ttyNP0')], made: [join(dev, 'meter')], problems: [] });
  expect(readlinkSync(join(dev, 'ttyNP0'))).toBe('ttyUSB3');
  rmSync(join(dev, 'ttyNP0'));
  expect(updateLinks(config(ONE), dev).made).toEqual([join(dev, 'ttyNP0')]);
});
