// Two ports and a null-modem cable: what each end sees of the other.
import { expect, test } from 'vitest';
import { DEFAULT_SETTINGS, type LineReport, type LineSettings, NO_FLOW_CONTROL } from '../../../src/serial/line.js';
import { type LoopbackOptions, LoopbackUart } from '../../../src/uart/loopback.js';
import { ManualClock, settle } from '../../support/manual-clock.js';

const UP = { dtr: true, rts: true };

async function cable(options: Partial<LoopbackOptions> = {}) {
  const clock = new ManualClock();
  const ends = LoopbackUart.pair({ clock, ...options }).map((uart) => {
    const seen = { received: [] as number[], reports: [] as LineReport[], writable: 0, drained: 0 };
    const open = () =>
      uart.open({
        received: (bytes) => seen.received.push(...bytes),
        report: (report) => seen.reports.push(report),
        writable: () => seen.writable++,
        drained: () => seen.drained++,
        failed: () => {},
      });
    return { uart, seen, open };
  });
  const [near, far] = ends;
  if (near === undefined || far === undefined) throw new Error('no cable');
  return { clock, near, far };
}

async function both(options: Partial<LoopbackOptions> = {}) {
  const ends = await cable(options);
  await ends.near.open();
  await ends.far.open();
  return ends;
}

const set = (uart: LoopbackUart, more: Partial<LineSettings> = {}) =>
  uart.request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, ...more }, lines: UP });
const counted = (count: number) => Uint8Array.from({ length: count }, (_, i) => i & 0xff);

test('bytes go to the other end, at the pace of the sender, both ways at once', async () => {
  const { clock, near, far } = await both();
  near.uart.write(counted(3));
  far.uart.write(Uint8Array.of(9));
  await clock.advanceAsync(1.1);
  expect(near.seen.received).toEqual([9]);
  expect(far.seen.received.length).toBeLessThan(2);
  await clock.advanceAsync(2.1);
  expect(far.seen.received).toEqual([0, 1, 2]);
  expect(near.seen).toMatchObject({ received: [9], drained: 1 });
});

test('RTS is the CTS of the other end, DTR its DSR and DCD; a break is its break', async () => {
  const { near, far } = await both();
  await near.uart.request({ type: 'lines', lines: { dtr: true, rts: false } });
  await settle();
  expect(far.uart.modemLines).toEqual({ cts: false, dsr: true, dcd: true, ri: false });
  expect(near.uart.modemLines).toEqual({ cts: false, dsr: false, dcd: false, ri: false });
  await near.uart.request({ type: 'break', on: true });
  await near.uart.request({ type: 'break', on: false });
  await settle();
  expect(far.seen.reports).toEqual([{ type: 'lines', lines: far.uart.modemLines }, { type: 'break' }]);
  expect(near.seen.reports).toEqual([]);
  await near.uart.close();
  await settle();
  expect(far.seen.reports.at(-1)).toEqual({ type: 'lines', lines: { cts: false, dsr: false, dcd: false, ri: false } });
});

test('RTS low holds the other end up, where it has RTS/CTS; XOFF where it has XON/XOFF', async () => {
  const { clock, near, far } = await both();
  await set(far.uart);
  await set(near.uart, { flowControl: { ...NO_FLOW_CONTROL, rtsCts: true } });
  await far.uart.request({ type: 'lines', lines: { dtr: true, rts: false } });
  near.uart.write(counted(5));
  await clock.advanceAsync(100);
  expect([far.seen.received, near.uart.outputQueue]).toEqual([[], 5]);
  await far.uart.request({ type: 'lines', lines: UP });
  await clock.advanceAsync(100);
  expect(far.seen.received).toEqual([0, 1, 2, 3, 4]);
  await set(near.uart, { flowControl: { ...NO_FLOW_CONTROL, xonXoffOut: true } });
  far.uart.write(Uint8Array.of(0x13));
  await clock.advanceAsync(10);
  near.uart.write(Uint8Array.of(7));
  await clock.advanceAsync(100);
  expect(far.seen.received).toHaveLength(5);
  far.uart.write(Uint8Array.of(0x11));
  await clock.advanceAsync(100);
  expect([far.seen.received.at(-1), near.seen.received]).toEqual([7, []]);
});

test('settings that do not match are errors, and at another rate nothing is read', async () => {
  const { clock, near, far } = await both();
  await set(near.uart, { baudRate: 19_200 });
  near.uart.write(counted(1));
  await clock.advanceAsync(10);
  expect(far.seen.received).toEqual([]);
  expect(far.seen.reports.filter(({ type }) => type === 'errors')).toMatchObject([{ errors: { framing: true } }]);
  await set(far.uart, { baudRate: 19_500, parity: 'even' });
  near.uart.write(counted(2));
  await clock.advanceAsync(10);
  expect(far.seen.received).toEqual([0, 1]);
  expect(far.seen.reports.at(-1)).toMatchObject({ type: 'errors', errors: { parity: true } });
});

test('an end that does not read holds the other up, and loses nothing; a lossy one overruns', async () => {
  const { near, far } = await both({ unpaced: true, receiveBuffer: 1000, transmitBuffer: 1024 });
  far.uart.pauseInput();
  expect(near.uart.write(counted(2000))).toBe(1024);
  await settle();
  expect(far.uart.inputQueue).toBe(1000);
  expect(near.uart.write(counted(2000))).toBe(1000);
  far.uart.resumeInput();
  await settle();
  expect(far.seen.received).toHaveLength(2024);
  const lossy = await both({ unpaced: true, receiveBuffer: 10, lossy: true });
  lossy.far.uart.pauseInput();
  lossy.near.uart.write(counted(50));
  await settle();
  lossy.far.uart.resumeInput();
  await settle();
  expect(lossy.far.seen.received).toHaveLength(10);
  expect(lossy.far.seen.reports).toMatchObject([{ type: 'errors', errors: { bufferOverrun: true } }]);
});

test('an end that is not open yet, or no more, loses what it is sent and holds nobody up', async () => {
  const { clock, near, far } = await cable();
  await near.open();
  await near.uart.request({ type: 'lines', lines: UP });
  near.uart.write(counted(2000));
  await clock.advanceAsync(5000);
  expect(near.uart.outputQueue).toBe(0);
  await far.open();
  expect(far.uart.modemLines).toMatchObject({ cts: true, dsr: true });
  near.uart.write(Uint8Array.of(5));
  await clock.advanceAsync(10);
  expect(far.seen.received).toEqual([5]);
  far.uart.pauseInput();
  near.uart.write(counted(4096));
  await clock.advanceAsync(5000);
  near.uart.write(counted(4096));
  await clock.advanceAsync(5000);
  expect(near.uart.outputQueue).toBeGreaterThan(0);
  await far.uart.close();
  await clock.advanceAsync(5000);
  expect(near.uart.outputQueue).toBe(0);
  expect(clock.timers).toBe(0);
});
