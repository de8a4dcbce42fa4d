// Which kernel module is missing, and where it comes from on this distribution, in words for an operator. Loads nothing.
import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';

export type NeededModule = 'vhci_hcd' | 'ftdi_sio';

const PLACES: Readonly<Record<NeededModule, string>> = {
  vhci_hcd: 'devices/platform/vhci_hcd.0',
  ftdi_sio: 'bus/usb-serial/drivers/ftdi_sio',
};

/** The first that is not there: not loaded, or this kernel has it not. */
export function missingModule(sys = '/sys'): NeededModule | undefined {
  if (!existsSync(join(sys, PLACES.vhci_hcd))) return 'vhci_hcd';
  return existsSync(join(sys, PLACES.ftdi_sio)) ? undefined : 'ftdi_sio';
}

/** One line: what is missing and what to do. */
export function missingText(module: NeededModule, osRelease = readOsRelease(), kernel: string = release()): string {
  return `kernel module ${module} is not loaded: modprobe ${module}; where it is not found: ${packageHint(module, osRelease, kernel)}`;
}

/** @param osRelease text of os-release(5) */
export function packageHint(module: NeededModule, osRelease: string, kernel: string): string {
  const value = (key: string) => new RegExp(`^${key}=["']?([^"'\n]*)`, 'm').exec(osRelease)?.[1] ?? '';
  const ids = [value('ID'), ...value('ID_LIKE').split(/\s+/)];
  const major = Number.parseInt(value('VERSION_ID'), 10);
  const is = (...names: string[]) => names.some((name) => ids.includes(name));
  if (is('ubuntu')) return `apt install linux-modules-extra-${kernel}`;
  if (is('debian'))
    return 'the kernel of the cloud images has no USB: apt install linux-image-amd64 (or -arm64), then reboot';
  if (is('fedora') && !is('rhel')) return 'dnf install kernel-modules kernel-modules-extra';
  if (is('rhel')) {
    if (module === 'ftdi_sio') return 'dnf install kernel-modules kernel-modules-extra';
    if (major === 8) return 'this distribution builds none: use backend pty';
    return 'this distribution ships none: kmod-usbip of ELRepo has it, or use backend pty';
  }
  if (is('suse', 'opensuse')) return 'zypper install kernel-default (kernel-default-base lacks it), then reboot';
  if (is('arch')) return 'after a kernel update: reboot';
  return `a kernel with ${module === 'vhci_hcd' ? 'CONFIG_USBIP_VHCI_HCD' : 'CONFIG_USB_SERIAL_FTDI_SIO'} (this is ${kernel})`;
}

/** Text of os-release(5); empty where there is none. */
export function readOsRelease(): string {
  for (const path of ['/etc/os-release', '/usr/lib/os-release']) {
    try {
      return readFileSync(path, 'utf8');
    } catch {
      // the next one
    }
  }
  return '';
}
