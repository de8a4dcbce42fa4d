// Who our virtual adapters say that they are. The root helper plugs in no other device, and udev's rules know them by it.
import { type DeviceDescription, MAX_INTERFACES, type Speed } from '../../protocol/usbip/descriptors.js';

export const VENDOR_ID = 0x1209;
export const PRODUCT_ID = 0x7474;
/** 8.00 makes ftdi_sio take it for a chip of several ports with the fast clock. */
export const RELEASE = 0x0800;
export const MANUFACTURER = 'ttynp';
export const PRODUCT = 'network serial ports';
/** It names the device: in udev's rules, in the map of names, in the kernel's log. */
export const SERIAL = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

export function describeDevice(speed: Speed, serial: string, interfaces: number): DeviceDescription {
  if (!SERIAL.test(serial)) throw new RangeError(`no serial string: ${JSON.stringify(serial)}`);
  if (!Number.isInteger(interfaces) || interfaces < 1 || interfaces > MAX_INTERFACES) {
    throw new RangeError(`${interfaces} interfaces`);
  }
  const ids = { vendorId: VENDOR_ID, productId: PRODUCT_ID, release: RELEASE };
  return { speed, ...ids, manufacturer: MANUFACTURER, product: PRODUCT, serial, interfaces };
}
