// The modem without sockets: vectors of commands, the escape cut at every place, calls by a clock that the test turns, and bytes cut anywhere.
import { expect, test } from 'vitest';
import type { ModemEffect } from '../../../../src/protocol/at/effects.js';
import { Modem } from '../../../../src/protocol/at/modem.js';
import { FACTORY, type Profile, parseProfile, profileText } from '../../../../src/protocol/at/profile.js';

class Rig {
  nowMs = 1000;
  said = '';
  data = '';
  readonly effects: ModemEffect['type'][] = [];
  stored: Profile | undefined;
  disk = true;
  readonly modem: Modem;

  constructor(stored?: Profile) {
    this.stored = stored;
    this.modem = new Modem({
      identity: ['I zero', 'I one', 'I two'],
      baudRate: () => 9600,
      isDestination: (text) => /^[a-z0-9.[\]:]+$/i.test(text),
      stored: () => this.stored,
    });
  }

  type(text: string | Uint8Array): this {
    let rest: Uint8Array = Buffer.from(text as string, 'latin1');
    while (rest.length > 0) {
      const { taken, effects } = this.modem.take(rest, this.nowMs);
      rest = rest.subarray(taken);
      this.happen(effects);
      if (taken === 0) break;
    }
    return this;
  }

  happen(effects: readonly ModemEffect[]): void {
    for (const effect of effects) {
      if (effect.type === 'say') this.said += effect.text;
      else if (effect.type === 'data') this.data += Buffer.from(effect.bytes).toString('latin1');
      else this.effects.push(effect.type);
      if (effect.type !== 'save') continue;
      if (this.disk) this.stored = effect.profile;
      this.happen(this.modem.saved(this.disk, this.nowMs));
    }
  }

  /** Time goes on, a millisecond at a time. */
  pass(ms: number): this {
    for (let i = 0; i < ms; i++) {
      this.nowMs++;
      this.happen(this.modem.tick(this.nowMs));
    }
    return this;
  }

  online(): this {
    this.type('ATE0\rATDhost\r');
    this.happen(this.modem.dialled(this.nowMs));
    this.said = '';
    return this;
  }

  take(): string {
    const { said } = this;
    this.said = '';
    return said;
  }
}

const QUIET: Profile = { ...FACTORY, flags: { ...FACTORY.flags, E: 0 } };
const OK = '\r\nOK\r\n';
const ERROR = '\r\nERROR\r\n';

const vectors: [shows: string, typed: string, said: string][] = [
  ['AT', 'AT\r', OK],
  ['in any case, with spaces', '  aT e0 v1 \r', OK],
  ['several in a line', 'ATE0V0Q0\r', '0\r'],
  ['digits', 'ATV0\rATY\rATO\r', '0\r4\r3\r'],
  ['quiet says nothing, information it does', 'ATQ1\rATY\rATS3?\r', '\r\n013\r\n'],
  ['backspace, and more of it than there is', 'XX\b\b\b\bATY\bE0\r', OK],
  ['controls and the line feed of a line are nothing', 'AT\n\0E0\r\n', OK],
  ['a parity bit is not looked at', '\xc1\xd4\x8d', OK],
  ['what does not begin with AT is nothing', 'hello\rTA\r\r', ''],
  ['A/ repeats at once', 'ATS0?\rA/', `\r\n000\r\n${OK}`.repeat(2)],
  ['A/ before anything', 'A/', OK],
  ['the command that is wrong ends the line', 'ATS0=5Y S0=7\rATS0?\r', `${ERROR}\r\n005\r\n${OK}`],
  ['identification', 'ATI\rATI1\rATI2\r', `\r\nI zero\r\n${OK}\r\nI one\r\n${OK}\r\nI two\r\n${OK}`],
  ['ATI3', 'ATI3\r', ERROR],
  ['registers', 'ATS12=255S12?\r', `\r\n255\r\n${OK}`],
  ['a register with nothing behind it is 0', 'ATS12=S12?\r', `\r\n000\r\n${OK}`],
  ['a value that is too much', 'ATS0=256\r', ERROR],
  [
    'a value of many digits is not cut',
    'ATS0=2555\rATS0?\rATE00\rATS0=0007S0?\r',
    `${ERROR}\r\n000\r\n${OK}${OK}\r\n007\r\n${OK}`,
  ],
  [
    'numbers without end',
    `ATS0=${'9'.repeat(200)}\rATE${'1'.repeat(200)}\rATS${'2'.repeat(200)}?\rATS0?\r`,
    `${ERROR.repeat(3)}\r\n000\r\n${OK}`,
  ],
  ['a register that is not there', 'ATS28?\r', ERROR],
  ['a register without a question', 'ATS0\r', ERROR],
  ['S3 has seven bits', 'ATS3=128\r', ERROR],
  ['no effect', 'ATB0L2M1X4&G&R1&S0\r', OK],
  ['unknown letters', 'ATY\rAT&Y\rAT%\rAT\\N3\r', ERROR.repeat(4)],
  ['flags that are too much', 'ATE2\rATV9\rAT&D3\rAT&C2\r', ERROR.repeat(4)],
  ['nothing to hang up', 'ATH\rATH0\r', OK + OK],
  ['nothing to go back to', 'ATO\r', '\r\nNO CARRIER\r\n'],
  ['nobody to answer', 'ATA\r', '\r\nNO CARRIER\r\n'],
  ['a destination that is none', 'ATD;;\r', ERROR],
  ['256 characters', `AT${' '.repeat(254)}\r`, OK],
  ['257 characters: the line is dropped up to its end', `AT${' '.repeat(300)}\rAT\r`, ERROR + OK],
  ['other ends of line', 'ATS3=35\rAT#', '#\nOK#\n#\nOK#\n'],
  ['the minicom default', 'AT S7=45 S0=0 L1 V1 X4 &c1 E1 Q0\r', OK],
  [
    'the profile',
    'AT&V\r',
    `\r\nE0 Q0 V1 X4 &C1 &D2\r\nS00:000 S01:000 S02:043 S03:013 S04:010 S05:008 S06:000 S07:000\r\n` +
      `S08:000 S09:000 S10:000 S11:000 S12:050 S13:000 S14:000 S15:000\r\n` +
      `S16:000 S17:000 S18:000 S19:000 S20:000 S21:000 S22:000 S23:000\r\n` +
      `S24:000 S25:000 S26:000 S27:000\r\n${OK}`,
  ],
];
for (const [shows, typed, said] of vectors)
  test(`modem: ${shows}`, () => {
    expect(new Rig(QUIET).type(typed).said).toBe(said);
    const one = new Rig(QUIET);
    for (const byte of Buffer.from(typed, 'latin1')) one.type(Uint8Array.of(byte));
    expect(one.said, 'byte by byte').toBe(said);
  });

test('echo: what is typed, a backspace rubs out, and not beyond a line', () => {
  expect(new Rig().type('\bATX\bE0\r').said).toBe(`ATX\b \bE0\r${OK}`);
  const long = new Rig().type(`AT${'x'.repeat(100_000)}`).said.length;
  expect(long).toBeLessThan(300);
});

test.each([
  ['T127.0.0.1:4001', '127.0.0.1:4001'],
  ['P[::1]:7', '[::1]:7'],
  ['T::1', '::1'],
  [' T 127.0.0.1:4001', '127.0.0.1:4001'],
  [' t10.0.0.7', '10.0.0.7'],
  ['T plc.example', 'plc.example'],
  ['plc.example:7', 'plc.example:7'],
  ['tower', 'tower'],
])('ATD%s dials %s', (typed, to) => {
  const rig = new Rig();
  const { effects } = rig.modem.take(Buffer.from(`ATD${typed}\r`), 0);
  expect(effects).toContainEqual({ type: 'dial', to });
});

test('dialling: the line feed behind the command is none, any other character ends it', () => {
  const rig = new Rig(QUIET).type('ATDhost\r\n');
  expect(rig.modem.state).toBe('dialling');
  rig.type('\n');
  expect([rig.modem.state, rig.take(), rig.effects]).toEqual([
    'idle',
    '\r\nNO CARRIER\r\n',
    ['dial', 'give-up-dialling'],
  ]);
  expect(rig.modem.dialled(rig.nowMs)).toEqual([]);
});

/** Escapes at 1 s guard time: what is typed, and how long it waits after it. */
type Script = readonly (readonly [string, number])[];
const escapes: [shows: string, script: Script, isEscaped: boolean][] = [
  [
    'silence, three, silence',
    [
      ['', 1000],
      ['+++', 1000],
    ],
    true,
  ],
  [
    'one by one',
    [
      ['', 1000],
      ['+', 900],
      ['+', 999],
      ['+', 1000],
    ],
    true,
  ],
  [
    'cut in two',
    [
      ['x', 1000],
      ['++', 10],
      ['+', 1000],
    ],
    true,
  ],
  [
    'too soon after data',
    [
      ['x', 999],
      ['+++', 2000],
    ],
    false,
  ],
  [
    'data in the same breath',
    [
      ['', 1000],
      ['x+++', 2000],
    ],
    false,
  ],
  [
    'data too soon behind it',
    [
      ['', 1000],
      ['+++', 999],
      ['x', 2000],
    ],
    false,
  ],
  [
    'data at its end',
    [
      ['', 1000],
      ['+++x', 2000],
    ],
    false,
  ],
  [
    'four',
    [
      ['', 1000],
      ['++++', 2000],
    ],
    false,
  ],
  [
    'a fourth later',
    [
      ['', 1000],
      ['+++', 500],
      ['+', 2000],
    ],
    false,
  ],
  [
    'two',
    [
      ['', 1000],
      ['++', 2000],
    ],
    false,
  ],
  [
    'with a long wait between: the second begins anew',
    [
      ['', 1000],
      ['+', 1000],
      ['+++', 1000],
    ],
    true,
  ],
  [
    'a long wait, then three',
    [
      ['', 1000],
      ['+', 500],
      ['x', 1000],
      ['+++', 1000],
    ],
    true,
  ],
  [
    'another character between',
    [
      ['', 1000],
      ['+x++', 2000],
    ],
    false,
  ],
  ['just after the connection', [['+++', 3000]], false],
];
for (const [shows, script, isEscaped] of escapes)
  test(`escape: ${shows}`, () => {
    const rig = new Rig().online();
    for (const [text, ms] of script) rig.type(text).pass(ms);
    expect(rig.modem.state).toBe(isEscaped ? 'escaped' : 'online');
    expect(rig.said).toBe(isEscaped ? OK : '');
    expect(rig.data, 'all of it is data').toBe(script.map(([text]) => text).join(''));
  });

test('escape: cut at every place of the same moment it is the same', () => {
  for (const text of ['+++', '++++', '+++a', 'a+++', '+a+++']) {
    const ways = Array.from({ length: text.length + 1 }, (_, cut) => {
      const rig = new Rig().online().pass(1000);
      rig.type(text.slice(0, cut)).type(text.slice(cut)).pass(1000);
      return `${rig.modem.state} ${rig.data}`;
    });
    expect(new Set(ways).size, text).toBe(1);
  }
});

test('escape: S2 is another character, or none; S12=0 asks for no silence', () => {
  const other = new Rig({ ...FACTORY, registers: FACTORY.registers.with(2, 33) }).online().pass(1000);
  expect(other.type('+++').pass(1000).modem.state).toBe('online');
  expect(other.type('!!!').pass(1000).modem.state).toBe('escaped');
  const none = new Rig({ ...FACTORY, registers: FACTORY.registers.with(2, 200) }).online().pass(1000);
  expect(none.type('\xc8\xc8\xc8').pass(5000).modem.state).toBe('online');
  const quick = new Rig({ ...FACTORY, registers: FACTORY.registers.with(12, 0) }).online();
  quick.type('ab+++ATS2?\r');
  expect([quick.data, quick.said]).toEqual(['ab+++', `${OK}\r\n043\r\n${OK}`]);
});

test('RING every 2 s, three of them, and 2.5 s after the last the caller is refused; S1 counts', () => {
  const rig = new Rig(QUIET);
  const { taken, effects } = rig.modem.called(rig.nowMs);
  rig.happen(effects);
  expect([taken, rig.take()]).toEqual([true, '\r\nRING\r\n']);
  expect(rig.modem.called(rig.nowMs).taken).toBe(false);
  expect(rig.pass(1999).take()).toBe('');
  expect(rig.pass(1).take()).toBe('\r\nRING\r\n');
  expect(rig.type('ATS1?\r').take()).toBe(`\r\n002\r\n${OK}`);
  expect(rig.pass(2000).take()).toBe('\r\nRING\r\n');
  rig.pass(2499);
  expect(rig.effects).toEqual([]);
  rig.pass(1);
  expect([rig.effects, rig.modem.state, rig.take()]).toEqual([['refuse-caller'], 'idle', '']);
  expect(rig.type('ATS1?\r').take()).toBe(`\r\n000\r\n${OK}`);
});

test('callers that come and go a thousand times a second do not ring more often', () => {
  const rig = new Rig(QUIET);
  for (let i = 0; i < 10_000; i++) {
    rig.happen(rig.modem.called(rig.nowMs).effects);
    rig.modem.callerLeft();
    rig.pass(1);
  }
  expect(rig.said.split('RING').length - 1).toBeLessThanOrEqual(6);
  expect(rig.modem.deadlineMs).toBeUndefined();
});

test('dialling while somebody rings: the caller is refused', () => {
  const rig = new Rig(QUIET);
  rig.happen(rig.modem.called(rig.nowMs).effects);
  rig.type('ATDhost\r');
  expect(rig.effects).toEqual(['refuse-caller', 'dial']);
});

test('ATH: a second, then NO CARRIER; what is typed meanwhile waits; ATZ answers OK', () => {
  for (const [command, answer] of [
    ['ATH', '\r\nNO CARRIER\r\n'],
    ['ATZ', OK],
    ['ATHY', ERROR],
  ] as const) {
    const rig = new Rig(QUIET).online().pass(1000).type('+++').pass(1000);
    rig.take();
    rig.type(`${command}\r`);
    expect(rig.modem.take(Buffer.from('AT\r'), rig.nowMs).taken).toBe(0);
    rig.pass(999);
    expect([rig.effects, rig.said]).toEqual([['dial'], '']);
    rig.pass(1);
    expect([rig.effects, rig.take(), rig.modem.state]).toEqual([['dial', 'hang-up'], answer, 'idle']);
  }
});

test('ATD and ATA with a connection are errors; ATO goes back', () => {
  const rig = new Rig(QUIET).online().pass(1000).type('+++').pass(1000);
  rig.take();
  expect(rig.type('ATDhost\rATA\r').take()).toBe(ERROR + ERROR);
  expect(rig.type('ATO\r').take()).toBe('\r\nCONNECT 9600\r\n');
  expect(rig.modem.carrierLost()).toEqual([{ type: 'say', text: '\r\nNO CARRIER\r\n' }]);
});

test('DTR: &D2 hangs up, &D1 gives commands, &D0 is nothing; &C1 shows the connection', () => {
  const states = ['ATE0&D0', 'ATE0&D1', 'ATE0&D2'].map((typed) => {
    const rig = new Rig().type(`${typed}\r`).online();
    rig.happen(rig.modem.dtrDropped(rig.nowMs));
    const { state } = rig.modem;
    rig.pass(1000);
    return [state, rig.said];
  });
  expect(states).toEqual([
    ['online', ''],
    ['escaped', OK],
    ['ending', '\r\nNO CARRIER\r\n'],
  ]);
  const rig = new Rig();
  expect(rig.modem.carrier).toBe(false);
  expect(rig.online().modem.carrier).toBe(true);
  expect(new Rig().type('AT&C0\r').modem.carrier).toBe(true);
});

test('DTR that drops ends a command line that was begun: what a program left there is not in the way of the next', () => {
  const rig = new Rig(QUIET).type('left of data');
  rig.happen(rig.modem.dtrDropped(rig.nowMs));
  expect(rig.type('ATS0?\r').take()).toBe(`\r\n000\r\n${OK}`);
  const kept = new Rig(QUIET).type('AT&D0\rATS');
  kept.take();
  kept.happen(kept.modem.dtrDropped(kept.nowMs));
  expect(kept.type('0?\r').take()).toBe(`\r\n000\r\n${OK}`);
});

test('AT&W, ATZ, AT&F; a disk that is full is an ERROR and the line ends', () => {
  const rig = new Rig(QUIET);
  expect(rig.type('ATS0=3&W S0?\r').take()).toBe(`\r\n003\r\n${OK}`);
  expect(rig.type('AT&F E0S0?Z\rATS0?\r').take()).toBe(`\r\n000\r\n${OK}\r\n003\r\n${OK}`);
  rig.disk = false;
  expect(rig.type('ATS0=9&W S0?\r').take()).toBe(ERROR);
  expect(rig.type('ATZ\rATS0?\r').take()).toBe(`${OK}\r\n003\r\n${OK}`);
});

test('what was kept is looked at', () => {
  const kept = { ...QUIET, registers: QUIET.registers.with(0, 2) };
  expect(parseProfile(profileText(kept))).toEqual(kept);
  const wrong = ['', 'null', '{}', '[]', '{"flags":{},"registers":[]}', profileText(kept).replace('"E":0', '"E":7')];
  wrong.push(profileText(kept).replace('[2,', '[256,'), profileText(kept).replace('[2,', '["2",'));
  expect(wrong.map(parseProfile)).toEqual(wrong.map(() => undefined));
});

test('any bytes, cut anywhere: the same comes out, and no more than in proportion', () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((seed / 2_147_483_648) * below);
  };
  const words = [
    'AT',
    'at',
    '\r',
    '\r\n',
    'A/',
    '+++',
    'D1.2.3.4:5',
    'E0',
    'V0',
    'S3=65',
    '&W',
    '&F',
    'Z',
    'H',
    'O',
    '\b',
    '&V',
    'S12=0',
  ];
  for (let round = 0; round < 300; round++) {
    let text = '';
    while (text.length < 200)
      text += random(4) > 0 ? (words[random(words.length)] ?? '') : String.fromCharCode(random(256));
    const whole = new Rig();
    const bytewise = new Rig();
    if (round % 2 === 1) for (const rig of [whole, bytewise]) rig.online().pass(1000);
    whole.type(text);
    for (const byte of Buffer.from(text, 'latin1')) {
      if (bytewise.modem.state === 'ending') break;
      bytewise.type(Uint8Array.of(byte));
    }
    expect([whole.said, whole.data, whole.modem.state]).toEqual([bytewise.said, bytewise.data, bytewise.modem.state]);
    expect(whole.said.length).toBeLessThan(200 * 500);
  }
});
