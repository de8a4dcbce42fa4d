import { describe, expect, test } from 'vitest';
import type { CheckResult } from '../../../../src/cli/doctor/check.js';
import { judgeMachine } from '../../../../src/cli/doctor/machine-checks.js';
import type { MachineFacts } from '../../../../src/cli/doctor/machine-facts.js';
import { parseLimit } from '../../../../src/cli/doctor/machine-survey.js';

const server = {
  name: 'press',
  address: '10.0.0.9',
  protocol: 'realcom',
  ports: 4,
  up: 1,
  down: false,
  reason: null,
};

const facts: MachineFacts = {
  user: 'ada',
  isRoot: false,
  backends: {
    ptmx: true,
    kernel: '6.1.0',
    vhci: 'absent',
    ftdi: 'loaded',
    helper: true,
    cuse: 'absent',
    osRelease: 'ID=debian\n',
  },
  groups: [{ group: 'dialout', exists: true, member: true, ttys: 4 }],
  runtimeDir: { path: '/run/ttynp', exists: true, writable: true },
  linkDir: { path: '/dev', exists: true, writable: true },
  ptyMax: { max: 4096, used: 10 },
  descriptors: { limit: 1024, whose: 'shell' },
  config: {
    file: '/etc/ttynp/ttynp.yaml',
    state: 'valid',
    errors: [],
    ttys: 4,
    servers: 1,
    serialPorts: 0,
    servedDescriptors: 0,
  },
  daemon: { state: 'running', pid: 42, version: '0.1.0' },
  status: undefined,
  servers: [server],
  configuredServers: [{ name: 'press', address: '10.0.0.9' }],
  probes: [],
  served: [],
  usbipTtys: 0,
  names: undefined,
};

const absent = { state: 'absent', socket: '/run/x' } as const;
const probe = (connect: MachineFacts['probes'][number]['connect']) => [
  { name: 'press', address: '10.0.0.9', place: '10.0.0.9:966', connect },
];

const table: [string, Partial<MachineFacts>, [string, CheckResult, RegExp, RegExp?]][] = [
  ['pty', {}, ['backend pty', 'ok', /not data bits and parity, modem lines/]],
  ['no pty', { backends: { ...facts.backends, ptmx: false } }, ['backend pty', 'failed', /ptmx/, /mount devpts/]],
  [
    'usbip is not there: which package brings it',
    {},
    ['backend usbip', 'not checked', /6\.1\.0\) has no vhci_hcd: .*apt install linux-image/],
  ],
  [
    'usbip is there',
    { backends: { ...facts.backends, vhci: 'available' } },
    ['backend usbip', 'ok', /offers it \(vhci_hcd available\): backend: usbip/],
  ],
  [
    'usbip is there but for its helper',
    { backends: { ...facts.backends, vhci: 'available', helper: false } },
    ['backend usbip', 'ok', /helper is not enabled/, /^systemctl enable --now ttynp-usbip.socket$/],
  ],
  [
    'usbip is not there, and ttys have it',
    { usbipTtys: 3 },
    ['backend usbip', 'failed', /3 ttys have it and wait/, /has no vhci_hcd: .*apt install linux-image/],
  ],
  [
    'the other module is not there',
    { usbipTtys: 3, backends: { ...facts.backends, vhci: 'loaded', ftdi: 'absent' } },
    ['backend usbip', 'failed', /3 ttys/, /has no ftdi_sio: .*apt install linux-image/],
  ],
  ['in the group', {}, ['group', 'ok', /ada is in dialout/]],
  [
    'not in the group',
    { groups: [{ group: 'dialout', exists: true, member: false, ttys: 4 }] },
    ['group', 'failed', /not in dialout/, /usermod -aG dialout ada/],
  ],
  [
    'a group that does not exist',
    { groups: [{ group: 'serial', exists: false, member: false, ttys: 4 }] },
    ['group', 'failed', /no group serial/, /groupadd/],
  ],
  ['root', { isRoot: true }, ['group', 'ok', /root/]],
  [
    '/dev is shut',
    { daemon: absent, linkDir: { path: '/dev', exists: true, writable: false } },
    ['link directory', 'failed', /not writable/, /root/],
  ],
  ['links in the runtime directory', { linkDir: facts.runtimeDir }, ['link directory', 'ok', /lie in \/run\/ttynp/]],
  [
    'a runtime directory that is shut',
    { daemon: absent, runtimeDir: { path: '/run/ttynp', exists: false, writable: false } },
    ['runtime directory', 'failed', /cannot be created/, /runtimeDir/],
  ],
  [
    'a runtime directory of a daemon that this user may not ask',
    {
      daemon: { state: 'unreachable', socket: '/run/x', why: 'not allowed', permission: true },
      runtimeDir: { path: '/run/ttynp', exists: true, writable: false },
    },
    ['runtime directory', 'ok', /used by the daemon/],
  ],
  ['enough ptys', {}, ['kernel.pty.max', 'ok', /4096 pseudo-terminals, 10 in use, 4 ttys/]],
  [
    'too few ptys',
    { ptyMax: { max: 64, used: 60 }, config: { ...facts.config, ttys: 256 } },
    ['kernel.pty.max', 'failed', /256 ttys/, /kernel\.pty\.max=512/],
  ],
  ['enough descriptors', {}, ['descriptors', 'ok', /limit 1024/]],
  [
    'too few descriptors',
    { config: { ...facts.config, ttys: 256 }, descriptors: { limit: 1024, whose: 'daemon' } },
    ['descriptors', 'failed', /need about 1088/, /LimitNOFILE=1088/],
  ],
  [
    'too few descriptors for what is offered',
    { config: { ...facts.config, serialPorts: 200, servedDescriptors: 1000 } },
    ['descriptors', 'failed', /4 ttys and 200 serial ports need about 1080/, /ulimit -n 1080/],
  ],
  ['a valid configuration', {}, ['configuration', 'ok', /ttys: 4, servers: 1/]],
  [
    'an invalid one',
    { config: { ...facts.config, state: 'invalid', errors: ['a.yaml:3: ttys.x: y', 'b'] } },
    ['configuration', 'failed', /a\.yaml:3: ttys\.x: y \(and 1 more\)/, /config check/],
  ],
  ['none', { config: { ...facts.config, state: 'absent' } }, ['configuration', 'failed', /does not exist/]],
  ['no daemon', { daemon: absent }, ['daemon', 'failed', /not running/]],
  ['a connected server', {}, ['server press', 'ok', /1 of 4 ports connected/]],
  ['an idle server', { servers: [{ ...server, up: 0 }] }, ['server press', 'not checked', /none of its 4/, /--probe/]],
  [
    'a server that is down',
    {
      servers: [
        { ...server, up: 0, down: true, reason: { code: 'PEER_REFUSED', message: '10.0.0.9:966: refused', at: 'x' } },
      ],
    },
    ['server press', 'failed', /refused/],
  ],
  ['without a daemon', { daemon: absent, servers: undefined }, ['server press', 'not checked', /no daemon/, /--probe/]],
  [
    'without a daemon, probed',
    { daemon: absent, servers: undefined, probes: probe({ result: 'connected', ms: 2 }) },
    ['server press', 'ok', /10\.0\.0\.9:966 accepts connections \(2\.0 ms\)/],
  ],
  [
    'probed and refused',
    { servers: [{ ...server, up: 0 }], probes: probe({ result: 'refused', why: 'x' }) },
    ['server press', 'failed', /refuses/, /Real COM/],
  ],
];

describe('this machine', () => {
  for (const [shows, change, [step, result, text, hint]] of table) {
    test(shows, () => {
      const check = judgeMachine({ ...facts, ...change }).find((c) => c.step === step);
      expect(check).toMatchObject({ step, result });
      expect(check?.text).toMatch(text);
      if (hint !== undefined) expect(check?.hint).toMatch(hint);
    });
  }
});

test('the soft limit of open files, as in proc(5)', () => {
  expect(
    parseLimit('Limit   Soft Limit\nMax open files            1024                 524288               files\n'),
  ).toBe(1024);
  expect(parseLimit('Max open files            unlimited            unlimited            files\n')).toBe(Infinity);
  expect(parseLimit('')).toBeUndefined();
});
