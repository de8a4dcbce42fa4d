// A PTY of an earlier process, as the next one takes it: owner and mode, names, what it remembers, and one of no use.
import { lstatSync, mkdtempSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createStateFile } from '../../../src/native/descriptor.js';
import { KeepFile } from '../../../src/native/keep-file.js';
import { liveCounts, Pump } from '../../../src/native/pump.js';
import { closeFd, dup } from '../../../src/native/socket.js';
import { DEFAULT_SETTINGS } from '../../../src/serial/line.js';
import { DeviceLink } from '../../../src/tty/device-link.js';
import { type PtyKeeper, type PtyOptions, PtyTty } from '../../../src/tty/pty.js';
import { App, until } from '../../support/rig.js';
import { LogRecorder } from '../daemon/log-recorder.js';

/** Whoever holds the descriptors beside the process: as the service manager, with its own. */
class Holder implements PtyKeeper {
  held: { fd: number; file: KeepFile } | undefined;
  made(master: number, file: KeepFile): void {
    this.gone();
    this.held = { fd: dup(master), file: new KeepFile(dup(file.fd)) };
  }
  gone(): void {
    if (this.held) closeFd(this.held.fd);
    this.held?.file.close();
    this.held = undefined;
  }
  /** What a next process is given. */
  give(): { fd: number; file: KeepFile } {
    if (!this.held) throw new Error('nothing is held');
    return { fd: dup(this.held.fd), file: new KeepFile(dup(this.held.file.fd)) };
  }
}

let dir = '';
let holder = new Holder();
let log = new LogRecorder();
let cleanups: (() => void)[] = [];
const before = liveCounts();

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ttynp-adopt-'));
  holder = new Holder();
  log = new LogRecorder();
});

afterEach(() => {
  for (const cleanup of cleanups.reverse()) cleanup();
  cleanups = [];
  holder.gone();
  rmSync(dir, { recursive: true });
  expect(liveCounts()).toEqual(before);
});

function link(): DeviceLink {
  return new DeviceLink({ runtimeDir: dir, linkDir: dir, name: 'ttyNP0', aliases: [], report: () => {} });
}

/** One process: its pump, and its tty. `die` ends it as a hand-over does: nothing is told, nothing removed. */
function life(options: Partial<PtyOptions> = {}) {
  const pump = new Pump();
  const tty = new PtyTty({
    name: 'ttyNP0',
    link: link(),
    pump,
    settings: DEFAULT_SETTINGS,
    mode: 0o600,
    log,
    keeper: holder,
    ...options,
  });
  const events: string[] = [];
  tty.onEvent = ({ type }) => events.push(type);
  cleanups.push(() => pump.close());
  return { tty, pump, events };
}

function open(): App {
  const app = new App(join(dir, 'ttyNP0'));
  cleanups.push(() => app.close());
  return app;
}

test('it is the same device, and open as it was', async () => {
  const first = life();
  const app = open();
  await until('opened', 3000, () => first.events.includes('opened'));
  app.set({ baudRate: 19_200 });
  first.pump.freeze();
  const path = first.tty.devicePath;
  const name = lstatSync(join(dir, 'ttyNP0')).ino;
  const second = life({ adopted: holder.give() });
  expect(second.tty.devicePath).toBe(path);
  expect(second.tty.isOpen).toBe(true);
  expect(second.tty.settings.baudRate).toBe(19_200);
  expect(readlinkSync(join(dir, 'ttyNP0'))).toBe(path);
  expect(lstatSync(join(dir, 'ttyNP0')).ino).toBe(name);
  second.tty.close();
});

test('owner and mode are those of the configuration now', () => {
  const first = life();
  first.pump.freeze();
  const { tty } = life({ adopted: holder.give(), mode: 0o660, uid: 65_534, gid: 65_534 });
  const now = statSync(tty.devicePath);
  expect([now.mode & 0o777, now.uid, now.gid]).toEqual([0o660, 65_534, 65_534]);
  expect(log.lines).toEqual([]);
  tty.close();
});

test('what is remembered is remembered by the device that replaces it', () => {
  const first = life();
  first.tty.remember?.({ is: 'up' });
  const path = first.tty.devicePath;
  first.tty.hangUp();
  expect(first.tty.devicePath).not.toBe(path);
  first.pump.freeze();
  const given = holder.give();
  expect(given.file.read()).toEqual({ is: 'up' });
  const second = life({ adopted: given });
  expect(second.tty.devicePath).toBe(first.tty.devicePath);
  second.tty.close();
});

test('a state that cannot be read costs the bytes, not the application', async () => {
  const first = life();
  const app = open();
  await until('opened', 3000, () => first.events.includes('opened'));
  first.pump.freeze();
  const { fd, file } = holder.give();
  file.close();
  const second = life({ adopted: { fd, file: new KeepFile(createStateFile('none', 0)) } });
  expect(log.lines.join()).toMatch(/warn: ttyNP0: what was kept of it cannot be read/);
  await until('opened anew', 3000, () => second.events.includes('opened'));
  expect(app.read()?.length).toBe(0);
  second.tty.close();
});

test('a master whose slave is not here is of no use: another PTY takes its place, and is kept', () => {
  const given = { fd: dup(0), file: KeepFile.create('test') };
  const { tty } = life({ adopted: given });
  expect(log.lines.join()).toMatch(/warn: ttyNP0 cannot go on with its PTY and gets another/);
  expect(readlinkSync(join(dir, 'ttyNP0'))).toBe(tty.devicePath);
  expect(holder.held).toBeDefined();
  tty.close();
  expect(holder.held).toBeUndefined();
});
