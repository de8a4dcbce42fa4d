// Where a port goes on that an earlier process had in a state, with or without its connection. Pure, as machine.ts.
// What happened to the application meanwhile is told afterwards, as any other event.
import { type Effect, type MachinePolicy, type State, type Step, step } from './machine.js';

export interface Adopted {
  /** The state that the earlier process was in. */
  readonly state: State;
  /** Both sockets are there, and where the earlier process was with them is known. */
  readonly linked: boolean;
  /** Its link is of a kind that no process can go on with: the connection was given up, and none was lost. */
  readonly anew?: boolean;
  /** Bytes of the application that no socket was given. */
  readonly parked: number;
  /** The device was being told the end of a use. */
  readonly finishing: boolean;
}

export function adopt({ state, linked, anew, parked, finishing }: Adopted, policy: MachinePolicy): Step {
  switch (state.name) {
    case 'idle':
    case 'failed':
      return step({ name: 'idle' }, { type: 'start' }, policy);
    case 'connecting':
      return [state, ...awaiting(state), 'dial'];
    case 'initialising':
      if (linked) return [state, ...awaiting(state), 'initialise'];
      return [{ ...state, name: 'connecting' }, ...awaiting(state), 'dial'];
    default:
      break;
  }
  // What is written meanwhile waits, as it does for a first connection.
  if (!linked && anew && state.name === 'up' && policy.offlineOpen !== 'fail')
    return [{ name: 'connecting', holder: 'open', again: false }, 'hold-output', 'start-hold-timer', 'dial'];
  if (!linked) return step(state, { type: 'lost', parked }, policy);
  const finish: Effect[] = finishing ? ['finish'] : [];
  switch (state.name) {
    case 'up':
      return [state, 'rejoin'];
    case 'closing':
      return [state, 'rejoin', 'drain'];
    case 'lingering':
      return [state, 'rejoin', ...finish, 'start-linger'];
    case 'kept':
      return [state, 'rejoin', ...finish];
    default:
      return state satisfies never;
  }
}

/** What rules the output, and for how long, until the connection is ready. */
function awaiting({ holder, again }: State & { name: 'connecting' | 'initialising' }): Effect[] {
  if (holder === 'none') return [];
  if (holder === 'gone') return [again ? 'start-closing-timer' : 'start-hold-timer'];
  return again ? ['go-offline'] : ['hold-output', 'start-hold-timer'];
}
