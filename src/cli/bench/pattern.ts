// Bytes to try whether anything comes back, before the load engine measures with a pattern of its own. Pure.

/** All values occur, as far as the line's data bits have them. */
export function trialBytes(length: number, dataBits: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (i * 37 + 85) & ((1 << dataBits) - 1));
}
