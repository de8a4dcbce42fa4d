// A file is replaced as a whole or stays as it is, and nothing is left beside it.
import {
  chmodSync,
  chownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { replaceFile } from '../../../src/config/write-file.js';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ttynp-write-'));
  file = join(folder, 'ttynp.yaml');
  writeFileSync(file, 'before');
});
afterEach(() => rmSync(folder, { recursive: true }));

test('the mode stays, whatever the umask, and a link stays a link', () => {
  chmodSync(file, 0o664);
  const link = join(folder, 'link.yaml');
  symlinkSync('ttynp.yaml', link);
  replaceFile(link, 'before', 'after');
  expect(readFileSync(file, 'utf8')).toBe('after');
  expect(statSync(file).mode & 0o7777).toBe(0o664);
  expect(readlinkSync(link)).toBe('ttynp.yaml');
  expect(readdirSync(folder).sort()).toEqual(['link.yaml', 'ttynp.yaml']);
});

test('who has it open still reads the whole old one: it is another file', () => {
  const { ino } = statSync(file);
  replaceFile(file, 'before', 'after');
  expect(statSync(file).ino).not.toBe(ino);
});

test.skipIf(process.getuid?.() !== 0)('the owner stays, when root edits', () => {
  chownSync(file, 65534, 65534);
  replaceFile(file, 'before', 'after');
  expect(statSync(file)).toMatchObject({ uid: 65534, gid: 65534 });
});

test('what somebody else wrote meanwhile is not written over', () => {
  writeFileSync(file, 'theirs');
  expect(() => replaceFile(file, 'before', 'after')).toThrow(/was changed by somebody else meanwhile/);
  expect(readFileSync(file, 'utf8')).toBe('theirs');
  expect(readdirSync(folder)).toEqual(['ttynp.yaml']);
});

test('a file that is gone is an error on one line', () => {
  expect(() => replaceFile(join(folder, 'none'), '', 'after')).toThrow(/^\S+none cannot be written: ENOENT[^\n]*$/);
  expect(readdirSync(folder)).toEqual(['ttynp.yaml']);
});
