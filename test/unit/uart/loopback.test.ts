import { describe, expect, test } from 'vitest';
import { DEFAULT_SETTINGS, type LineReport, type LineSettings, NO_FLOW_CONTROL } from '../../../src/serial/line.js';
import { type LoopbackOptions, LoopbackUart } from '../../../src/uart/loopback.js';
import { ManualClock, settle } from '../../support/manual-clock.js';

const UP = { dtr: true, rts: true };
const DOWN = { dtr: false, rts: false };

/** What left the port: runs of bytes with one rate. */
interface Left {
  readonly baudRate: number;
  readonly bytes: number[];
}

async function plug(options: Partial<LoopbackOptions> = {}) {
  const clock = new ManualClock();
  const left: Left[] = [];
  const received: number[] = [];
  const reports: LineReport[] = [];
  const told = { writable: 0, drained: 0, failed: 0 };
  const uart = new LoopbackUart({
    clock,
    observer: { transmitted: (bytes, settings) => left.push({ baudRate: settings.baudRate, bytes: [...bytes] }) },
    ...options,
  });
  await uart.open({
    received: (bytes) => received.push(...bytes),
    report: (report) => reports.push(report),
    writable: () => told.writable++,
    drained: () => told.drained++,
    failed: () => told.failed++,
  });
  return { clock, uart, left, received, reports, told };
}

const at = (baudRate: number, more: Partial<LineSettings> = {}) =>
  ({ type: 'settings', settings: { ...DEFAULT_SETTINGS, baudRate, ...more }, lines: UP }) as const;

const counted = (count: number, first = 0) => Uint8Array.from({ length: count }, (_, i) => (first + i) & 0xff);

describe('pace', () => {
  test('a byte comes back when its last bit has left, not before', async () => {
    const { clock, uart, received } = await plug();
    await uart.request(at(1200)); // 8N1: 8.333 ms a byte
    uart.write(counted(3));
    await clock.advanceAsync(8.3);
    expect(received).toEqual([]);
    expect(uart.outputQueue).toBe(3);
    await clock.advanceAsync(0.1);
    expect(received).toEqual([0]);
    await clock.advanceAsync(8.4);
    expect(received).toEqual([0, 1]);
    await clock.advanceAsync(8.4);
    expect(received).toEqual([0, 1, 2]);
    expect(uart.outputQueue).toBe(0);
    expect(clock.timers).toBe(0);
  });

  test('parity and stop bits take their time: 7E2 is 11 bits', async () => {
    const { clock, uart, received } = await plug();
    await uart.request(at(1100, { dataBits: 7, parity: 'even', stopBits: 2 }));
    uart.write(Uint8Array.of(0xff));
    await clock.advanceAsync(9.99);
    expect(received).toEqual([]);
    await clock.advanceAsync(0.02);
    expect(received).toEqual([0x7f]); // seven bits go over the line
  });

  test('at no time more has come back than the rate allows', async () => {
    const { clock, uart, received, told } = await plug();
    await uart.request(at(115_200));
    const all = counted(4000);
    expect(uart.write(all)).toBe(4000);
    for (let ms = 0; ms < 400; ms += 3) {
      await clock.advanceAsync(3);
      expect(received.length).toBeLessThanOrEqual(Math.floor((ms + 3) * 11.52));
    }
    expect(received).toEqual([...all]);
    expect(told.drained).toBe(1);
  });

  test('a late event loop delivers what the time allows, at once', async () => {
    const { clock, uart, received } = await plug();
    await uart.request(at(9600));
    uart.write(counted(10));
    clock.advance(100);
    await settle();
    expect(received).toHaveLength(10);
  });

  test('unpaced: all of it comes back without time passing', async () => {
    const { uart, received, clock, told } = await plug({ unpaced: true });
    uart.write(counted(4096));
    await settle();
    expect(received).toHaveLength(4096);
    expect(told.drained).toBe(1);
    expect(clock.timers).toBe(0);
  });

  test('echo delay is added to the line time and keeps the order', async () => {
    const { clock, uart, received } = await plug({ echoDelayMs: 50 });
    await uart.request(at(9600));
    uart.write(counted(2));
    await clock.advanceAsync(2.2);
    expect(uart.outputQueue).toBe(0);
    await clock.advanceAsync(48.8);
    expect(received).toEqual([]);
    await clock.advanceAsync(2);
    expect(received).toEqual([0, 1]);
  });
});

describe('settings', () => {
  test('300 bytes at 1200, then 300 at 9600: each leaves at the rate in force when it leaves', async () => {
    const { clock, uart, left } = await plug();
    await uart.request(at(1200));
    uart.write(counted(300));
    await clock.advanceAsync(2501);
    expect(uart.outputQueue).toBe(0);
    await uart.request(at(9600));
    uart.write(counted(300, 44));
    await clock.advanceAsync(400);
    const rates = left.flatMap((run) => run.bytes.map(() => run.baudRate));
    expect(rates.filter((rate) => rate === 1200)).toHaveLength(300);
    expect(rates.filter((rate) => rate === 9600)).toHaveLength(300);
  });

  test('bytes that are queued when the rate changes leave at the new one, those that have left at the old one', async () => {
    const { clock, uart, left } = await plug();
    await uart.request(at(1200));
    uart.write(counted(10));
    clock.advance(25.1); // three have left
    await uart.request(at(9600));
    await clock.advanceAsync(100);
    expect(left.flatMap((run) => run.bytes.map((byte) => [byte, run.baudRate]))).toEqual(
      [...counted(10)].map((byte) => [byte, byte < 3 ? 1200 : 9600]),
    );
  });

  test('B0 drops the lines and keeps the rate', async () => {
    const { uart } = await plug();
    await uart.request(at(4800));
    expect(await uart.request(at(0))).toBe(true);
    expect(uart.settings.baudRate).toBe(4800);
    expect(uart.outputLines).toEqual(DOWN);
  });

  test('what a UART cannot do, or a test refuses, leaves everything as it was', async () => {
    const { uart } = await plug();
    await uart.request(at(4800));
    expect(await uart.request(at(1_000_000))).toBe(false);
    uart.refuse = (settings) => settings.baudRate === 19_200;
    expect(await uart.request(at(19_200))).toBe(false);
    expect(uart.settings.baudRate).toBe(4800);
    expect(await uart.request(at(38_400))).toBe(true);
  });
});

describe('lines and break', () => {
  test('RTS shows as CTS, DTR as DSR and DCD, and only changes are told', async () => {
    const { uart, reports } = await plug();
    await uart.request({ type: 'lines', lines: { dtr: false, rts: true } });
    await uart.request({ type: 'lines', lines: { dtr: false, rts: true } });
    await uart.request({ type: 'lines', lines: UP });
    await settle();
    expect(reports).toEqual([
      { type: 'lines', lines: { cts: true, dsr: false, dcd: false, ri: false } },
      { type: 'lines', lines: { cts: true, dsr: true, dcd: true, ri: false } },
    ]);
  });

  test('a break comes back as one break, and bytes wait for its end', async () => {
    const { clock, uart, reports, received } = await plug();
    await uart.request({ type: 'break', on: true });
    await uart.request({ type: 'break', on: true });
    uart.write(counted(1));
    await clock.advanceAsync(1000);
    expect(received).toEqual([]);
    expect(reports).toEqual([{ type: 'break' }]);
    await uart.request({ type: 'break', on: false });
    await clock.advanceAsync(2);
    expect(received).toEqual([0]);
  });
});

describe('flow control', () => {
  test('a full queue takes no more and says when it does again', async () => {
    const { clock, uart, told } = await plug({ transmitBuffer: 1024 });
    expect(uart.write(counted(2000))).toBe(1024);
    expect(uart.write(counted(1))).toBe(0);
    expect(told.writable).toBe(0);
    await clock.advanceAsync(10);
    expect(told.writable).toBe(1);
    expect(uart.write(counted(2000))).toBeGreaterThan(0);
    await uart.close();
    expect(clock.timers).toBe(0);
  });

  test('hold stops the transmitter and shows CTS low; nothing is lost', async () => {
    const { clock, uart, received, reports } = await plug();
    await uart.request(at(9600));
    await settle();
    uart.write(counted(100));
    await clock.advanceAsync(20);
    uart.hold(true);
    await settle();
    const before = received.length;
    await clock.advanceAsync(30_000);
    expect(received.length).toBe(before);
    expect(uart.outputQueue).toBe(100 - before);
    expect(uart.modemLines.cts).toBe(false);
    uart.hold(false);
    await clock.advanceAsync(200);
    expect(received).toEqual([...counted(100)]);
    expect(reports.map((report) => report.type === 'lines' && report.lines.cts)).toEqual([true, false, true]);
  });

  test('CTS low stops only where RTS/CTS is on', async () => {
    const { clock, uart, received } = await plug();
    await uart.request(at(9600));
    uart.forceLines({ cts: false });
    uart.write(counted(1));
    await clock.advanceAsync(5);
    expect(received).toEqual([0]);
    await uart.request(at(9600, { flowControl: { ...NO_FLOW_CONTROL, rtsCts: true } }));
    uart.write(counted(1));
    await clock.advanceAsync(1000);
    expect(received).toEqual([0]);
    uart.forceLines({});
    await clock.advanceAsync(5);
    expect(received).toEqual([0, 0]);
  });

  test('XOFF and XON that arrive stop and start the transmitter and are not data', async () => {
    const { clock, uart, received } = await plug();
    await uart.request(at(9600, { flowControl: { ...NO_FLOW_CONTROL, xonXoffOut: true } }));
    uart.inject(Uint8Array.of(0x61, 0x13));
    uart.write(counted(5));
    await clock.advanceAsync(1000);
    expect(received).toEqual([0x61]);
    uart.inject(Uint8Array.of(0x11));
    await clock.advanceAsync(10);
    expect(received).toEqual([0x61, ...counted(5)]);
  });

  test('SETXOFF and SETXON do the same without characters', async () => {
    const { clock, uart, received } = await plug();
    await uart.request({ type: 'transmitter', on: false });
    uart.write(counted(2));
    await clock.advanceAsync(1000);
    expect(received).toEqual([]);
    await uart.request({ type: 'transmitter', on: true });
    await clock.advanceAsync(10);
    expect(received).toEqual([0, 1]);
  });

  test('a receiver that pauses holds the plug, bounded, and loses nothing', async () => {
    const { uart, received } = await plug({ unpaced: true, receiveBuffer: 1024, transmitBuffer: 1024 });
    uart.pauseInput();
    let sent = 0;
    for (let i = 0; i < 10; i++) {
      sent += uart.write(counted(1024, sent));
      await settle();
    }
    expect(sent).toBe(2048);
    expect(uart.inputQueue).toBe(1024);
    uart.resumeInput();
    await settle();
    expect(received).toEqual([...counted(2048)]);
  });

  test('a lossy port overruns and says so', async () => {
    const { uart, received, reports } = await plug({ unpaced: true, receiveBuffer: 1024, lossy: true });
    uart.pauseInput();
    uart.write(counted(1500));
    await settle();
    uart.resumeInput();
    await settle();
    expect(received).toHaveLength(1024);
    expect(reports).toContainEqual({
      type: 'errors',
      errors: { parity: false, framing: false, overrun: false, bufferOverrun: true },
    });
  });

  test('a delay line that is full holds the plug and loses nothing', async () => {
    const { clock, uart, received } = await plug({ unpaced: true, echoDelayMs: 10, receiveBuffer: 1024 });
    uart.pauseInput();
    let sent = 0;
    for (let i = 0; i < 200; i++) {
      sent += uart.write(counted(1000, sent));
      await clock.advanceAsync(1);
    }
    expect(sent).toBeLessThanOrEqual(64 * 1024 + 4096 + 1024);
    uart.resumeInput();
    await clock.advanceAsync(1000);
    expect(received).toHaveLength(sent);
    expect(received.every((byte, i) => byte === (i & 0xff))).toBe(true);
    expect(clock.timers).toBe(0);
  });
});

describe('flush and close', () => {
  test('flush tx drops what has not left, flush rx what was not told', async () => {
    const { clock, uart, received, told } = await plug();
    await uart.request(at(9600));
    uart.write(counted(100));
    await clock.advanceAsync(11);
    await uart.request({ type: 'flush', queue: 'tx' });
    await clock.advanceAsync(1000);
    expect(received).toEqual([...counted(10)]);
    expect(told.drained).toBe(1);
    uart.pauseInput();
    uart.write(counted(10));
    await clock.advanceAsync(20);
    expect(uart.inputQueue).toBe(10);
    await uart.request({ type: 'flush', queue: 'rx' });
    uart.resumeInput();
    await clock.advanceAsync(20);
    expect(received).toHaveLength(10);
  });

  test('close leaves no timer and tells nothing more', async () => {
    const { clock, uart, received, told } = await plug({ echoDelayMs: 5 });
    uart.write(counted(100));
    await clock.advanceAsync(20);
    const before = received.length;
    await uart.close();
    await uart.close();
    await clock.advanceAsync(1000);
    expect(received.length).toBe(before);
    expect(told.drained).toBe(0);
    expect(clock.timers).toBe(0);
    expect(uart.write(counted(1))).toBe(0);
  });
});
