// sysfs as the kernel lays it out: links in bus/usb/devices to directories below the controller, made here as plain files.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isDriverless } from '../../../../src/tty/usbip/kernel-device.js';

let sys = '';
beforeEach(() => {
  sys = mkdtempSync(join(tmpdir(), 'ttynp-sys-'));
  mkdirSync(join(sys, 'bus/usb/devices'), { recursive: true });
});
afterEach(() => rmSync(sys, { recursive: true }));

function device(controller: string, name: string, serial: string, interfaces: readonly boolean[]): void {
  const add = (path: string, link: string) => {
    mkdirSync(path, { recursive: true });
    symlinkSync(path, join(sys, 'bus/usb/devices', link));
  };
  const dir = join(sys, 'devices', controller, 'usb1', name);
  add(dir, name);
  writeFileSync(join(dir, 'serial'), `${serial}\n`);
  for (const [i, bound] of interfaces.entries()) {
    const path = join(dir, `${name}:1.${i}`);
    add(path, `${name}:1.${i}`);
    if (bound) symlinkSync(sys, join(path, 'driver'));
  }
}

test('a device of ours none of whose interfaces has a driver', () => {
  device('platform/vhci_hcd.0', '1-1', 'ttynp0', [false, false]);
  device('platform/vhci_hcd.0', '1-2', 'ttynp1', [false, true]);
  device('platform/vhci_hcd.0', '1-3', 'ttynp2', []);
  device('pci0000:00', '2-1', 'ttynp3', [false]);
  expect(['ttynp0', 'ttynp1', 'ttynp2', 'ttynp3', 'ttynp4'].filter((serial) => isDriverless(serial, sys))).toEqual([
    'ttynp0',
  ]);
});

test('without sysfs nobody is said to have lost a driver', () => {
  expect(isDriverless('ttynp0', join(sys, 'nothing'))).toBe(false);
});
