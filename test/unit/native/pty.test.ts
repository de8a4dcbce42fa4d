// PTYs and termios, against the kernel and as pure functions.
import { spawnSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { clearStale, isHungUp, rearm } from '../../../src/native/pty.js';
import { closeFd } from '../../../src/native/socket.js';
import { getTermios, setTermios } from '../../../src/native/termios.js';
import type { LineSettings } from '../../../src/serial/line.js';
import { TERMIOS, toLineSettings, withLineSettings } from '../../../src/serial/termios.js';
import { leavesNothingBehind, makePty, onDescriptor, onEnd, openSlave, readSome, until, writeSome } from './support.js';

leavesNothingBehind();

const SETTINGS: LineSettings = {
  baudRate: 115200,
  dataBits: 8,
  parity: 'none',
  stopBits: 2,
  flowControl: { rtsCts: true, xonXoffOut: true, xonXoffIn: true, xon: 0x21, xoff: 0x23 },
};

function pty(options = {}) {
  const made = makePty(options);
  onEnd(() => closeFd(made.fd));
  return made;
}

test('a PTY is closed, raw and silent with its settings when it is made', () => {
  const { fd, path } = pty({ settings: SETTINGS, hangUpOnClose: false, mode: 0o620 });
  expect(isHungUp(fd)).toBe(true);
  const t = getTermios(fd);
  expect(toLineSettings(t)).toEqual(SETTINGS);
  expect(t.lflag).toBe(TERMIOS.EXTPROC);
  expect(t.oflag).toBe(0);
  expect(t.cflag & TERMIOS.HUPCL).toBe(0);
  expect(t.cflag & TERMIOS.CREAD).toBe(TERMIOS.CREAD);
  expect(t.cc[TERMIOS.VMIN]).toBe(1);
  const stty = spawnSync('stty', ['-F', path, '-a'], { encoding: 'utf8' });
  expect(stty.stdout).toContain('115200 baud');
  expect(stty.stdout).toContain('-icanon');
  expect(stty.stdout).toContain('-echo ');
});

test('owner and group are set where they are asked for', () => {
  const uid = process.getuid?.() ?? 0;
  const gid = process.getgid?.() ?? 0;
  const { path } = pty({ uid, gid });
  const seen = spawnSync('stat', ['-c', '%u %g', path], { encoding: 'utf8' });
  expect(seen.stdout.trim()).toBe(`${uid} ${gid}`);
});

test('any rate goes in and comes out', () => {
  const { fd } = pty();
  for (const baudRate of [0, 50, 300, 9600, 115200, 250000, 1234567, 4000000]) {
    setTermios(fd, withLineSettings(getTermios(fd), { ...SETTINGS, baudRate }));
    expect(getTermios(fd).outputSpeed).toBe(baudRate);
  }
});

test('rearm and clearStale leave the line and take the rest', async () => {
  const { fd, path } = pty({ settings: SETTINGS });
  const slave = openSlave(path);
  const t = getTermios(slave);
  setTermios(slave, { ...t, lflag: TERMIOS.ICANON | TERMIOS.ECHO, cflag: (t.cflag | TERMIOS.CLOCAL) >>> 0 });
  onDescriptor(slave, 'fcntl.ioctl(3, termios.TIOCEXCL)');
  writeSome(fd, Buffer.from('stale\n'));
  closeFd(slave);
  rearm(fd);
  clearStale(path);
  expect(toLineSettings(getTermios(fd))).toEqual(SETTINGS);
  expect(getTermios(fd).lflag).toBe(TERMIOS.EXTPROC);
  expect(getTermios(fd).cflag & TERMIOS.CLOCAL).toBe(0);
  const next = openSlave(path);
  expect(readSome(next)).toBeUndefined();
  closeFd(next);
  await until(() => isHungUp(fd));
});

test('errors carry code and syscall', () => {
  expect(() => getTermios(-1)).toThrow(expect.objectContaining({ code: 'EBADF', syscall: 'TCGETS2' }));
  expect(() => clearStale('/dev/null')).toThrow(expect.objectContaining({ code: 'ENOTTY' }));
  expect(() => clearStale('/dev/does-not-exist')).toThrow(expect.objectContaining({ code: 'ENOENT', syscall: 'open' }));
});

const anySettings: fc.Arbitrary<LineSettings> = fc
  .record({
    baudRate: fc.integer({ min: 0, max: 4_000_000 }),
    dataBits: fc.constantFrom(5, 6, 7, 8),
    parity: fc.constantFrom('none', 'even', 'odd', 'mark', 'space'),
    two: fc.boolean(),
    flowControl: fc.record({
      rtsCts: fc.boolean(),
      xonXoffOut: fc.boolean(),
      xonXoffIn: fc.boolean(),
      xon: fc.nat(255),
      xoff: fc.nat(255),
    }),
  })
  .map(({ two, ...s }) => ({ ...s, stopBits: two ? (s.dataBits === 5 ? 1.5 : 2) : 1 }) as LineSettings);

test('line settings survive the way through termios', () => {
  const base = getTermios(pty().fd);
  fc.assert(
    fc.property(anySettings, (s) => {
      const t = withLineSettings(base, s);
      expect(toLineSettings(t)).toEqual(s);
      expect(t.lflag).toBe(base.lflag);
      expect(t.cflag & TERMIOS.HUPCL).toBe(base.cflag & TERMIOS.HUPCL);
    }),
  );
});
