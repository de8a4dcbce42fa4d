// What every Link must do, whatever it is. Run against each implementation; assertions are on what the device got. What a
// protocol has no word for its capabilities say: then it must refuse.
import { readSync, writeSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { afterEach, describe, expect, test } from 'vitest';
import { Fault } from '../../src/base/fault.js';
import { type Link, NEEDED } from '../../src/link/link.js';
import {
  DEFAULT_SETTINGS,
  type LineErrors,
  type LineReport,
  type LineRequest,
  type LineSettings,
} from '../../src/serial/line.js';

/** The far end of a link, as a test sees it. */
export interface LinkDevice {
  link(): Link;
  /** What the device has been asked, in order. */
  readonly requests: readonly LineRequest[];
  refuse(settings: LineSettings): void;
  leave(bytes: number): void;
  /** Nothing is answered any more. */
  mute(): void;
  report(report: LineReport): void;
  drop(): void;
  /** The device's data end. */
  data(): Promise<Duplex>;
  /** The device has seen its connections end. */
  ended(): Promise<void>;
  close(): Promise<void>;
}

export interface LinkCase {
  readonly name: string;
  /** What of the errors there is a word for. */
  readonly errors?: LineErrors;
  /** There is no connection: nobody sees an end. */
  readonly connectionless?: boolean;
  device(): Promise<LinkDevice>;
}

const ERRORS: LineErrors = { parity: true, framing: false, overrun: false, bufferOverrun: true };
const UP = { dtr: true, rts: true };
const at = (baudRate: number): LineSettings => ({ ...DEFAULT_SETTINGS, baudRate });

export function linkContract({ name, errors = ERRORS, connectionless = false, device: make }: LinkCase): void {
  const devices: LinkDevice[] = [];
  const links: Link[] = [];

  afterEach(async () => {
    for (const link of links.splice(0)) await link.close();
    for (const device of devices.splice(0)) await device.close();
  });

  async function fresh() {
    const device = await make();
    devices.push(device);
    const link = device.link();
    links.push(link);
    const seen = {
      reports: [] as LineReport[],
      faults: [] as Fault[],
      commands: [] as string[],
      answers: [] as number[],
      nested: 0,
      inCall: false,
    };
    const look = () => {
      if (seen.inCall) seen.nested++;
    };
    const events = {
      report: (report: LineReport) => {
        look();
        seen.reports.push(report);
      },
      down: (fault: Fault) => {
        look();
        seen.faults.push(fault);
      },
      answered: (roundTripMs: number) => {
        look();
        seen.answers.push(roundTripMs);
      },
      command: (direction: string, _bytes: Uint8Array, text: string) => {
        look();
        seen.commands.push(`${direction} ${text}`);
      },
    };
    /** Calls the link; an event from inside is a fault of the link. */
    const inside = <T>(call: () => T): T => {
      seen.inCall = true;
      try {
        return call();
      } finally {
        seen.inCall = false;
      }
    };
    return { device, link, seen, events, inside };
  }

  async function connected() {
    const all = await fresh();
    await all.link.connect(all.events, new AbortController().signal);
    return all;
  }

  const settings = (baudRate: number): LineRequest => ({ type: 'settings', settings: at(baudRate), lines: UP });

  /** Something that the device can be asked; undefined: it can be asked nothing. */
  const question = ({ capabilities }: Link): LineRequest | undefined =>
    [{ type: 'fifo', bytes: 16 } as const, { type: 'break', on: true } as const].find(
      ({ type }) => capabilities[NEEDED[type]],
    );

  /** Where it can be asked, what the device was told before. */
  const told = async (link: Link, baudRate: number): Promise<void> => {
    if (link.capabilities.settings) await link.request(settings(baudRate));
  };

  describe(`${name} link`, () => {
    test('before connect: nothing', async () => {
      const { link } = await fresh();
      expect(link.dataFd).toBe(-1);
      expect(link.peer).toBe(undefined);
      expect(link.modemLines).toBe(undefined);
      expect(link.lastRoundTripMs).toBe(undefined);
      await expect(link.request(settings(9600))).rejects.toMatchObject({ code: 'CANCELED' });
      await expect(link.outputQueue(10)).rejects.toMatchObject({ code: 'CANCELED' });
    });

    test('requests reach the device in order, and each is acknowledged; the others are refused', async () => {
      const { device, link, inside, seen } = await connected();
      const all: LineRequest[] = [
        settings(19200),
        { type: 'fifo', bytes: 16 },
        { type: 'lines', lines: { dtr: false, rts: true } },
        { type: 'break', on: true },
        { type: 'break', on: false },
        { type: 'flush', queue: 'tx' },
        { type: 'transmitter', on: false },
        { type: 'transmitter', on: true },
      ];
      const asked = all.filter(({ type }) => link.capabilities[NEEDED[type]]);
      for (const request of all) {
        if (asked.includes(request)) continue;
        await expect(inside(() => link.request(request))).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
      }
      const done: number[] = [];
      await Promise.all(inside(() => asked.map((request, i) => link.request(request).then(() => done.push(i)))));
      expect(done).toEqual([...asked.keys()]);
      expect(device.requests).toEqual(asked);
      expect(seen.nested).toBe(0);
      if (asked.length === 0) return;
      expect(link.lastRoundTripMs).toBeGreaterThanOrEqual(0);
      expect(seen.answers.length).toBeGreaterThanOrEqual(asked.length);
      expect(seen.answers.at(-1)).toBe(link.lastRoundTripMs);
    });

    test('bytes pass both ways through dataFd', async () => {
      const { device, link } = await connected();
      expect(link.dataFd).toBeGreaterThan(2);
      expect(link.peer).toBeDefined();
      const far = await device.data();
      // Also what some protocols have to escape.
      const down = Buffer.from('down\xff\xff\x00\r\n\xff', 'latin1');
      const up = Buffer.from('\xff\xf0up\xff\r', 'latin1');
      let arrived = Buffer.alloc(0);
      far.on('data', (bytes: Buffer) => {
        arrived = Buffer.concat([arrived, bytes]);
      });
      writeSync(link.dataFd, down);
      await eventually(() => (arrived.length >= down.length ? true : undefined));
      expect(arrived).toEqual(down);
      await eventually(() => (link.unsent === 0 ? true : undefined));
      far.write(up);
      let got = Buffer.alloc(0);
      while (got.length < up.length) got = Buffer.concat([got, await eventually(() => readNow(link.dataFd))]);
      expect(got).toEqual(up);
    });

    test('what was written counts as unsent until the device has it; what was not read can be thrown away', async () => {
      const { device, link } = await connected();
      expect(link.unsent).toBe(0);
      const far = await device.data();
      far.on('data', () => {});
      writeSync(link.dataFd, Buffer.alloc(100));
      await eventually(() => (link.unsent === 0 ? true : undefined));
      expect(link.discardInput()).toBe(0);
      far.write(Buffer.alloc(1000));
      let thrown = 0;
      await eventually(() => {
        thrown += link.discardInput();
        return thrown >= 1000 ? true : undefined;
      });
      expect(thrown).toBe(1000);
      await link.close();
      expect([link.unsent, link.discardInput()]).toEqual([0, 0]);
    });

    test('modem lines are known after settings, and kept up to date', async () => {
      const { device, link, seen } = await connected();
      await told(link, 9600);
      if (!link.capabilities.modemLines) {
        expect(link.modemLines).toBe(undefined);
        return;
      }
      expect(link.modemLines).toEqual({ cts: true, dsr: true, dcd: true, ri: false });
      const lines = { cts: false, dsr: true, dcd: false, ri: true };
      device.report({ type: 'lines', lines });
      await eventually(() => (link.modemLines?.cts === false ? true : undefined));
      expect(link.modemLines).toEqual(lines);
      expect(seen.reports.at(-1)).toEqual({ type: 'lines', lines });
    });

    test('errors and breaks are told', async () => {
      const { device, link, seen } = await connected();
      if (!link.capabilities.lineErrors) return;
      await told(link, 9600);
      device.report({ type: 'errors', errors });
      device.report({ type: 'break' });
      await eventually(() => (seen.reports.at(-1)?.type === 'break' ? true : undefined));
      expect(seen.reports.slice(-2)).toEqual([{ type: 'errors', errors }, { type: 'break' }]);
    });

    test('a refused setting resolves and is told', async () => {
      const { device, link, seen } = await connected();
      if (!link.capabilities.settings) return;
      await link.request(settings(9600));
      device.refuse(at(57600));
      await link.request(settings(57600));
      expect(seen.reports.at(-1)).toEqual({ type: 'refused', settings: at(57600) });
      await link.request(settings(19200));
      expect(device.requests.at(-1)).toEqual(settings(19200));
    });

    test('outputQueue tells what is left; other requests go between', async () => {
      const { device, link } = await connected();
      if (!link.capabilities.drain) {
        await expect(link.outputQueue(100)).rejects.toMatchObject({ code: 'NOT_SUPPORTED' });
        return;
      }
      await told(link, 9600);
      device.leave(300);
      const [left] = await Promise.all([link.outputQueue(100), link.request({ type: 'flush', queue: 'tx' })]);
      expect(left).toBe(300);
      device.leave(0);
      expect(await link.outputQueue(100)).toBe(0);
    });

    test('trace: only while traced, in the order of the wire, never from inside a call', async () => {
      const { link, seen, inside } = await connected();
      await told(link, 9600);
      expect(seen.commands).toEqual([]);
      link.traced = true;
      const asked = question(link);
      if (!asked) return;
      await inside(() => link.request(asked));
      const directions = seen.commands.map((line) => line.split(' ')[0]);
      expect(directions).toEqual([...directions].sort().reverse());
      expect(new Set(directions)).toEqual(new Set(['sent', 'received']));
      expect(seen.nested).toBe(0);
    });

    test('the device drops it: told once, what waits is rejected, nothing follows', async () => {
      const { device, link, seen } = await connected();
      await device.data();
      const asked = question(link);
      if (!asked) {
        // Who reads the data sees it.
        device.drop();
        if (connectionless) {
          for (let i = 0; i < 3; i++) {
            writeSync(link.dataFd, Buffer.from('nobody hears'));
            await eventually(() => (link.unsent === 0 ? true : undefined));
          }
          expect([readNow(link.dataFd), seen.faults]).toEqual([undefined, []]);
          return;
        }
        expect((await eventually(() => readNow(link.dataFd))).length).toBe(0);
        expect(seen.faults).toEqual([]);
        return;
      }
      await told(link, 9600);
      device.mute();
      const waiting = link.request(asked);
      waiting.catch(() => {});
      device.drop();
      await expect(waiting).rejects.toMatchObject({ code: 'PEER_CLOSED' });
      await eventually(() => (seen.faults.length > 0 ? true : undefined));
      expect(seen.faults.map(({ code }) => code)).toEqual(['PEER_CLOSED']);
      await expect(link.request(settings(1200))).rejects.toBeInstanceOf(Fault);
      await link.close();
      expect(seen.faults).toHaveLength(1);
      expect(link.dataFd).toBe(-1);
    });

    test('close: its connections end, what waits is canceled, no event; twice is once', async () => {
      const { device, link, seen } = await connected();
      await told(link, 9600);
      device.mute();
      const asked = question(link);
      const waiting = asked && link.request(asked);
      const rejected = waiting && expect(waiting).rejects.toMatchObject({ code: 'CANCELED' });
      await Promise.all([link.close(), link.close()]);
      await rejected;
      expect(link.dataFd).toBe(-1);
      await device.ended();
      expect(seen.faults).toEqual([]);
      await expect(link.connect({ report() {}, down() {} }, new AbortController().signal)).rejects.toBeInstanceOf(
        Fault,
      );
    });

    test('an aborted connect rejects with CANCELED and leaves nothing', async () => {
      const { link, events } = await fresh();
      const abort = new AbortController();
      const connecting = link.connect(events, abort.signal);
      abort.abort();
      await expect(connecting).rejects.toMatchObject({ code: 'CANCELED' });
      expect(link.dataFd).toBe(-1);
    });

    test('close during connect', async () => {
      const { link, events } = await fresh();
      const connecting = expect(link.connect(events, new AbortController().signal)).rejects.toMatchObject({
        code: 'CANCELED',
      });
      await link.close();
      await connecting;
      expect(link.dataFd).toBe(-1);
    });
  });
}

/** What there is to read; undefined: nothing yet; nothing at all: the end. */
function readNow(fd: number): Buffer | undefined {
  const buffer = Buffer.alloc(65_536);
  try {
    return buffer.subarray(0, readSync(fd, buffer));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return undefined; // non-blocking
    throw error;
  }
}

/** Looks each turn of the event loop until there is a value; the test's own time limit ends it. */
export async function eventually<T>(look: () => T | undefined): Promise<T> {
  for (;;) {
    const value = look();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
