// What begins a control transfer (USB 2.0, 9.3).

export interface Setup {
  /** Bit 7: in; bits 5-6: 0 standard, 1 class, 2 vendor; bits 0-4: 0 device, 1 interface, 2 endpoint. */
  readonly requestType: number;
  readonly request: number;
  readonly value: number;
  readonly index: number;
  readonly length: number;
}

export const isStandard = ({ requestType }: Setup): boolean => (requestType & 0x60) === 0;
