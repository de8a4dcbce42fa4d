// Device -> host bytes in, frames out; the first byte decides the length. Where the peer's bytes are cut never changes
// what comes out. At most 5 bytes are kept. After an unknown first byte nothing can be trusted: one `unknown`, then
// silence; whoever owns the connection closes it. Follows docs/protocol/realcom.md section 3.
import * as c from './constants.js';
import type { DecodedFrame, Frame } from './messages.js';

const MAX_FRAME_BYTES = 5;

export class FrameDecoder {
  readonly #buffer = new Uint8Array(MAX_FRAME_BYTES);
  #length = 0;
  #lost = false;

  /** The bytes of a frame that has begun and not ended. Given to `decode` of a fresh decoder they go on where this one is. */
  get pending(): Uint8Array {
    return this.#buffer.slice(0, this.#length);
  }

  decode(chunk: Uint8Array): DecodedFrame[] {
    const frames: DecodedFrame[] = [];
    for (const byte of chunk) {
      if (this.#lost) break;
      this.#buffer[this.#length++] = byte;
      const needed = this.#frameLength();
      if (needed === undefined) {
        this.#lost = true;
        frames.push({ frame: { type: 'unknown', byte: this.#buffer[0] ?? 0 }, bytes: this.#take() });
      } else if (this.#length === needed) {
        const bytes = this.#take();
        frames.push({ frame: parseFrame(bytes), bytes });
      }
    }
    return frames;
  }

  /** Total length of the frame that the buffer begins; undefined where there is no such frame. */
  #frameLength(): number | undefined {
    const [first = 0, second, third] = this.#buffer.subarray(0, this.#length);
    // OPEN's reply is not in the vendor's table; taken for one only when it reads OK (3.1).
    if (first === c.ASPP_CMD_OPEN) {
      const ok = (second === undefined || second === c.OK_1) && (third === undefined || third === c.OK_2);
      return ok ? 3 : undefined;
    }
    return c.FRAME_LENGTHS.get(first);
  }

  #take(): Uint8Array {
    const bytes = this.#buffer.slice(0, this.#length);
    this.#length = 0;
    return bytes;
  }
}

/** One whole frame, of the length that its first byte tells. */
export function parseFrame(bytes: Uint8Array): Frame {
  const [code = 0, b1 = 0, b2 = 0, b3 = 0, b4 = 0] = bytes;
  switch (code) {
    case c.ASPP_CMD_NOTIFY:
      return { type: 'notify', mask: b1, msr: b2, extra: b3 };
    case c.ASPP_CMD_POLLING:
      return { type: 'polling', token: b2 };
    case c.ASPP_CMD_WAIT_OQUEUE:
    case c.ASPP_CMD_OQUEUE:
    case c.ASPP_CMD_IQUEUE:
      // Byte 1 should be 02; the vendor's driver does not look at it either (3.3).
      return { type: 'queue', code, bytes: b2 | (b3 << 8) };
    case c.ASPP_CMD_PORT_INIT:
    case c.ASPP_CMD_LSTATUS:
      if (b1 !== 3) return { type: 'malformed', code };
      if (code === c.ASPP_CMD_PORT_INIT && b2 === 0xff && b3 === 0xff && b4 === 0xff) return { type: 'refused', code };
      return { type: 'lines', code, dsr: b2 !== 0, cts: b3 !== 0, dcd: b4 !== 0 };
    default:
      if (b1 === c.OK_1 && b2 === c.OK_2) return { type: 'ok', code };
      return { type: 'not-ok', code, word: b1 | (b2 << 8) };
  }
}
