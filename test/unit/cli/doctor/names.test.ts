// Every name has one owner, and leads where that one has to lead it: against a tree of files such as /dev, /run/ttynp and sysfs.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { nameCheck, nameOwnerFacts, namesCheck, surveyNames } from '../../../../src/cli/doctor/names.js';
import { portView } from '../../../support/fake-daemon.js';

let dir: string;
let dev: string;
let runtimeDir: string;
let sys: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ttynp-names-'));
  [dev, runtimeDir, sys] = [join(dir, 'dev'), join(dir, 'run'), join(dir, 'sys')];
  for (const path of [dev, runtimeDir, join(sys, 'bus/usb-serial/devices')]) mkdirSync(path, { recursive: true });
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** As the kernel shows it: .../1-1/1-1:1.0/ttyUSB3, and a link to it. */
function plug(node: string, serial: string, index: number, manufacturer = 'ttynp'): void {
  const device = join(sys, `devices/${serial}`);
  const place = join(device, `1-1:1.${index}`, node);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(device, 'manufacturer'), `${manufacturer}\n`);
  writeFileSync(join(device, 'serial'), `${serial}\n`);
  writeFileSync(join(place, '../bInterfaceNumber'), `${index.toString(16).padStart(2, '0')}\n`);
  symlinkSync(place, join(sys, 'bus/usb-serial/devices', node));
}
const link = (target: string, name = 'ttyNP0') => symlinkSync(target, join(dev, name));
const map = (text: string) => writeFileSync(join(runtimeDir, 'usbip-names'), text);
const ptyLink = (name = 'ttyNP0') => symlinkSync('/dev/pts/7', join(runtimeDir, name));

const usbip = portView('ttyNP0', { backend: 'usbip' });
const pty = portView('ttyNP0');
const survey = () => surveyNames({ dev, sys, runtimeDir });
const check = (view = usbip) => nameCheck(view, nameOwnerFacts(view, survey()));

/** All as it has to be. */
function healthy(): void {
  map('ttynp0 0 other\nttynp0 12 ttyNP0 meter\n');
  plug('ttyUSB0', 'ttynp0', 0);
  plug('ttyUSB3', 'ttynp0', 12);
  link('ttyUSB3');
}

test('udev’s name leads to the kernel tty of its interface', () => {
  healthy();
  expect(check()).toMatchObject({ result: 'ok', text: "udev's: ttyUSB3, interface 12 of ttynp0" });
});

test('a name that leads to another port of ours, or to nothing', () => {
  healthy();
  rmSync(join(dev, 'ttyNP0'));
  expect(check()).toMatchObject({ result: 'failed', text: expect.stringContaining('udev has not made') });
  link('ttyUSB0');
  expect(check().text).toBe(`${dev}/ttyNP0 leads to ttyUSB0, and its port is ttyUSB3 (interface 12 of ttynp0)`);
  expect(check()).toMatchObject({ result: 'failed', hint: expect.stringContaining('udevadm trigger') });
});

test('an alias counts as the name does', () => {
  healthy();
  const view = portView('ttyNP0', { backend: 'usbip', aliases: ['meter'] });
  expect(check(view)).toMatchObject({ result: 'failed', text: expect.stringContaining(`${dev}/meter`) });
  link('ttyUSB3', 'meter');
  expect(check(view).result).toBe('ok');
});

test('the link of the PTY that it was is stale; so is udev’s of a tty that is a PTY now', () => {
  healthy();
  rmSync(join(dev, 'ttyNP0'));
  link(`${runtimeDir}/ttyNP0`);
  expect(check()).toMatchObject({ result: 'failed', text: expect.stringMatching(/^stale: .* is no PTY any more$/) });
  map('');
  rmSync(join(dev, 'ttyNP0'));
  link('ttyUSB3');
  ptyLink();
  expect(check(pty)).toMatchObject({ result: 'failed', text: expect.stringMatching(/^stale: .* is a PTY now$/) });
});

test('both owners claim it', () => {
  healthy();
  ptyLink();
  for (const view of [usbip, pty])
    expect(check(view)).toMatchObject({ result: 'failed', text: expect.stringMatching(/^two owners/) });
});

test('no device: the reason that the daemon has; a map without the name; a device of somebody else', () => {
  map('ttynp0 12 ttyNP0\n');
  const reason = { code: 'TTY_WAITING', message: 'ttyNP0 waits for its device: no helper', at: '' };
  expect(check(portView('ttyNP0', { backend: 'usbip', reason }))).toMatchObject({
    result: 'failed',
    text: expect.stringContaining('no kernel tty'),
    hint: reason.message,
  });
  plug('ttyUSB3', 'ttynp0', 12, 'FTDI');
  expect(check().text).toContain('no kernel tty');
  map('');
  expect(check().text).toContain('does not have it');
});

test('a PTY’s name', () => {
  ptyLink();
  link(`${runtimeDir}/ttyNP0`);
  expect(check(pty)).toMatchObject({ result: 'ok', text: "the link step's, not udev's" });
});

test('all names at once: how many are whose, or the first that is wrong', () => {
  healthy();
  ptyLink('ttyNP1');
  const ports = [usbip, portView('ttyNP1'), portView('ttyNP2', { backend: 'none', state: 'failed' })];
  expect(namesCheck(ports, survey())).toMatchObject({
    result: 'ok',
    text: "1 are the link step's, 1 are udev's, none is both",
  });
  ptyLink();
  link('ttyUSB0', 'ttyNP1');
  expect(namesCheck(ports, survey())).toMatchObject({
    result: 'failed',
    text: expect.stringMatching(/^ttyNP0: two owners.* \(and 1 more\)$/),
  });
});
