// The daemon's side and the root helper's over a real unix socket: a device as the kernel gets it, and who is turned away. The
// kernel is a test's; the credentials, the descriptors and the bytes are real.
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readlinkSync, readSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { SystemClock } from '../../../src/base/clock.js';
import { AttachHelper } from '../../../src/cli/usbip/attach-helper.js';
import { Pump } from '../../../src/native/pump.js';
import { closeFd } from '../../../src/native/socket.js';
import { listenUnix } from '../../../src/native/unix-socket.js';
import { UsbipAdapter } from '../../../src/tty/usbip/adapter.js';
import { type AttachOptions, announceNames, attachDevice, probeHelper } from '../../../src/tty/usbip/attach.js';
import { describeDevice } from '../../../src/tty/usbip/identity.js';
import { UsbipKernel } from '../../support/usbip-kernel.js';
import { VhciTree } from '../../support/vhci-tree.js';

const NOBODY = 65534;
const clock = new SystemClock();
const eventually = (check: () => void) => vi.waitFor(check, { timeout: 20_000, interval: 5 });
const isRoot = process.getuid?.() === 0;

let dir: string;
let path: string;
let tree: VhciTree;
let kernel: UsbipKernel;
let logged: string[];
let stop: () => Promise<void>;
let adapters: UsbipAdapter[];
let before: string[];
let pump: Pump;

function sockets(): string[] {
  return readdirSync('/proc/self/fd').flatMap((fd) => {
    try {
      const name = readlinkSync(`/proc/self/fd/${fd}`);
      return name.startsWith('socket:') ? [name] : [];
    } catch {
      return [];
    }
  });
}

beforeEach(() => {
  before = sockets();
  pump = new Pump();
  dir = mkdtempSync(join(tmpdir(), 'ttynp-usbip-'));
  path = join(dir, 'helper.sock');
  logged = [];
  adapters = [];
  stop = async () => {};
});

afterEach(async () => {
  for (const adapter of adapters) adapter.close();
  pump.close();
  await stop();
  await eventually(() => expect(kernel?.sockets ?? 0).toBe(0));
  tree?.remove();
  rmSync(dir, { recursive: true, force: true });
  await eventually(() => expect(sockets()).toHaveLength(before.length));
});

function start(uid = process.getuid?.() ?? 0, [controllers, ports] = [1, 2]): void {
  tree = new VhciTree(controllers ?? 1, ports ?? 2);
  kernel = new UsbipKernel(tree);
  const listener = listenUnix(path, 64);
  chmodSync(path, 0o666);
  chmodSync(dir, 0o755);
  const controller = new AbortController();
  const helper = new AttachHelper({ uid, clock, log: (line) => logged.push(line), sys: tree.sys, vhci: kernel });
  const served = helper.serve(listener, controller.signal);
  stop = async () => {
    controller.abort();
    await served;
    closeFd(listener);
  };
}

const options = (request: Partial<AttachOptions['request']> = {}): AttachOptions => ({
  socketPath: path,
  request: { speed: 'any', serial: 'alpha', interfaces: 2, ...request },
  timeoutMs: 10_000,
});

/** What the daemon does; `says` is what the device calls itself. */
async function plugIn(request: Partial<AttachOptions['request']> = {}, says = request) {
  const { fd, speed } = await attachDevice(options(request));
  const description = describeDevice(speed, says.serial ?? 'alpha', says.interfaces ?? 2);
  const lost: string[] = [];
  const adapter = new UsbipAdapter({ pump });
  adapter.plug(fd, description, (reason) => lost.push(reason));
  adapters.push(adapter);
  return { adapter, speed, lost };
}

/** A client of another make; resolves with all that it was sent. */
function raw(text: string | Uint8Array, { half = false } = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = createConnection(path, () => (half ? socket.write(text) : socket.end(text)));
    let read = '';
    socket.on('data', (bytes) => {
      read += bytes.toString('latin1');
    });
    socket.on('error', (error) => ('code' in error && error.code === 'EPIPE' ? undefined : reject(error)));
    socket.on('close', () => resolve(read));
  });
}

const isIn = () => eventually(() => expect(logged.at(-1)).toContain('plugged in'));

test('a probe plugs nothing in, and says which module is missing', async () => {
  start();
  await expect(probeHelper(options())).resolves.toBeUndefined();
  expect(kernel.attached).toBe(0);
  rmSync(join(tree.sys, 'bus/usb-serial/drivers/ftdi_sio'), { recursive: true });
  await expect(probeHelper(options())).rejects.toMatchObject({
    code: 'NOT_SUPPORTED',
    message: expect.stringContaining('kernel module ftdi_sio is not loaded'),
  });
});

describe('a device', () => {
  test('is plugged in unauthorised, looked at, authorised, and its interfaces are given to ftdi_sio', async () => {
    start();
    const { speed } = await plugIn({ interfaces: 3 });
    expect(speed).toBe('high');
    await isIn();
    expect(logged).toEqual(['alpha: port 0 (high speed): plugged in, 3 ttys']);
    const device = tree.device(0).slice(tree.sys.length);
    expect(tree.read(`${device}/authorized`)).toMatch(/^1/);
    for (const i of [0, 1, 2]) expect(tree.read(`${device}/${basename(device)}:1.${i}/authorized`)).toMatch(/^1/);
    expect(tree.read('bus/usb/drivers/ftdi_sio/bind')).toBe(`${basename(device)}:1.2`);
    expect(tree.read('bus/usb-serial/drivers/ftdi_sio/new_id')).toBe('1209 7474');
    expect(tree.read(`${device}/../authorized_default`)).toMatch(/^0/);
    // The kernel has heard nothing but answers to what it asked.
    expect(kernel.unasked).toBe(0);
  });

  test('"any" takes the super speed half when the other is full, and one line says when all is full', async () => {
    start();
    const speeds: string[] = [];
    for (const serial of ['a', 'b', 'c', 'd']) {
      speeds.push((await plugIn({ serial })).speed);
      await isIn();
    }
    expect(speeds).toEqual(['high', 'high', 'super', 'super']);
    await expect(attachDevice(options())).rejects.toMatchObject({
      code: 'SYSTEM',
      message: expect.stringMatching(/^alpha: all 4 ports of vhci_hcd are taken .*[^\n]$/),
    });
    await expect(attachDevice(options({ speed: 'super' }))).rejects.toThrow('all 2 super speed ports');
  });

  test('what is refused again and again is one line, until something was plugged in', async () => {
    start(undefined, [1, 1]);
    await plugIn({ serial: 'a', speed: 'high' });
    await isIn();
    const full = async (serial: string) =>
      expect(attachDevice(options({ serial, speed: 'high' }))).rejects.toThrow('are taken');
    for (const serial of ['b', 'c', 'b', 'c']) await full(serial);
    expect(logged.slice(1)).toEqual([
      expect.stringMatching(/^b: all 1 high speed/),
      expect.stringMatching(/^c: all 1 high speed/),
    ]);
    await plugIn({ serial: 'd', speed: 'super' });
    await isIn();
    await full('b');
    expect(logged.at(-1)).toMatch(/^b: all 1 high speed/);
  });

  test('a port that is taken meanwhile: the next; a controller that is not ready: again', async () => {
    start();
    kernel.refusals.push('EBUSY', 'EAGAIN', 'EAGAIN');
    await plugIn();
    await isIn();
    expect(logged).toEqual(['alpha: port 1 (high speed): plugged in, 2 ttys']);
  });

  test('an attach that the kernel refuses is an end of the connection, and a line in the log', async () => {
    start();
    kernel.refusals.push('EINVAL');
    const { lost } = await plugIn();
    await eventually(() => expect(lost).toHaveLength(1));
    expect(logged.at(-1)).toContain('attach: EINVAL');
    expect(tree.isTaken(0)).toBe(false);
  });

  test.each([
    ['another serial', { serial: 'beta' }, 'its serial is "beta"'],
    ['fewer interfaces', { interfaces: 1 }, '1 interfaces, not 2'],
    ['more interfaces', { interfaces: 15 }, '15 interfaces, not 2'],
  ])('with %s than it was asked for is unplugged, and was never authorised', async (_, says, reason) => {
    start();
    const { lost } = await plugIn({}, says);
    await eventually(() => expect(lost).toHaveLength(1));
    expect(logged.at(-1)).toContain(`not let in: `);
    expect(logged.at(-1)).toContain(reason);
    expect(tree.read('bus/usb/drivers/ftdi_sio/bind')).toBe('');
    expect(tree.isTaken(0)).toBe(false);
  });

  test('one that goes at once leaves nothing, and its port is there for the next', async () => {
    start();
    for (let i = 0; i < 20; i++) {
      const { fd } = await attachDevice(options());
      closeFd(fd);
    }
    await eventually(() => expect(logged).toHaveLength(20));
    expect(logged.filter((line) => !line.includes('not let in: it was unplugged meanwhile'))).toEqual([]);
    await plugIn();
    await isIn();
  });

  test('20 times in and out, two at once', async () => {
    start();
    for (let i = 0; i < 20; i++) {
      const pair = await Promise.all([plugIn({ serial: 'a' }), plugIn({ serial: 'b' })]);
      await eventually(() => expect(logged.filter((line) => line.includes('plugged in'))).toHaveLength(2 * (i + 1)));
      for (const { adapter } of pair) adapter.unplug();
      await eventually(() => expect([0, 1, 2, 3].some((port) => tree.isTaken(port))).toBe(false));
    }
    expect(kernel.attached).toBe(40);
  });
});

describe('who asks', () => {
  test.runIf(isRoot)('another user is refused before a byte of it is read', async () => {
    start(NOBODY);
    await expect(attachDevice(options())).rejects.toMatchObject({
      code: 'PERMISSION',
      message: expect.stringContaining(`only user ${NOBODY} may`),
    });
    expect(kernel.attached).toBe(0);
  });

  test.runIf(isRoot)('the user that it is for may, whoever it is; root may not', async () => {
    start(NOBODY);
    const script = `import socket
s = socket.socket(socket.AF_UNIX); s.connect(${JSON.stringify(path)})
s.sendall(b'{"names":true}\\n'); print(s.recv(100).decode().strip())`;
    const child = spawn('/usr/bin/python3', ['-c', script], { uid: NOBODY, gid: NOBODY, cwd: '/' });
    let said = '';
    child.stdout.on('data', (bytes) => {
      said += bytes;
    });
    await new Promise((resolve) => child.on('close', resolve));
    expect(said).toBe('{"ok":true,"ttys":0}\n');
    await expect(announceNames({ socketPath: path, timeoutMs: 10_000 })).rejects.toMatchObject({ code: 'PERMISSION' });
  });
});

describe('what is sent', () => {
  test.each([
    ['nothing', ''],
    ['no JSON', 'GET / HTTP/1.1\r\n\r\n'],
    ['a line that never ends', 'x'.repeat(5000)],
    ['zeros', Buffer.alloc(2000)],
    ['a path for a serial', '{"speed":"high","serial":"../../x","interfaces":1}\n'],
  ])('%s is refused in one line, and the next is served', async (_, text) => {
    start();
    const answer = await raw(text);
    expect(answer).toMatch(/^\{"ok":false,"code":"request","message":"[^\n]*"\}\n$/);
    await plugIn();
    await isIn();
    expect(kernel.attached).toBe(1);
  });

  test('one that says nothing is let go after two seconds; others are served meanwhile, however many they are', async () => {
    start();
    const from = performance.now();
    const silent = Array.from({ length: 40 }, () => raw('{"speed"', { half: true }));
    await Promise.race(silent);
    expect(performance.now() - from).toBeGreaterThanOrEqual(1900);
    await plugIn();
    for (const answer of await Promise.all(silent)) expect(answer).toContain('timeout');
    await eventually(() => expect(logged.some((line) => line.includes('plugged in'))).toBe(true));
  });

  test('a change of names tells udev of our ttys, and of no others', async () => {
    start();
    await plugIn();
    await isIn();
    const device = tree.device(0);
    const tty = join(device, `${basename(device)}:1.1`, 'ttyUSB7', 'tty', 'ttyUSB7');
    mkdirSync(tty, { recursive: true });
    writeFileSync(join(tty, 'uevent'), '');
    expect(await announceNames({ socketPath: path, timeoutMs: 10_000 })).toBe(1);
    expect(tree.read(`${tty.slice(tree.sys.length)}/uevent`)).toBe('change');
    writeFileSync(join(device, 'manufacturer'), 'another\n');
    expect(await announceNames({ socketPath: path, timeoutMs: 10_000 })).toBe(0);
  });
});

describe('the daemon is told in one line what to do', () => {
  test('no helper listens', async () => {
    await expect(attachDevice(options())).rejects.toMatchObject({
      code: 'NO_DAEMON',
      message: expect.stringContaining('systemctl enable --now ttynp-usbip.socket'),
    });
  });

  test('a module is missing: which, and where it comes from', async () => {
    start(undefined, [0, 0]);
    await expect(attachDevice(options())).rejects.toMatchObject({
      code: 'NOT_SUPPORTED',
      message: expect.stringMatching(
        /^kernel module vhci_hcd is not loaded: modprobe vhci_hcd; where it is not found: .+$/,
      ),
    });
  });

  test('a helper that says nothing, closes, or is none; and giving up', async () => {
    tree = new VhciTree(0, 0);
    kernel = new UsbipKernel(tree);
    let answer: string | undefined;
    const server = createServer((socket) => {
      socket.on('error', () => {}).resume();
      if (answer !== undefined) socket.end(answer);
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    stop = () => new Promise((resolve) => server.close(() => resolve()));
    const attempt = (more: Partial<AttachOptions> = {}) => attachDevice({ ...options(), ...more });
    await expect(attempt({ timeoutMs: 50 })).rejects.toMatchObject({
      code: 'NO_DAEMON',
      message: expect.stringContaining('50 ms'),
    });
    const controller = new AbortController();
    const pending = attempt({ signal: controller.signal });
    controller.abort();
    await expect(pending).rejects.toMatchObject({ code: 'CANCELED' });
    await expect(attempt({ signal: AbortSignal.abort() })).rejects.toMatchObject({ code: 'CANCELED' });
    answer = '';
    await expect(attempt()).rejects.toMatchObject({ code: 'NO_DAEMON' });
    for (answer of ['hello\n', '{"ok":true}\n', `${'x'.repeat(2000)}\n`]) {
      await expect(attempt()).rejects.toMatchObject({ code: 'SYSTEM' });
    }
  });

  test('what follows the answer stays in the socket for who owns it now', async () => {
    tree = new VhciTree(0, 0);
    kernel = new UsbipKernel(tree);
    const server = createServer((socket) =>
      socket
        .on('error', () => {})
        .resume()
        .write('{"ok":true,"speed":"high"}\nthe kernel speaks'),
    );
    await new Promise<void>((resolve) => server.listen(path, resolve));
    stop = () => new Promise((resolve) => server.close(() => resolve()));
    const { fd } = await attachDevice(options());
    const bytes = Buffer.alloc(100);
    expect(bytes.toString('latin1', 0, readSync(fd, bytes))).toBe('the kernel speaks');
    closeFd(fd);
  });
});
