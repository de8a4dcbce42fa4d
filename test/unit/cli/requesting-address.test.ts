// From where a command is given: ssh's variable, here or at a process above this one.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { requestingAddress } from '../../../src/cli/requesting-address.js';

const proc = mkdtempSync(join(tmpdir(), 'ttynp-proc-'));
afterAll(() => rmSync(proc, { recursive: true }));

function process(pid: number, parent: number, environ?: string): void {
  mkdirSync(join(proc, String(pid)));
  writeFileSync(join(proc, String(pid), 'status'), `Name:\tx\nPid:\t${pid}\nPPid:\t${parent}\n`);
  if (environ !== undefined) writeFileSync(join(proc, String(pid), 'environ'), environ);
}
process(30, 20, 'HOME=/root\0'); // sudo
process(20, 10, 'PATH=/bin\0SSH_CONNECTION=192.0.2.7 50000 192.0.2.1 22\0HOME=/home/a\0');
process(40, 41);
process(41, 1, 'SSH_CONNECTION=nonsense\0');
process(50, 50, '');

test.each([
  ['its own', { SSH_CONNECTION: '2001:db8::7 50000 2001:db8::1 22' }, 40, '2001:db8::7'],
  ['that of the login, above sudo', {}, 30, '192.0.2.7'],
  ['none, at the console', {}, 40, undefined],
  ['none, of a process that is its own parent', {}, 50, undefined],
  ['none, where nothing can be read', {}, 999, undefined],
])('%s', (_, environment, parent, address) => {
  expect(requestingAddress(environment, parent, proc)).toBe(address);
});
