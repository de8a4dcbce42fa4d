// Bytes of a vhci socket in, messages out. Where the bytes are cut never changes what comes out; at most one message is
// kept. After nonsense nothing more comes.
import { CMD_SUBMIT, CMD_UNLINK, HEADER_BYTES, type Message, type Nonsense, SETUP_BYTES } from './messages.js';

/** More than any driver of ours sends at once: ftdi_sio 256 bytes, a control transfer at most 4096. */
export const MAX_OUT_BYTES = 16_384;
const NOTHING = new Uint8Array(0);

export class UsbipDecoder {
  readonly #kept = new Uint8Array(HEADER_BYTES + MAX_OUT_BYTES);
  #length = 0;
  #lost = false;

  /** The bytes of a message that has begun. Given to a fresh decoder first, they go on where this one is. */
  get pending(): Uint8Array {
    return this.#kept.slice(0, this.#length);
  }

  /** `each` gets every message in turn; what a submit carries lies in `chunk`, or in memory that is used again. */
  decode(chunk: Uint8Array, each: (message: Message) => void): void {
    let at = 0;
    while (at < chunk.length && !this.#lost) {
      const rest = chunk.subarray(at);
      const whole = this.#length === 0 ? wholeLength(rest) : undefined;
      if (typeof whole === 'number' && rest.length >= whole) {
        at += whole;
        each(parse(rest.subarray(0, whole)));
        continue;
      }
      at += this.#keep(rest, each);
    }
  }

  /** Moves what is missing of the kept message, first its header; returns how many bytes of `rest` those were. */
  #keep(rest: Uint8Array, each: (message: Message) => void): number {
    const known = wholeLength(this.#kept.subarray(0, this.#length));
    if (known !== undefined && typeof known !== 'number') return this.#lose(known, rest, each);
    const wanted = (known ?? HEADER_BYTES) - this.#length;
    const used = Math.min(wanted, rest.length);
    this.#kept.set(rest.subarray(0, used), this.#length);
    this.#length += used;
    const whole = wholeLength(this.#kept.subarray(0, this.#length));
    if (whole !== undefined && typeof whole !== 'number') return this.#lose(whole, rest, each);
    if (whole === this.#length) {
      this.#length = 0;
      each(parse(this.#kept.subarray(0, whole)));
    }
    return used;
  }

  #lose(nonsense: Nonsense, rest: Uint8Array, each: (message: Message) => void): number {
    this.#lost = true;
    this.#length = 0;
    each(nonsense);
    return rest.length;
  }
}

/** Of the message that begins here; undefined before its header is whole. */
function wholeLength(bytes: Uint8Array): number | Nonsense | undefined {
  if (bytes.length < HEADER_BYTES) return undefined;
  const view = viewOf(bytes);
  const command = view.getUint32(0);
  if (command === CMD_UNLINK) return HEADER_BYTES;
  if (command !== CMD_SUBMIT) return { type: 'nonsense', reason: `command ${command} is none of USB/IP's` };
  const direction = view.getUint32(12);
  const length = view.getUint32(24);
  if (direction > 1) return { type: 'nonsense', reason: `direction ${direction}` };
  if (direction === 1) return HEADER_BYTES;
  if (length > MAX_OUT_BYTES) return { type: 'nonsense', reason: `a transfer of ${length} bytes` };
  return HEADER_BYTES + length;
}

function parse(bytes: Uint8Array): Message {
  const view = viewOf(bytes);
  const seqnum = view.getUint32(4);
  if (view.getUint32(0) === CMD_UNLINK) return { type: 'unlink', seqnum, target: view.getUint32(20) };
  const out = view.getUint32(12) === 0;
  return {
    type: 'submit',
    seqnum,
    direction: out ? 'out' : 'in',
    endpoint: view.getUint32(16),
    length: view.getUint32(24),
    setup: bytes.subarray(HEADER_BYTES - SETUP_BYTES, HEADER_BYTES),
    data: out ? bytes.subarray(HEADER_BYTES) : NOTHING,
  };
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
