// Finds +++ in the data of a terminal: silence, three times the character, silence. Pure: times are given. The characters are data as
// well and are not held back, as most modems do it; so they never come late where they were meant as data.
import { ESCAPE_OFF } from './constants.js';

const TIMES = 3;

export class EscapeWatch {
  #count = 0;
  #lastMs: number;

  /** @param nowMs data begins: the silence before it counts from here */
  constructor(nowMs: number) {
    this.#lastMs = nowMs;
  }

  /** When the silence after the third is over; undefined: there is none. */
  untilMs(guardMs: number): number | undefined {
    return this.#count === TIMES ? this.#lastMs + guardMs : undefined;
  }

  /** How many of the bytes are data: all of them, or up to the end of an escape where no silence is asked for. */
  heard(bytes: Uint8Array, nowMs: number, character: number, guardMs: number): number {
    if (character > ESCAPE_OFF) return bytes.length;
    for (const [i, byte] of bytes.entries()) {
      const silence = nowMs - this.#lastMs;
      this.#lastMs = nowMs;
      if (byte !== character) this.#count = 0;
      else if (silence >= guardMs && guardMs > 0) this.#count = 1;
      else if (guardMs === 0 || (this.#count > 0 && this.#count < TIMES)) this.#count++;
      else this.#count = 0;
      if (guardMs === 0 && this.#count === TIMES) return i + 1;
      // Within one moment nothing but the very first bytes can be part of it.
      if (guardMs > 0 && i >= TIMES && this.#count === 0) return bytes.length;
    }
    return bytes.length;
  }
}
