// The state of one port of the driver, as a value, and what each event makes of it. Pure: no clock, no socket, no tty.
// The session performs the effects, in the order given, and feeds back what happened.
//
// `holder` says for whom a connection is being made: an application that has the tty open, one that is gone but left
// bytes to deliver, or nobody (connect: always). `again` is set after a loss: then the offline policy rules what is
// written meanwhile; before, what is written is kept for the first connect.

export type Holder = 'open' | 'gone' | 'none';

export type State =
  /** Nobody has the tty open and no connection is kept. */
  | { readonly name: 'idle' }
  /** Waiting for a turn, or dialling. */
  | { readonly name: 'connecting'; readonly holder: Holder; readonly again: boolean }
  /** Connected; the device has not yet acknowledged the line state. */
  | { readonly name: 'initialising'; readonly holder: Holder; readonly again: boolean }
  /** Open at both ends. */
  | { readonly name: 'up' }
  /** The application closed; what it wrote is being transmitted. */
  | { readonly name: 'closing' }
  /** Closed and drained; the connection is kept a moment for a reopen. */
  | { readonly name: 'lingering' }
  /** connect: always, and nobody has the tty open. */
  | { readonly name: 'kept' }
  /** Only a changed configuration revives it. */
  | { readonly name: 'failed'; readonly reason: string };

/** Connected, and the device has acknowledged the line state. */
export function isJoined({ name }: State): boolean {
  return name === 'up' || name === 'closing' || name === 'lingering' || name === 'kept';
}

/** Its application is gone, and not all it wrote is transmitted. */
export function isLeaving(state: State): boolean {
  return state.name === 'closing' || ('holder' in state && state.holder === 'gone');
}

export type Event =
  | { readonly type: 'start' }
  /** `served`: it was to be hung up and cannot be. */
  | { readonly type: 'opened'; readonly served?: true }
  /** The last close. `parked`: bytes of the application that the device's TCP has not taken. */
  | { readonly type: 'closed'; readonly parked: number }
  | { readonly type: 'attempt-failed' }
  | { readonly type: 'connected' }
  /** The device acknowledged the line state. */
  | { readonly type: 'ready' }
  /** `parked`: bytes of the application that no socket was given. */
  | { readonly type: 'lost'; readonly parked: number }
  /** connectTimeout since the first open is over, or closingWait since the close without a connection. */
  | { readonly type: 'hold-over' }
  /** Everything was transmitted, or closingWait passed without progress. */
  | { readonly type: 'drained' }
  | { readonly type: 'linger-over' }
  | { readonly type: 'tty-failed'; readonly reason: string }
  | { readonly type: 'stop' };

export type Effect =
  /** Ask for a turn at the server and connect. */
  | 'dial'
  | 'stop-dialling'
  /** Close both sockets. */
  | 'disconnect'
  /** Keep what the application writes (first connect). */
  | 'hold-output'
  | 'start-hold-timer'
  | 'stop-hold-timer'
  /** As the hold timer, but for closingWait: a last close with output and no connection. */
  | 'start-closing-timer'
  /** From now on offlineData rules. */
  | 'go-offline'
  /** Drop what is parked, counted as dropped at closing. */
  | 'drop-output'
  /** Bring the device into the tty's line state. */
  | 'initialise'
  /** Let bytes flow. */
  | 'attach'
  /** As `attach`, to the connection of an earlier process. */
  | 'rejoin'
  /** Settings asked since the last acknowledged ones, if any. */
  | 'apply-settings'
  | 'drain'
  | 'stop-draining'
  /** FLUSH, and DTR and RTS down where HUPCL says so. */
  | 'finish'
  | 'start-linger'
  | 'stop-linger'
  /** The application's descriptor ends (EIO, SIGHUP). */
  | 'hang-up';

/** What of the tty's configuration the machine depends on. */
export interface MachinePolicy {
  readonly connect: 'on-open' | 'always';
  readonly onLinkLoss: 'keep' | 'hangup';
  readonly offlineOpen: 'succeed' | 'fail';
  readonly offlineData: 'discard' | 'hold' | 'block';
}

export type Step = readonly [State, ...Effect[]];

const IDLE: State = { name: 'idle' };

/** What follows when nobody holds the tty any more and no connection is left. */
function released(policy: MachinePolicy, ...effects: Effect[]): Step {
  if (policy.connect === 'always') {
    return [{ name: 'connecting', holder: 'none', again: true }, ...effects, 'dial'];
  }
  return [IDLE, ...effects];
}

function afterLoss(policy: MachinePolicy, before: Effect[] = []): Step {
  if (policy.onLinkLoss === 'hangup') return released(policy, ...before, 'disconnect', 'hang-up');
  return [{ name: 'connecting', holder: 'open', again: true }, ...before, 'disconnect', 'go-offline', 'dial'];
}

/** Pure: state and event in, next state and effects out. An event that means nothing in a state leaves it unchanged. */
export function step(state: State, event: Event, policy: MachinePolicy): Step {
  if (event.type === 'tty-failed') return fail(state, event.reason);
  if (event.type === 'stop')
    return [IDLE, 'stop-dialling', 'stop-draining', 'stop-linger', 'stop-hold-timer', 'disconnect'];
  switch (state.name) {
    case 'idle':
      return fromIdle(state, event, policy);
    case 'connecting':
      return fromConnecting(state, event, policy);
    case 'initialising':
      return fromInitialising(state, event, policy);
    case 'up':
      if (event.type === 'closed') return [{ name: 'closing' }, 'drain'];
      if (event.type === 'lost') return afterLoss(policy);
      return [state];
    case 'closing':
      return fromClosing(state, event, policy);
    case 'lingering':
      if (event.type === 'opened') return reopened(['stop-linger']);
      if (event.type === 'linger-over') return released(policy, 'disconnect');
      if (event.type === 'lost') return released(policy, 'stop-linger', 'disconnect');
      return [state];
    case 'kept':
      if (event.type === 'opened') return reopened([]);
      if (event.type === 'lost') return released(policy, 'disconnect');
      return [state];
    case 'failed':
      return [state];
    default:
      return state satisfies never;
  }
}

function fail(state: State, reason: string): Step {
  if (state.name === 'failed') return [state];
  return [{ name: 'failed', reason }, 'stop-dialling', 'stop-draining', 'stop-linger', 'stop-hold-timer', 'disconnect'];
}

/** Opened while a connection exists: the line state is told anew, bytes wait for its acknowledgement. */
function reopened(before: Effect[]): Step {
  return [{ name: 'initialising', holder: 'open', again: false }, ...before, 'initialise'];
}

function fromIdle(state: State, event: Event, policy: MachinePolicy): Step {
  if (event.type === 'opened') {
    return [{ name: 'connecting', holder: 'open', again: false }, 'hold-output', 'start-hold-timer', 'dial'];
  }
  if (event.type === 'start' && policy.connect === 'always') {
    return [{ name: 'connecting', holder: 'none', again: false }, 'dial'];
  }
  return [state];
}

function fromConnecting(state: State & { name: 'connecting' }, event: Event, policy: MachinePolicy): Step {
  switch (event.type) {
    case 'opened':
      if (state.holder === 'gone') return [{ ...state, holder: 'open' }];
      if (state.holder === 'none' && policy.offlineOpen === 'fail' && state.again && !event.served)
        return [state, 'hang-up'];
      if (state.holder === 'none') {
        return [{ name: 'connecting', holder: 'open', again: false }, 'hold-output', 'start-hold-timer'];
      }
      return [state];
    case 'closed':
      return closedEarly(state, event.parked, policy, 'stop-dialling');
    case 'attempt-failed':
      if (state.holder === 'open' && !state.again && policy.offlineOpen === 'fail') {
        return released(policy, 'stop-hold-timer', 'stop-dialling', 'hang-up');
      }
      if (state.holder === 'none') return [{ ...state, again: true }, 'dial'];
      return [state, 'dial'];
    case 'connected':
      return [{ ...state, name: 'initialising' }, 'initialise'];
    case 'hold-over':
      return holdOver(state, policy, 'stop-dialling');
    default:
      return [state];
  }
}

/** The application closed before the connection was ready. */
function closedEarly(
  state: { readonly name: 'connecting' | 'initialising'; readonly holder: Holder; readonly again: boolean },
  parked: number,
  policy: MachinePolicy,
  abandon: 'stop-dialling' | 'disconnect',
): Step {
  if (state.holder !== 'open') return [state];
  if (!state.again && parked > 0) return [{ ...state, holder: 'gone' }];
  // Kept while the link is down, so it is still to be delivered.
  if (parked > 0 && policy.offlineData !== 'discard') return [{ ...state, holder: 'gone' }, 'start-closing-timer'];
  if (policy.connect === 'always') return [{ ...state, holder: 'none' }, 'stop-hold-timer', 'drop-output'];
  return [IDLE, 'stop-hold-timer', abandon, 'drop-output'];
}

/** What was written before the first connect has waited long enough. */
function holdOver(
  state: { readonly name: 'connecting' | 'initialising'; readonly holder: Holder; readonly again: boolean },
  policy: MachinePolicy,
  abandon: 'stop-dialling' | 'disconnect',
): Step {
  if (state.holder === 'none') return [state];
  if (state.holder === 'open') return state.again ? [state] : [{ ...state, again: true }, 'go-offline'];
  if (policy.connect === 'always') return [{ ...state, holder: 'none', again: true }, 'drop-output'];
  return [IDLE, abandon, 'drop-output'];
}

function fromInitialising(state: State & { name: 'initialising' }, event: Event, policy: MachinePolicy): Step {
  switch (event.type) {
    case 'ready':
      if (state.holder === 'open') return [{ name: 'up' }, 'stop-hold-timer', 'attach'];
      if (state.holder === 'gone') return [{ name: 'closing' }, 'stop-hold-timer', 'attach', 'drain'];
      return [{ name: 'kept' }, 'attach'];
    case 'opened':
      if (state.holder === 'gone') return [{ ...state, holder: 'open' }];
      // Told anew: without an open tty the lines were low.
      if (state.holder === 'none') return [{ ...state, holder: 'open', again: false }, 'hold-output', 'initialise'];
      return [state];
    case 'closed':
      return closedEarly(state, event.parked, policy, 'disconnect');
    case 'attempt-failed':
    case 'lost':
      if (state.holder === 'open' && !state.again && policy.offlineOpen === 'fail') {
        return released(policy, 'stop-hold-timer', 'disconnect', 'hang-up');
      }
      // What began to tell the device has stopped the output.
      if (state.holder === 'open' && state.again)
        return [{ ...state, name: 'connecting' }, 'disconnect', 'go-offline', 'dial'];
      return [{ ...state, name: 'connecting' }, 'disconnect', 'dial'];
    case 'hold-over':
      return holdOver(state, policy, 'disconnect');
    default:
      return [state];
  }
}

function fromClosing(state: State & { name: 'closing' }, event: Event, policy: MachinePolicy): Step {
  switch (event.type) {
    case 'opened':
      return [{ name: 'up' }, 'stop-draining', 'apply-settings'];
    case 'drained':
      if (policy.connect === 'always') return [{ name: 'kept' }, 'drop-output', 'finish'];
      return [{ name: 'lingering' }, 'drop-output', 'finish', 'start-linger'];
    case 'lost':
      if (event.parked > 0 && policy.offlineData !== 'discard') {
        const waiting: State = { name: 'connecting', holder: 'gone', again: true };
        return [waiting, 'stop-draining', 'disconnect', 'start-closing-timer', 'dial'];
      }
      return released(policy, 'stop-draining', 'disconnect', 'drop-output');
    default:
      return [state];
  }
}
