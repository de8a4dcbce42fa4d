// The root helper as a process: where it listens, for whom, what it says on a machine without the modules, and how it ends.
import { chownSync, existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { passedSocket } from '../../src/cli/usbip-attach.js';
import { Child, CLI, eventually, run } from '../support/e2e.js';

const NOBODY = 65534;
const isRoot = process.getuid?.() === 0;
const hasModule = existsSync('/sys/devices/platform/vhci_hcd.0');

let dir: string;
let path: string;
const children: Child[] = [];

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ttynp-attach-'));
  path = join(dir, 'helper.sock');
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.signal('SIGKILL');
    await child.ended;
  }
  rmSync(dir, { recursive: true, force: true });
});

function start(...more: string[]): Child {
  const child = new Child([process.execPath, CLI, 'usbip-attach', '--path', path, ...more]);
  children.push(child);
  return child;
}

const listens = (child: Child) =>
  eventually(
    () => child.stderr,
    () => existsSync(path),
  );

/** One request, as the user that the test runs as. */
function ask(line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path, () => socket.write(`${line}\n`));
    let answer = '';
    socket.on('data', (bytes) => {
      answer += bytes.toString();
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}

describe.runIf(isRoot)('as root, without systemd', () => {
  test('listens for one user alone, and goes at SIGTERM with its socket', async () => {
    const child = start('--user', 'nobody');
    await listens(child);
    await eventually('the socket is nobody’s', () => statSync(path).uid === NOBODY);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    chownSync(dir, NOBODY, NOBODY);
    child.signal('SIGTERM');
    expect(await child.exit()).toEqual({ code: 0, signal: null });
    expect(existsSync(path)).toBe(false);
    expect(child.stdout).toBe('');
  });

  test('a second one says one line and leaves the first alone; after a crash the socket is taken over', async () => {
    const child = start('--user', 'root');
    await listens(child);
    await eventually('it answers', () => ask('{"names":true}').catch(() => undefined));
    const second = start('--user', 'root');
    expect((await second.exit()).code).toBe(1);
    expect(second.stderr).toBe(`ttynp: ${path}: a usbip helper listens there already\n`);
    expect(await ask('{"names":true}')).toBe('{"ok":true,"ttys":0}\n');
    child.signal('SIGKILL');
    await child.ended;
    const third = start('--user', 'root');
    await eventually(
      () => third.stderr,
      () => ask('{"names":true}').catch(() => undefined),
    );
  });

  test.skipIf(hasModule)('without the module the answer says which, and what to do', async () => {
    const child = start('--user', 'root');
    await listens(child);
    const answer = await eventually(
      () => child.stderr,
      () => ask('{"speed":"any","serial":"alpha","interfaces":2}').catch(() => undefined),
    );
    expect(answer).toContain('"code":"missing"');
    expect(answer).toContain('modprobe vhci_hcd');
    expect(child.stderr).toContain('kernel module vhci_hcd is not loaded');
  });

  test('another file in its place is left there', async () => {
    writeFileSync(path, 'mine');
    const child = start('--user', 'root');
    expect((await child.exit()).code).toBe(1);
    expect(child.stderr).toContain('is there already and no socket');
    expect(statSync(path).size).toBe(4);
  });
});

test('a user that is none, and one who is not root, get one line', async () => {
  const none = await run([process.execPath, CLI, 'usbip-attach', '--user', 'no-such-user', '--path', path]);
  expect(none).toMatchObject({
    code: 1,
    stderr: expect.stringMatching(/^ttynp: usbip-attach: no user "no-such-user"[^\n]*\n$/),
  });
  const user = await run(
    [process.execPath, CLI, 'usbip-attach', '--user', 'nobody', '--path', '/run/ttynp-usbip-test.sock'],
    {
      unprivileged: true,
    },
  );
  expect(user).toMatchObject({ code: 1, stderr: expect.stringMatching(/^ttynp: [^\n]*has to run as root\n$/) });
});

test('a socket that a service manager passed: to this process, and one', () => {
  expect(passedSocket({}, 7)).toBeUndefined();
  expect(passedSocket({ LISTEN_PID: '8', LISTEN_FDS: '1' }, 7)).toBeUndefined();
  expect(passedSocket({ LISTEN_PID: '7', LISTEN_FDS: '1' }, 7)).toBe(3);
  expect(() => passedSocket({ LISTEN_PID: '7', LISTEN_FDS: '2' }, 7)).toThrow('exactly one socket');
});
