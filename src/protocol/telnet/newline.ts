// Ends of lines between a telnet client and a device: RFC 854 has CR LF for one and CR NUL for a bare CR, devices have CR LF, CR or LF.
// What a client sends by Enter (CR LF, CR NUL, or CR alone) is one. Keeps no byte back: where a chunk is cut never changes what comes
// out, nor when. Pure.

export type DeviceNewline = 'cr-lf' | 'cr' | 'lf';

const NUL = 0;
const LF = 0x0a;
const CR = 0x0d;
const WRITTEN: Readonly<Record<DeviceNewline, readonly number[]>> = { 'cr-lf': [CR, LF], cr: [CR], lf: [LF] };

export class ToDevice {
  readonly #newline: readonly number[];
  #afterCr = false;

  /** A CR was the last byte: what another one goes on with. */
  get afterCr(): boolean {
    return this.#afterCr;
  }

  set afterCr(is: boolean) {
    this.#afterCr = is;
  }

  constructor(newline: DeviceNewline) {
    this.#newline = WRITTEN[newline];
  }

  map(bytes: Uint8Array): Uint8Array {
    const mapped: number[] = [];
    for (const byte of bytes) {
      const ends = this.#afterCr && (byte === LF || byte === NUL);
      this.#afterCr = byte === CR;
      if (byte === CR) mapped.push(...this.#newline);
      else if (!ends) mapped.push(byte);
    }
    return Uint8Array.from(mapped);
  }
}

export class ToClient {
  readonly #newline: DeviceNewline;
  #afterCr = false;

  get afterCr(): boolean {
    return this.#afterCr;
  }

  set afterCr(is: boolean) {
    this.#afterCr = is;
  }

  constructor(newline: DeviceNewline) {
    this.#newline = newline;
  }

  map(bytes: Uint8Array): Uint8Array {
    const mapped: number[] = [];
    for (const byte of bytes) {
      // A CR that no LF follows is a bare one.
      if (this.#afterCr && byte !== LF) mapped.push(NUL);
      this.#afterCr = false;
      if (byte === CR && this.#newline === 'cr') mapped.push(CR, LF);
      else if (byte === LF && this.#newline === 'lf') mapped.push(CR, LF);
      else mapped.push(byte);
      if (byte === CR && this.#newline === 'cr-lf') this.#afterCr = true;
      if (byte === CR && this.#newline === 'lf') mapped.push(NUL);
    }
    return Uint8Array.from(mapped);
  }
}
