// The script that the unit waits with until the names of the ttys are in /dev, whoever makes them.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from 'vitest';

const SCRIPT = fileURLToPath(new URL('../../../service/ttynpd-wait', import.meta.url));
let dir: string;
let helper: Server;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'ttynp-wait-'));
  for (const name of ['run', 'dev', 'pts']) mkdirSync(join(dir, name));
  writeFileSync(join(dir, 'pts/7'), '');
  writeFileSync(join(dir, 'dev/ttyUSB0'), '');
  helper = createServer();
  await new Promise<void>((resolve) => helper.listen(join(dir, 'helper.sock'), resolve));
});
afterEach(async () => {
  if (helper.listening) await new Promise((resolve) => helper.close(resolve));
  rmSync(dir, { recursive: true, force: true });
});

const pty = () => symlinkSync(join(dir, 'pts/7'), join(dir, 'run/ttyNP0'));
const map = (text: string) => writeFileSync(join(dir, 'run/usbip-names'), text);
const link = (target: string, name: string) => symlinkSync(target, join(dir, 'dev', name));

/** Ends when the names are there or its time is over. */
function wait(tenths = 2): Promise<{ code: number | null; stderr: string }> {
  const env = {
    ...process.env,
    TTYNP_RUN: join(dir, 'run'),
    TTYNP_DEV: join(dir, 'dev'),
    TTYNP_USBIP_SOCKET: join(dir, 'helper.sock'),
    TTYNP_CONFIG: join(dir, 'ttynp.yaml'),
    TTYNP_WAIT_TENTHS: String(tenths),
  };
  return new Promise((resolve) => {
    const child = spawn('/bin/sh', [SCRIPT], { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('close', (code) => resolve({ code, stderr }));
  });
}

const missing = (name: string) => ({ code: 1, stderr: `not there after 10 s: ${join(dir, 'dev', name)}\n` });
const done = { code: 0, stderr: '' };

test('nothing to wait for', async () => expect(await wait()).toEqual(done));

test('the link of a PTY into the runtime directory', async () => {
  pty();
  expect(await wait()).toEqual(missing('ttyNP0'));
  link(join(dir, 'run/ttyNP0'), 'ttyNP0');
  expect(await wait()).toEqual(done);
});

test('names of the map, aliases too, as links to kernel ttys that are there', async () => {
  map('ttynp0 0 ttyNP1 meter group=dialout mode=0660\n');
  link('ttyUSB0', 'ttyNP1');
  expect(await wait()).toEqual(missing('meter'));
  link('ttyUSB1', 'meter');
  expect(await wait()).toEqual(missing('meter'));
  writeFileSync(join(dir, 'dev/ttyUSB1'), '');
  expect(await wait()).toEqual(done);
});

test('the link of the PTY that it was is not the name of a kernel tty', async () => {
  map('ttynp0 0 ttyNP1\n');
  pty();
  link(join(dir, 'run/ttyNP0'), 'ttyNP0');
  link(join(dir, 'run/ttyNP0'), 'ttyNP1');
  expect(await wait()).toEqual(missing('ttyNP1'));
});

test('it waits, and ends when the name comes', async () => {
  map('ttynp0 0 ttyNP1\n');
  const waiting = wait(100);
  link('ttyUSB0', 'ttyNP1');
  expect(await waiting).toEqual(done);
});

test('without a helper nobody waits for kernel ttys; with linkDir nobody for links, and for kernel ttys all the same', async () => {
  map('ttynp0 0 ttyNP1\n');
  pty();
  writeFileSync(join(dir, 'ttynp.yaml'), 'linkDir: /tmp\n');
  expect(await wait()).toEqual(missing('ttyNP1'));
  await new Promise((resolve) => helper.close(resolve));
  expect(await wait()).toEqual(done);
});
