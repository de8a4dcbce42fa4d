// Bytes in, telnet events out: data, commands, negotiations, subnegotiations. Where the peer's bytes are cut never changes
// what comes out, and a peer never decides how much memory is used. Answers nothing. RFC 854, RFC 855.
import { DO, DONT, IAC, SB, SE, WILL, WONT } from './constants.js';

export type Verb = typeof WILL | typeof WONT | typeof DO | typeof DONT;

export type TelnetEvent =
  /** May be a view of the chunk that was given: valid as long as that is. */
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  /** NOP, AYT, BRK and the like. */
  | { readonly type: 'command'; readonly code: number }
  | { readonly type: 'negotiation'; readonly verb: Verb; readonly option: number }
  /** Unescaped, without the option. */
  | { readonly type: 'subnegotiation'; readonly option: number; readonly body: Uint8Array }
  /** A subnegotiation that was dropped: longer than allowed, without an option, or broken off by another command. */
  | { readonly type: 'malformed' };

/** Within a command. Plain values. */
export interface DecoderState {
  readonly state: 'data' | 'iac' | 'option' | 'sub' | 'sub-iac';
  readonly verb: Verb;
  readonly body: readonly number[];
  readonly overlong: boolean;
}

/** RFC 2217 has nothing longer than a signature. */
const MAX_SUBNEGOTIATION = 512;

export class TelnetDecoder {
  #state: DecoderState['state'] = 'data';
  #verb: Verb = WILL;
  #body: number[] = [];
  #overlong = false;

  /** @param maxSubnegotiation bytes of one, its option included */
  constructor(readonly maxSubnegotiation = MAX_SUBNEGOTIATION) {}

  get state(): DecoderState {
    return { state: this.#state, verb: this.#verb, body: [...this.#body], overlong: this.#overlong };
  }

  /** As if it had received what another one had. */
  goOn({ state, verb, body, overlong }: DecoderState): void {
    this.#state = state;
    this.#verb = verb;
    this.#body = [...body];
    this.#overlong = overlong;
  }

  decode(chunk: Uint8Array): TelnetEvent[] {
    const events: TelnetEvent[] = [];
    let at = 0;
    while (at < chunk.length) {
      if (this.#state === 'data') at = this.#data(chunk, at, events);
      else this.#control(chunk[at++] ?? 0, chunk, at, events);
    }
    return inOnePiece(events);
  }

  /** Everything up to the next IAC; returns where to go on. */
  #data(chunk: Uint8Array, at: number, events: TelnetEvent[]): number {
    const found = chunk.indexOf(IAC, at);
    const end = found === -1 ? chunk.length : found;
    if (end > at) events.push({ type: 'data', bytes: chunk.subarray(at, end) });
    if (found !== -1) this.#state = 'iac';
    return end + 1;
  }

  /** @param next where the byte after this one is */
  #control(byte: number, chunk: Uint8Array, next: number, events: TelnetEvent[]): void {
    switch (this.#state) {
      case 'iac':
        this.#command(byte, chunk, next, events);
        break;
      case 'option':
        this.#state = 'data';
        events.push({ type: 'negotiation', verb: this.#verb, option: byte });
        break;
      case 'sub':
        if (byte === IAC) this.#state = 'sub-iac';
        else this.#append(byte);
        break;
      case 'sub-iac':
        if (byte === IAC) {
          this.#append(byte);
          this.#state = 'sub';
        } else if (byte === SE) {
          this.#endSubnegotiation(events);
        } else {
          // Its SE was lost: what follows is a command of its own.
          events.push({ type: 'malformed' });
          this.#command(byte, chunk, next, events);
        }
        break;
      default:
        break;
    }
  }

  #command(byte: number, chunk: Uint8Array, next: number, events: TelnetEvent[]): void {
    this.#state = 'data';
    switch (byte) {
      case IAC:
        events.push({ type: 'data', bytes: chunk.subarray(next - 1, next) });
        break;
      case SB:
        this.#body = [];
        this.#overlong = false;
        this.#state = 'sub';
        break;
      case WILL:
      case WONT:
      case DO:
      case DONT:
        this.#verb = byte;
        this.#state = 'option';
        break;
      default:
        events.push({ type: 'command', code: byte });
    }
  }

  #append(byte: number): void {
    if (this.#body.length < this.maxSubnegotiation) this.#body.push(byte);
    else this.#overlong = true;
  }

  #endSubnegotiation(events: TelnetEvent[]): void {
    const [option, ...body] = this.#body;
    this.#state = 'data';
    this.#body = [];
    if (option === undefined || this.#overlong) events.push({ type: 'malformed' });
    else events.push({ type: 'subnegotiation', option, body: Uint8Array.from(body) });
  }
}

/** Data with an escaped IAC in it is one piece: a frame that came in one segment is not to be read in several. */
function inOnePiece(events: TelnetEvent[]): TelnetEvent[] {
  if (events.length < 2) return events;
  const joined: TelnetEvent[] = [];
  let run: Uint8Array[] = [];
  const endRun = () => {
    const [first] = run;
    if (first !== undefined) joined.push({ type: 'data', bytes: run.length === 1 ? first : Buffer.concat(run) });
    run = [];
  };
  for (const event of events) {
    if (event.type === 'data') {
      run.push(event.bytes);
      continue;
    }
    endRun();
    joined.push(event);
  }
  endRun();
  return joined;
}
