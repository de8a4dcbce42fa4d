// What is let in: our own devices at both speeds, and nothing that differs from them in a byte that counts.
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { descriptorObjection, objection } from '../../../../src/cli/usbip/device-check.js';
import { describeDevice } from '../../../../src/tty/usbip/identity.js';
import { descriptorsOf, VhciTree } from '../../../support/vhci-tree.js';

const speeds = ['high', 'super'] as const;
const ours = (interfaces: number, speed: (typeof speeds)[number] = 'high') =>
  descriptorsOf(describeDevice(speed, 'alpha', interfaces));

/** The byte of interface 0's descriptor. */
const INTERFACE = 18 + 9;

function changed(at: number, value: number, interfaces = 2): Uint8Array {
  const bytes = ours(interfaces);
  bytes[at] = value;
  return bytes;
}

describe.each(speeds)('%s speed', (speed) => {
  test('ours, with 1 to 15 interfaces, is let in', () => {
    for (let n = 1; n <= 15; n++) expect(descriptorObjection(ours(n, speed), n)).toBeUndefined();
  });

  test('cut anywhere it is not', () => {
    const whole = ours(3, speed);
    for (let n = 0; n < whole.length; n++) expect(descriptorObjection(whole.subarray(0, n), 3)).toBeDefined();
  });
});

test.each([
  ['another vendor', 8, 0x03, 'ids'],
  ['another product', 10, 0x11, 'ids'],
  ['another release', 13, 0x09, 'release'],
  ['a hub', 4, 0x09, 'class'],
  ['a second configuration', 17, 2, 'configurations'],
  ['another configuration value', 18 + 5, 2, 'number 2'],
  ['more interfaces than asked for', 18 + 4, 3, '3 interfaces'],
  ['a keyboard', INTERFACE + 5, 0x03, 'interface 0 has class 03'],
  ['a disk as the second interface', INTERFACE + 9 + 14 + 5, 0x08, 'interface 1 has class 08'],
  ['an alternate setting', INTERFACE + 3, 1, 'setting 1'],
  ['an interface twice', INTERFACE + 9 + 14 + 2, 0, 'interface 0'],
  ['a HID descriptor', INTERFACE + 9 + 1, 0x21, 'type 21'],
  ['an interface association', INTERFACE + 9 + 1, 0x0b, 'type 0b'],
  ['a part of no length', INTERFACE + 9, 0, 'not whole'],
  ['a part that is longer than what is there', INTERFACE + 9 + 14 + 9 + 7, 9, 'not whole'],
])('%s is not let in', (_, at, value, reason) => {
  expect(descriptorObjection(changed(at, value), 2)).toContain(reason);
});

test('fewer interfaces than asked for', () => {
  expect(descriptorObjection(ours(2), 3)).toContain('2 interfaces');
});

test('no byte of an interface that says its class or kind can differ, and no bytes whatever make it throw', () => {
  const whole = ours(15);
  fc.assert(
    fc.property(fc.nat(14), fc.constantFrom(1, 2, 3, 5), fc.integer({ min: 1, max: 255 }), (i, at, bits) => {
      const bytes = Uint8Array.from(whole);
      const place = INTERFACE + i * 23 + at;
      bytes[place] = (bytes[place] ?? 0) ^ bits;
      expect(descriptorObjection(bytes, 15)).toBeDefined();
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.integer({ min: 1, max: 15 }), (bytes, n) => {
      expect(descriptorObjection(bytes, n)).toBeDefined();
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), (tail) => {
      // Whatever follows what is ours: the lengths no longer agree, or nothing follows.
      const objected = descriptorObjection(Uint8Array.from([...ours(2), ...tail]), 2);
      expect(objected === undefined).toBe(tail.length === 0);
    }),
  );
});

describe('the strings', () => {
  let tree: VhciTree;
  const wanted = { serial: 'alpha', interfaces: 2 };
  const strings = { manufacturer: 'ttynp', product: 'network serial ports', serial: 'alpha' };
  beforeEach(() => {
    tree = new VhciTree(1, 1);
  });
  afterEach(() => tree.remove());

  test('ours are let in', () => {
    tree.plugIn(0, strings, ours(2), 2);
    expect(objection(tree.device(0), wanted)).toBeUndefined();
  });

  test.each([
    ['manufacturer', 'Moxa'],
    ['product', 'keyboard'],
    ['serial', 'beta'],
    ['serial', 'alpha\n'],
  ])('another %s is not', (key, value) => {
    tree.plugIn(0, { ...strings, [key]: value }, ours(2), 2);
    expect(objection(tree.device(0), wanted)).toMatch(new RegExp(`^its ${key} is "`));
  });

  test('a missing one is not, and a long one of control characters stays a short line', () => {
    tree.plugIn(0, { manufacturer: 'ttynp', product: 'network serial ports' }, ours(2), 2);
    expect(objection(tree.device(0), wanted)).toBe('its serial is missing');
    tree.plugIn(0, { ...strings, serial: '\u001b[2J\u009b'.repeat(40) }, ours(2), 2);
    expect(objection(tree.device(0), wanted)).toMatch(/^[\x20-\x7e]{1,400}$/);
  });

  test('a device that is gone has nothing', () => {
    expect(objection(tree.device(0), wanted)).toBe('its manufacturer is missing');
  });
});
