// The file without a name (memfd) that holds what a later process needs to go on with one port: the pump's part, kept by
// the addon at its beginning (keep.c), and behind it a record of ours, as JSON in two slots written in turn, so that a
// process killed in the middle of a write leaves the one before. Knows nothing of what the record says.
import { readSync, writeSync } from 'node:fs';
import { binding } from './binding.js';
import { createStateFile } from './descriptor.js';

/** keep.c: KEPT_BYTES, and the same for the pump's own file. */
const CHANNEL_BYTES = 4096 + 2 * 65536;
const SLOT_BYTES = 16 * 1024;
/** Sequence number, length, checksum: u32 each, little endian. */
const HEADER_BYTES = 12;

export class KeepFile {
  readonly fd: number;
  readonly #pumpBytes: number;
  #sequence = 0;

  /**
   * Takes over the descriptor.
   * @param pumpBytes how long the pump's part is: a channel's, or ADAPTER_KEPT_BYTES
   */
  constructor(fd: number, pumpBytes = CHANNEL_BYTES) {
    this.fd = fd;
    this.#pumpBytes = pumpBytes;
  }

  /** Throws a SystemError: EMFILE, ENOMEM. */
  static create(name: string, pumpBytes = CHANNEL_BYTES): KeepFile {
    return new KeepFile(createStateFile(name, pumpBytes + 2 * SLOT_BYTES), pumpBytes);
  }

  /** Throws where it cannot be written (a SystemError) or is longer than a slot (RangeError). */
  write(record: unknown): void {
    const text = Buffer.from(JSON.stringify(record));
    if (text.length > SLOT_BYTES - HEADER_BYTES) throw new RangeError(`a record of ${text.length} bytes is too long`);
    this.#sequence = (this.#sequence + 1) >>> 0;
    const slot = Buffer.allocUnsafe(HEADER_BYTES + text.length);
    slot.writeUInt32LE(this.#sequence, 0);
    slot.writeUInt32LE(text.length, 4);
    slot.writeUInt32LE(checksum(text), 8);
    text.copy(slot, HEADER_BYTES);
    writeSync(this.fd, slot, 0, slot.length, this.#pumpBytes + (this.#sequence % 2) * SLOT_BYTES);
  }

  /** The last record that was written whole; undefined where there is none. */
  read(): unknown {
    let found: { sequence: number; text: string } | undefined;
    for (const index of [0, 1]) {
      const slot = this.#slot(index);
      if (slot && (!found || slot.sequence > found.sequence)) found = slot;
    }
    if (!found) return undefined;
    this.#sequence = found.sequence;
    try {
      return JSON.parse(found.text);
    } catch {
      return undefined;
    }
  }

  close(): void {
    binding.closeFd(this.fd);
  }

  #slot(index: number): { sequence: number; text: string } | undefined {
    const slot = Buffer.alloc(SLOT_BYTES);
    const read = readSync(this.fd, slot, 0, SLOT_BYTES, this.#pumpBytes + index * SLOT_BYTES);
    if (read < HEADER_BYTES) return undefined;
    const length = slot.readUInt32LE(4);
    if (length === 0 || length > read - HEADER_BYTES) return undefined;
    const text = slot.subarray(HEADER_BYTES, HEADER_BYTES + length);
    if (slot.readUInt32LE(8) !== checksum(text)) return undefined;
    return { sequence: slot.readUInt32LE(0), text: text.toString() };
  }
}

/** FNV-1a: against a half-written slot, not against an enemy. */
function checksum(bytes: Uint8Array): number {
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}
