// Answers to a vhci socket. A reply with a seqnum that is not outstanding kills the connection: who calls this knows.
import { HEADER_BYTES, RET_SUBMIT, RET_UNLINK } from './messages.js';

/**
 * The answer to a transfer: `status` 0 or -errno; `actual` bytes were moved. `data` follows an in transfer, and is as long
 * as `actual` then.
 */
export function encodeRetSubmit(seqnum: number, status: number, actual: number, data?: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES + (data?.length ?? 0));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, RET_SUBMIT);
  view.setUint32(4, seqnum);
  view.setInt32(20, status);
  view.setUint32(24, actual);
  if (data) bytes.set(data, HEADER_BYTES);
  return bytes;
}

/** The answer to an unlink: -104 where the transfer was still outstanding and is forgotten, 0 where it was answered before. */
export function encodeRetUnlink(seqnum: number, status: number): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, RET_UNLINK);
  view.setUint32(4, seqnum);
  view.setInt32(20, status);
  return bytes;
}
