// Numbered records as traffic: 16 bytes with a magic, a sequence number, its complement and a checksum, so that whatever
// arrives can be told apart from everything that was sent, cut pieces included.
export const RECORD_BYTES = 16;
const MAGIC = 0xc35a;

function record(sequence: number): Buffer {
  const bytes = Buffer.alloc(RECORD_BYTES);
  bytes.writeUInt16BE(MAGIC, 0);
  bytes.writeUInt32BE(sequence, 2);
  bytes.writeUInt32BE(~sequence >>> 0, 6);
  bytes.writeUInt32BE(Math.imul(sequence, 2_654_435_761) >>> 0, 10);
  bytes.writeUInt16BE(checksum(bytes), 14);
  return bytes;
}

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < RECORD_BYTES - 2; i++) sum = (sum * 31 + (bytes[i] ?? 0)) & 0xffff;
  return sum;
}

export class RecordSource {
  #next = 0;

  /** Bytes handed out. */
  get bytes(): number {
    return this.#next * RECORD_BYTES;
  }

  take(count: number): Buffer {
    return Buffer.concat(Array.from({ length: count }, () => record(this.#next++)));
  }
}

export interface RecordCheck {
  readonly whole: number;
  readonly twice: number;
  readonly outOfOrder: number;
  /** Bytes that are part of no whole record: cut at a loss. */
  readonly stray: number;
  readonly last: number;
}

export function checkRecords(bytes: Buffer): RecordCheck {
  const seen = new Set<number>();
  let [whole, twice, outOfOrder, stray, last] = [0, 0, 0, 0, -1];
  for (let at = 0; at < bytes.length; ) {
    const sequence = at + RECORD_BYTES <= bytes.length ? bytes.readUInt32BE(at + 2) : -1;
    if (sequence < 0 || !record(sequence).equals(bytes.subarray(at, at + RECORD_BYTES))) {
      stray++;
      at++;
      continue;
    }
    whole++;
    if (seen.has(sequence)) twice++;
    else if (sequence < last) outOfOrder++;
    seen.add(sequence);
    last = Math.max(last, sequence);
    at += RECORD_BYTES;
  }
  return { whole, twice, outOfOrder, stray, last };
}
