// The command line of a modem: characters in, whole lines and their echo out. Where the bytes are cut never changes what comes out.
// Keeps at most one line of 256 characters. The parity bit of terminals of seven bits is not looked at.
import { MAX_LINE } from './constants.js';

export interface LineKeys {
  readonly cr: number;
  readonly bs: number;
}

export type Typed =
  | undefined
  /** Behind AT, as it was typed. */
  | { readonly type: 'command'; readonly text: string }
  | { readonly type: 'repeat' }
  | { readonly type: 'too-long' };

const SPACE = 0x20;
const DELETE = 0x7f;

export class LineEditor {
  #line = '';
  #tooLong = false;

  /** One character. A line that does not begin with AT is nothing. */
  type(byte: number, { cr, bs }: LineKeys): Typed {
    const code = byte & 0x7f;
    if (code === cr) return this.#end();
    if (code === bs) {
      if (!this.#tooLong) this.#line = this.#line.slice(0, -1);
      return undefined;
    }
    if (code < SPACE || code === DELETE || this.#tooLong) return undefined;
    if (this.#line.length === MAX_LINE) {
      this.#tooLong = true;
      return undefined;
    }
    if (this.#line === '' && code === SPACE) return undefined;
    this.#line += String.fromCharCode(code);
    if (this.#line !== 'A/' && this.#line !== 'a/') return undefined;
    this.#line = '';
    return { type: 'repeat' };
  }

  /** What is echoed of a character that is not typed yet. */
  echo(byte: number, { cr, bs }: LineKeys): number[] {
    const code = byte & 0x7f;
    if (code === cr || !this.#tooLong) return code === bs ? this.#rubOut(bs) : [byte];
    return [];
  }

  /** What was begun is forgotten. */
  clear(): void {
    this.#line = '';
    this.#tooLong = false;
  }

  #rubOut(bs: number): number[] {
    return this.#line === '' ? [] : [bs, SPACE, bs];
  }

  #end(): Typed {
    const line = this.#line;
    const tooLong = this.#tooLong;
    this.clear();
    if (!/^at/i.test(line)) return undefined;
    return tooLong ? { type: 'too-long' } : { type: 'command', text: line.slice(2) };
  }
}
