import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { editDistance, suggestion } from '../../../src/config/problems.js';
import { configJsonSchema, isAddress } from '../../../src/config/schema.js';

describe('addresses', () => {
  for (const good of ['192.168.127.254', '::1', 'fe80::1%eth1', 'nport', 'nport-1.plant_2.example.', 'a1'])
    test(`${good} is one`, () => expect(isAddress(good)).toBe(true));
  for (const bad of [
    '',
    '10.0.0.256',
    '1.2.3',
    'fe80::g',
    'fe80::1%',
    '10.0.0.1%eth0',
    'a b',
    '-a',
    'a..b',
    'host:950',
    'http://x',
  ])
    test(`${JSON.stringify(bad)} is none`, () => expect(isAddress(bad)).toBe(false));
});

test('a JSON schema for editors has every section', () => {
  expect(configJsonSchema()).toMatchObject({
    type: 'object',
    additionalProperties: false,
    required: ['version'],
    properties: {
      servers: {},
      ttys: {},
      defaults: {},
      include: {},
      log: {},
      metrics: {},
      control: {},
      runtimeDir: {},
      linkDir: {},
    },
  });
});

describe('suggestions', () => {
  test('near words only', () => {
    expect(suggestion('prot', ['port', 'format'])).toBe(' (did you mean "port"?)');
    expect(suggestion('elephant', ['port', 'format'])).toBe('');
  });
  test('the distance is a metric of zero for equal words, symmetric, at most the longer length', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 12 }), fc.string({ maxLength: 12 }), (a, b) => {
        const distance = editDistance(a, b);
        expect(distance).toBe(editDistance(b, a));
        expect(distance === 0).toBe(a === b);
        expect(distance).toBeLessThanOrEqual(Math.max(a.length, b.length));
      }),
    );
  });
});
