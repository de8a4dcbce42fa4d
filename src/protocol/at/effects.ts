// What a modem asks of whoever owns its line and its sockets, and what it is told once.
import type { Profile } from './profile.js';

export type ModemEffect =
  /** To the terminal. */
  | { readonly type: 'say'; readonly text: string }
  /** From the terminal to the other end. */
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  /** `dialled` or `failed` follows, unless it is given up. */
  | { readonly type: 'dial'; readonly to: string }
  | { readonly type: 'give-up-dialling' }
  /** The caller has what it wanted. */
  | { readonly type: 'answer' }
  | { readonly type: 'refuse-caller' }
  | { readonly type: 'hang-up' }
  /** `saved` follows; until then no byte is taken. */
  | { readonly type: 'save'; readonly profile: Profile };

export interface ModemOptions {
  /** Lines that ATI0, ATI1 and ATI2 answer. */
  readonly identity: readonly [string, string, string];
  readonly baudRate: () => number;
  /** Whether it is an address or a name, and a port. */
  readonly isDestination: (text: string) => boolean;
  /** What ATZ brings back; undefined: as made. */
  readonly stored: () => Profile | undefined;
}
