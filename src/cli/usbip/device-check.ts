// Whether a device that is plugged in and not yet authorised is one of ours: ids, strings, and an interface of the vendor's
// class for each port and nothing else. Anybody may be at the other end of the connection: nothing is believed but what the
// kernel has read and keeps. Follows docs/usbip-helper.md, "What is let in".
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MANUFACTURER, PRODUCT, PRODUCT_ID, RELEASE, VENDOR_ID } from '../../tty/usbip/identity.js';

const DEVICE = 1;
const CONFIGURATION = 2;
const INTERFACE = 4;
const ENDPOINT = 5;
const COMPANION = 0x30;
const DEVICE_BYTES = 18;
const CONFIGURATION_BYTES = 9;
const VENDOR_CLASS = 0xff;
/** In the names of the interfaces: 1-1:1.0. */
export const CONFIGURATION_VALUE = 1;

export interface Wanted {
  readonly serial: string;
  readonly interfaces: number;
}

/** What speaks against the device in this directory of sysfs; undefined: it is what was asked for. Throws where it is gone. */
export function objection(devicePath: string, wanted: Wanted): string | undefined {
  const text = (file: string): string => readFileSync(join(devicePath, file), 'utf8').replace(/\n$/, '');
  const strings: readonly (readonly [string, string])[] = [
    ['manufacturer', MANUFACTURER],
    ['product', PRODUCT],
    ['serial', wanted.serial],
  ];
  for (const [file, expected] of strings) {
    // The attribute is there only for a string that the device has.
    const found = optional(() => text(file));
    if (found !== expected) return `its ${file} is ${found === undefined ? 'missing' : printable(found)}`;
  }
  return descriptorObjection(readFileSync(join(devicePath, 'descriptors')), wanted.interfaces);
}

/** Of the file `descriptors`: the device's, and every configuration's as it was read. */
export function descriptorObjection(bytes: Uint8Array, interfaces: number): string | undefined {
  if (bytes.length < DEVICE_BYTES + CONFIGURATION_BYTES) return 'its descriptors are not whole';
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const ids = [view.getUint16(8, true), view.getUint16(10, true), view.getUint16(12, true)];
  if (bytes[0] !== DEVICE_BYTES || bytes[1] !== DEVICE) return 'its descriptors are not whole';
  if (ids[0] !== VENDOR_ID || ids[1] !== PRODUCT_ID) return `its ids are ${hex(ids[0])}:${hex(ids[1])}`;
  if (ids[2] !== RELEASE) return `its release is ${hex(ids[2])}`;
  if (bytes[4] !== 0 || bytes[5] !== 0 || bytes[6] !== 0) return `its device class is ${hex(bytes[4], 2)}`;
  if (bytes[17] !== 1) return `it has ${bytes[17]} configurations`;
  return configurationObjection(bytes.subarray(DEVICE_BYTES), interfaces);
}

function configurationObjection(bytes: Uint8Array, interfaces: number): string | undefined {
  const length = (bytes[2] ?? 0) | ((bytes[3] ?? 0) << 8);
  if (bytes[0] !== CONFIGURATION_BYTES || bytes[1] !== CONFIGURATION || length !== bytes.length) {
    return 'its configuration is not whole';
  }
  if (bytes[5] !== CONFIGURATION_VALUE) return `its configuration is number ${bytes[5]}`;
  if (bytes[4] !== interfaces) return `it has ${bytes[4]} interfaces, not ${interfaces}`;
  let seen = 0;
  let at = CONFIGURATION_BYTES;
  while (at < bytes.length) {
    const size = bytes[at] ?? 0;
    if (size < 2 || at + size > bytes.length) return 'its configuration is not whole';
    const wrong = partObjection(bytes.subarray(at, at + size), seen);
    if (wrong !== undefined) return wrong;
    if (bytes[at + 1] === INTERFACE) seen++;
    at += size;
  }
  return seen === interfaces ? undefined : `it has ${seen} interfaces, not ${interfaces}`;
}

function partObjection(part: Uint8Array, seen: number): string | undefined {
  switch (part[1]) {
    case INTERFACE:
      if (part[0] !== 9) return `interface ${seen} is not whole`;
      // One after the other and without alternatives, so that what was looked at is what is bound.
      if (part[2] !== seen || part[3] !== 0) return `interface ${part[2]}, setting ${part[3]}, stands in place ${seen}`;
      return part[5] === VENDOR_CLASS ? undefined : `interface ${seen} has class ${hex(part[5], 2)}`;
    case ENDPOINT:
    case COMPANION:
      return seen > 0 ? undefined : 'an endpoint stands before every interface';
    default:
      return `it has a descriptor of type ${hex(part[1], 2)}`;
  }
}

/** Whatever a device calls itself, it stays one line of a log. */
const printable = (text: string): string => JSON.stringify(text.slice(0, 64)).replace(/[^\x20-\x7e]/g, '?');

const hex = (value: number | undefined, digits = 4): string => (value ?? 0).toString(16).padStart(digits, '0');

function optional<T>(get: () => T): T | undefined {
  try {
    return get();
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
