// What LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES say (sd_listen_fds(3)). The descriptors themselves: test/integration/daemon.
import { expect, test } from 'vitest';
import { type Environment, readListen, takeInherited } from '../../../../src/daemon/handover/inherited-descriptors.js';
import { LogRecorder } from '../log-recorder.js';

const unusable = (fault: string) => ({ fault, count: 0, names: [] });

// [what it shows, the environment, what is read for process 77]
const vectors: [string, Environment, ReturnType<typeof readListen>][] = [
  ['nothing was passed', {}, { names: [] }],
  ['no descriptors', { LISTEN_PID: '77', LISTEN_FDS: '0' }, { names: [] }],
  ['one', { LISTEN_PID: '77', LISTEN_FDS: '1', LISTEN_FDNAMES: 'tty-ttyNP0' }, { names: ['tty-ttyNP0'] }],
  ['two of a name', { LISTEN_PID: '77', LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:a' }, { names: ['a', 'a'] }],
  ['an empty name', { LISTEN_PID: '77', LISTEN_FDS: '2', LISTEN_FDNAMES: 'a:' }, { names: ['a', ''] }],
  ['no names', { LISTEN_PID: '77', LISTEN_FDS: '2' }, { names: ['unknown', 'unknown'] }],
  [
    'too few names',
    { LISTEN_PID: '77', LISTEN_FDS: '3', LISTEN_FDNAMES: 'a:b' },
    { fault: 'LISTEN_FDS is 3 and LISTEN_FDNAMES has 2', count: 3, names: ['a', 'b'] },
  ],
  ['another process', { LISTEN_PID: '78', LISTEN_FDS: '1' }, unusable('LISTEN_PID is 78, this process is 77')],
  ['an empty LISTEN_PID', { LISTEN_PID: '', LISTEN_FDS: '1' }, unusable('LISTEN_PID is ""')],
  ['a LISTEN_PID with a sign', { LISTEN_PID: '+77', LISTEN_FDS: '1' }, unusable('LISTEN_PID is "+77"')],
  ['no LISTEN_FDS', { LISTEN_PID: '77' }, unusable('LISTEN_FDS is missing')],
  ['a LISTEN_FDS in hexadecimal', { LISTEN_PID: '77', LISTEN_FDS: '0x2' }, unusable('LISTEN_FDS is "0x2"')],
  ['a LISTEN_FDS that no process can have', { LISTEN_PID: '77', LISTEN_FDS: '1e9' }, unusable('LISTEN_FDS is "1e9"')],
];

for (const [shows, environment, expected] of vectors)
  test(`LISTEN_*: ${shows}`, () => expect(readListen(environment, 77)).toEqual(expected));

test('the variables are gone afterwards, believed or not; nothing else is', () => {
  for (const LISTEN_PID of ['78', 'x']) {
    const environment: Environment = { LISTEN_PID, LISTEN_FDS: '1', LISTEN_FDNAMES: 'a', NOTIFY_SOCKET: '/run/n' };
    const log = new LogRecorder();
    expect(takeInherited(environment, 77, log)).toEqual({ inherited: [], unusable: [] });
    expect(environment).toEqual({ NOTIFY_SOCKET: '/run/n' });
    expect(log.lines).toHaveLength(1);
  }
});
