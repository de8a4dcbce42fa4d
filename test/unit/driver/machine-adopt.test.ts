// Where a port goes on: by every state, with and without its connection.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type MachinePolicy, type State, step } from '../../../src/driver/machine.js';
import { adopt } from '../../../src/driver/machine-adopt.js';

const POLICY: MachinePolicy = {
  connect: 'on-open',
  onLinkLoss: 'keep',
  offlineOpen: 'succeed',
  offlineData: 'discard',
};
const OPEN = { holder: 'open', again: false } as const;

test.each<[string, State, boolean, unknown[]]>([
  ['nobody had it open', { name: 'idle' }, false, [{ name: 'idle' }]],
  [
    'waiting for the first connection',
    { name: 'connecting', ...OPEN },
    false,
    [{ name: 'connecting', ...OPEN }, 'hold-output', 'start-hold-timer', 'dial'],
  ],
  [
    'waiting after a loss',
    { name: 'connecting', holder: 'open', again: true },
    false,
    [{ name: 'connecting', holder: 'open', again: true }, 'go-offline', 'dial'],
  ],
  [
    'being initialised',
    { name: 'initialising', ...OPEN },
    true,
    [{ name: 'initialising', ...OPEN }, 'hold-output', 'start-hold-timer', 'initialise'],
  ],
  [
    'being initialised, without the connection',
    { name: 'initialising', ...OPEN },
    false,
    [{ name: 'connecting', ...OPEN }, 'hold-output', 'start-hold-timer', 'dial'],
  ],
  ['up', { name: 'up' }, true, [{ name: 'up' }, 'rejoin']],
  [
    'up, without the connection: as after a loss',
    { name: 'up' },
    false,
    [{ name: 'connecting', holder: 'open', again: true }, 'disconnect', 'go-offline', 'dial'],
  ],
  ['closing', { name: 'closing' }, true, [{ name: 'closing' }, 'rejoin', 'drain']],
  ['lingering', { name: 'lingering' }, true, [{ name: 'lingering' }, 'rejoin', 'start-linger']],
  ['lingering, without the connection', { name: 'lingering' }, false, [{ name: 'idle' }, 'stop-linger', 'disconnect']],
])('%s', (_, state, linked, expected) => {
  expect(adopt({ state, linked, parked: 0, finishing: false }, POLICY)).toEqual(expected);
});

test('a connection that no process can go on with was not lost: what is written waits for the next one', () => {
  const up = { state: { name: 'up' }, linked: false, anew: true, parked: 9, finishing: false } as const;
  const waits = [{ name: 'connecting', ...OPEN }, 'hold-output', 'start-hold-timer', 'dial'];
  expect(adopt(up, POLICY)).toEqual(waits);
  // Whoever is to be hung up where there is no server is not, by a restart.
  expect(adopt(up, { ...POLICY, offlineOpen: 'fail' })).toContain('go-offline');
});

test('the end of a use that was being told is told again', () => {
  for (const name of ['lingering', 'kept'] as const) {
    expect(adopt({ state: { name }, linked: true, parked: 0, finishing: true }, POLICY)).toContain('finish');
  }
});

test('connect: always dials where nobody was connected', () => {
  const policy: MachinePolicy = { ...POLICY, connect: 'always' };
  for (const name of ['idle', 'kept'] as const) {
    expect(adopt({ state: { name }, linked: false, parked: 0, finishing: false }, policy)).toContain('dial');
  }
});

const holder = fc.constantFrom('open' as const, 'gone' as const, 'none' as const);
const attempt = { holder, again: fc.boolean() };
const states: fc.Arbitrary<State> = fc.oneof(
  fc.constantFrom<State>(
    { name: 'idle' },
    { name: 'up' },
    { name: 'closing' },
    { name: 'lingering' },
    { name: 'kept' },
  ),
  fc.record({ name: fc.constant('connecting' as const), ...attempt }),
  fc.record({ name: fc.constant('initialising' as const), ...attempt }),
);

test('whatever the state, an application that has it open is connected or being connected', () => {
  const policies = fc.record<MachinePolicy>({
    connect: fc.constantFrom('on-open', 'always'),
    onLinkLoss: fc.constant('keep'),
    offlineOpen: fc.constant('succeed'),
    offlineData: fc.constantFrom('discard', 'hold', 'block'),
  });
  const property = fc.property(
    states,
    fc.boolean(),
    fc.nat(9),
    fc.boolean(),
    policies,
    (state, linked, parked, finishing, policy) => {
      const [after, ...effects] = adopt({ state, linked, parked, finishing }, policy);
      const [opened, ...more] = step(after, { type: 'opened' }, policy);
      const all = [...effects, ...more];
      const connected = linked && ['up', 'initialising'].includes(opened.name);
      expect(connected || (opened.name === 'connecting' && all.includes('dial'))).toBe(true);
    },
  );
  fc.assert(property);
});
