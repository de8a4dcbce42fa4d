// The descriptor store against a model of the manager: whatever is put and removed, in any order and however rarely the
// manager has room, it ends with what was put last, and never sees more than its limit.
import { closeSync, fstatSync, readdirSync } from 'node:fs';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { descriptorLimit } from '../../../../src/daemon/descriptor-limit.js';
import { type DescriptorStore, openDescriptorStore } from '../../../../src/daemon/handover/descriptor-store.js';
import type { ManagerWire } from '../../../../src/daemon/handover/manager-wire.js';
import { createStateFile } from '../../../../src/native/descriptor.js';
import { ManualClock } from '../../../support/manual-clock.js';
import { LogRecorder } from '../log-recorder.js';

/** What systemd keeps: names and the files behind them; it drops what is more than its limit. */
class ModelManager implements ManagerWire {
  readonly stored = new Map<string, number>();
  readonly received: string[] = [];
  dropped = 0;
  tries = 0;
  #slots = 0;

  constructor(
    readonly limit: number,
    slots: number,
  ) {
    this.#slots = slots;
  }

  free(slots: number): void {
    this.#slots += slots;
  }

  send(state: string, fds: readonly number[]): boolean {
    this.tries++;
    if (this.#slots === 0) return false;
    this.#slots--;
    this.received.push(state);
    const name = /^FDNAME=(.*)$/m.exec(state)?.[1] ?? '';
    const [fd] = fds;
    if (state.startsWith('FDSTOREREMOVE=1\n')) this.stored.delete(name);
    else if (fd === undefined || this.stored.has(name) || this.stored.size >= this.limit) this.dropped++;
    else this.stored.set(name, fstatSync(fd).ino);
    return true;
  }

  awaitRoom(): boolean {
    this.free(1);
    return true;
  }

  beginBarrier(): number | undefined {
    if (this.#slots === 0) return undefined;
    this.#slots--;
    this.received.push('BARRIER=1');
    return createStateFile('barrier', 0);
  }

  awaitEnd(): boolean {
    return true;
  }
}

let open: (DescriptorStore | undefined)[] = [];
let before = 0;
const descriptors = () => readdirSync('/proc/self/fd').length;

beforeEach(() => {
  before = descriptors();
});

afterEach(() => {
  for (const store of open) store?.close();
  open = [];
  expect(descriptors()).toBe(before);
});

function rig(limit: number, slots = Number.POSITIVE_INFINITY) {
  const wire = new ModelManager(limit, slots);
  const clock = new ManualClock();
  const log = new LogRecorder();
  const environment = { NOTIFY_SOCKET: '/run/notify', FDSTORE: String(limit) };
  const store = openDescriptorStore({ clock, log, environment, pid: 1, wire });
  open.push(store);
  /** Puts a new file, whose descriptor is closed right after, and returns what tells it from others. */
  const put = (name: string): number | undefined => {
    const fd = createStateFile(name, 0);
    const { ino } = fstatSync(fd);
    const taken = store.put(name, fd);
    closeSync(fd);
    return taken ? ino : undefined;
  };
  return { wire, clock, log, store, put };
}

test('each descriptor in a message of its own, after the removal of what has the name', () => {
  const { wire, store, put, clock } = rig(10);
  put('tty-ttyNP0');
  store.remove('tty-ttyNP0');
  expect(wire.received).toEqual([
    'FDSTOREREMOVE=1\nFDNAME=tty-ttyNP0',
    'FDSTORE=1\nFDNAME=tty-ttyNP0\nFDPOLL=0',
    'FDSTOREREMOVE=1\nFDNAME=tty-ttyNP0',
  ]);
  expect([store.used, clock.timers]).toEqual([0, 0]);
});

test('without room it tries again, less and less often, and stops when everything is sent', () => {
  const { wire, store, put, clock } = rig(10, 0);
  const ino = put('a');
  const waits: number[] = [];
  for (let i = 0; i < 7; i++) {
    waits.push(clock.nextMs ?? 0);
    clock.advance(clock.nextMs ?? 0);
  }
  expect(waits).toEqual([5, 10, 20, 40, 80, 100, 100]);
  wire.free(1);
  clock.advance(100);
  expect(wire.received).toHaveLength(1);
  expect(clock.nextMs, 'where something went, more will soon').toBe(5);
  wire.free(1);
  clock.advance(5);
  expect([...wire.stored]).toEqual([['a', ino]]);
  expect([clock.timers, store.used]).toEqual([0, 1]);
});

test('a barrier comes after everything that was queued', () => {
  const { wire, store, put, clock } = rig(10, 1);
  for (const name of ['a', 'b', 'c']) put(name);
  expect(store.barrier(1000)).toBe(true);
  expect(wire.received.at(-1)).toBe('BARRIER=1');
  expect([...wire.stored.keys()]).toEqual(['a', 'b', 'c']);
  expect(clock.timers).toBe(0);
});

test('a port that changes its socket again and again under a busy manager costs no more than one put', () => {
  const { wire, put, clock } = rig(10, 0);
  put('other');
  let last: number | undefined;
  for (let i = 0; i < 1000; i++) last = put('data-ttyNP0');
  expect(descriptors() - before).toBe(2);
  wire.free(100);
  clock.advance(5000);
  expect(wire.received).toHaveLength(4);
  expect(wire.stored.get('data-ttyNP0')).toBe(last);
});

test('names that the manager would not keep', () => {
  const { wire, store } = rig(10);
  for (const name of ['', 'a:b', 'line\nbreak', 'tty-ü', 'x'.repeat(256)]) {
    expect(() => store.put(name, 0)).toThrow('no name for a stored descriptor');
    store.remove(name);
  }
  expect(wire.received).toEqual([]);
});

test('what is no descriptor is an error, and what has the name stays', () => {
  const { wire, store, put } = rig(10);
  const ino = put('a');
  expect(() => store.put('a', 99_999)).toThrow(expect.objectContaining({ code: 'EBADF' }));
  expect([...wire.stored]).toEqual([['a', ino]]);
  expect(store.used).toBe(1);
});

test('of a store beyond LimitNOFILE no more is used than a start can be given', () => {
  const { store, log } = rig(999_999_999);
  expect(store.limit).toBe(descriptorLimit() - 64);
  expect(log.lines).toEqual([expect.stringMatching(/^warn: of the 999999999 descriptors in the store \d+ are used/)]);
});

test('closed, it owes nothing to anybody', () => {
  const { wire, store, put, clock } = rig(10, 0);
  put('a');
  store.close();
  expect([clock.timers, descriptors() - before, wire.received]).toEqual([0, 0, []]);
});

type Step = { name: string; do: 'put' | 'remove' } | { free: number } | { do: 'barrier' };

test('whatever is put and removed, the manager ends with what was put last, within its limit', () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const step: fc.Arbitrary<Step> = fc.oneof(
    { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('put', 'remove'), name }) },
    { weight: 3, arbitrary: fc.record({ free: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 1, arbitrary: fc.constant({ do: 'barrier' } as const) },
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), (limit, steps) => {
      const { wire, clock, store, put } = rig(limit, 0);
      const expected = new Map<string, number>();
      for (const next of steps) {
        if ('free' in next) {
          wire.free(next.free);
          clock.advance(100);
        } else if (next.do === 'barrier') {
          expect(store.barrier(1000)).toBe(true);
          expect(wire.stored).toEqual(expected);
        } else if (next.do === 'remove') {
          store.remove(next.name);
          expected.delete(next.name);
        } else {
          const room = expected.has(next.name) || expected.size < limit;
          const ino = put(next.name);
          expect(ino !== undefined).toBe(room);
          if (ino !== undefined) expected.set(next.name, ino);
        }
        expect(store.used).toBe(expected.size);
      }
      wire.free(1000);
      clock.advance(1000);
      expect(wire.stored).toEqual(expected);
      expect([wire.dropped, clock.timers]).toEqual([0, 0]);
    }),
  );
});
