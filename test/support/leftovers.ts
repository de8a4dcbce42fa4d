// For tests with real sockets and ports: what a test opened is closed after it, the last first, and then no descriptor is left.
import { readdirSync } from 'node:fs';
import { afterEach, beforeEach } from 'vitest';

const descriptors = () => readdirSync('/proc/self/fd').length;

/** Turns of the event loop until it holds; the test's own timeout ends a wait for what never comes. */
export async function holds(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 1));
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** The whole process waits, as one that was stopped, or whose machine was; nothing of it runs meanwhile but other threads. */
export function stall(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

/** Gives a list for what is to be done at the end of each test of the file. */
export function endsOfTests(): (() => unknown)[] {
  const ends: (() => unknown)[] = [];
  let before = 0;
  beforeEach(() => {
    before = descriptors();
  });
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
    await holds(() => descriptors() <= before);
  });
  return ends;
}
