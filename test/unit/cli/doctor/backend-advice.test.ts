// Which backend a port has and why, and what brings a better one.
import { expect, test } from 'vitest';
import {
  type BackendFacts,
  backendCheck,
  backendText,
  betterBackend,
} from '../../../../src/cli/doctor/backend-advice.js';
import { portText } from '../../../../src/cli/port.js';
import { portView } from '../../../support/fake-daemon.js';

const facts: BackendFacts = {
  ptmx: true,
  kernel: '6.8.0-31-generic',
  vhci: 'loaded',
  ftdi: 'available',
  helper: true,
  cuse: 'absent',
  osRelease: 'ID=ubuntu\nID_LIKE=debian\n',
};
const auto = { by: 'auto', at: '2026-01-31T12:00:00.000Z', why: 'no helper' } as const;
const pty = portView('ttyNP0', { backendChoice: auto });
const usbip = portView('ttyNP0', { backend: 'usbip' });

test('who chose it, when and why', () => {
  expect(backendText(pty)).toMatch(/^pty, chosen by auto on 2026-01-31 .*: no helper$/);
  expect(backendText(usbip)).toBe('usbip, as the configuration says');
});

test.each<[string, Partial<BackendFacts>, RegExp]>([
  [
    'the module',
    { vhci: 'absent' },
    /no vhci_hcd: apt install linux-modules-extra-6.8.0-31-generic; then: ttynp reload/,
  ],
  ['the driver', { ftdi: 'absent' }, /no ftdi_sio: apt install linux-modules-extra-.*; then: ttynp reload/],
  ['the helper', { helper: false }, /^systemctl enable --now ttynp-usbip.socket; then: ttynp reload --choose/],
  ['nothing', {}, /^ttynp reload --choose-backend ttyNP0$/],
])('a pty could be better; %s is missing for it', (_, change, text) => {
  const machine = { ...facts, ...change };
  expect(betterBackend(pty, machine)).toMatch(text);
  const check = backendCheck(pty, machine);
  expect(check).toMatchObject({ step: 'backend', result: 'ok', text: expect.stringContaining('no parity') });
  expect(check.hint).toMatch(/^for usbip: /);
});

test('where the configuration says pty, it is the configuration that has to change', () => {
  expect(betterBackend(portView('ttyNP0'), facts)).toBe('set backend: auto or usbip, then ttynp reload');
});

test('usbip is the best there is; without what it needs the check fails and says what brings it', () => {
  expect(betterBackend(usbip, facts)).toBeUndefined();
  expect(backendCheck(usbip, facts)).toMatchObject({ result: 'ok', hint: null });
  expect(backendCheck(usbip, { ...facts, vhci: 'absent' })).toMatchObject({
    result: 'failed',
    hint: expect.stringContaining('apt install linux-modules-extra'),
  });
});

test('a tty that was not made has no backend, for the reason that it has', () => {
  const reason = { code: 'NOT_SUPPORTED', message: 'ttyNP0 needs parity', at: '' };
  const view = portView('ttyNP0', { backend: 'none', state: 'failed', reason });
  expect(backendCheck(view, { ...facts, helper: false })).toMatchObject({
    result: 'failed',
    text: 'ttyNP0 needs parity',
    hint: 'systemctl enable --now ttynp-usbip.socket',
  });
});

test('ttynp port shows both', () => {
  const text = portText(pty, 'nobody', { colour: false, now: () => 0, columns: undefined }, betterBackend(pty, facts));
  expect(text).toMatch(
    /\n {2}backend +pty, chosen by auto on .*: no helper\n {2}better +ttynp reload --choose-backend ttyNP0\n/,
  );
});
