// The eight bytes that begin a control transfer, little-endian (USB 2.0, 9.3).

export interface Setup {
  /** Bit 7: in; bits 5-6: 0 standard, 1 class, 2 vendor; bits 0-4: 0 device, 1 interface, 2 endpoint. */
  readonly requestType: number;
  readonly request: number;
  readonly value: number;
  readonly index: number;
  readonly length: number;
}

export function parseSetup(bytes: Uint8Array): Setup {
  const [requestType = 0, request = 0, v0 = 0, v1 = 0, i0 = 0, i1 = 0, l0 = 0, l1 = 0] = bytes;
  return { requestType, request, value: v0 | (v1 << 8), index: i0 | (i1 << 8), length: l0 | (l1 << 8) };
}

export const isVendor = ({ requestType }: Setup): boolean => (requestType & 0x60) === 0x40;
export const isStandard = ({ requestType }: Setup): boolean => (requestType & 0x60) === 0;
