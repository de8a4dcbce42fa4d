import { describe, expect, test } from 'vitest';
import type { SerialPortView } from '../../../../src/api/types.js';
import { type CheckResult, exitCodeOf } from '../../../../src/cli/doctor/check.js';
import { judgeServed, servedSummary, servedTitle } from '../../../../src/cli/doctor/served-checks.js';
import { parseRights, type ServedFacts } from '../../../../src/cli/doctor/served-facts.js';
import { parseAddressRange } from '../../../../src/config/address-range.js';
import { descriptorsOf } from '../../../../src/config/serial-ports.js';

const client = { address: '10.0.0.5', since: '2026-01-31T12:00:00.000Z', received: 8, sent: 9, dropped: 0 };
const up: SerialPortView = {
  port: 1,
  device: '/dev/ttyS0',
  mode: 'real-com',
  state: 'up',
  since: '2026-01-31T11:00:00.000Z',
  reason: null,
  listen: '127.0.0.1',
  tcpPorts: [950, 966],
  accessibleIps: [],
  clients: [client],
  settings: { format: '9600,8N1', flowControl: 'none' },
  lines: { dtr: true, rts: true, cts: true, dsr: true, dcd: true, ri: false },
  lineErrors: { parity: 0, framing: 0, overrun: 0, breaks: 0 },
  transmitted: { bytes: 8, lastByteAgeMs: 200_000 },
  received: { bytes: 9, lastByteAgeMs: 100 },
  connects: 1,
  refused: { busy: 0, denied: 0 },
  malformed: 0,
  arbitrated: null,
  udpPorts: [],
  destinations: [],
};
const waits = (code: string, message: string): SerialPortView => ({
  ...up,
  state: 'waiting',
  tcpPorts: [],
  clients: [],
  reason: { code, message, at: '2026-01-31T12:00:00.000Z' },
});

const facts: ServedFacts = {
  port: 1,
  daemon: { state: 'running', pid: 42, version: '0.1.0' },
  view: up,
  later: undefined,
  entry: { device: '/dev/ttyS0', mode: 'real-com', listen: '127.0.0.1', tcpPorts: [950, 966], accessibleIps: [] },
  link: { chain: ['/dev/ttyS0'], end: 'character device' },
  access: {
    user: 'ada',
    readable: false,
    writable: false,
    mode: 0o20660,
    owner: 'root',
    group: 'dialout',
    inGroup: false,
    uid: 0,
    gid: 20,
  },
  lockFiles: [],
  kernelLocks: [],
  holders: { holders: [], complete: true },
  stable: undefined,
  rights: { uid: 999, gids: [999, 20], anyFile: false, lowPorts: true },
  firstFreePort: 1024,
};
const ranges = (...texts: string[]) => texts.flatMap((text) => parseAddressRange(text) ?? []);
const low =
  'cannot listen on 127.0.0.1 port 950: ports below 1024 need root (choose higher ones, or give it the right: see ttynpd(8))';
const gone = waits('TTY_GONE', '/dev/ttyS0 is not there');
const refused = waits('PERMISSION', '/dev/ttyS0: not allowed (its group is dialout, usually)');
const { access } = facts;
const usb = { ...up, device: '/dev/ttyUSB0' };
const noLine = { bytes: 0, lastByteAgeMs: null };

type Expected = readonly [step: string, result: CheckResult, text: RegExp, hint?: RegExp | null];

const table: [string, Partial<ServedFacts>, Expected][] = [
  ['offered', {}, ['offered', 'ok', /real-com on 127.0.0.1 port 950 and 966, up since .*, 1 client$/, null]],
  ['not in the daemon', { view: undefined }, ['offered', 'failed', /the daemon has not/, /^ttynp reload$/]],
  [
    'changed in the file',
    { entry: facts.entry && { ...facts.entry, mode: 'rfc2217' } },
    ['offered', 'failed', /says .*rfc2217/, /reload/],
  ],
  [
    'no daemon',
    { view: undefined, daemon: { state: 'absent', socket: '/x' } },
    ['offered', 'not checked', /running daemon/],
  ],
  ['the device', {}, ['device', 'ok', /^\/dev\/ttyS0$/, null]],
  [
    'no device',
    { view: gone, link: { chain: ['/dev/ttyS0'], end: 'nothing' } },
    ['device', 'failed', /not there/, /by-id/],
  ],
  [
    'no serial port',
    { link: { chain: ['/dev/ttyS0'], end: 'other' } },
    ['device', 'failed', /no serial port/, /correct/],
  ],
  [
    'a character device, but no serial port',
    { view: waits('CONFIG_INVALID', '/dev/null is no serial port') },
    ['device', 'failed', /no serial port/],
  ],
  [
    'which many programs have open',
    {
      view: waits('CONFIG_INVALID', '/dev/null is no serial port'),
      holders: { holders: [{ pid: 7, name: 'bash' }], complete: true },
    },
    ['holder', 'not checked', /^it is no serial port$/, null],
  ],
  ['there, and not answering', { view: gone }, ['device', 'failed', /is not there \(at 2026/, /dmesg/]],
  [
    'a number, where a name is',
    { view: usb, entry: undefined, stable: '/dev/serial/by-id/usb-FTDI' },
    ['device', 'ok', /./, /device: \/dev\/serial\/by-id\/usb-FTDI$/],
  ],
  [
    'a number, and no name',
    { view: usb, entry: undefined },
    ['device', 'ok', /./, /by a path below \/dev\/serial\/by-id/],
  ],
  ['open, so it may', {}, ['permission', 'ok', /has it open \(root:dialout 0660\)/, null]],
  ['in the group', { view: gone }, ['permission', 'ok', /999, as whom .* may read and write/]],
  [
    'not in the group',
    { view: refused, rights: { uid: 999, gids: [999], anyFile: false, lowPorts: true } },
    ['permission', 'failed', /may not read and write it/, /SupplementaryGroups=dialout/],
  ],
  [
    'no group has it',
    { view: refused, access: access && { ...access, mode: 0o20600 } },
    ['permission', 'failed', /0600/, /udev rule/],
  ],
  [
    'in the group, and refused',
    { view: refused },
    ['permission', 'failed', /though its mode allows it/, /DeviceAllow=/],
  ],
  ['root', { view: gone, rights: { uid: 0, gids: [0], anyFile: true, lowPorts: true } }, ['permission', 'ok', /root/]],
  ['nobody else', {}, ['holder', 'ok', /^only the daemon$/, null]],
  [
    'somebody else too',
    { holders: { holders: [{ pid: 7, name: 'agetty' }], complete: true } },
    ['holder', 'failed', /agetty \(pid 7\) has it open too/, /getty/],
  ],
  [
    'locked',
    { lockFiles: [{ path: '/run/lock/LCK..ttyS0', pid: 9, alive: true, command: 'minicom' }] },
    ['holder', 'failed', /LCK\.\.ttyS0 is held by minicom \(pid 9\)/],
  ],
  [
    'locked, by the daemon perhaps',
    {
      view: undefined,
      daemon: { state: 'unreachable', socket: '/x', why: 'not allowed', permission: true },
      lockFiles: [{ path: '/run/lock/LCK..ttyS0', pid: 9, alive: true, command: 'node' }],
    },
    ['holder', 'not checked', /cannot be asked/, /sudo/],
  ],
  ['a stale lock', { lockFiles: [{ path: '/x', pid: 9, alive: false, command: undefined }] }, ['holder', 'ok', /only/]],
  ['flock', { kernelLocks: [{ kind: 'FLOCK', pid: 9, command: 'x' }] }, ['holder', 'failed', /FLOCK lock by x/]],
  [
    'busy, by another user',
    { view: waits('TTY_BUSY', '/dev/ttyS0: busy'), holders: { holders: [], complete: false } },
    ['holder', 'failed', /busy/, /sudo/],
  ],
  ['settings', {}, ['settings', 'ok', /9600,8N1, flow control none/, null]],
  [
    'settings that it has not',
    { view: waits('CONFIG_INVALID', '/dev/ttyS0: its driver has no RS-485 mode (rs485)') },
    ['settings', 'failed', /RS-485/, /rs485 of the port/],
  ],
  ['a listener', {}, ['listener', 'ok', /^open: 127.0.0.1 port 950 and 966$/, null]],
  [
    'no right to it',
    { view: waits('PERMISSION', low) },
    ['listener', 'failed', /port 950: ports below 1024 need root$/, /^choose higher .* ttynpd\(8\)$/],
  ],
  ['that is not about the device', { view: waits('PERMISSION', low) }, ['permission', 'ok', /may read/]],
  [
    'other ports in the file',
    { entry: facts.entry && { ...facts.entry, tcpPorts: [4001] } },
    ['listener', 'failed', /file says 127.0.0.1 port 4001/, /reload/],
  ],
  [
    'shut, and no right to come',
    { view: gone, rights: { uid: 9, gids: [20], anyFile: false, lowPorts: false } },
    ['listener', 'not checked', /opened when the device is there/, /CAP_NET_BIND_SERVICE/],
  ],
  ['this machine alone', {}, ['who may connect', 'ok', /only this machine/, null]],
  [
    'open to all',
    { view: { ...up, listen: '0.0.0.0' } },
    ['who may connect', 'ok', /^WARNING: 0\.0\.0\.0: everybody/, /accessibleIps/],
  ],
  [
    'open to some',
    { view: { ...up, listen: '0.0.0.0', accessibleIps: [['10.0.0.0/8'], ['10.0.0.5', '10.0.0.6']] } },
    ['who may connect', 'ok', /from 10\.0\.0\.0\/8, and of these: 10\.0\.0\.5 10\.0\.0\.6: /, null],
  ],
  [
    'open to this machine, of which the list knows nothing',
    { view: { ...up, accessibleIps: [['192.168.1.0/24']] } },
    [
      'who may connect',
      'failed',
      /^127\.0\.0\.1, from 192\.168\.1\.0\/24: nobody, .* reaches 127\.0\.0\.1$/,
      /^listen: 0\.0\.0\.0/,
    ],
  ],
  [
    'the same, before there is a daemon; one of two lists',
    {
      view: undefined,
      entry: facts.entry && { ...facts.entry, listen: '::1', accessibleIps: [ranges('::/0'), ranges('10.0.0.0/8')] },
    },
    ['who may connect', 'failed', /^::1, from ::\/0, and of these: 10\.0\.0\.0\/8: nobody/, /add 127/],
  ],
  [
    'open to some programs of this machine',
    { view: { ...up, accessibleIps: [['192.168.1.0/24', '127.0.0.1']] } },
    ['who may connect', 'ok', /^127\.0\.0\.1, from 192\.168\.1\.0\/24 127\.0\.0\.1: only this machine/, null],
  ],
  [
    'clients',
    {},
    [
      'clients',
      'ok',
      /^10\.0\.0\.5 since .*9 bytes \(last just now\) from the device, 8 bytes \(last 3 min ago\) to it/,
      null,
    ],
  ],
  ['none yet', { view: { ...up, clients: [], connects: 0 } }, ['clients', 'ok', /^none yet/]],
  ['nothing comes back', { view: { ...up, received: noLine } }, ['clients', 'ok', /nothing from the device/, /wiring/]],
  [
    'a slow one',
    { view: { ...up, clients: [{ ...client, dropped: 70 }] } },
    ['clients', 'failed', /70 dropped/, /10\.0\.0\.5 does not read/],
  ],
  ['no errors', {}, ['line errors', 'ok', /^none$/, null]],
  [
    'refused hosts',
    { view: { ...up, refused: { busy: 3, denied: 2 }, malformed: 1 } },
    [
      'refused hosts',
      'ok',
      /busy 3, not in accessibleIps 2; 1 times/,
      /accessibleIps; .*maxConnection.*mode of this port/,
    ],
  ],
];

describe('a serial port that is offered', () => {
  for (const [shows, change, [step, result, text, hint]] of table) {
    test(shows, () => {
      const check = judgeServed({ ...facts, ...change }).find((c) => c.step === step);
      expect(check).toMatchObject({ step, result });
      expect(check?.text).toMatch(text);
      if (hint === null) expect(check?.hint).toBeNull();
      else if (hint !== undefined) expect(check?.hint).toMatch(hint);
    });
  }

  test('line errors that rise, and that do not', () => {
    const errors = (framing: number) => ({ ...up, lineErrors: { parity: 1, framing, overrun: 0, breaks: 2 } });
    const look = (later: SerialPortView | undefined) =>
      judgeServed({ ...facts, view: errors(12), later }).find(({ step }) => step === 'line errors');
    expect(look(errors(15))).toEqual({
      step: 'line errors',
      result: 'failed',
      text: 'framing 12, parity 1; 2 breaks, and 3 more within a second',
      hint: "the device's rate or stop bits are other ones; here: 9600,8N1",
    });
    expect(look(errors(12))).toMatchObject({ result: 'ok', text: expect.stringContaining('not rising') });
    expect(look(undefined)).toMatchObject({ result: 'ok' });
  });

  test('where all is well nothing failed, and the machine has one line of it', () => {
    expect(exitCodeOf(judgeServed(facts))).toBe(0);
    expect(servedTitle(facts)).toBe('serial port 1: /dev/ttyS0');
    expect(servedSummary(facts)).toEqual([
      { step: 'serial port 1', result: 'ok', text: expect.stringContaining('up since'), hint: null },
    ]);
  });

  test('on the machine, one line for each thing that is not', () => {
    const open = { ...up, listen: '0.0.0.0' };
    const entry = facts.entry && { ...facts.entry, listen: '0.0.0.0' };
    expect(servedSummary({ ...facts, view: open, entry }).map(({ text }) => text)).toEqual([
      expect.stringMatching(/up since/),
      expect.stringMatching(/^who may connect: WARNING/),
    ]);
    const link = { chain: ['/dev/ttyS0'], end: 'nothing' } as const;
    const away = servedSummary({ ...facts, view: gone, link, access: undefined, holders: undefined });
    expect(away).toMatchObject([{ step: 'serial port 1', result: 'failed', text: 'device: /dev/ttyS0 is not there' }]);
  });

  test('a disabled one is left alone', () => {
    const view: SerialPortView = { ...up, mode: 'disabled', state: 'disabled', tcpPorts: [], clients: [] };
    const entry = facts.entry && { ...facts.entry, mode: 'disabled' as const };
    expect(judgeServed({ ...facts, view, entry }).map(({ step }) => step)).toEqual(['daemon', 'offered']);
  });
});

test('what a process may do, as in proc(5)', () => {
  const status =
    'Name:\tnode\nUid:\t1\t999\t1\t1\nGid:\t998\t998\t998\t998\nGroups:\t20 46 \nCapEff:\t0000000000000400\n';
  expect(parseRights(status)).toEqual({ uid: 999, gids: [998, 20, 46], anyFile: false, lowPorts: true });
  expect(parseRights(status.replace('400', '002'))).toMatchObject({ anyFile: true, lowPorts: false });
  expect(parseRights(status.replace('20 46 ', ''))).toMatchObject({ gids: [998] });
  expect(parseRights('')).toBeUndefined();
});

test('descriptors of a port: device, waker, and each listener with its clients and one to spare', () => {
  expect(descriptorsOf({ mode: 'disabled' })).toBe(0);
  expect(descriptorsOf({ mode: 'rfc2217', tcpPort: 4001 })).toBe(5);
  const shared = {
    maxConnection: 8,
    maxPerAddress: 8,
    ignoreJammedIp: false,
    arbitration: null,
    allowDriverControl: false,
  };
  expect(descriptorsOf({ mode: 'real-com', dataPort: 950, commandPort: 966, ...shared })).toBe(22);
});
