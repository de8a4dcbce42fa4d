// One end of a telnet connection: what the decoder finds, with every negotiation answered. Pure: gives back what is to be
// written. One answer at most to each thing received, so that a flood grows nothing but what its sender has to take.
import { AYT, NOP } from './constants.js';
import { type DecoderState, TelnetDecoder, type TelnetEvent } from './decoder.js';
import { negotiation } from './encoder.js';
import { type NegotiatorState, type OptionPolicy, type Side, TelnetNegotiator } from './negotiator.js';

export type EndpointOutput =
  | Extract<TelnetEvent, { type: 'data' | 'command' | 'subnegotiation' | 'malformed' }>
  | { readonly type: 'write'; readonly bytes: Uint8Array }
  /** It is on or off now; off also where it was asked for and refused. */
  | { readonly type: 'option'; readonly side: Side; readonly option: number; readonly on: boolean };

export interface EndpointState {
  readonly decoder: DecoderState;
  readonly negotiator: NegotiatorState;
}

export class TelnetEndpoint {
  readonly #decoder = new TelnetDecoder();
  readonly #negotiator: TelnetNegotiator;

  constructor(policy: OptionPolicy) {
    this.#negotiator = new TelnetNegotiator(policy);
  }

  get state(): EndpointState {
    return { decoder: this.#decoder.state, negotiator: this.#negotiator.state };
  }

  /** As if it had been the other one from the start. */
  goOn({ decoder, negotiator }: EndpointState): void {
    this.#decoder.goOn(decoder);
    this.#negotiator.goOn(negotiator);
  }

  isOn(side: Side, option: number): boolean {
    return this.#negotiator.isOn(side, option);
  }

  isPending(side: Side, option: number): boolean {
    return this.#negotiator.isPending(side, option);
  }

  /** What to write to have these options on. */
  want(side: Side, ...options: readonly number[]): Uint8Array {
    const verbs = options.map((option) => ({ option, verb: this.#negotiator.want(side, option, true).send }));
    return Uint8Array.from(
      verbs.flatMap(({ verb, option }) => (verb === undefined ? [] : [...negotiation(verb, option)])),
    );
  }

  receive(chunk: Uint8Array): EndpointOutput[] {
    return this.#decoder.decode(chunk).flatMap((event) => this.#answer(event));
  }

  #answer(event: TelnetEvent): EndpointOutput[] {
    if (event.type === 'command') return [event.code === AYT ? { type: 'write', bytes: HERE } : event];
    if (event.type !== 'negotiation') return [event];
    const { verb, option } = event;
    const { side, send, on } = this.#negotiator.receive(verb, option);
    const outputs: EndpointOutput[] = [];
    if (send !== undefined) outputs.push({ type: 'write', bytes: negotiation(send, option) });
    if (on !== undefined) outputs.push({ type: 'option', side, option, on });
    return outputs;
  }
}

/** RFC 854: AYT is answered by something visible, which on a serial line would be data. A NOP is seen by the peer alone. */
const HERE = Uint8Array.of(255, NOP);
