// When a port that connects by itself does so, and when it ends that. Pure: it is told what happens and says what is wanted. The rules
// are the device servers' connection control.
import type { ConnectionControl } from '../config/resolved.js';
import type { ModemLines } from '../serial/line.js';

export class ConnectionRules {
  readonly #control: ConnectionControl;
  /** The line of the rule, where it has one. */
  #on = false;
  /** A character, or the line, has asked for a connection that has not been had and ended since. */
  #asked = false;

  constructor(control: ConnectionControl) {
    this.#control = control;
  }

  /** Bytes of the line ask for a connection, and wait for it. */
  get byCharacter(): boolean {
    return this.#control.startsWith('any-character');
  }

  get endsByInactivity(): boolean {
    return this.#control === 'any-character/inactivity-time';
  }

  /** Whether a destination is to be connected now. */
  get wanted(): boolean {
    switch (this.#control) {
      case 'startup':
        return true;
      case 'any-character':
      case 'any-character/inactivity-time':
        return this.#asked;
      case 'dsr-on':
      case 'dcd-on':
        return this.#asked || this.#on;
      case 'dsr-on/dsr-off':
      case 'dcd-on/dcd-off':
        return this.#on;
      default:
        return this.#control satisfies never;
    }
  }

  character(): void {
    if (this.byCharacter) this.#asked = true;
  }

  lines({ dsr, dcd }: ModemLines): void {
    if (this.#control.startsWith('dsr')) this.#on = dsr;
    if (this.#control.startsWith('dcd')) this.#on = dcd;
    if (this.#on) this.#asked = true;
  }

  /** There is a connection that was asked for in another process. */
  goOn(): void {
    this.#asked = true;
  }

  /** All connections that there were have ended, by whomever. */
  ended(): void {
    this.#asked = false;
  }
}
