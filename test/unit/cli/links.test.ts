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
import { updateLinks } from '../../../src/cli/links.js';
import { loadConfig } from '../../../src/config/load.js';

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

const ONE = '  ttyNP0: { server: s, port: 1, alias: meter }\n';

test('a link for each name and alias into the runtime directory, before the tty is there, and nothing the second time', () => {
  const first = updateLinks(config(ONE), dev);
  expect([...first.made].sort()).toEqual([join(dev, 'meter'), join(dev, 'ttyNP0')]);
  expect(readlinkSync(join(dev, 'ttyNP0'))).toBe(join(run, 'ttyNP0'));
  expect(readlinkSync(join(dev, 'meter'))).toBe(join(run, 'ttyNP0'));
  expect(updateLinks(config(ONE), dev)).toEqual({ made: [], removed: [], problems: [] });
});

test('a name that the configuration has no more goes, a new one comes, an alias that moved is moved', () => {
  updateLinks(config(`${ONE}  ttyNP1: { server: s, port: 2 }\n`), dev);
  const changes = updateLinks(config('  ttyNP2: { server: s, port: 3, alias: meter }\n'), dev);
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
  const ttys = [0, 1, 2, 3].map((n) => `  ttyNP${n}: { server: s, port: ${n + 1} }\n`).join('');
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
