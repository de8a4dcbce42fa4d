// One line of the log before it has a format, and how text from outside is made fit to be read in one.
import type { LogFields, LogLevel } from '../base/log.js';

export interface Line {
  readonly at: Date;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

/** What a peer or a file name contains must not move the cursor of whoever reads the log, nor forge a line. */
export function printable(text: string): string {
  let out = '';
  for (const char of text) {
    const code = char.codePointAt(0) ?? 0;
    const control = code < 0x20 || (code >= 0x7f && code < 0xa0) || code === 0x2028 || code === 0x2029;
    out += control ? `\\x${code.toString(16).padStart(2, '0')}` : char;
  }
  return out;
}
