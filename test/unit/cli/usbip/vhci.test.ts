// Which ports there are and which are tried, from a tree such as sysfs shows.
import { mkdirSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { closeHubs } from '../../../../src/cli/usbip/admission.js';
import { candidates, parseStatus, Vhci } from '../../../../src/cli/usbip/vhci.js';
import { VhciTree } from '../../../support/vhci-tree.js';

const trees: VhciTree[] = [];
function tree(controllers: number, ports: number): VhciTree {
  const made = new VhciTree(controllers, ports);
  trees.push(made);
  return made;
}
afterEach(() => {
  for (const made of trees.splice(0)) made.remove();
});

test('a status file as Linux 6.1 prints it; its head and what is no line of it are passed over', () => {
  const text = `hub port sta spd dev      sockfd local_busid
hs  0000 006 003 00010002 000018 1-1
hs  0001 004 000 00000000 000000 0-0
ss  0015 005 000 00000000 000000 0-0
nonsense
`;
  expect(parseStatus(text)).toEqual([
    { speed: 'high', number: 0, state: 6, devid: 0x10002 },
    { speed: 'high', number: 1, state: 4, devid: 0 },
    { speed: 'super', number: 15, state: 5, devid: 0 },
  ]);
});

describe.each([
  [1, 8],
  [8, 15],
  [11, 2],
])('%i controllers of 2 x %i ports', (controllers, ports) => {
  test('a number for each port, high speed before super speed, and the place of its device', () => {
    const t = tree(controllers, ports);
    const all = new Vhci(t.sys).ports();
    expect(all.map((port) => port.number)).toEqual([...all.keys()]);
    expect(all).toHaveLength(controllers * 2 * ports);
    for (const port of all) {
      expect(port.speed).toBe(port.number % (2 * ports) < ports ? 'high' : 'super');
      expect(port.devicePath).toBe(t.device(port.number));
      expect(port.free).toBe(true);
    }
  });

  test('the root hubs of all are closed', () => {
    const t = tree(controllers, ports);
    const vhci = new Vhci(t.sys);
    closeHubs(vhci);
    expect(vhci.rootHubs).toHaveLength(2 * controllers);
    for (const hub of vhci.rootHubs) {
      expect(t.read(`${hub.slice(t.sys.length)}/authorized_default`)).toMatch(/^0/);
      expect(t.read(`${hub.slice(t.sys.length)}/interface_authorized_default`)).toMatch(/^0/);
    }
  });
});

test('no controller, no ports', () => {
  expect(new Vhci('/nonexistent').ports()).toEqual([]);
  expect(new Vhci('/nonexistent').rootHubs).toEqual([]);
});

describe('the ports to try', () => {
  const numbers = (t: VhciTree, speed: 'high' | 'super' | 'any') =>
    candidates(new Vhci(t.sys).ports(), speed).map((port) => port.number);

  test('free ones of the speed, over all controllers', () => {
    const t = tree(2, 2);
    t.take(0, 7);
    t.take(6, 0);
    expect(numbers(t, 'high')).toEqual([1, 4, 5]);
    expect(numbers(t, 'super')).toEqual([2, 3, 7]);
  });

  test('any: high speed while there is one, then super speed, then none', () => {
    const t = tree(1, 2);
    expect(numbers(t, 'any')).toEqual([0, 1]);
    t.take(0, 1);
    t.take(1, 2);
    expect(numbers(t, 'any')).toEqual([2, 3]);
    expect(numbers(t, 'high')).toEqual([]);
    t.take(2, 3);
    t.take(3, 4);
    expect(numbers(t, 'any')).toEqual([]);
  });

  test('not one whose device of before the kernel has not taken down yet', () => {
    const t = tree(1, 2);
    mkdirSync(t.device(0));
    expect(numbers(t, 'high')).toEqual([1]);
  });
});

describe('what is still on a port', () => {
  const port = (t: VhciTree) => candidates(new Vhci(t.sys).ports(), 'high')[0];

  test('ours, before and after it got an address; not what came after it', () => {
    const t = tree(1, 1);
    const vhci = new Vhci(t.sys);
    const found = port(t);
    if (found === undefined) throw new Error('no port');
    vhci.attach(found, 99, 0x10001);
    expect(t.read('devices/platform/vhci_hcd.0/attach')).toBe(`0 99 ${0x10001} 3`);
    expect(vhci.holds(0, 0x10001)).toBe(false);
    t.take(0, 0);
    expect(vhci.holds(0, 0x10001)).toBe(true);
    t.take(0, 0x10001);
    expect(vhci.holds(0, 0x10001)).toBe(true);
    t.take(0, 5);
    expect(vhci.holds(0, 0x10001)).toBe(false);
    t.free(0);
    vhci.attach(found, 98, 0x10002);
    t.take(0, 0);
    expect(vhci.holds(0, 0x10001)).toBe(false);
    expect(vhci.holds(0, 0x10002)).toBe(true);
  });

  test('the attach file is never made where there is none', () => {
    const t = tree(1, 1);
    const found = port(t);
    if (found === undefined) throw new Error('no port');
    t.remove();
    expect(() => new Vhci(t.sys).attach(found, 3, 1)).toThrow(/ENOENT/);
  });
});
