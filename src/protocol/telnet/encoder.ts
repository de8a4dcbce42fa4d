// What goes on a telnet connection: data with its IACs doubled, negotiations, subnegotiations. Always whole. RFC 854, RFC 855.
import { IAC, SB, SE } from './constants.js';
import type { Verb } from './decoder.js';

/** Data as it goes on the wire: every 0xff twice. Always a copy, so that the caller may use its buffer again. */
export function escapeData(bytes: Uint8Array): Uint8Array {
  let found = bytes.indexOf(IAC);
  // Not slice(): a Buffer's is a view.
  if (found === -1) return new Uint8Array(bytes);
  const escaped = new Uint8Array(2 * bytes.length - found);
  let from = 0;
  let to = 0;
  while (found !== -1) {
    escaped.set(bytes.subarray(from, found + 1), to);
    to += found + 1 - from;
    escaped[to++] = IAC;
    from = found + 1;
    found = bytes.indexOf(IAC, from);
  }
  escaped.set(bytes.subarray(from), to);
  return escaped.subarray(0, to + bytes.length - from);
}

export function negotiation(verb: Verb, option: number): Uint8Array {
  return Uint8Array.of(IAC, verb, option);
}

export function subnegotiation(option: number, body: Uint8Array): Uint8Array {
  return Uint8Array.of(IAC, SB, ...escapeData(Uint8Array.of(option, ...body)), IAC, SE);
}
