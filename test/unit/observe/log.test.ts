// Lines are read where they end: in files and in a pipe of the kernel.
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createLog, jsonLine, mayColour, plainLine } from '../../../src/observe/log.js';
import { DescriptorSink } from '../../../src/observe/sinks.js';
import { ManualClock } from '../../support/manual-clock.js';

let folder: string;
let clock: ManualClock;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'ttynp-log-'));
  clock = new ManualClock();
});
afterEach(() => {
  chmodSync(folder, 0o700);
  rmSync(folder, { recursive: true });
  expect(clock.timers).toBe(0);
});

const plain = { level: 'info', format: 'plain', colour: false } as const;

function withFd<T>(path: string, use: (fd: number) => T): T {
  const fd = openSync(path, 'a');
  try {
    return use(fd);
  } finally {
    closeSync(fd);
  }
}

describe('lines', () => {
  const line = {
    at: new Date(2026, 0, 31, 9, 5, 7, 8),
    level: 'warn',
    message: 'refused',
    fields: { tty: 'ttyNP7', peer: 'h:950', n: 2, none: undefined },
  } as const;

  test('plain', () => {
    expect(plainLine(line, false)).toBe('2026-01-31 09:05:07.008 warn  ttyNP7: refused peer=h:950 n=2');
  });
  test('plain in colour has the same text', () => {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are such characters
    expect(plainLine(line, true).replace(/\x1b\[\d+m/g, '')).toBe(plainLine(line, false));
  });
  test('nothing from outside moves the cursor or forges a line', () => {
    const text = plainLine({ ...line, message: 'a\nb\x1b[2Jc\x9b', fields: { tty: 'x\r', why: 'two words' } }, false);
    expect(text).toBe('2026-01-31 09:05:07.008 warn  x\\x0d: a\\x0ab\\x1b[2Jc\\x9b why="two words"');
  });
  test('json', () => {
    expect(JSON.parse(jsonLine(line))).toEqual({
      time: line.at.toISOString(),
      level: 'warn',
      message: 'refused',
      tty: 'ttyNP7',
      peer: 'h:950',
      n: 2,
    });
  });
  test('colour only on a terminal without NO_COLOR', () => {
    expect([
      mayColour(true, undefined),
      mayColour(true, ''),
      mayColour(true, '1'),
      mayColour(false, undefined),
    ]).toEqual([true, true, false, false]);
  });
});

test('levels are obeyed, changed at run time, and children add fields', () => {
  const path = join(folder, 'out');
  withFd(path, (fd) => {
    const log = createLog({ ...plain, fd }, clock);
    const child = log.child({ tty: 'ttyNP1' });
    child.log('info', 'one', { a: 1 });
    child.log('debug', 'unseen');
    log.setLevel('debug');
    child.child({ server: 's' }).log('debug', 'two');
    log.close();
    log.log('error', 'after the end');
  });
  const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
  expect(lines.map((l) => l.slice(24))).toEqual(['info  ttyNP1: one a=1', 'debug ttyNP1: two server=s']);
});

describe('a rotated file', () => {
  test('keeps maxFiles of at most maxSize, newest first', () => {
    const path = join(folder, 'sub', 'ttynp.log');
    const log = createLog({ ...plain, file: { path, maxSizeBytes: 1000, maxFiles: 3 } }, clock);
    for (let i = 0; i < 100; i++) log.log('info', `line ${i} ${'x'.repeat(60)}`);
    log.close();
    expect(readdirSync(join(folder, 'sub')).sort()).toEqual(['ttynp.log', 'ttynp.log.1', 'ttynp.log.2']);
    const all = ['.2', '.1', ''].flatMap((s) =>
      readFileSync(path + s, 'utf8')
        .trimEnd()
        .split('\n'),
    );
    expect(all.at(-1)).toContain('line 99 ');
    const numbers = all.map((l) => Number(/line (\d+)/.exec(l)?.[1]));
    expect(numbers).toEqual(numbers.map((_, i) => 100 - numbers.length + i));
    for (const s of ['', '.1', '.2']) expect(readFileSync(path + s).length).toBeLessThanOrEqual(1000);
  });

  test('an existing file is continued', () => {
    const path = join(folder, 'log');
    writeFileSync(path, 'before\n');
    const log = createLog({ ...plain, file: { path, maxSizeBytes: 1000, maxFiles: 1 } }, clock);
    log.log('info', 'after');
    log.close();
    expect(readFileSync(path, 'utf8')).toMatch(/^before\n.* after\n$/);
  });

  for (const [shows, path] of [
    ['a full disk', '/dev/full'],
    ['a folder that cannot be', '/proc/nothing/log'],
  ] as const) {
    test(`${shows}: every line goes to stderr instead, said once, and the file is tried again later`, () => {
      const err = join(folder, 'err');
      withFd(err, (fd) => {
        const log = createLog({ ...plain, fd, file: { path, maxSizeBytes: 1 << 20, maxFiles: 2 } }, clock);
        for (let i = 0; i < 3; i++) log.log('info', `line ${i}`);
        clock.advance(31_000);
        log.log('info', 'line 3');
        log.close();
      });
      const lines = readFileSync(err, 'utf8').trimEnd().split('\n');
      expect(lines[0]).toMatch(new RegExp(`^log file ${path} cannot be written .*, logging here instead$`));
      expect(lines.slice(1).map((l) => l.slice(-6))).toEqual(['line 0', 'line 1', 'line 2', 'line 3']);
    });
  }
});

test('a pipe that nobody reads blocks nothing, holds a bounded queue, and tells what was dropped', () => {
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY); // blocking, as node has it for pipes
  const sink = new DescriptorSink(writer, clock, 10_000);
  const total = 5000;
  for (let i = 0; i < total; i++) sink.write(`${String(i).padStart(99, '0')}\n`);
  expect(sink.queuedBytes).toBeLessThanOrEqual(10_000);
  let text = '';
  const buffer = Buffer.alloc(1 << 20);
  for (let quiet = 0; quiet < 2; ) {
    let n = 0;
    try {
      n = readSync(reader, buffer);
    } catch {
      n = 0; // EAGAIN: empty
    }
    quiet = n === 0 ? quiet + 1 : 0;
    text += buffer.toString('latin1', 0, n);
    clock.advance(20);
  }
  sink.write('the end\n');
  text += buffer.toString('latin1', 0, readSync(reader, buffer));
  sink.close();
  closeSync(reader);
  closeSync(writer);
  const lines = text.trimEnd().split('\n');
  expect(lines.at(-1)).toBe('the end');
  const dropped = Number(/^\.\.\. (\d+) log lines dropped/.exec(lines.at(-2) ?? '')?.[1]);
  expect(dropped).toBeGreaterThan(0);
  const whole = lines.slice(0, -2);
  expect(whole.length + dropped).toBe(total);
  expect(whole).toEqual(whole.map((_, i) => String(i).padStart(99, '0')));
});

test('a reader that is gone ends the sink quietly', () => {
  const path = join(folder, 'pipe');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  const sink = new DescriptorSink(writer, clock);
  closeSync(reader);
  sink.write('a\n');
  sink.write('b\n');
  sink.close();
  closeSync(writer);
});
