// The 16 bytes that hosts of the vendor send before their first command over IPv6, and want back. Whether they come shows in
// the first bytes. Keeps no more than them, and has no clock: see `expire`. Follows docs/protocol/realcom.md section 12.
import { hasWholeCommand, looksLikeCommands } from './command-decoder.js';
import { PREAMBLE_BYTES } from './constants.js';

/** auto: looks whether the first bytes are commands. */
export type PreambleMode = 'auto' | 'on' | 'off';

export interface PreambleState {
  readonly mode: PreambleMode;
  readonly bytes: Uint8Array;
}

const NONE = new Uint8Array(0);

export class DevicePreamble {
  #mode: PreambleMode;
  #bytes: Uint8Array;

  constructor({ mode, bytes }: PreambleState) {
    this.#mode = mode;
    this.#bytes = bytes;
  }

  get state(): PreambleState {
    return { mode: this.#mode, bytes: this.#bytes };
  }

  /** What comes is commands. */
  get over(): boolean {
    return this.#mode === 'off';
  }

  /** It has begun, and not ended. */
  get begun(): boolean {
    return this.#bytes.length > 0;
  }

  /** What of it, and of what came before, is commands; `echo` is to be sent back. */
  take(chunk: Uint8Array): { readonly commands: Uint8Array; readonly echo?: Uint8Array } {
    if (this.over) return { commands: chunk };
    const bytes = new Uint8Array(this.#bytes.length + chunk.length);
    bytes.set(this.#bytes);
    bytes.set(chunk, this.#bytes.length);
    const commands = this.#mode === 'auto' && looksLikeCommands(bytes);
    if (commands && hasWholeCommand(bytes)) {
      this.expire();
      return { commands: bytes };
    }
    if (!commands && bytes.length >= PREAMBLE_BYTES) {
      this.expire();
      return { commands: bytes.subarray(PREAMBLE_BYTES), echo: bytes.slice(0, PREAMBLE_BYTES) };
    }
    this.#bytes = bytes;
    return { commands: NONE };
  }

  /** No more comes: these were commands after all. */
  expire(): Uint8Array {
    const bytes = this.#bytes;
    this.#mode = 'off';
    this.#bytes = NONE;
    return bytes;
  }
}
