// A clock that a test turns by hand. Timers fire in the order of their due times, inside `advance`, and never early.
// Follows src/base/clock.ts.
import type { Clock, Timer } from '../../src/base/clock.js';

interface Pending {
  readonly dueMs: number;
  readonly order: number;
  readonly fn: () => void;
}

export class ManualClock implements Clock {
  #nowMs: number;
  #order = 0;
  readonly #pending = new Set<Pending>();

  constructor(
    startMs = 0,
    readonly epochMs = 1_700_000_000_000,
  ) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  wallTime(): number {
    return this.epochMs + this.#nowMs;
  }

  after(afterMs: number, fn: () => void): Timer {
    const entry: Pending = { dueMs: this.#nowMs + Math.max(0, afterMs), order: this.#order++, fn };
    this.#pending.add(entry);
    return {
      cancel: () => {
        this.#pending.delete(entry);
      },
    };
  }

  /** Timers that are armed; a test that ends with any has left something behind. */
  get timers(): number {
    return this.#pending.size;
  }

  /** Milliseconds until the next timer; undefined where none is armed. */
  get nextMs(): number | undefined {
    const next = this.#earliest(Number.POSITIVE_INFINITY);
    return next === undefined ? undefined : next.dueMs - this.#nowMs;
  }

  /** Moves time on and fires what becomes due, timers that such a timer arms included. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (let next = this.#earliest(untilMs); next !== undefined; next = this.#earliest(untilMs)) {
      this.#pending.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.fn();
    }
    this.#nowMs = untilMs;
  }

  /** As `advance`, but lets promises settle before the first timer, between timers and after the last. */
  async advanceAsync(ms: number): Promise<void> {
    const untilMs = this.#nowMs + ms;
    await settle();
    for (let next = this.#earliest(untilMs); next !== undefined; next = this.#earliest(untilMs)) {
      this.#pending.delete(next);
      this.#nowMs = Math.max(this.#nowMs, next.dueMs);
      next.fn();
      await settle();
    }
    this.#nowMs = untilMs;
  }

  #earliest(untilMs: number): Pending | undefined {
    let best: Pending | undefined;
    for (const entry of this.#pending) {
      if (entry.dueMs > untilMs) continue;
      if (best === undefined || entry.dueMs < best.dueMs || (entry.dueMs === best.dueMs && entry.order < best.order)) {
        best = entry;
      }
    }
    return best;
  }
}

/** Lets every promise reaction and microtask that is queued now, and what they queue, run. */
export function settle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
