import { expect, test } from 'vitest';
import { HoldAge } from '../../../src/driver/hold-age.js';
import { ManualClock } from '../../support/manual-clock.js';
import { StillChannel } from './support.js';

function setUp(holdTimeMs: number) {
  const clock = new ManualClock();
  const channel = new StillChannel();
  const dropped: number[] = [];
  const age = new HoldAge(channel, clock, holdTimeMs, (bytes) => dropped.push(bytes));
  const write = (bytes: number) => {
    channel.counters.downTaken += bytes;
    channel.counters.downParked += bytes;
  };
  return { clock, channel, dropped, age, write };
}

test('what is older than the hold time goes, and only that', () => {
  const { clock, channel, dropped, age, write } = setUp(2000);
  write(10);
  clock.advance(1000);
  write(5);
  clock.advance(900);
  expect(channel.counters.downParked).toBe(15);
  // The grain of the marks is a twentieth of the time.
  clock.advance(300);
  expect(channel.counters.downParked).toBe(5);
  clock.advance(1000);
  expect(channel.counters.downParked).toBe(0);
  expect(dropped.filter((n) => n > 0)).toEqual([10, 5]);
  age.stop();
  expect(clock.timers).toBe(0);
});

test('what an overflow has dropped already is not dropped again', () => {
  const { clock, channel, dropped, age, write } = setUp(1000);
  write(100);
  channel.counters.downParked = 40; // the oldest 60 went for the newest
  clock.advance(500);
  write(7);
  clock.advance(600);
  expect(channel.counters.downParked).toBe(7);
  expect(dropped.filter((n) => n > 0)).toEqual([40]);
  age.stop();
});

test('the marks are bounded', () => {
  const { clock, age, channel } = setUp(2000);
  clock.advance(10_000_000);
  expect(clock.timers).toBe(1);
  expect(age).toMatchObject({ channel });
  age.stop();
});
