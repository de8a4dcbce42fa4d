// What every Link must do, whatever it is. Run against each implementation; assertions are on what the device got.
import type { Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { Fault } from '../../src/base/fault.js';
import type { Link } from '../../src/link/link.js';
import { DEFAULT_SETTINGS, type LineReport, type LineRequest, type LineSettings } from '../../src/serial/line.js';

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
  data(): Promise<Socket>;
  /** The device has seen both of its connections end. */
  ended(): Promise<void>;
  close(): Promise<void>;
}

export interface LinkCase {
  readonly name: string;
  device(): Promise<LinkDevice>;
}

const UP = { dtr: true, rts: true };
const at = (baudRate: number): LineSettings => ({ ...DEFAULT_SETTINGS, baudRate });

export function linkContract({ name, device: make }: LinkCase): void {
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

    test('requests reach the device in order, and each is acknowledged', async () => {
      const { device, link, inside, seen } = await connected();
      const asked: LineRequest[] = [
        settings(19200),
        { type: 'fifo', bytes: 16 },
        { type: 'lines', lines: { dtr: false, rts: true } },
        { type: 'break', on: true },
        { type: 'break', on: false },
        { type: 'flush', queue: 'tx' },
        { type: 'transmitter', on: false },
        { type: 'transmitter', on: true },
      ];
      const done: number[] = [];
      await Promise.all(inside(() => asked.map((request, i) => link.request(request).then(() => done.push(i)))));
      expect(done).toEqual([...asked.keys()]);
      expect(device.requests).toEqual(asked);
      expect(seen.nested).toBe(0);
      expect(link.lastRoundTripMs).toBeGreaterThanOrEqual(0);
      expect(seen.answers.length).toBeGreaterThanOrEqual(asked.length);
      expect(seen.answers.at(-1)).toBe(link.lastRoundTripMs);
    });

    test('bytes pass both ways through dataFd', async () => {
      const { device, link } = await connected();
      expect(link.dataFd).toBeGreaterThan(2);
      expect(link.peer).toBeDefined();
      const { readSync, writeSync } = await import('node:fs');
      const far = await device.data();
      const arrived = new Promise<string>((resolve) => far.once('data', (bytes) => resolve(bytes.toString())));
      writeSync(link.dataFd, 'down');
      expect(await arrived).toBe('down');
      far.write('up');
      const buffer = Buffer.alloc(8);
      const length = await eventually(() => {
        try {
          return readSync(link.dataFd, buffer);
        } catch (error) {
          if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return undefined; // non-blocking
          throw error;
        }
      });
      expect(buffer.toString('latin1', 0, length)).toBe('up');
    });

    test('modem lines are known after settings, and kept up to date', async () => {
      const { device, link, seen } = await connected();
      await link.request(settings(9600));
      expect(link.modemLines).toEqual({ cts: true, dsr: true, dcd: true, ri: false });
      const lines = { cts: false, dsr: true, dcd: false, ri: true };
      device.report({ type: 'lines', lines });
      await eventually(() => (link.modemLines?.cts === false ? true : undefined));
      expect(link.modemLines).toEqual(lines);
      expect(seen.reports.at(-1)).toEqual({ type: 'lines', lines });
    });

    test('errors and breaks are told', async () => {
      const { device, link, seen } = await connected();
      await link.request(settings(9600));
      const errors = { parity: true, framing: false, overrun: false, bufferOverrun: true };
      device.report({ type: 'errors', errors });
      device.report({ type: 'break' });
      await eventually(() => (seen.reports.at(-1)?.type === 'break' ? true : undefined));
      expect(seen.reports.slice(-2)).toEqual([{ type: 'errors', errors }, { type: 'break' }]);
    });

    test('a refused setting resolves and is told', async () => {
      const { device, link, seen } = await connected();
      await link.request(settings(9600));
      device.refuse(at(57600));
      await link.request(settings(57600));
      expect(seen.reports.at(-1)).toEqual({ type: 'refused', settings: at(57600) });
      await link.request(settings(19200));
      expect(device.requests.at(-1)).toEqual(settings(19200));
    });

    test('outputQueue tells what is left; other requests go between', async () => {
      const { device, link } = await connected();
      await link.request(settings(9600));
      device.leave(300);
      const [left] = await Promise.all([link.outputQueue(100), link.request({ type: 'flush', queue: 'tx' })]);
      expect(left).toBe(300);
      device.leave(0);
      expect(await link.outputQueue(100)).toBe(0);
    });

    test('trace: only while traced, in the order of the wire, never from inside a call', async () => {
      const { link, seen, inside } = await connected();
      await link.request(settings(9600));
      expect(seen.commands).toEqual([]);
      link.traced = true;
      await inside(() => link.request({ type: 'fifo', bytes: 16 }));
      expect(seen.commands.map((line) => line.split(' ')[0])).toEqual(['sent', 'received']);
      expect(seen.nested).toBe(0);
    });

    test('the device drops it: told once, what waits is rejected, nothing follows', async () => {
      const { device, link, seen } = await connected();
      await link.request(settings(9600));
      device.mute();
      const waiting = link.request({ type: 'fifo', bytes: 16 });
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

    test('close: both connections end, what waits is canceled, no event; twice is once', async () => {
      const { device, link, seen } = await connected();
      await link.request(settings(9600));
      device.mute();
      const waiting = link.request({ type: 'fifo', bytes: 16 });
      const rejected = expect(waiting).rejects.toMatchObject({ code: 'CANCELED' });
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

/** Looks each turn of the event loop until there is a value; the test's own time limit ends it. */
export async function eventually<T>(look: () => T | undefined): Promise<T> {
  for (;;) {
    const value = look();
    if (value !== undefined) return value;
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}
