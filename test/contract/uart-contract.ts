// What every Uart must do, whatever it is. Run against each implementation; what echoes is said by whoever runs it.
import { afterEach, describe, expect, test } from 'vitest';
import { DEFAULT_SETTINGS, type LineReport, type LineRequest } from '../../src/serial/line.js';
import type { Uart } from '../../src/uart/uart.js';

export interface UartCase {
  readonly name: string;
  /** A closed port that echoes what it is sent, as fast as it can. */
  make(): Uart;
}

const UP = { dtr: true, rts: true };
const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

export function uartContract({ name, make }: UartCase): void {
  const open: Uart[] = [];

  afterEach(async () => {
    for (const uart of open.splice(0)) await uart.close();
  });

  async function opened() {
    const uart = make();
    open.push(uart);
    const seen = {
      received: [] as number[],
      reports: [] as LineReport[],
      writable: 0,
      drained: 0,
      /** Events that came from inside a call. */
      nested: 0,
      inCall: false,
    };
    const event = () => {
      if (seen.inCall) seen.nested++;
    };
    await uart.open({
      received: (bytes) => {
        event();
        seen.received.push(...bytes);
      },
      report: (report) => {
        event();
        seen.reports.push(report);
      },
      writable: () => {
        event();
        seen.writable++;
      },
      drained: () => {
        event();
        seen.drained++;
      },
      failed: event,
    });
    const inside = <T>(call: () => T): T => {
      seen.inCall = true;
      try {
        return call();
      } finally {
        seen.inCall = false;
      }
    };
    return {
      uart,
      seen,
      write: (bytes: Uint8Array) => inside(() => uart.write(bytes)),
      request: (request: LineRequest) => inside(() => uart.request(request)),
    };
  }

  const until = async (done: () => boolean) => {
    while (!done()) await turn();
  };

  const bytes = (count: number) => Uint8Array.from({ length: count }, (_, i) => i & 0xff);

  describe(`uart contract: ${name}`, () => {
    test('applies settings and lines, and says what is in force', async () => {
      const { uart, request } = await opened();
      const settings = { ...DEFAULT_SETTINGS, baudRate: 19_200, parity: 'even' as const };
      expect(await request({ type: 'settings', settings, lines: UP })).toBe(true);
      expect(uart.settings).toEqual(settings);
      expect(uart.outputLines).toEqual(UP);
      expect(await request({ type: 'lines', lines: { dtr: false, rts: true } })).toBe(true);
      expect(uart.outputLines).toEqual({ dtr: false, rts: true });
    });

    test('refuses what cannot be, and keeps what it had', async () => {
      const { uart, request } = await opened();
      const settings = { ...DEFAULT_SETTINGS, baudRate: 4800 };
      await request({ type: 'settings', settings, lines: UP });
      const impossible = { ...settings, baudRate: 50_000_000 };
      expect(await request({ type: 'settings', settings: impossible, lines: UP })).toBe(false);
      expect(uart.settings).toEqual(settings);
    });

    test('B0 lowers the lines and keeps the rate', async () => {
      const { uart, request } = await opened();
      await request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, baudRate: 4800 }, lines: UP });
      expect(await request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, baudRate: 0 }, lines: UP })).toBe(true);
      expect(uart.settings.baudRate).toBe(4800);
      expect(uart.outputLines).toEqual({ dtr: false, rts: false });
    });

    test.each<LineRequest>([
      { type: 'break', on: true },
      { type: 'break', on: false },
      { type: 'flush', queue: 'both' },
      { type: 'transmitter', on: false },
      { type: 'transmitter', on: true },
      { type: 'fifo', bytes: 16 },
    ])('answers %j', async (one) => {
      const { request } = await opened();
      expect(await request(one)).toBe(true);
    });

    test('carries all byte values, and tells when the last has left', async () => {
      const { uart, seen, write } = await opened();
      expect(write(bytes(256))).toBe(256);
      await until(() => seen.received.length >= 256);
      expect(seen.received).toEqual([...bytes(256)]);
      await until(() => seen.drained > 0);
      expect(uart.outputQueue).toBe(0);
    });

    test('takes what it has room for, and tells when there is room again', async () => {
      const { uart, seen, write, request } = await opened();
      await request({ type: 'transmitter', on: false });
      const taken = write(bytes(100_000));
      expect(taken).toBeGreaterThan(0);
      expect(taken).toBeLessThanOrEqual(8192);
      expect(uart.outputQueue).toBe(taken);
      expect(write(bytes(1))).toBe(0);
      expect(seen.writable).toBe(0);
      await request({ type: 'transmitter', on: true });
      await until(() => seen.writable > 0 && seen.received.length >= taken);
      expect(seen.received).toHaveLength(taken);
    });

    test('tells nothing while input is paused, and everything after', async () => {
      const { uart, seen, write } = await opened();
      uart.pauseInput();
      write(bytes(500));
      await until(() => uart.inputQueue === 500);
      expect(seen.received).toEqual([]);
      uart.resumeInput();
      await until(() => seen.received.length >= 500);
      expect(seen.received).toEqual([...bytes(500)]);
    });

    test('flush drops what has not left, and what was not told', async () => {
      const { uart, seen, write, request } = await opened();
      await request({ type: 'transmitter', on: false });
      write(bytes(500));
      await request({ type: 'flush', queue: 'tx' });
      expect(uart.outputQueue).toBe(0);
      await request({ type: 'transmitter', on: true });
      uart.pauseInput();
      write(bytes(300));
      await until(() => uart.inputQueue === 300);
      await request({ type: 'flush', queue: 'rx' });
      uart.resumeInput();
      for (let i = 0; i < 20; i++) await turn();
      expect(seen.received).toEqual([]);
    });

    test('no event comes from inside a call', async () => {
      const { seen, write, request } = await opened();
      write(bytes(100));
      await request({ type: 'lines', lines: UP });
      await request({ type: 'lines', lines: { dtr: false, rts: false } });
      await request({ type: 'break', on: true });
      await request({ type: 'break', on: false });
      await until(() => seen.received.length >= 100);
      expect(seen.nested).toBe(0);
    });

    test('close is idempotent; nothing is told or taken after it', async () => {
      const { uart, seen, write } = await opened();
      write(bytes(100));
      await uart.close();
      const told = seen.received.length;
      await uart.close();
      for (let i = 0; i < 20; i++) await turn();
      expect(seen.received.length).toBe(told);
      expect(uart.write(bytes(1))).toBe(0);
      expect(uart.outputLines).toEqual({ dtr: false, rts: false });
    });
  });
}
