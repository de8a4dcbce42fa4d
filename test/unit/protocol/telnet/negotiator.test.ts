// The Q method against the table of RFC 1143 section 7, and against peers that never stop.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AYT, DO, DONT, IAC, WILL, WONT } from '../../../../src/protocol/telnet/constants.js';
import type { Verb } from '../../../../src/protocol/telnet/decoder.js';
import { TelnetEndpoint } from '../../../../src/protocol/telnet/endpoint.js';
import { TelnetNegotiator } from '../../../../src/protocol/telnet/negotiator.js';
import { concat, toHex } from './support.js';

const OPTION = 1;
const OTHER = 99;
const NAMES: Readonly<Record<number, string>> = { [WILL]: 'WILL', [WONT]: 'WONT', [DO]: 'DO', [DONT]: 'DONT' };

/** on, off: what we want of the remote side; WILL and WONT: what the peer says. What is sent, after each. */
const table: [string, (boolean | Verb)[], string[], boolean][] = [
  ['the peer offers what we allow', [WILL], ['DO'], true],
  ['the peer says so twice', [WILL, WILL], ['DO', ''], true],
  ['the peer takes it back', [WILL, WONT], ['DO', 'DONT'], false],
  ['a refusal of what is off is not answered', [WONT], [''], false],
  ['we ask, it agrees', [true, WILL], ['DO', ''], true],
  ['we ask, it refuses', [true, WONT], ['DO', ''], false],
  ['we ask twice', [true, true, WILL], ['DO', '', ''], true],
  ['we change our mind before the answer: told after it', [true, false, WILL, WONT], ['DO', '', 'DONT', ''], false],
  ['and back again: nothing more is sent', [true, false, true, WILL], ['DO', '', '', ''], true],
  ['we change our mind, it refuses: nothing to tell', [true, false, WONT], ['DO', '', ''], false],
  ['we end it', [WILL, false, WONT], ['DO', 'DONT', ''], false],
  [
    'we end it and want it again before the answer',
    [WILL, false, true, WONT, WILL],
    ['DO', 'DONT', '', 'DO', ''],
    true,
  ],
  ['our end is answered by consent: its error, off', [WILL, false, WILL], ['DO', 'DONT', ''], false],
  ['the same, and we want it again: on', [WILL, false, true, WILL], ['DO', 'DONT', '', ''], true],
];

describe('telnet negotiation', () => {
  for (const [shows, steps, sent, on] of table) {
    test(`RFC 1143: ${shows}`, () => {
      const remote = new TelnetNegotiator({ local: [], remote: [OPTION] });
      const local = new TelnetNegotiator({ local: [OPTION], remote: [] });
      const mirrored: Readonly<Record<number, Verb>> = { [WILL]: DO, [WONT]: DONT };
      const name = (verb: number | undefined) => (verb === undefined ? '' : (NAMES[verb] ?? '?'));
      const said = steps.map((step) =>
        name((typeof step === 'boolean' ? remote.want('remote', OPTION, step) : remote.receive(step, OPTION)).send),
      );
      expect(said).toEqual(sent);
      expect(remote.isOn('remote', OPTION)).toBe(on);
      const other = steps.map((step) =>
        typeof step === 'boolean' ? local.want('local', OPTION, step) : local.receive(mirrored[step] ?? step, OPTION),
      );
      const mirror: Readonly<Record<string, string>> = { '': '', DO: 'WILL', DONT: 'WONT' };
      expect(other.map(({ send }) => name(send))).toEqual(sent.map((verb) => mirror[verb]));
      expect(local.isOn('local', OPTION)).toBe(on);
    });
  }

  test('what is not allowed is refused, each time it is offered, and never asked for', () => {
    const negotiator = new TelnetNegotiator({ local: [OPTION], remote: [OPTION] });
    expect(negotiator.receive(WILL, OTHER)).toEqual({ side: 'remote', send: DONT });
    expect(negotiator.receive(DO, OTHER)).toEqual({ side: 'local', send: WONT });
    expect(negotiator.receive(WONT, OTHER)).toEqual({ side: 'remote' });
    expect(negotiator.receive(DONT, OTHER)).toEqual({ side: 'local' });
    expect(negotiator.want('local', OTHER, true)).toEqual({});
  });

  test('two of us never loop, whatever either wants and whenever', () => {
    const wish = fc.tuple(
      fc.constantFrom(0, 1),
      fc.constantFrom('local', 'remote'),
      fc.integer({ min: 0, max: 3 }),
      fc.boolean(),
    );
    fc.assert(
      fc.property(fc.array(wish, { maxLength: 30 }), fc.infiniteStream(fc.constantFrom(0, 1)), (wishes, order) => {
        const policy = { local: [0, 1, 2], remote: [0, 1, 3] };
        const ends = [new TelnetNegotiator(policy), new TelnetNegotiator(policy)];
        const towards: [Verb, number][][] = [[], []];
        let messages = 0;
        const deliver = (to: number) => {
          const message = towards[to]?.shift();
          if (message === undefined) return;
          const { send } = ends[to]?.receive(...message) ?? {};
          if (send !== undefined) towards[1 - to]?.push([send, message[1]]);
          messages++;
        };
        for (const [who, side, option, on] of wishes) {
          const step = ends[who]?.want(side, option, on);
          if (step?.send !== undefined) towards[1 - who]?.push([step.send, option]);
          for (const to of order.take(2)) deliver(to);
        }
        while (towards.some((queue) => queue.length > 0)) {
          for (const to of [0, 1]) deliver(to);
          // Each wish can cause its own exchange and the one queued behind it.
          expect(messages).toBeLessThanOrEqual(6 * wishes.length);
        }
        for (const option of policy.local) {
          for (const [a, b] of [
            [0, 1],
            [1, 0],
          ] as const) {
            expect(ends[a]?.isOn('local', option)).toBe(ends[b]?.isOn('remote', option));
          }
        }
      }),
      { numRuns: 1000 },
    );
  });
});

describe('telnet endpoint', () => {
  test('a flood of offers is answered once each, with no more bytes than it has', () => {
    const endpoint = new TelnetEndpoint({ local: [0], remote: [0] });
    const offers = Uint8Array.from(
      { length: 30_000 },
      (_, i) => [IAC, i % 2 === 0 ? WILL : DO, (i / 3) % 256][i % 3] ?? 0,
    );
    const outputs = endpoint.receive(offers);
    const written = outputs.reduce((sum, o) => sum + (o.type === 'write' ? o.bytes.length : 0), 0);
    expect(written).toBeGreaterThan(0);
    expect(written).toBeLessThanOrEqual(offers.length);
  });

  test('asks once, and AYT is answered by nothing that would be data', () => {
    const endpoint = new TelnetEndpoint({ local: [0, 44], remote: [0] });
    expect(toHex(endpoint.want('local', 0, 44))).toBe('ff fb 00 ff fb 2c');
    expect(endpoint.want('local', 0, 44)).toHaveLength(0);
    const answers = endpoint.receive(concat([Uint8Array.of(IAC, DO, 0), Uint8Array.of(IAC, AYT, 65)]));
    expect(answers).toEqual([
      { type: 'option', side: 'local', option: 0, on: true },
      { type: 'write', bytes: Uint8Array.of(255, 241) },
      { type: 'data', bytes: Uint8Array.of(65) },
    ]);
  });
});
