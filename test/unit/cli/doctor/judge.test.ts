import { describe, expect, test } from 'vitest';
import type { PortView } from '../../../../src/api/types.js';
import { type CheckResult, exitCodeOf } from '../../../../src/cli/doctor/check.js';
import type { PortFacts, ProbeFacts } from '../../../../src/cli/doctor/facts.js';
import { judgePort } from '../../../../src/cli/doctor/judge.js';
import { portView } from '../../../support/fake-daemon.js';

const talking = { bytes: 9, lastByteAgeMs: 20, parkedBytes: 0, stalls: 0 };
const healthy = portView('ttyNP0', { received: talking });

function factsOf(view: PortView | undefined, change: Partial<PortFacts> = {}): PortFacts {
  return {
    target: {
      name: 'ttyNP0',
      path: '/dev/ttyNP0',
      server: 'boiler-house',
      address: '192.168.127.254',
      port: 1,
      protocol: 'realcom',
      dataPort: 950,
      commandPort: 966,
    },
    daemon: { state: 'running', pid: 42, version: '0.1.0' },
    view,
    link: { chain: ['/dev/ttyNP0', '/run/ttynp/ttyNP0', '/dev/pts/7'], end: 'character device' },
    access: {
      user: 'ada',
      readable: true,
      writable: true,
      mode: 0o20660,
      owner: 'ttynp',
      group: 'dialout',
      inGroup: true,
    },
    lockFiles: [],
    kernelLocks: [],
    holders: { holders: [{ pid: 7, name: 'picocom' }], complete: true },
    backends: {
      ptmx: true,
      kernel: '6.1.0',
      vhci: 'absent',
      ftdi: 'absent',
      helper: false,
      cuse: 'absent',
      osRelease: 'ID=debian\n',
    },
    nameOwner: undefined,
    name: { result: 'numeric' },
    route: { result: 'from', localAddress: '192.168.127.1' },
    probe: undefined,
    ...change,
  };
}

type Expected = readonly [step: string, result: CheckResult, text: RegExp, hint?: RegExp | null];

function expectCheck(facts: PortFacts, [step, result, text, hint]: Expected): void {
  const check = judgePort(facts).find((c) => c.step === step);
  expect(check).toMatchObject({ step, result });
  expect(check?.text).toMatch(text);
  if (hint === null) expect(check?.hint).toBeNull();
  else if (hint !== undefined) expect(check?.hint).toMatch(hint);
}

const local: [string, Partial<PortFacts>, Expected][] = [
  ['a running daemon', {}, ['daemon', 'ok', /pid 42/, null]],
  ['no daemon', { daemon: { state: 'absent', socket: '/run/x' } }, ['daemon', 'failed', /\/run\/x/, /ttynpd/]],
  [
    'a daemon that this user may not ask',
    { daemon: { state: 'unreachable', socket: '/run/x', why: 'not allowed', permission: true } },
    ['daemon', 'failed', /not allowed/, /sudo/],
  ],
  ['the way to the device', {}, ['link', 'ok', /ttyNP0 -> .* -> \/dev\/pts\/7/]],
  ['no link', { link: { chain: ['/dev/ttyNP0'], end: 'nothing' } }, ['link', 'failed', /does not exist/]],
  ['a link of a dead daemon', { link: { chain: ['/a', '/b'], end: 'broken' } }, ['link', 'failed', /leads nowhere/]],
  ['a file in the way', { link: { chain: ['/a'], end: 'other' } }, ['link', 'failed', /no character device/]],
  ['a directory that is shut', { link: { chain: ['/a'], end: 'forbidden' } }, ['link', 'failed', /may not look/]],
  [
    'a link to another pts',
    { link: { chain: ['/dev/ttyNP0', '/dev/pts/3'], end: 'character device' } },
    ['link', 'failed', /daemon serves \/dev\/pts\/7/],
  ],
  ['rights', {}, ['permission', 'ok', /ada may read and write it \(ttynp:dialout 0660\)/]],
  ['a lock file', { lockFiles: [] }, ['lock files', 'ok', /no UUCP/]],
  [
    'a lock file of a living program',
    { lockFiles: [{ path: '/run/lock/LCK..ttyNP0', pid: 9, alive: true, command: 'minicom' }] },
    ['lock files', 'failed', /minicom \(pid 9\)/, /close minicom/],
  ],
  [
    'a stale lock file',
    { lockFiles: [{ path: '/run/lock/LCK..ttyNP0', pid: 9, alive: false, command: undefined }] },
    ['lock files', 'failed', /pid 9, which is gone/, /sudo rm \/run\/lock\/LCK\.\.ttyNP0/],
  ],
  [
    'a lock file with nonsense',
    { lockFiles: [{ path: '/run/lock/LCK..ttyNP0', pid: undefined, alive: false, command: undefined }] },
    ['lock files', 'failed', /does not tell/],
  ],
  [
    'flock',
    { kernelLocks: [{ kind: 'FLOCK', pid: 9, command: 'screen' }] },
    ['flock', 'failed', /FLOCK lock by screen/],
  ],
  ['no flock', {}, ['flock', 'ok', /no process/]],
  ['TIOCEXCL is never tried', {}, ['TIOCEXCL', 'not checked', /would connect/]],
  ['the holder', {}, ['holder', 'ok', /picocom \(pid 7\)/, null]],
  [
    'a holder that cannot be seen',
    { holders: { holders: [], complete: false } },
    ['holder', 'not checked', /not visible/, /sudo/],
  ],
  [
    'two holders',
    {
      holders: {
        holders: [
          { pid: 7, name: 'a' },
          { pid: 8, name: 'b' },
        ],
        complete: true,
      },
    },
    ['holder', 'ok', /a \(pid 7\), b \(pid 8\)/, /two programs/],
  ],
  ['a name that is an address', {}, ['name', 'ok', /nothing to resolve/]],
  ['a name', { name: { result: 'resolved', addresses: ['10.0.0.9'], ms: 3 } }, ['name', 'ok', /10\.0\.0\.9/]],
  ['no such name', { name: { result: 'failed', why: 'no such name' } }, ['name', 'failed', /no such name/, /getent/]],
  ['a route', {}, ['route', 'ok', /from 192\.168\.127\.1/]],
  [
    'no route',
    { route: { result: 'none', why: 'no route to x' } },
    ['route', 'failed', /no route/, /ip route get 192/],
  ],
];

describe('the near half', () => {
  for (const [shows, change, expected] of local) test(shows, () => expectCheck(factsOf(healthy, change), expected));

  test('without the group a user is told to join it, and in it to change the mode', () => {
    const shut = { user: 'ada', readable: false, writable: false, mode: 0o20660, owner: 'ttynp', group: 'dialout' };
    const outside = factsOf(healthy, { access: { ...shut, inGroup: false } });
    expectCheck(outside, ['permission', 'failed', /ada may not read or write/, /usermod -aG dialout ada/]);
    const inside = factsOf(healthy, { access: { ...shut, readable: true, mode: 0o20640, inGroup: true } });
    expectCheck(inside, ['permission', 'failed', /may not write/, /configuration/]);
    const ofRoot = factsOf(healthy, { access: { ...shut, group: 'root', inGroup: false } });
    expectCheck(ofRoot, ['permission', 'failed', /ttynp:root 0660/, /^set group and mode/]);
  });

  test('a tty that could not be made: why, and never the advice to remove what may be a real device', () => {
    const why = '/dev/ttyS0 is a device node that ttynp did not make';
    const failed = { ...healthy, ...problem('LINK_PATH_TAKEN', why), state: 'failed' as const, devicePath: '' };
    const link = { chain: ['/dev/ttyS0'], end: 'character device' as const };
    expectCheck(factsOf(failed, { link }), ['link', 'failed', /is a device node/, /^then: ttynp reload$/]);
    expectCheck(factsOf(failed, { link }), ['command port', 'not checked', /could not be made/, null]);
  });
});

function problem(code: string, message: string): Partial<PortView> {
  const reason = { code, message, at: '2026-01-31T12:00:00.000Z' };
  return { state: 'waiting', peer: null, acknowledged: null, reason, lastError: reason };
}

const at = (port: number, text: string) => `192.168.127.254:${port}: ${text}`;

const session: [string, Partial<PortView>, Expected[]][] = [
  [
    'connected',
    {},
    [
      ['command port', 'ok', /192\.168\.127\.254:966 connected, answers in 1\.3 ms/],
      ['data port', 'ok', /192\.168\.127\.254:950/],
      ['PORT_INIT', 'ok', /acknowledged 9600,8N1/],
      ['applied', 'not checked', /cannot be seen/, /"max connection" setting is 1/],
    ],
  ],
  [
    'settings refused',
    { refused: { format: '9600,5N2', flowControl: 'none' } },
    [
      ['PORT_INIT', 'failed', /refused 9600,5N2, and kept 9600,8N1/],
      ['format', 'failed', /refused/],
    ],
  ],
  [
    'idle',
    { state: 'idle', peer: null, open: false, acknowledged: null },
    [
      ['command port', 'not checked', /no application/, /--probe/],
      ['data port', 'not checked', /see command port/],
      ['PORT_INIT', 'not checked', /see command port/],
    ],
  ],
  [
    'idle after an error',
    { ...problem('PEER_CLOSED', at(966, 'connection reset')), state: 'idle', reason: null },
    [['command port', 'not checked', /no application.*; last error: .*connection reset/]],
  ],
  [
    'no route',
    problem('PEER_NO_ROUTE', at(966, 'no route to host')),
    [
      ['route', 'failed', /no route to host/, /ip route get 192\.168\.127\.254/],
      ['command port', 'not checked', /no way/],
    ],
  ],
  ['no name', problem('NAME_UNRESOLVED', 'x: no such name'), [['command port', 'not checked', /no address/]]],
  [
    'command port refused',
    problem('PEER_REFUSED', at(966, 'connection refused')),
    [
      ['command port', 'failed', /:966: connection refused/, /commandPort/],
      ['data port', 'not checked', /comes first/],
      ['PORT_INIT', 'not checked', /both/],
    ],
  ],
  [
    'data port refused',
    problem('PEER_REFUSED', at(950, 'connection refused')),
    [
      ['command port', 'ok', /accepted/],
      ['data port', 'failed', /:950: connection refused/, /dataPort/],
    ],
  ],
  ['no answer', problem('PEER_TIMEOUT', at(966, 'no answer')), [['command port', 'failed', /no answer/, /ping/]]],
  [
    'busy',
    problem('PEER_BUSY', at(966, 'accepted, then closed')),
    [['command port', 'failed', /closed/, /which host/]],
  ],
  [
    'mute',
    problem('PEER_MUTE', at(966, 'PORT_INIT was not answered')),
    [
      ['command port', 'ok', /accepts/],
      ['PORT_INIT', 'failed', /not answered/, /operation mode to Real COM/],
    ],
  ],
  [
    'mute, and connecting again',
    {
      ...problem('PEER_MUTE', at(966, 'PORT_INIT was not answered')),
      state: 'connecting',
      peer: '192.168.127.254:950',
    },
    [['PORT_INIT', 'failed', /not answered/, /operation mode to Real COM/]],
  ],
  [
    'another service',
    problem('PEER_PROTOCOL', at(966, 'not a Real COM answer: 48 54 54 50')),
    [['PORT_INIT', 'failed', /48 54 54 50/, /another service/]],
  ],
  ['out of descriptors', problem('NO_DESCRIPTORS', 'x'), [['command port', 'failed', /x/, /LimitNOFILE/]]],
  ['anything else', problem('SYSTEM', 'odd'), [['command port', 'failed', /odd/, /ttynp port ttyNP0/]]],
];

describe('what the running session knows', () => {
  for (const [shows, change, expected] of session) {
    test(shows, () => {
      for (const one of expected) expectCheck(factsOf({ ...healthy, ...change }), one);
    });
  }

  test('without a daemon nothing is known, and --probe is offered', () => {
    const facts = factsOf(undefined, { daemon: { state: 'absent', socket: '/run/x' } });
    for (const step of ['data port', 'PORT_INIT', 'traffic', 'drops', 'flow control']) {
      expectCheck(facts, [step, 'not checked', /./]);
    }
    expectCheck(facts, ['command port', 'not checked', /no daemon/, /--probe/]);
  });

  test('a probe that may not be made says why', () => {
    const facts = factsOf(healthy, { probe: 'not probed: the daemon uses the port (up)' });
    expectCheck(facts, ['probe', 'not checked', /the daemon uses the port/]);
    expectCheck(facts, ['command port', 'ok', /connected/]);
  });
});

const probed: ProbeFacts = {
  address: '192.168.127.254',
  command: { result: 'connected', ms: 1 },
  data: { result: 'connected', ms: 1 },
  portInit: { result: 'acknowledged', ms: 2, cts: true, dsr: false, dcd: false },
  asked: '9600,8N1',
};

const probes: [string, Partial<ProbeFacts>, Expected][] = [
  ['both ports', {}, ['command port', 'ok', /192\.168\.127\.254:966 accepts/]],
  ['acknowledged', {}, ['PORT_INIT', 'ok', /9600,8N1 acknowledged in 2\.0 ms; CTS on, DSR off/]],
  ['acknowledged, applied or not', {}, ['applied', 'not checked', /cannot be seen/, /max connection/]],
  ['refused', { data: { result: 'refused', why: 'x' } }, ['data port', 'failed', /950 refuses/, /dataPort/]],
  ['timeout', { command: { result: 'timeout', why: 'x' } }, ['command port', 'failed', /does not answer/]],
  ['closed', { command: { result: 'closed', why: 'x' } }, ['command port', 'failed', /another host/, /web console/]],
  ['no route', { command: { result: 'no route', why: 'EHOSTUNREACH' } }, ['route', 'failed', /EHOSTUNREACH/]],
  ['settings refused', { portInit: { result: 'refused' } }, ['PORT_INIT', 'failed', /refused 9600,8N1/]],
  ['mute', { portInit: { result: 'mute', afterMs: 5000 } }, ['PORT_INIT', 'failed', /no answer within 5000 ms/]],
  [
    'a web server',
    { portInit: { result: 'not real com', looksLike: 'a web server', bytes: '"HTTP/1.1"' } },
    ['PORT_INIT', 'failed', /looks like a web server: answered "HTTP\/1\.1"/, /another service/],
  ],
];

describe('what the probe saw', () => {
  const idle: PortView = { ...healthy, state: 'idle', peer: null };
  for (const [shows, change, expected] of probes) {
    test(shows, () => expectCheck(factsOf(idle, { probe: { ...probed, ...change } }), expected));
  }
});

const rtsCts = { format: '9600,8N1', flowControl: 'RTS/CTS' };
const lines = { ...healthy.lines };

const line: [string, Partial<PortView>, Expected][] = [
  ['no flow control', {}, ['flow control', 'ok', /none; CTS is on/]],
  ['RTS/CTS with CTS on', { asked: rtsCts, lines }, ['flow control', 'ok', /CTS is on/]],
  [
    'RTS/CTS with CTS off',
    { asked: rtsCts, lines: { ...lines, cts: false }, sent: { ...talking, parkedBytes: 12 } },
    ['flow control', 'failed', /CTS is off: the device sends nothing, 12 bytes wait/, /stty -crtscts/],
  ],
  [
    'CTS not told',
    { asked: rtsCts, lines: { ...lines, cts: null } },
    ['flow control', 'not checked', /not told CTS yet/],
  ],
  ['raw', {}, ['line mode', 'ok', /raw/]],
  ['line mode', { warnings: ['line mode is on (ICANON)'] }, ['line mode', 'failed', /ICANON/, /stty raw/]],
  ['the same format', {}, ['format', 'ok', /9600,8N1 on both sides/]],
  [
    'another format',
    { acknowledged: { format: '19200,8N1', flowControl: 'none' } },
    ['format', 'failed', /asked for 9600,8N1, the device has 19200,8N1/],
  ],
  ['no line errors', {}, ['line errors', 'ok', /none/]],
  [
    'framing errors',
    { lineErrors: { parity: 0, framing: 3, overrun: 0, breaks: 0 } },
    ['line errors', 'failed', /framing 3/, /rate is not 9600/],
  ],
  [
    'parity errors',
    { lineErrors: { parity: 2, framing: 0, overrun: 0, breaks: 1 } },
    ['line errors', 'failed', /parity 2, breaks 1/, /not 8N1/],
  ],
  [
    'overruns',
    { lineErrors: { parity: 0, framing: 0, overrun: 2, breaks: 0 } },
    ['line errors', 'failed', /overrun 2/],
  ],
  ['both ways', {}, ['traffic', 'ok', /sent 412, received 9, last byte just now/]],
  [
    'nothing comes back',
    { received: { ...talking, bytes: 0, lastByteAgeMs: null } },
    ['traffic', 'failed', /sent 412, received 0/, /check wiring, device address, rate or parity/],
  ],
  [
    'nothing at all',
    { sent: { ...talking, bytes: 0 }, received: { ...talking, bytes: 0 } },
    ['traffic', 'not checked', /sent 0, received 0/],
  ],
  ['no drops', {}, ['drops', 'ok', /none/, null]],
  [
    'drops by cause',
    { drops: { ...healthy.drops, closing: 5, unread: 3 } },
    ['drops', 'failed', /5 .*\(closing\), 3 .*\(unread\)/, /closingWait/],
  ],
  ['harmless drops', { drops: { ...healthy.drops, flushed: 5 } }, ['drops', 'ok', /5 .*\(flushed\)/, null]],
];

describe('the line', () => {
  for (const [shows, change, expected] of line)
    test(shows, () => expectCheck(factsOf({ ...healthy, ...change }), expected));
});

test('the exit code is 0 where nothing failed', () => {
  expect(exitCodeOf(judgePort(factsOf(healthy)))).toBe(0);
  expect(exitCodeOf(judgePort(factsOf({ ...healthy, warnings: ['x'] })))).toBe(1);
});
