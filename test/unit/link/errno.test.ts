import { describe, expect, test } from 'vitest';
import { Fault } from '../../../src/base/fault.js';
import { endFault, faultOf } from '../../../src/link/errno.js';

const errno = (code: string) => Object.assign(new Error(code), { code });
const where = '192.168.1.5:966';

test.each([
  ['ECONNREFUSED', 'PEER_REFUSED', '192.168.1.5:966: connection refused'],
  ['ETIMEDOUT', 'PEER_TIMEOUT', '192.168.1.5:966: no answer'],
  ['EHOSTUNREACH', 'PEER_NO_ROUTE', '192.168.1.5:966: no route to host'],
  ['ENETUNREACH', 'PEER_NO_ROUTE', '192.168.1.5:966: no route to network'],
  ['EMFILE', 'NO_DESCRIPTORS', '192.168.1.5:966: this process is out of file descriptors'],
  ['EAI_AGAIN', 'NAME_UNRESOLVED', '192.168.1.5:966: EAI_AGAIN'],
  ['ENOTFOUND', 'NAME_UNRESOLVED', '192.168.1.5:966: ENOTFOUND'],
  ['EINVAL', 'SYSTEM', '192.168.1.5:966: EINVAL'],
])('%s is %s', (code, fault, message) => {
  const cause = errno(code);
  expect(faultOf(cause, where)).toMatchObject({ code: fault, message, cause });
});

test('a fault stays what it is', () => {
  const fault = new Fault('PEER_MUTE', 'x');
  expect(faultOf(fault, where)).toBe(fault);
});

describe('the end of a command connection', () => {
  test.each([
    [undefined, false, 'PEER_BUSY'],
    [errno('ECONNRESET'), false, 'PEER_BUSY'],
    [errno('EPIPE'), false, 'PEER_BUSY'],
    [undefined, true, 'PEER_CLOSED'],
    [errno('ECONNRESET'), true, 'PEER_CLOSED'],
    [errno('ETIMEDOUT'), true, 'PEER_TIMEOUT'],
    [errno('ETIMEDOUT'), false, 'PEER_TIMEOUT'],
    [errno('EHOSTUNREACH'), true, 'PEER_NO_ROUTE'],
  ])('%s, answered %s: %s', (error, answered, code) => {
    expect(endFault(error, where, answered).code).toBe(code);
  });
});
