// A machine that goes to sleep, as the unit for it acts: the whole daemon, the real helper in this process, and a kernel that is
// played (a tree of files, and the other end of the sockets).
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import { AttachHelper } from '../../src/cli/usbip/attach-helper.js';
import { closeFd } from '../../src/native/socket.js';
import { listenUnix } from '../../src/native/unix-socket.js';
import { cli, eventually, Whole } from '../support/e2e.js';
import { UsbipKernel } from '../support/usbip-kernel.js';
import { VhciTree } from '../support/vhci-tree.js';

let dir: string;
let tree: VhciTree;
let kernel: UsbipKernel;
let whole: Whole | undefined;
let stopHelper: () => Promise<void>;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'ttynp-suspend-'));
  tree = new VhciTree(1, 2);
  kernel = new UsbipKernel(tree);
  const listener = listenUnix(join(dir, 'helper.sock'), 8);
  const controller = new AbortController();
  const uid = process.getuid?.() ?? 0;
  const helper = new AttachHelper({ uid, clock: new SystemClock(), log: () => {}, sys: tree.sys, vhci: kernel });
  const served = helper.serve(listener, controller.signal);
  stopHelper = async () => {
    controller.abort();
    await served;
    closeFd(listener);
  };
});

afterEach(async () => {
  await whole?.close();
  whole = undefined;
  await stopHelper();
  tree.remove();
  rmSync(dir, { recursive: true, force: true });
});

const plugged = (count: number, times: number) =>
  eventually(
    `${count} devices, plugged in ${times} times`,
    () => kernel.sockets === count && kernel.attached === times,
  );
const names = () => readFileSync(join(whole?.dir ?? '', 'usbip-names'), 'utf8');

test('the devices are gone when the command returns, and come back with the same names', async () => {
  whole = await Whole.start({
    ports: 2,
    tty: { backend: 'usbip' },
    config: { usbip: { socket: join(dir, 'helper.sock') } },
  });
  const argv = (action: string) => ['usbip', action, '--socket', whole?.socketPath ?? '', '--sys', tree.sys];
  await plugged(1, 1);
  const before = names();
  expect(before).toBe('ttynp0 0 ttyNP0 mode=0660\nttynp0 1 ttyNP1 mode=0660\n');
  expect(await cli(argv('suspend'))).toMatchObject({ code: 0, stdout: '1 adapters unplugged\n' });
  expect(kernel.sockets).toBe(0);
  expect(tree.isTaken(0)).toBe(false);
  expect((await whole.port()).reason?.message).toContain('unplugged while the machine goes to sleep');
  await whole.client.reload();
  expect(kernel.attached).toBe(1);
  expect(await cli(argv('resume'))).toMatchObject({ code: 0, stdout: '1 adapters are plugged in again\n' });
  await plugged(1, 2);
  expect(names()).toBe(before);
});

test('a device of ours that stays is told, and is a failure; other people’s devices are no matter of ours', async () => {
  whole = await Whole.start({ config: { usbip: { socket: join(dir, 'helper.sock') } } });
  const suspend = () => cli(['usbip', 'suspend', '--socket', whole?.socketPath ?? '', '--sys', tree.sys]);
  tree.take(0, 1);
  tree.plugIn(0, { manufacturer: 'Somebody' }, new Uint8Array(18), 1);
  expect(await suspend()).toMatchObject({ code: 0, stdout: '0 adapters unplugged\n' });
  tree.take(1, 2);
  tree.plugIn(1, { manufacturer: 'ttynp' }, new Uint8Array(18), 1);
  expect(await suspend()).toMatchObject({
    code: 1,
    stderr: expect.stringContaining('1 devices are still in the kernel'),
  });
});

test('without a daemon one line, as of every command', async () => {
  const none = await cli(['usbip', 'suspend', '--socket', join(dir, 'none.sock')]);
  expect(none).toMatchObject({ code: 1, stderr: expect.stringMatching(/^ttynp: no daemon at [^\n]*\n$/) });
});
