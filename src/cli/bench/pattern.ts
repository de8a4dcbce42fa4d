// Bytes that say where they belong, so that a lost, doubled or late one shows. All values occur, as far as the line's data
// bits have them. Pure.

/** Byte `i` of an endless pattern that repeats after 16 MiB only. */
export function patternByte(i: number, dataBits: number): number {
  const byte = i + (i >>> 8) * 7 + (i >>> 16) * 13;
  return byte & ((1 << dataBits) - 1);
}

export function pattern(from: number, length: number, dataBits: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => patternByte(from + i, dataBits));
}

export interface Difference {
  readonly offset: number;
  readonly expected: number;
  readonly got: number;
}

/** The first byte that is not the pattern's; undefined where all are. */
export function firstDifference(bytes: Uint8Array, from: number, dataBits: number): Difference | undefined {
  for (const [i, got] of bytes.entries()) {
    const expected = patternByte(from + i, dataBits);
    if (got !== expected) return { offset: from + i, expected, got };
  }
  return undefined;
}

export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}
