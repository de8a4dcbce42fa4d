// $NOTIFY_SOCKET: our datagrams beside those of systemd's own systemd-notify(1), and descriptors with them.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { notify } from '../../../src/native/notify.js';
import { closeFd, socketPair } from '../../../src/native/socket.js';
import { leavesNothingBehind, onEnd, PYTHON, readExactly, until } from './support.js';

leavesNothingBehind();

const RECEIVER = `
import array, os, socket, sys
path = sys.argv[1]
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind('\\0' + path[1:] if path[0] == '@' else path)
print('bound', flush=True)
while True:
    data, control, flags, address = s.recvmsg(8192, socket.CMSG_SPACE(4 * 8))
    count = 0
    for level, kind, payload in control:
        fds = array.array('i'); fds.frombytes(payload)
        for fd in fds:
            os.write(fd, b'seen'); os.close(fd); count += 1
    print(data.hex(), count, flush=True)
`;

/** A datagram socket in another process, as the service manager is. */
async function receiver(path: string) {
  const child = spawn(PYTHON, ['-c', RECEIVER, path], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines: string[] = [];
  let rest = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n');
    rest = parts.pop() ?? '';
    lines.push(...parts);
  });
  onEnd(async () => {
    const ended = once(child, 'close');
    child.kill();
    await ended;
  });
  await until(() => lines.length === 1);
  return async () => {
    await until(() => lines.length > 1);
    const [hex = '', fds = ''] = (lines.splice(1, 1)[0] ?? '').split(' ');
    return { text: Buffer.from(hex, 'hex').toString(), fds: Number(fds) };
  };
}

function folder(): string {
  const path = mkdtempSync('/tmp/ttynp-test-');
  onEnd(() => rmSync(path, { recursive: true }));
  return path;
}

const missing = spawnSync('systemd-notify', ['--version']).error !== undefined;
const own = ['READY=1', 'STATUS=16 ports, 2 down', 'WATCHDOG=1', 'STOPPING=1', 'RELOADING=1'];

for (const state of own) {
  test.skipIf(missing)(
    `${state}: as systemd-notify(1) sends it (skipped where systemd-notify is missing)`,
    async () => {
      const NOTIFY_SOCKET = `${folder()}/notify`;
      const next = await receiver(NOTIFY_SOCKET);
      const sent = spawnSync('systemd-notify', [state], { env: { ...process.env, NOTIFY_SOCKET } });
      expect(sent.status).toBe(0);
      const theirs = (await next()).text
        .split('\n')
        .filter((line) => !/^(MAINPID|MONOTONIC_USEC|BARRIER)=|^$/.test(line));
      expect(notify(state, [], { NOTIFY_SOCKET })).toBe(true);
      let ours = await next();
      // systemd-notify waits for the manager by a BARRIER=1 of its own.
      while (ours.text.startsWith('BARRIER=1')) ours = await next();
      expect(ours.text.split('\n')).toEqual(theirs);
      expect(ours.fds).toBe(0);
    },
  );
}

test('an abstract socket, several lines', async () => {
  const NOTIFY_SOCKET = `@ttynp-test-${process.pid}`;
  const next = await receiver(NOTIFY_SOCKET);
  expect(notify('READY=1\nSTATUS=ok', [], { NOTIFY_SOCKET })).toBe(true);
  expect((await next()).text).toBe('READY=1\nSTATUS=ok');
});

test('descriptors travel with FDSTORE=1', async () => {
  const NOTIFY_SOCKET = `${folder()}/notify`;
  const next = await receiver(NOTIFY_SOCKET);
  const pairs = [socketPair(), socketPair()];
  notify(
    'FDSTORE=1\nFDNAME=ttyNP0',
    pairs.map(([, far]) => far),
    { NOTIFY_SOCKET },
  );
  expect(await next()).toEqual({ text: 'FDSTORE=1\nFDNAME=ttyNP0', fds: 2 });
  for (const [near] of pairs) expect((await readExactly(near, 4)).toString()).toBe('seen');
  for (const fd of pairs.flat()) closeFd(fd);
});

test('without a socket nothing happens; a wrong one is an error', () => {
  expect(notify('READY=1', [], {})).toBe(false);
  expect(notify('READY=1', [], { NOTIFY_SOCKET: '' })).toBe(false);
  const path = `${folder()}/absent`;
  expect(() => notify('READY=1', [], { NOTIFY_SOCKET: path })).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  writeFileSync(path, '');
  expect(() => notify('READY=1', [], { NOTIFY_SOCKET: path })).toThrow(
    expect.objectContaining({ code: 'ECONNREFUSED' }),
  );
  expect(() => notify('READY=1', [], { NOTIFY_SOCKET: `/${'x'.repeat(120)}` })).toThrow(
    expect.objectContaining({ code: 'EINVAL' }),
  );
});
