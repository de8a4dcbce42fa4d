// The lines between the daemon and the root helper: what is a request, what is an answer, and that nothing else is.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  encodeLine,
  type HelperAnswer,
  type HelperRequest,
  MAX_LINE_BYTES,
  parseAnswer,
  parseRequest,
} from '../../../../src/tty/usbip/attach-line.js';
import { packageHint } from '../../../../src/tty/usbip/modules.js';

const serial = fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/);
const request: fc.Arbitrary<HelperRequest> = fc.oneof(
  fc.record({
    speed: fc.constantFrom('high' as const, 'super' as const, 'any' as const),
    serial,
    interfaces: fc.integer({ min: 1, max: 15 }),
  }),
  fc.constant({ names: true as const }),
  fc.constant({ probe: true as const }),
);

test('what is encoded is read back, in one short line', () => {
  fc.assert(
    fc.property(request, (value) => {
      const line = encodeLine(value);
      expect(line.indexOf('\n')).toBe(line.length - 1);
      expect(line.length).toBeLessThan(MAX_LINE_BYTES);
      expect(parseRequest(line.slice(0, -1))).toEqual(value);
    }),
  );
});

test.each([
  ['', 'no JSON object'],
  ['null', 'no JSON object'],
  ['[]', 'no JSON object'],
  ['{"speed":"high","serial":"a"}', 'nothing else'],
  ['{"speed":"high","serial":"a","interfaces":1,"port":3}', 'nothing else'],
  ['{"speed":"full","serial":"a","interfaces":1}', 'speed'],
  ['{"speed":"high","serial":"","interfaces":1}', 'serial'],
  ['{"speed":"high","serial":"../a","interfaces":1}', 'serial'],
  ['{"speed":"high","serial":"a b","interfaces":1}', 'serial'],
  ['{"speed":"high","serial":"a\\n","interfaces":1}', 'serial'],
  ['{"speed":"high","serial":1,"interfaces":1}', 'serial'],
  ['{"speed":"high","serial":"a","interfaces":0}', 'interfaces'],
  ['{"speed":"high","serial":"a","interfaces":16}', 'interfaces'],
  ['{"speed":"high","serial":"a","interfaces":1.5}', 'interfaces'],
  ['{"speed":"high","serial":"a","interfaces":"1"}', 'interfaces'],
  ['{"names":false}', 'names'],
])('%s is no request', (line, reason) => {
  expect(parseRequest(line)).toContain(reason);
});

test('no text and no JSON whatever makes a reader throw or pass on what it does not know', () => {
  const text = fc.oneof(fc.string({ unit: 'binary' }), fc.json());
  fc.assert(
    fc.property(text, (line) => {
      const read = parseRequest(line);
      if (typeof read !== 'string') expect(parseRequest(encodeLine(read).trim())).toEqual(read);
      const answer = parseAnswer(line);
      if (answer?.ok === false) expect(answer.message).toMatch(/^[\x20-\x7e]*$/);
    }),
  );
});

test('answers are read back; a message of several lines becomes one', () => {
  const answers: HelperAnswer[] = [
    { ok: true, speed: 'super' },
    { ok: true, ttys: 30 },
    { ok: false, code: 'full', message: 'all 8 ports are taken' },
  ];
  for (const answer of answers) expect(parseAnswer(encodeLine(answer).trim())).toEqual(answer);
  expect(parseAnswer('{"ok":false,"code":"failed","message":"a\\nb\\u001b[2J"}')).toMatchObject({ message: 'a b [2J' });
  expect(parseAnswer('{"ok":false,"code":"other","message":"a"}')).toBeUndefined();
  expect(parseAnswer('HTTP/1.1 400 Bad Request')).toBeUndefined();
});

test.each([
  ['Ubuntu', 'ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\n', 'apt install linux-modules-extra-6.8.0-1-generic'],
  ['Debian', 'ID=debian\nVERSION_ID="12"\n', 'linux-image-amd64'],
  ['Fedora', 'ID=fedora\nVERSION_ID=42\n', 'kernel-modules'],
  ['Alma 8', 'ID="almalinux"\nID_LIKE="rhel centos fedora"\nVERSION_ID="8.10"\n', 'builds none'],
  ['Rocky 9', 'ID="rocky"\nID_LIKE="rhel centos fedora"\nVERSION_ID="9.6"\n', 'kmod-usbip'],
  ['RHEL 10', 'ID="rhel"\nID_LIKE="centos fedora"\nVERSION_ID="10.0"\n', 'kmod-usbip'],
  ['openSUSE', 'ID="opensuse-leap"\nID_LIKE="suse opensuse"\nVERSION_ID="16.0"\n', 'kernel-default'],
  ['another', 'ID=nixos\n', 'CONFIG_USBIP_VHCI_HCD'],
  ['none', '', 'CONFIG_USBIP_VHCI_HCD'],
])('where vhci_hcd comes from: %s', (_, osRelease, hint) => {
  expect(packageHint('vhci_hcd', osRelease, '6.8.0-1-generic')).toContain(hint);
});
