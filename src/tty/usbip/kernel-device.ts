// What sysfs says of a device that we have plugged in. Reads only.
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

/**
 * True: the kernel has the device of this serial string, and no driver has any of its interfaces. Who removes ftdi_sio and loads
 * it again leaves it so: the fresh driver does not know our ids. False too where sysfs cannot be read.
 * Source: Linux, Documentation/ABI/testing/sysfs-bus-usb.
 * @param sys where sysfs is mounted
 */
export function isDriverless(serial: string, sys = '/sys'): boolean {
  const devices = join(sys, 'bus/usb/devices');
  try {
    const all = readdirSync(devices);
    const device = all.find((name) => readSerial(join(devices, name)) === serial);
    if (device === undefined || !realpathSync(join(devices, device)).includes('/vhci_hcd.')) return false;
    const interfaces = all.filter((name) => name.startsWith(`${device}:`));
    return interfaces.length > 0 && interfaces.every((name) => !existsSync(join(devices, name, 'driver')));
  } catch {
    return false; // it is going just now
  }
}

function readSerial(device: string): string | undefined {
  try {
    return readFileSync(join(device, 'serial'), 'utf8').trim();
  } catch {
    return undefined; // an interface, or a device without one
  }
}
