// Which options are on, on either side, by the Q method of RFC 1143: never a loop, and a change of mind while an answer is
// under way is carried out after it. Sends nothing: gives back what to send. Of unknown options it keeps nothing.
import { DO, DONT, WILL, WONT } from './constants.js';
import type { Verb } from './decoder.js';

/** local: what we do (WILL, and the peer's DO); remote: what the peer does (DO, and its WILL). */
export type Side = 'local' | 'remote';

export interface NegotiationStep {
  readonly send?: Verb;
  /** The option is on or off now, or what we asked for was refused. */
  readonly on?: boolean;
}

export interface OptionPolicy {
  /** Which options may be on; all others are refused. */
  readonly local: readonly number[];
  readonly remote: readonly number[];
}

/** RFC 1143 section 7: "opposite" is a queued wish against the one under way. */
export interface OptionState {
  name: 'no' | 'yes' | 'want-no' | 'want-yes';
  opposite: boolean;
}

export type NegotiatorState = Readonly<Record<Side, readonly (OptionState & { readonly option: number })[]>>;

const VERBS: Readonly<Record<Side, { readonly on: Verb; readonly off: Verb }>> = {
  local: { on: WILL, off: WONT },
  remote: { on: DO, off: DONT },
};

export class TelnetNegotiator {
  readonly #states: Readonly<Record<Side, ReadonlyMap<number, OptionState>>>;

  constructor(policy: OptionPolicy) {
    const fresh = (options: readonly number[]) =>
      new Map(options.map((option): [number, OptionState] => [option, { name: 'no', opposite: false }]));
    this.#states = { local: fresh(policy.local), remote: fresh(policy.remote) };
  }

  get state(): NegotiatorState {
    const all = (side: Side) => [...this.#states[side]].map(([option, state]) => ({ option, ...state }));
    return { local: all('local'), remote: all('remote') };
  }

  /** As if it had negotiated what another one of this policy had. */
  goOn(before: NegotiatorState): void {
    for (const side of ['local', 'remote'] as const)
      for (const { option, ...state } of before[side]) Object.assign(this.#states[side].get(option) ?? {}, state);
  }

  isOn(side: Side, option: number): boolean {
    return this.#states[side].get(option)?.name === 'yes';
  }

  /** Asked for, and not answered yet. */
  isPending(side: Side, option: number): boolean {
    const name = this.#states[side].get(option)?.name;
    return name === 'want-yes' || name === 'want-no';
  }

  /** We want the option on, or off. Nothing is sent for what is so already. Only for options of the policy. */
  want(side: Side, option: number, on: boolean): NegotiationStep {
    const state = this.#states[side].get(option);
    if (state === undefined) return {};
    const { name } = state;
    if (name === 'want-yes' || name === 'want-no') {
      state.opposite = on !== (name === 'want-yes');
      return {};
    }
    if (on === (name === 'yes')) return {};
    state.name = on ? 'want-yes' : 'want-no';
    return on ? { send: VERBS[side].on } : { send: VERBS[side].off, on: false };
  }

  /** What the peer said. */
  receive(verb: Verb, option: number): NegotiationStep & { readonly side: Side } {
    const side: Side = verb === DO || verb === DONT ? 'local' : 'remote';
    const positive = verb === DO || verb === WILL;
    const state = this.#states[side].get(option);
    const { on, off } = VERBS[side];
    // Refused each time it is offered, and never asked for: nothing to remember.
    if (state === undefined) return positive ? { side, send: off } : { side };
    return { side, ...(positive ? agreed(state, on, off) : declined(state, on, off)) };
  }
}

function agreed(state: OptionState, on: Verb, off: Verb): NegotiationStep {
  const { name, opposite } = state;
  state.opposite = false;
  switch (name) {
    case 'no':
      state.name = 'yes';
      return { send: on, on: true };
    case 'yes':
      return {};
    case 'want-no':
      // A refusal answered by consent is the peer's error (RFC 1143); taken as the refusal, unless we want it on again.
      state.name = opposite ? 'yes' : 'no';
      return opposite ? { on: true } : {};
    case 'want-yes':
      if (!opposite) {
        state.name = 'yes';
        return { on: true };
      }
      state.name = 'want-no';
      return { send: off };
    default:
      return name satisfies never;
  }
}

function declined(state: OptionState, on: Verb, off: Verb): NegotiationStep {
  const { name, opposite } = state;
  state.opposite = false;
  switch (name) {
    case 'no':
      return {};
    case 'yes':
      state.name = 'no';
      return { send: off, on: false };
    case 'want-no':
      state.name = opposite ? 'want-yes' : 'no';
      return opposite ? { send: on } : {};
    case 'want-yes':
      state.name = 'no';
      return { on: false };
    default:
      return name satisfies never;
  }
}
