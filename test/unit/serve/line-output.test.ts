// What waits for a line, and who waits for it: on a simulated port whose time is turned by hand.
import { expect, test } from 'vitest';
import { DEFAULT_SETTINGS } from '../../../src/serial/line.js';
import { LineOutput } from '../../../src/serve/line-output.js';
import { LoopbackUart } from '../../../src/uart/loopback.js';
import { LineRecorder } from '../../support/line-recorder.js';
import { ManualClock } from '../../support/manual-clock.js';

const turn = () => new Promise((resolve) => setImmediate(resolve));

async function made() {
  const clock = new ManualClock();
  const wire = new LineRecorder();
  const uart = new LoopbackUart({ clock, observer: wire, echo: false, transmitBuffer: 1024 });
  const output = new LineOutput(uart, clock);
  await uart.open({
    received: () => {},
    report: () => {},
    writable: () => output.portWritable(),
    drained: () => output.portDrained(),
    failed: () => {},
  });
  const watch = (how: 'accepted' | 'transmitted', atMostMs?: number) => {
    const wait = { done: false };
    void output.gone(how, atMostMs).then(() => {
      wait.done = true;
    });
    return wait;
  };
  /** In small steps, so that what a timer sets going goes on in its time. */
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 10) {
      clock.advance(10);
      await turn();
    }
  };
  return { clock, wire, uart, output, watch, pass };
}

test('nothing there: nobody waits', async () => {
  const { watch } = await made();
  const waits = [watch('accepted'), watch('transmitted')];
  await turn();
  expect(waits).toEqual([{ done: true }, { done: true }]);
});

test('accepted is before transmitted, and both come in their time', async () => {
  const { output, uart, wire, watch, pass, clock } = await made();
  // 9600 baud: 960 bytes in a second.
  const bytes = Uint8Array.from({ length: 1024 + 960 }, (_, i) => i);
  output.write(bytes);
  expect(output.waiting).toBeGreaterThanOrEqual(960 - 16);
  const [accepted, transmitted] = [watch('accepted'), watch('transmitted')];
  await pass(800);
  expect(accepted.done).toBe(false);
  await pass(300);
  expect([accepted.done, transmitted.done, output.waiting]).toEqual([true, false, 0]);
  await pass(1100);
  expect(transmitted.done).toBe(true);
  expect(wire.bytes.equals(bytes)).toBe(true);
  expect(uart.outputQueue).toBe(0);
  expect(clock.timers).toBe(0);
});

test('a line that stands is waited for a second, and then not again until it is empty', async () => {
  const { output, uart, watch, pass, wire } = await made();
  uart.hold(true);
  output.write(new Uint8Array(2000));
  const first = watch('transmitted');
  await pass(990);
  expect(first.done).toBe(false);
  await pass(20);
  expect(first.done).toBe(true);
  const second = watch('accepted');
  await turn();
  expect(second.done).toBe(true);
  uart.hold(false);
  await pass(2200);
  expect(wire.bytes).toHaveLength(2000);
  output.write(new Uint8Array(500));
  const third = watch('transmitted');
  await turn();
  expect(third.done).toBe(false);
  await pass(600);
  expect(third.done).toBe(true);
});

test('one that moves is waited for, but not for ever', async () => {
  const { output, watch, pass, uart, clock } = await made();
  await uart.request({
    type: 'settings',
    settings: { ...DEFAULT_SETTINGS, baudRate: 50 },
    lines: { dtr: true, rts: true },
  });
  output.write(new Uint8Array(1000));
  const [short, long] = [watch('transmitted', 3000), watch('transmitted')];
  await pass(2990);
  expect(short.done).toBe(false);
  await pass(20);
  expect(short.done).toBe(true);
  await pass(7100);
  expect(long.done).toBe(true);
  await uart.close();
  expect(clock.timers).toBe(0);
});

test('drop leaves what the port has accepted; close ends every wait', async () => {
  const { output, uart, watch, pass, wire, clock } = await made();
  uart.hold(true);
  output.write(Uint8Array.from({ length: 3000 }, (_, i) => i));
  const kept = 3000 - output.waiting;
  output.drop();
  expect(output.waiting).toBe(0);
  const wait = watch('transmitted');
  await turn();
  expect(wait.done).toBe(false);
  output.close();
  await turn();
  expect(wait.done).toBe(true);
  uart.hold(false);
  await pass(2000);
  expect(wire.bytes).toHaveLength(kept);
  expect(clock.timers).toBe(0);
});

test('it is full at 64 KiB, and at as many pieces as a client can make of less', async () => {
  const { output, uart } = await made();
  uart.hold(true);
  output.write(new Uint8Array(1024));
  const full = (piece: number) => {
    output.drop();
    let pieces = 0;
    while (!output.full) {
      output.write(new Uint8Array(piece));
      pieces++;
    }
    return pieces;
  };
  expect(full(4096)).toBeLessThanOrEqual(17);
  expect(full(1)).toBeLessThanOrEqual(5200);
});
