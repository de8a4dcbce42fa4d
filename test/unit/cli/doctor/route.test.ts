import { expect, test } from 'vitest';
import { routeFacts } from '../../../../src/cli/doctor/port-facts.js';

test('an interface that this machine does not have is named, before the kernel says "invalid argument"', async () => {
  expect(await routeFacts('fe80::1%nosuchif0')).toEqual({
    result: 'none',
    why: 'this machine has no network interface nosuchif0',
  });
  expect(await routeFacts('127.0.0.1')).toEqual({ result: 'from', localAddress: '127.0.0.1' });
});
