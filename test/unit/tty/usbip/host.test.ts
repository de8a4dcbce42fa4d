// Which tty gets which port, when devices are plugged, and what udev is told.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Log } from '../../../../src/base/log.js';
import { KeepFile } from '../../../../src/native/keep-file.js';
import { ADAPTER_KEPT_BYTES, Pump } from '../../../../src/native/pump.js';
import { closeFd, dup, shutdownFd, socketPair } from '../../../../src/native/socket.js';
import { type AdapterKeeper, type PlugRequest, UsbipHost } from '../../../../src/tty/usbip/host.js';
import { mappedTtys } from '../../../../src/tty/usbip/names.js';
import { FtdiDriver } from '../../../support/ftdi-driver.js';
import { ManualClock } from '../../../support/manual-clock.js';

let dir = '';
const kernels: number[] = [];
let pump: Pump;
beforeEach(() => {
  pump = new Pump();
  dir = mkdtempSync(join(tmpdir(), 'ttynp-usbip-'));
});
afterEach(() => {
  pump.close();
  for (const fd of kernels.splice(0)) closeFd(fd);
  rmSync(dir, { recursive: true });
});

const turns = async () => {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
};

/** The store of a service manager: what was put there, by serial. */
class Store {
  readonly kept = new Map<string, { fd: number; file: number }>();

  keeper(): AdapterKeeper {
    const adopted = [...this.kept].map(([serial, { fd, file }]) => ({
      serial,
      fd: dup(fd),
      file: new KeepFile(dup(file), ADAPTER_KEPT_BYTES),
    }));
    return {
      adopted,
      made: (serial, fd, file) => {
        this.#forget(serial);
        this.kept.set(serial, { fd: dup(fd), file: dup(file.fd) });
      },
      gone: (serial) => this.#forget(serial),
    };
  }

  end(): void {
    for (const serial of [...this.kept.keys()]) this.#forget(serial);
  }

  #forget(serial: string): void {
    const { fd, file } = this.kept.get(serial) ?? {};
    for (const one of [fd, file]) if (one !== undefined) closeFd(one);
    this.kept.delete(serial);
  }
}

function make(refuse: () => string | undefined = () => undefined, store?: Store) {
  const clock = new ManualClock();
  const requests: PlugRequest[] = [];
  const announced: string[] = [];
  const lines: string[] = [];
  const log: Log = { log: (level, message) => lines.push(`${level}: ${message}`), child: () => log };
  const namesFile = join(dir, 'usbip-names');
  const names = () => readFileSync(namesFile, 'utf8');
  const driverless = new Set<string>();
  const udev = { refuses: undefined as string | undefined };
  const host = new UsbipHost({
    pump,
    keeper: store?.keeper(),
    clock,
    log,
    namesFile,
    attach: async (request) => {
      requests.push(request);
      const reason = refuse();
      if (reason !== undefined) throw new Error(reason);
      const [ours, kernel] = socketPair();
      kernels.push(kernel);
      return { fd: ours, speed: 'high' };
    },
    announce: async () => {
      if (udev.refuses !== undefined) throw new Error(udev.refuses);
      announced.push(names());
    },
    isDriverless: (serial) => driverless.has(serial),
  });
  return { clock, requests, lines, host, names, announced, driverless, udev };
}

test('all that are taken in one go share a device, fifteen at most', async () => {
  const { clock, requests, host, names } = make();
  for (let i = 0; i < 17; i++) host.take(`ttyNP${i}`, i === 0 ? ['plc'] : []);
  clock.advance(1);
  await turns();
  expect(requests).toEqual([
    { serial: 'ttynp0', interfaces: 15 },
    { serial: 'ttynp1', interfaces: 2 },
  ]);
  expect(names().split('\n')[0]).toBe('ttynp0 0 ttyNP0 plc');
  expect(names().split('\n')[16]).toBe('ttynp1 1 ttyNP16');
  host.close();
});

test('a later one takes a free port, else a device of its own: nothing is plugged anew', async () => {
  const { clock, requests, host, names, announced } = make();
  const places = ['a', 'b'].map((name) => host.take(name, []));
  clock.advance(1);
  await turns();
  places[0]?.release();
  host.take('c', []);
  host.take('d', []);
  clock.advance(1);
  await turns();
  expect(requests).toEqual([
    { serial: 'ttynp0', interfaces: 2 },
    { serial: 'ttynp1', interfaces: 1 },
  ]);
  expect(names()).toBe('ttynp0 0 c\nttynp0 1 b\nttynp1 0 d\n');
  clock.advance(100);
  expect(announced).toEqual([names()]);
  host.close();
});

test('a port that an application has open is never given to another tty; who comes back gets its own', async () => {
  const { clock, host } = make();
  const [a, b] = ['a', 'b'].map((name) => host.take(name, []));
  host.take('stays', []);
  clock.advance(1);
  await turns();
  const kernel = new FtdiDriver(kernels.splice(0)[0] ?? -1);
  const apps = [kernel.open(0), kernel.open(1)];
  await until(() => a?.port.isOpen === true && b?.port.isOpen === true);
  a?.release();
  b?.release();
  const other = host.take('other', []);
  expect(other.port.isOpen).toBe(false);
  expect(host.take('b', []).port).toBe(b?.port);
  expect(host.take('a', []).port).toBe(a?.port);
  for (const app of apps) app.close();
  host.close();
  kernel.close();
});

test('a refused device is tried again, said once, and says why at its ports', async () => {
  let reason: string | undefined = 'no helper';
  const { clock, requests, lines, host } = make(() => reason);
  const place = host.take('a', []);
  for (let n = 0; n < 3; n++) {
    clock.advance(1000);
    await turns();
  }
  expect(requests).toHaveLength(3);
  expect(place.trouble()).toBe('no helper');
  expect(lines).toEqual(['warn: ttynp0: no kernel device: no helper']);
  reason = undefined;
  clock.advance(1000);
  await turns();
  expect(place.trouble()).toBeUndefined();
  expect(lines.at(-1)).toBe('info: ttynp0: 1 ports in the kernel');
  host.close();
});

test('a device that the kernel gives up is plugged again, with the same ports', async () => {
  const { clock, requests, host } = make();
  const place = host.take('a', []);
  clock.advance(1);
  await turns();
  for (const fd of kernels.splice(0)) closeFd(fd);
  await until(() => place.trouble() !== undefined);
  expect(place.trouble()).toMatch(/let go/);
  clock.advance(1000);
  await turns();
  expect(requests).toHaveLength(2);
  expect(place.trouble()).toBeUndefined();
  host.close();
});

test('a device that lost its driver is plugged in again; one whose driver comes late is left alone', async () => {
  const { clock, requests, host, lines, driverless } = make();
  const place = host.take('ttyNP0', []);
  clock.advance(0);
  await turns();
  driverless.add('ttynp0');
  host.lookAgain();
  driverless.clear();
  host.lookAgain();
  driverless.add('ttynp0');
  host.lookAgain();
  expect(place.trouble()).toBeUndefined();
  host.lookAgain();
  expect(place.trouble()).toBe('its driver is gone');
  expect(lines.filter((line) => line.includes('its driver is gone'))).toHaveLength(1);
  clock.advance(1000);
  await turns();
  expect(requests.map(({ serial }) => serial)).toEqual(['ttynp0', 'ttynp0']);
  expect(place.trouble()).toBeUndefined();
  host.close();
});

test('names that udev was not told are told again until it knows, and that is said once', async () => {
  const { clock, host, announced, lines, udev, names } = make();
  host.take('ttyNP0', []);
  clock.advance(0);
  await turns();
  udev.refuses = 'nobody there';
  host.take('ttyNP0x', []).release();
  for (let second = 0; second < 3; second++) {
    clock.advance(1000);
    await turns();
  }
  expect(lines.filter((line) => line.includes('nobody there'))).toHaveLength(1);
  udev.refuses = undefined;
  clock.advance(1000);
  await turns();
  expect(announced).toEqual([names()]);
  clock.advance(10_000);
  await turns();
  expect(announced).toHaveLength(1);
  host.close();
});

test('the last port of a device unplugs it', async () => {
  const { clock, host, names } = make();
  const place = host.take('a', []);
  clock.advance(1);
  await turns();
  place.release();
  expect(names()).toBe('');
  expect(place.port.isOpen).toBe(false);
  host.close();
});

/** The pump ends, and a new one begins, as in another process: nothing is unplugged. */
function die(): void {
  pump.freeze();
  pump.close();
  pump = new Pump();
}

test('a later process goes on with what is plugged, each tty at its port, and releases what is wanted no more', async () => {
  const store = new Store();
  const first = make(undefined, store);
  for (const name of ['a', 'b', 'c']) first.host.take(name, []);
  first.clock.advance(1);
  await turns();
  const kernel = new FtdiDriver(kernels.splice(0)[0] ?? -1);
  const app = kernel.open(2);
  await app.setRate(19_200);
  await app.line(0x0207);
  expect([...store.kept.keys()]).toEqual(['ttynp0']);
  die();

  const { host, requests, names, clock } = make(undefined, store);
  const late = host.take('d', []);
  const place = host.take('c', []);
  expect(place.trouble()).toBeUndefined();
  expect(place.port.isOpen).toBe(true);
  expect(place.port.settings).toMatchObject({ baudRate: 19_200, dataBits: 7, parity: 'even' });
  host.settle();
  // 'd' was never of that device, and its ports were not free yet.
  expect(names()).toBe('ttynp0 2 c\nttynp1 0 d\n');
  clock.advance(1);
  await turns();
  expect(requests).toEqual([{ serial: 'ttynp1', interfaces: 1 }]);
  expect(late.trouble()).toBeUndefined();
  expect(kernel.ended).toBe(false);
  place.release();
  await turns();
  await until(() => kernel.ended);
  expect([...store.kept.keys()]).toEqual(['ttynp1']);
  host.close();
  expect(store.kept.size).toBe(0);
  app.close();
  kernel.close();
  store.end();
});

test('a device that the kernel gave up meanwhile, and one of another version, are plugged anew', async () => {
  for (const broken of [false, true]) {
    const store = new Store();
    const first = make(undefined, store);
    first.host.take('a', []);
    first.clock.advance(1);
    await turns();
    const kept = store.kept.get('ttynp0');
    if (broken) new KeepFile(kept?.file ?? -1, ADAPTER_KEPT_BYTES).write({ version: 99 });
    else for (const fd of kernels) shutdownFd(fd, 'both');
    die();

    const { host, requests, clock } = make(undefined, store);
    const place = host.take('a', []);
    host.settle();
    await until(() => place.trouble() !== undefined);
    clock.advance(1000);
    await turns();
    expect(requests).toEqual([{ serial: 'ttynp0', interfaces: 1 }]);
    expect(place.trouble()).toBeUndefined();
    host.close();
    expect(store.kept.size).toBe(0);
  }
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

test('before the machine sleeps all are unplugged and none is plugged in; after it the same ports come back', async () => {
  const { clock, requests, host, names } = make();
  const place = host.take('a', []);
  for (let i = 0; i < 15; i++) host.take(`b${i}`, []);
  clock.advance(1);
  await turns();
  const before = names();
  expect(host.suspend()).toBe(2);
  expect(place.trouble()).toMatch(/unplugged while the machine goes to sleep/);
  // A tty that comes meanwhile waits too.
  host.take('c', []);
  for (let s = 0; s < 5; s++) {
    clock.advance(1000);
    await turns();
  }
  expect(requests).toHaveLength(2);
  expect(host.resume()).toBe(2);
  clock.advance(1);
  await turns();
  expect(requests.slice(2)).toEqual([
    { serial: 'ttynp0', interfaces: 15 },
    { serial: 'ttynp1', interfaces: 2 },
  ]);
  expect(place.trouble()).toBeUndefined();
  expect(names()).toBe(`${before}ttynp1 1 c\n`);
  expect(host.resume()).toBe(0);
  host.close();
});

test('a device that is on its way in when the machine goes to sleep is unplugged too, and comes back', async () => {
  const { clock, requests, host } = make();
  const place = host.take('a', []);
  clock.advance(1);
  expect(host.suspend()).toBe(0);
  await turns();
  expect(requests).toHaveLength(1);
  expect(place.trouble()).toMatch(/goes to sleep/);
  host.resume();
  clock.advance(1);
  await turns();
  expect(requests).toHaveLength(2);
  expect(place.trouble()).toBeUndefined();
  host.close();
});

test('a sleep that nobody ends is over after a minute of running', async () => {
  const { clock, requests, lines, host } = make();
  host.take('a', []);
  clock.advance(1);
  await turns();
  host.suspend();
  clock.advance(59_000);
  await turns();
  expect(requests).toHaveLength(1);
  clock.advance(1001);
  await turns();
  expect(requests).toHaveLength(2);
  expect(lines).toContainEqual(expect.stringMatching(/^warn: nobody told within 60 s/));
  host.close();
});

test('who may open a tty is in the map too', () => {
  const { host, names } = make();
  host.take('a', ['meter'], { group: 'plc', mode: 0o640 });
  host.take('b', [], { group: 20 });
  host.take('c', [], { mode: 0o777 });
  expect(names()).toBe('ttynp0 0 a meter group=plc mode=0640\nttynp0 1 b group=20\nttynp0 2 c mode=0666\n');
  expect(mappedTtys(names())).toEqual([
    { serial: 'ttynp0', interface: 0, names: ['a', 'meter'] },
    { serial: 'ttynp0', interface: 1, names: ['b'] },
    { serial: 'ttynp0', interface: 2, names: ['c'] },
  ]);
  host.close();
});
