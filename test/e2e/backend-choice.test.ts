// `backend: auto` of the whole daemon: what it chose stays over restarts, whatever the machine can give later. The root helper
// is played; it plugs nothing in, so a tty of usbip never gets its device here.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cli, Whole } from '../support/e2e.js';

const NO_MODULE = 'kernel module vhci_hcd is not loaded';

let state: string;
let whole: Whole | undefined;
let helper: Server | undefined;

beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'ttynp-state-'));
});

afterEach(async () => {
  await whole?.close();
  whole = undefined;
  await noHelper();
  rmSync(state, { recursive: true, force: true });
});

/** Says yes when it is asked whether, and refuses to plug in. */
function playHelper(): Promise<void> {
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (line: Buffer) => {
      const refusal = { ok: false, code: 'missing', message: NO_MODULE };
      socket.end(`${JSON.stringify(line.includes('"probe"') ? { ok: true } : refusal)}\n`);
    });
  });
  helper = server;
  return new Promise((resolve) => server.listen(join(state, 'helper.sock'), resolve));
}

async function noHelper(): Promise<void> {
  const server = helper;
  helper = undefined;
  if (server) await new Promise((resolve) => server.close(resolve));
}

async function start(): Promise<Whole> {
  whole = await Whole.start({
    ports: 2,
    daemon: { env: { STATE_DIRECTORY: state } },
    config: { usbip: { socket: join(state, 'helper.sock') } },
  });
  return whole;
}

async function restart(): Promise<void> {
  await whole?.stopDaemon();
  await whole?.startDaemon();
}

/** Not up, with the reason and what to do. */
async function waits(reason: string): Promise<void> {
  const view = await whole?.portIs('waits', ({ reason: why }) => why?.message.includes(reason) === true);
  expect(view).toMatchObject({ state: 'waiting', backend: 'usbip', open: false, reason: { code: 'TTY_WAITING' } });
  expect(view?.reason?.message).toMatch(
    /^ttyNP0 waits for its device: .*; for a PTY instead: ttynp reload --choose-backend ttyNP0$/,
  );
}

const backends = async () => (await whole?.client.ports())?.map(({ backend }) => backend);

test('without a helper a pty, which stays one when there is a helper, until it is told to choose again', async () => {
  const { socketPath } = await start();
  expect(await backends()).toEqual(['pty', 'pty']);
  expect((await whole?.port())?.backendChoice).toMatchObject({
    by: 'auto',
    why: expect.stringMatching(/^no usbip helper listens on .*systemctl enable --now ttynp-usbip.socket/),
  });
  await playHelper();
  await restart();
  expect(await backends()).toEqual(['pty', 'pty']);
  const again = await cli(['reload', '--socket', socketPath, '--choose-backend', 'ttyNP1']);
  expect(again.stdout).toBe('reloaded: changed ttyNP1; 1 unchanged\n');
  expect(await backends()).toEqual(['pty', 'usbip']);
  expect(JSON.parse(readFileSync(join(state, 'backends.json'), 'utf8'))).toMatchObject({
    ttys: { ttyNP0: { backend: 'pty' }, ttyNP1: { backend: 'usbip' } },
  });
});

test('usbip, which stays usbip when the helper or a module is gone: nothing turns into a pty', async () => {
  await playHelper();
  await start();
  expect(await backends()).toEqual(['usbip', 'usbip']);
  await waits(NO_MODULE);
  await noHelper();
  await restart();
  await waits('no usbip helper listens on');
  const health = await cli(['health', '--socket', whole?.socketPath ?? '']);
  expect(health).toMatchObject({ code: 2, stdout: expect.stringContaining('2 of 2 ports wait for their device') });
  expect((await cli(['status', '--socket', whole?.socketPath ?? ''])).stdout).toContain('2 wait for their device');
  whole?.configure({ usbip: { socket: join(state, 'helper.sock') }, control: {} });
  await whole?.client.reload();
  expect(await backends()).toEqual(['usbip', 'usbip']);
});

test('a daemon that has nothing to remember in makes PTYs', async () => {
  await playHelper();
  whole = await Whole.start({ config: { usbip: { socket: join(state, 'helper.sock') } } });
  expect(await backends()).toEqual(['pty']);
});
