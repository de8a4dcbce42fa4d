// Whose turn it is on a line that several share: by the clock, without a line.
import { expect, test } from 'vitest';
import { Arbiter } from '../../../src/serve/arbiter.js';
import { ManualClock } from '../../support/manual-clock.js';

const RESPONSE_MS = 1000;
const SILENCE_MS = 30;

function rig() {
  const clock = new ManualClock();
  const told: string[] = [];
  const arbiter = new Arbiter<string>({
    clock,
    responseTimeoutMs: RESPONSE_MS,
    lineTimeMs: (bytes) => bytes,
    silenceMs: () => SILENCE_MS,
    over: () => told.push(`over ${arbiter.answered ?? '-'}`),
    free: () => told.push('free'),
  });
  return { clock, arbiter, told };
}

test('a request goes on in pieces, and nobody else has the line until the answer is over', () => {
  const { clock, arbiter, told } = rig();
  expect(arbiter.isTurnOf('a')).toBe(true);
  arbiter.sent('a', 8);
  expect([arbiter.isTurnOf('a'), arbiter.isTurnOf('b')]).toEqual([true, false]);
  arbiter.sent('a', 8);
  clock.advance(20);
  arbiter.heard(0);
  expect(arbiter.answered).toBe('a');
  // What it sends now is another request.
  expect([arbiter.isTurnOf('a'), arbiter.isTurnOf('b')]).toEqual([false, false]);
  clock.advance(SILENCE_MS - 1);
  arbiter.heard(0);
  clock.advance(SILENCE_MS - 1);
  expect(told).toEqual([]);
  clock.advance(1);
  expect(told).toEqual(['over a', 'free']);
  expect([arbiter.isTurnOf('b'), arbiter.answered, arbiter.timeouts]).toEqual([true, undefined, 0]);
});

test('no answer: the line is free after the response time from the last byte of the request', () => {
  const { clock, arbiter, told } = rig();
  arbiter.sent('a', 100);
  clock.advance(50);
  arbiter.sent('a', 100);
  clock.advance(150 + RESPONSE_MS - 1);
  expect(told).toEqual([]);
  clock.advance(1);
  expect(told).toEqual(['over -', 'free']);
  expect(arbiter.timeouts).toBe(1);
});

test('what comes while a request is still leaving answers an earlier one', () => {
  const { clock, arbiter } = rig();
  arbiter.heard(0);
  expect(arbiter.answered).toBeUndefined();
  arbiter.sent('a', 8);
  clock.advance(8 + RESPONSE_MS);
  arbiter.sent('b', 8);
  arbiter.heard(8);
  expect([arbiter.answered, arbiter.lastRequester]).toEqual([undefined, 'b']);
  arbiter.heard(0);
  expect(arbiter.answered).toBe('b');
});

test('where no answer is owed, what the line says is the answer: a port knows late that its request has left', () => {
  const { clock, arbiter } = rig();
  for (const ms of [0, 8, 500]) {
    arbiter.sent('a', 8);
    clock.advance(ms);
    arbiter.heard(8);
    expect(arbiter.answered).toBe('a');
    clock.advance(SILENCE_MS);
  }
});

test('after one that waited in vain: what comes until the next has left is late, by the rate, or where it is held up', () => {
  const { clock, arbiter } = rig();
  const inVain = () => {
    arbiter.sent('a', 8);
    clock.advance(8 + RESPONSE_MS);
    arbiter.sent('b', 8);
  };
  for (const queued of [1, 8]) {
    inVain();
    clock.advance(7);
    arbiter.heard(queued);
    expect(arbiter.answered).toBeUndefined();
    clock.advance(1);
    arbiter.heard(queued);
    expect(arbiter.answered).toBe('b');
    clock.advance(SILENCE_MS);
  }
  inVain();
  clock.advance(8 + 101);
  arbiter.heard(8);
  expect(arbiter.answered).toBeUndefined();
  // Of the last bit nobody knows.
  arbiter.heard(1);
  expect(arbiter.answered).toBe('b');
});

test('an answer that came late, to nobody, is owed no more', () => {
  const { clock, arbiter } = rig();
  arbiter.sent('a', 8);
  clock.advance(8 + RESPONSE_MS);
  arbiter.heard(0);
  clock.advance(SILENCE_MS);
  arbiter.sent('b', 8);
  arbiter.heard(8);
  expect(arbiter.answered).toBe('b');
});

test('an answer that came late and goes on while the next request leaves is late to its end', () => {
  const { clock, arbiter } = rig();
  arbiter.sent('a', 8);
  clock.advance(8 + RESPONSE_MS);
  arbiter.heard(0);
  clock.advance(5);
  arbiter.sent('b', 8);
  clock.advance(5);
  arbiter.heard(3);
  expect(arbiter.answered).toBeUndefined();
  clock.advance(3);
  arbiter.heard(0);
  expect(arbiter.answered).toBe('b');
});

test('the answer of who has left is nobody’s, and the line waits for it', () => {
  const { clock, arbiter, told } = rig();
  arbiter.sent('a', 8);
  arbiter.left('a');
  expect(arbiter.isTurnOf('b')).toBe(false);
  arbiter.heard(0);
  expect([arbiter.answered, arbiter.lastRequester]).toEqual([undefined, undefined]);
  clock.advance(SILENCE_MS);
  expect(told).toEqual(['over -', 'free']);
});

test('a request has an end: neither its length nor who dribbles keeps the line', () => {
  const { clock, arbiter, told } = rig();
  arbiter.sent('a', 4096);
  expect([arbiter.isTurnOf('a'), arbiter.isTurnOf('b')]).toEqual([false, false]);
  clock.advance(4096 + RESPONSE_MS);
  expect(told).toEqual(['over -', 'free']);
  let turns = 0;
  for (; arbiter.isTurnOf('b'); clock.advance(RESPONSE_MS / 4)) {
    arbiter.sent('b', 1);
    turns++;
  }
  expect(turns).toBe(4);
  clock.advance(RESPONSE_MS);
  expect(arbiter.isTurnOf('a')).toBe(true);
});

test('nothing follows its end', () => {
  const { clock, arbiter, told } = rig();
  arbiter.sent('a', 8);
  arbiter.end();
  clock.advance(10 * RESPONSE_MS);
  expect(told).toEqual([]);
});
