import { expect, test } from 'vitest';
import type { LineReport, LineRequest } from '../../../src/serial/line.js';
import { LoopbackUart } from '../../../src/uart/loopback.js';
import { MeteredUart, newMeter } from '../../../src/uart/metered.js';
import { ManualClock } from '../../support/manual-clock.js';

test('who looks on is told of requests and reports, and only while looking on', async () => {
  const clock = new ManualClock();
  const watch = {
    on: false,
    asked: [] as [LineRequest['type'], boolean][],
    told: [] as LineReport[],
    requested: (request: LineRequest, done: boolean) => void watch.asked.push([request.type, done]),
    reported: (report: LineReport) => void watch.told.push(report),
  };
  const reports: LineReport[] = [];
  const uart = new MeteredUart(new LoopbackUart({ clock, name: 'line' }), newMeter(), clock, watch);
  await uart.open({
    received: () => {},
    report: (report) => reports.push(report),
    writable: () => {},
    drained: () => {},
    failed: () => {},
  });
  await uart.request({ type: 'lines', lines: { dtr: true, rts: true } });
  await Promise.resolve();
  expect(reports).toHaveLength(1);
  expect([watch.asked, watch.told]).toEqual([[], []]);
  watch.on = true;
  expect(await uart.request({ type: 'lines', lines: { dtr: false, rts: true } })).toBe(true);
  await Promise.resolve();
  expect(reports).toHaveLength(2);
  expect(watch.asked).toEqual([['lines', true]]);
  expect(watch.told).toEqual(reports.slice(1));
  await uart.close();
});
