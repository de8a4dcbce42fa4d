import { existsSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../../src/base/clock.js';
import { isFault } from '../../../src/base/fault.js';
import { DEFAULT_SETTINGS, type LineReport } from '../../../src/serial/line.js';
import { ProgramUart } from '../../../src/uart/program.js';

const UP = { dtr: true, rts: true };
const open: ProgramUart[] = [];

afterEach(async () => {
  for (const uart of open.splice(0)) await uart.close();
});

/** A program as the device, and what its line did. `until` resolves on the event that makes it true. */
async function device(program: string) {
  const received: number[] = [];
  const reports: LineReport[] = [];
  let waiting: { readonly done: () => boolean; readonly resolve: () => void } | undefined;
  const look = () => {
    if (waiting?.done()) waiting.resolve();
  };
  const uart = new ProgramUart({ clock: new SystemClock(), program, unpaced: true, restartMs: 60_000 });
  open.push(uart);
  await uart.open({
    received: (bytes) => {
      received.push(...bytes);
      look();
    },
    report: (report) => {
      reports.push(report);
      look();
    },
    writable: look,
    drained: look,
    failed: look,
  });
  const until = (done: () => boolean) =>
    new Promise<void>((resolve) => {
      waiting = { done, resolve };
      look();
    });
  return { uart, received, reports, until };
}

describe('a program as the device', () => {
  test('what it prints is received as it is, what is sent is its input, all byte values', async () => {
    const { uart, received, until } = await device('cat');
    const all = Uint8Array.from({ length: 256 }, (_, i) => i);
    expect(uart.write(all)).toBe(256);
    await until(() => received.length >= 256);
    expect(received).toEqual([...all]);
    expect(uart.modemLines).toMatchObject({ cts: true, dsr: true, dcd: true });
  });

  test('its terminal is raw before the program begins', async () => {
    const { received, until } = await device("printf 'a\\nb'");
    await until(() => received.length >= 3);
    expect(received).toEqual([0x61, 0x0a, 0x62]);
  });

  test('a program that does not read neither hangs nor grows us: the queue fills and stays', async () => {
    const { uart, until } = await device('exec sleep 60');
    const chunk = new Uint8Array(4096);
    let taken = 0;
    // The terminal itself holds some tens of KiB; after that nothing is taken for as long as nobody reads.
    for (let refused = 0; refused < 20; ) {
      const accepted = uart.write(chunk);
      taken += accepted;
      refused = accepted === 0 ? refused + 1 : 0;
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(taken).toBeLessThan(256 * 1024);
    expect(uart.outputQueue).toBeGreaterThan(0);
    await uart.request({ type: 'flush', queue: 'tx' });
    expect(uart.outputQueue).toBe(0);
    await until(() => true);
  });

  test('output faster than the reader takes it is held back, and all of it comes', async () => {
    const { uart, received, until } = await device('head -c 300000 /dev/zero; exec sleep 60');
    await until(() => received.length > 0);
    uart.pauseInput();
    for (let turn = 0; turn < 50; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(uart.inputQueue).toBeLessThanOrEqual(4096);
    uart.resumeInput();
    await until(() => received.length >= 300_000);
    expect(received).toHaveLength(300_000);
  });

  test('its end drops the modem lines', async () => {
    const { uart, reports, until } = await device('read -r line; exit 3');
    expect(await uart.request({ type: 'settings', settings: DEFAULT_SETTINGS, lines: UP })).toBe(true);
    uart.write(Uint8Array.of(0x78, 0x0a));
    await until(() => reports.some((report) => report.type === 'lines' && !report.lines.dsr));
    expect(uart.modemLines.cts).toBe(false);
  });

  test('close ends the program and all it started', async () => {
    const { uart, received, until } = await device('echo $$; exec cat');
    await until(() => received.includes(0x0a));
    const pid = Number(String.fromCharCode(...received).trim());
    expect(existsSync(`/proc/${pid}`)).toBe(true);
    await uart.close();
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });

  test('a program that cannot start is a fault, not a crash', async () => {
    const uart = new ProgramUart({ clock: new SystemClock(), program: 'exit 1', restartMs: 60_000 });
    open.push(uart);
    // The shell itself starts: the end of the program is told by its lines, a terminal that is not ready by a fault.
    const outcome = await uart
      .open({ received() {}, report() {}, writable() {}, drained() {}, failed() {} })
      .then(() => 'opened')
      .catch((error: unknown) => (isFault(error) ? error.code : 'other'));
    expect(['opened', 'SYSTEM']).toContain(outcome);
  });
});
