import { expect, test } from 'vitest';
import { groupId, userId } from '../../../src/config/accounts.js';

test('names of /etc, numbers, and numbers written as text', () => {
  expect(userId('root', 'ttyNP0')).toBe(0);
  expect(groupId('root', 'ttyNP0')).toBe(0);
  expect(groupId('dialout', 'ttyNP0')).toBe(20);
  expect(userId(1234, 'ttyNP0')).toBe(1234);
  expect(groupId('1234', 'ttyNP0')).toBe(1234);
});

test('a name that exists nowhere says whose it is and what to do', () => {
  expect(() => groupId('no-such-group', 'ttyNP7')).toThrow(
    'ttyNP7: no group "no-such-group": create it or give its number',
  );
  expect(() => userId('--help', 'ttyNP7')).toThrow('no user');
});
