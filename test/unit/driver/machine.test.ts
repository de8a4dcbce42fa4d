import { describe, expect, test } from 'vitest';
import { type Event, type MachinePolicy, type State, step } from '../../../src/driver/machine.js';

const keep: MachinePolicy = { connect: 'on-open', onLinkLoss: 'keep', offlineOpen: 'succeed', offlineData: 'discard' };
const always: MachinePolicy = { ...keep, connect: 'always' };
const hangup: MachinePolicy = { ...keep, onLinkLoss: 'hangup' };
const blocking: MachinePolicy = { ...keep, offlineData: 'block' };
const failing: MachinePolicy = { ...keep, offlineOpen: 'fail' };

const idle: State = { name: 'idle' };
const up: State = { name: 'up' };
const closing: State = { name: 'closing' };
const lingering: State = { name: 'lingering' };
const kept: State = { name: 'kept' };
const failed: State = { name: 'failed', reason: 'no pty' };
const connecting = (holder: 'open' | 'gone' | 'none', again = false): State => ({ name: 'connecting', holder, again });
const initialising = (holder: 'open' | 'gone' | 'none', again = false): State => ({
  name: 'initialising',
  holder,
  again,
});

const opened: Event = { type: 'opened' };
const closed = (parked = 0): Event => ({ type: 'closed', parked });
const on = (
  type: 'start' | 'attempt-failed' | 'connected' | 'ready' | 'hold-over' | 'drained' | 'linger-over' | 'stop',
): Event => ({ type });

const lost = (parked = 0): Event => ({ type: 'lost', parked });

const STOP = ['stop-dialling', 'stop-draining', 'stop-linger', 'stop-hold-timer', 'disconnect'];

// [from, event, policy, to, effects]
const table: [State, Event, MachinePolicy, State, string[]][] = [
  // first open
  [idle, opened, keep, connecting('open'), ['hold-output', 'start-hold-timer', 'dial']],
  [idle, on('start'), keep, idle, []],
  [idle, on('start'), always, connecting('none'), ['dial']],
  [connecting('open'), on('connected'), keep, initialising('open'), ['initialise']],
  [initialising('open'), on('ready'), keep, up, ['stop-hold-timer', 'attach']],
  // the first connect does not come about
  [connecting('open'), on('attempt-failed'), keep, connecting('open'), ['dial']],
  [connecting('open'), on('hold-over'), keep, connecting('open', true), ['go-offline']],
  [connecting('open', true), on('hold-over'), keep, connecting('open', true), []],
  [connecting('open'), on('attempt-failed'), failing, idle, ['stop-hold-timer', 'stop-dialling', 'hang-up']],
  [connecting('open', true), on('attempt-failed'), failing, connecting('open', true), ['dial']],
  [initialising('open'), lost(), keep, connecting('open'), ['disconnect', 'dial']],
  [initialising('open'), on('attempt-failed'), failing, idle, ['stop-hold-timer', 'disconnect', 'hang-up']],
  // closed before the connection is ready
  [connecting('open'), closed(0), keep, idle, ['stop-hold-timer', 'stop-dialling', 'drop-output']],
  [connecting('open'), closed(5), keep, connecting('gone'), []],
  [connecting('open', true), closed(5), keep, idle, ['stop-hold-timer', 'stop-dialling', 'drop-output']],
  [connecting('open'), closed(0), always, connecting('none'), ['stop-hold-timer', 'drop-output']],
  [connecting('gone'), on('attempt-failed'), keep, connecting('gone'), ['dial']],
  [connecting('gone'), on('connected'), keep, initialising('gone'), ['initialise']],
  [connecting('gone'), on('hold-over'), keep, idle, ['stop-dialling', 'drop-output']],
  [connecting('gone'), on('hold-over'), always, connecting('none', true), ['drop-output']],
  [connecting('gone'), opened, keep, connecting('open'), []],
  [initialising('open'), closed(0), keep, idle, ['stop-hold-timer', 'disconnect', 'drop-output']],
  [initialising('open'), closed(7), keep, initialising('gone'), []],
  [initialising('gone'), on('ready'), keep, closing, ['stop-hold-timer', 'attach', 'drain']],
  [initialising('gone'), on('hold-over'), keep, idle, ['disconnect', 'drop-output']],
  [initialising('gone'), opened, keep, initialising('open'), []],
  // close
  [up, closed(0), keep, closing, ['drain']],
  [closing, on('drained'), keep, lingering, ['drop-output', 'finish', 'start-linger']],
  [closing, on('drained'), always, kept, ['drop-output', 'finish']],
  [closing, opened, keep, up, ['stop-draining', 'apply-settings']],
  [closing, lost(), keep, idle, ['stop-draining', 'disconnect', 'drop-output']],
  [closing, lost(), always, connecting('none', true), ['stop-draining', 'disconnect', 'drop-output', 'dial']],
  [lingering, on('linger-over'), keep, idle, ['disconnect']],
  [lingering, opened, keep, initialising('open'), ['stop-linger', 'initialise']],
  [lingering, lost(), keep, idle, ['stop-linger', 'disconnect']],
  [closing, lost(9), keep, idle, ['stop-draining', 'disconnect', 'drop-output']],
  [
    closing,
    lost(9),
    blocking,
    connecting('gone', true),
    ['stop-draining', 'disconnect', 'start-closing-timer', 'dial'],
  ],
  [closing, lost(0), blocking, idle, ['stop-draining', 'disconnect', 'drop-output']],
  // closed while the link is down and output is kept
  [connecting('open', true), closed(5), blocking, connecting('gone', true), ['start-closing-timer']],
  [connecting('open', true), closed(0), blocking, idle, ['stop-hold-timer', 'stop-dialling', 'drop-output']],
  [initialising('open', true), closed(5), blocking, initialising('gone', true), ['start-closing-timer']],
  [connecting('gone', true), on('hold-over'), blocking, idle, ['stop-dialling', 'drop-output']],
  [
    connecting('gone', true),
    on('hold-over'),
    { ...blocking, connect: 'always' },
    connecting('none', true),
    ['drop-output'],
  ],
  [initialising('gone', true), on('ready'), blocking, closing, ['stop-hold-timer', 'attach', 'drain']],
  // loss while open
  [up, lost(), keep, connecting('open', true), ['disconnect', 'go-offline', 'dial']],
  [up, lost(), hangup, idle, ['disconnect', 'hang-up']],
  [up, lost(), { ...hangup, connect: 'always' }, connecting('none', true), ['disconnect', 'hang-up', 'dial']],
  [connecting('open', true), on('connected'), keep, initialising('open', true), ['initialise']],
  [initialising('open', true), lost(), keep, connecting('open', true), ['disconnect', 'go-offline', 'dial']],
  // connect: always
  [connecting('none'), on('attempt-failed'), always, connecting('none', true), ['dial']],
  [connecting('none'), opened, always, connecting('open'), ['hold-output', 'start-hold-timer']],
  [connecting('none', true), opened, { ...always, offlineOpen: 'fail' }, connecting('none', true), ['hang-up']],
  // One that cannot be hung up.
  [
    connecting('none', true),
    { type: 'opened', served: true },
    { ...always, offlineOpen: 'fail' },
    connecting('open'),
    ['hold-output', 'start-hold-timer'],
  ],
  [initialising('none'), on('ready'), always, kept, ['attach']],
  [initialising('none'), opened, always, initialising('open'), ['hold-output', 'initialise']],
  [kept, opened, always, initialising('open'), ['initialise']],
  [kept, lost(), always, connecting('none', true), ['disconnect', 'dial']],
  // nothing happens
  [up, on('ready'), keep, up, []],
  [up, on('linger-over'), keep, up, []],
  [idle, lost(), keep, idle, []],
  [idle, on('attempt-failed'), keep, idle, []],
  [closing, on('hold-over'), keep, closing, []],
  [kept, closed(0), always, kept, []],
  [failed, opened, keep, failed, []],
  // the end
  [up, on('stop'), keep, idle, STOP],
  [up, { type: 'tty-failed', reason: 'no pty' }, keep, failed, STOP],
  [failed, { type: 'tty-failed', reason: 'other' }, keep, failed, []],
];

describe('the machine of a port', () => {
  for (const [from, event, policy, to, effects] of table) {
    const shown = 'holder' in from ? `${from.name}(${from.holder}${from.again ? ', again' : ''})` : from.name;
    test(`${shown} + ${event.type} under ${JSON.stringify(policy)}`, () => {
      const [state, ...done] = step(from, event, policy);
      expect(state).toEqual(to);
      expect(new Set(done)).toEqual(new Set(effects));
    });
  }

  test('whatever happens, an application that has the tty open is never without a connection being made', () => {
    const events: Event[] = ['attempt-failed', 'connected', 'ready', 'lost', 'hold-over', 'drained', 'linger-over'].map(
      (type) => (type === 'lost' ? lost(7) : ({ type } as Event)),
    );
    let seed = 1;
    const random = () => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return seed / 2147483648;
    };
    for (let run = 0; run < 500; run++) {
      let [state] = step(idle, opened, keep);
      for (let i = 0; i < 50; i++) {
        const event = events[Math.floor(random() * events.length)];
        if (event) [state] = step(state, event, keep);
        expect(['connecting', 'initialising', 'up']).toContain(state.name);
      }
    }
  });
});
