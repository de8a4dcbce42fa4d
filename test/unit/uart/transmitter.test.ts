import fc from 'fast-check';
import { expect, test } from 'vitest';
import { DEFAULT_SETTINGS, lineTimeMs } from '../../../src/serial/line.js';
import { ByteQueue } from '../../../src/uart/byte-queue.js';
import { PacedTransmitter, type StopReason } from '../../../src/uart/transmitter.js';
import { ManualClock } from '../../support/manual-clock.js';

const RATES = [300, 1200, 9600, 115_200, 921_600];

type Step =
  | { readonly do: 'write'; readonly count: number }
  | { readonly do: 'advance'; readonly ms: number }
  | { readonly do: 'rate'; readonly baudRate: number }
  | { readonly do: 'stop' | 'resume'; readonly reason: StopReason };

const reasons = fc.constantFrom<StopReason>('cts', 'xoff', 'host');
const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constant('write' as const), count: fc.integer({ min: 1, max: 900 }) }),
  fc.record({ do: fc.constant('advance' as const), ms: fc.double({ min: 0, max: 300, noNaN: true }) }),
  fc.record({ do: fc.constant('rate' as const), baudRate: fc.constantFrom(...RATES) }),
  fc.record({ do: fc.constantFrom('stop' as const, 'resume' as const), reason: reasons }),
);

test('whatever happens: every accepted byte leaves once, in order, and none before the line had the time for it', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 500 }), (steps, sinkRoom) => {
      const clock = new ManualClock();
      const accepted: number[] = [];
      const left: number[] = [];
      let lineMs = 0;
      const transmitter = new PacedTransmitter({
        clock,
        settings: DEFAULT_SETTINGS,
        capacity: 1024,
        unpaced: false,
        sinkRoom: () => sinkRoom,
        deliver: (bytes, settings) => {
          left.push(...bytes);
          lineMs += lineTimeMs(settings, bytes.length);
          expect(lineMs).toBeLessThanOrEqual(clock.now() + 1e-3);
        },
        progressed: () => transmitter.resume('sink'),
      });
      let next = 0;
      for (const one of steps) {
        if (one.do === 'write') {
          const bytes = Uint8Array.from({ length: one.count }, (_, i) => (next + i) & 0xff);
          const count = transmitter.write(bytes);
          accepted.push(...bytes.subarray(0, count));
          next += count;
        } else if (one.do === 'advance') clock.advance(one.ms);
        else if (one.do === 'rate') transmitter.setSettings({ ...DEFAULT_SETTINGS, baudRate: one.baudRate });
        else if (one.do === 'stop') transmitter.stop(one.reason);
        else transmitter.resume(one.reason);
        expect(transmitter.queued).toBe(accepted.length - left.length);
      }
      for (const reason of ['cts', 'xoff', 'host'] as const) transmitter.resume(reason);
      clock.advance(60_000);
      expect(left).toEqual(accepted);
      expect(clock.timers).toBe(0);
    }),
    { numRuns: 200 },
  );
});

test('the ring gives back what it took, in order, and never more than its capacity', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.integer({ min: 0, max: 40 }), fc.integer({ min: 0, max: 40 }))), (pairs) => {
      const queue = new ByteQueue(32);
      const model: number[] = [];
      let next = 0;
      for (const [add, remove] of pairs) {
        const bytes = Uint8Array.from({ length: add }, () => next++ & 0xff);
        const count = queue.push(bytes);
        expect(count).toBe(Math.min(add, 32 - model.length));
        model.push(...bytes.subarray(0, count));
        expect([...queue.shift(remove)]).toEqual(model.splice(0, remove));
        expect(queue.length).toBe(model.length);
      }
    }),
  );
});
