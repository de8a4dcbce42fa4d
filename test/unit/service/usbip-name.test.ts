// The script that udev asks for the names of a tty: from a map that a process without root has written.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../../service/ttynp-usbip-name', import.meta.url));
let dir: string;
let map: string;
let dev: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ttynp-names-'));
  map = join(dir, 'usbip-names');
  dev = join(dir, 'dev');
  mkdirSync(dev);
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function told(...args: string[]): string {
  const env = { ...process.env, TTYNP_USBIP_NAMES: map, TTYNP_DEV: dev };
  const { stdout, status, stderr } = spawnSync('/bin/sh', [SCRIPT, ...args], { env, encoding: 'utf8' });
  expect(stderr).toBe('');
  expect(status === 0).toBe(stdout !== '');
  return stdout.trim();
}

/** Where group and mode are the default. */
function names(...args: string[]): string {
  const printed = told(...args);
  if (printed !== '') expect(printed).toMatch(/^dialout 0660 /);
  return printed.replace(/^dialout 0660 /, '');
}

test('the names of the serial and the interface, which sysfs writes in hexadecimal', () => {
  writeFileSync(map, 'a 0 ttyNP0 meter gas\na 14 ttyNP14\nb 0 ttyNP15\n');
  expect(names('a', '00')).toBe('ttyNP0 meter gas');
  expect(names('a', '0e')).toBe('ttyNP14');
  expect(names('b', '00')).toBe('ttyNP15');
  expect(names('a', '01')).toBe('');
  expect(names('c', '00')).toBe('');
});

test('no map, a map that is a link or a pipe, and arguments that are none: no name', () => {
  expect(names('a', '00')).toBe('');
  writeFileSync(join(dir, 'other'), 'a 0 ttyNP0\n');
  symlinkSync(join(dir, 'other'), map);
  expect(names('a', '00')).toBe('');
  rmSync(map);
  spawnSync('mkfifo', [map]);
  expect(names('a', '00')).toBe('');
  rmSync(map);
  writeFileSync(map, 'a 0 ttyNP0\n* 0 ttyNP1\n');
  for (const args of [[], ['a'], ['a', '0x'], ['a', '000'], ['*', '00'], ['a b', '00'], ['', '00']])
    expect(names(...args)).toBe('');
});

test('a name of another pattern, or that is somebody else’s in /dev, is left out; the others stay', () => {
  writeFileSync(join(dev, 'null'), '');
  symlinkSync('/run/systemd/journal/dev-log', join(dev, 'log'));
  symlinkSync('ttyUSB3', join(dev, 'ttyNP1'));
  symlinkSync('/run/ttynp/ttyNP2', join(dev, 'ttyNP2'));
  symlinkSync('../etc/ttyUSB3', join(dev, 'odd'));
  writeFileSync(map, `a 0 null log odd ../x /etc/x $(id) \`id\` a;b * ? . .. ${'x'.repeat(65)} ttyNP1 ttyNP2 new-1\n`);
  expect(names('a', '00')).toBe('ttyNP1 ttyNP2 new-1');
});

test('the first line of a tty counts, also where the last has no end', () => {
  writeFileSync(map, 'x\n\na 0 one\na 0 two\nb 0 three');
  expect(names('a', '00')).toBe('one');
});

test('group and mode of the tty, in any place of the line', () => {
  writeFileSync(map, 'a 0 ttyNP0 group=tty mode=0640 meter\na 1 ttyNP1 mode=0666\na 2 group=0 ttyNP2\n');
  expect(told('a', '00')).toBe('tty 0640 ttyNP0 meter');
  expect(told('a', '01')).toBe('dialout 0666 ttyNP1');
  expect(told('a', '02')).toBe('0 0660 ttyNP2');
});

test.each([
  'group=',
  'group=no-such-group',
  'group=-x',
  'group=../x',
  'group=$(id)',
  'group=tty;id',
  'group=%c',
  'mode=',
  'mode=660',
  'mode=4660',
  'mode=2660',
  'mode=0777',
  'mode=0670',
  'mode=0668',
  'mode=00660',
  'mode=u+s',
  'owner=nobody',
])('%s is none: the default, and no name', (word) => {
  writeFileSync(map, `a 0 ${word} ttyNP0\n`);
  expect(names('a', '00')).toBe('ttyNP0');
});
