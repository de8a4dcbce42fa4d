// What a device says of itself: descriptors of a vendor-specific device with several interfaces of one bulk endpoint each way.
// Source: USB 2.0 section 9.6, USB 3.0 section 9.6 (companion descriptors, BOS).

export type Speed = 'high' | 'super';

/** As vhci's attach file counts them (enum usb_device_speed). */
export const SPEED_NUMBERS: Readonly<Record<Speed, number>> = { high: 3, super: 5 };

export interface DeviceDescription {
  readonly speed: Speed;
  readonly vendorId: number;
  readonly productId: number;
  /** BCD: 0x0800 is 8.00. */
  readonly release: number;
  readonly manufacturer: string;
  readonly product: string;
  readonly serial: string;
  /** Interface i has the endpoints IN i + 1 and OUT i + 1: at most 15. */
  readonly interfaces: number;
}

const DEVICE = 1;
const CONFIGURATION = 2;
const STRING = 3;
const INTERFACE = 4;
const ENDPOINT = 5;
const QUALIFIER = 6;
const BOS = 15;
const COMPANION = 0x30;
const CAPABILITY = 16;
const ENGLISH = [4, STRING, 0x09, 0x04];
const VENDOR_CLASS = 0xff;
const SELF_POWERED = 0xc0;
const BULK = 2;
/** A string descriptor's length is one byte. */
const MAX_STRING_CHARS = 126;
export const MAX_INTERFACES = 15;

export const maxPacketBytes = (speed: Speed): number => (speed === 'super' ? 1024 : 512);

const u16 = (value: number): [number, number] => [value & 0xff, (value >> 8) & 0xff];

/** The descriptor that `value` of GET_DESCRIPTOR asks for (type << 8 | index); undefined: there is none, the request stalls. */
export function descriptor(device: DeviceDescription, value: number): Uint8Array | undefined {
  const index = value & 0xff;
  switch (value >> 8) {
    case DEVICE:
      return Uint8Array.from(deviceDescriptor(device));
    case CONFIGURATION:
      return index === 0 ? Uint8Array.from(configuration(device)) : undefined;
    case STRING:
      return stringDescriptor(device, index);
    case QUALIFIER:
      // Of the speed that it does not run at; a SuperSpeed device has none.
      return device.speed === 'high' ? Uint8Array.from([10, QUALIFIER, 0, 2, 0, 0, 0, 64, 1, 0]) : undefined;
    case BOS:
      return device.speed === 'super' ? Uint8Array.from(bos()) : undefined;
    default:
      return undefined;
  }
}

function deviceDescriptor(d: DeviceDescription): number[] {
  const [version, packet] = d.speed === 'super' ? [0x0300, 9] : [0x0200, 64];
  const ids = [...u16(d.vendorId), ...u16(d.productId), ...u16(d.release)];
  return [18, DEVICE, ...u16(version), 0, 0, 0, packet, ...ids, 1, 2, 3, 1];
}

function configuration(d: DeviceDescription): number[] {
  const interfaces = Array.from({ length: d.interfaces }, (_, i) => interfaceDescriptors(d, i)).flat();
  const head = [9, CONFIGURATION, ...u16(9 + interfaces.length), d.interfaces, 1, 0, SELF_POWERED, 0];
  return [...head, ...interfaces];
}

function interfaceDescriptors({ speed }: DeviceDescription, i: number): number[] {
  const endpoint = (address: number) => {
    const bytes = [7, ENDPOINT, address, BULK, ...u16(maxPacketBytes(speed)), 0];
    return speed === 'super' ? [...bytes, 6, COMPANION, 0, 0, 0, 0] : bytes;
  };
  const head = [9, INTERFACE, i, 0, 2, VENDOR_CLASS, VENDOR_CLASS, VENDOR_CLASS, 2];
  return [...head, ...endpoint(0x81 + i), ...endpoint(0x01 + i)];
}

function stringDescriptor(d: DeviceDescription, index: number): Uint8Array | undefined {
  if (index === 0) return Uint8Array.from(ENGLISH);
  const text = [d.manufacturer, d.product, d.serial][index - 1];
  if (text === undefined) return undefined;
  const units = Array.from({ length: Math.min(text.length, MAX_STRING_CHARS) }, (_, i) => u16(text.charCodeAt(i)));
  return Uint8Array.from([2 + 2 * units.length, STRING, ...units.flat()]);
}

/** USB 2.0 extension (no LPM), and SuperSpeed: all speeds, functional from high speed on. */
function bos(): number[] {
  const extension = [7, CAPABILITY, 2, 0, 0, 0, 0];
  const superSpeed = [10, CAPABILITY, 3, 0, 0x0e, 0, 2, 10, 0xff, 0x07];
  return [5, BOS, ...u16(5 + extension.length + superSpeed.length), 2, ...extension, ...superSpeed];
}
