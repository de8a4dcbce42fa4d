import { expect, test } from 'vitest';
import { descriptorLimit, descriptorWarning } from '../../../src/daemon/descriptor-limit.js';

const limits = (soft: string) =>
  `Limit                     Soft Limit           Hard Limit           Units     \nMax open files            ${soft}                 1048576              files     \n`;

test('the soft limit counts', () => {
  expect(descriptorLimit(limits('1024'))).toBe(1024);
  expect(descriptorLimit(limits('unlimited'))).toBe(Number.POSITIVE_INFINITY);
  expect(descriptorLimit('')).toBe(Number.POSITIVE_INFINITY);
  expect(descriptorLimit()).toBeGreaterThan(0);
});

test('three for each tty, and some of our own', () => {
  expect(descriptorWarning(16, [], 1024)).toBeUndefined();
  expect(descriptorWarning(320, [], 1024)).toBeUndefined();
  const served = { mode: 'rfc2217', tcpPort: 4001 } as const;
  expect(descriptorWarning(318, [served], 1024)).toBeUndefined();
  expect(descriptorWarning(319, [served], 1024)).toMatch(/^319 ttys and 1 serial ports need up to 1026 /);
  expect(descriptorWarning(321, [], 1024)).toBe(
    '321 ttys need up to 1027 file descriptors, and the limit is 1024: raise LimitNOFILE (ulimit -n)',
  );
});
