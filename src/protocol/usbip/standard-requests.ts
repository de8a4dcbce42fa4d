// The standard requests that a device answers by what it is (USB 2.0, 9.4). What sets something is taken and changes nothing:
// there is one configuration, without alternate settings, and no endpoint ever halts.
import { type DeviceDescription, descriptor } from './descriptors.js';
import type { Setup } from './setup.js';

const IN = 0x80;
const GET_STATUS = 0;
const GET_DESCRIPTOR = 6;
const GET_CONFIGURATION = 8;
const GET_INTERFACE = 10;

/** What an in request gets, or an empty answer; undefined: it stalls. */
export function standardAnswer(
  device: DeviceDescription,
  { requestType, request, value }: Setup,
): Uint8Array | undefined {
  if ((requestType & IN) === 0) return new Uint8Array(0);
  switch (request) {
    case GET_DESCRIPTOR:
      return descriptor(device, value);
    case GET_STATUS:
      return Uint8Array.from([(requestType & 0x1f) === 0 ? 1 : 0, 0]);
    case GET_CONFIGURATION:
      return Uint8Array.from([1]);
    case GET_INTERFACE:
      return Uint8Array.from([0]);
    default:
      return undefined;
  }
}
