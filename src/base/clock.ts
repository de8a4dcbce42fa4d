// Time is passed in. Production uses SystemClock from the composing program; tests turn a ManualClock by hand.

export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Monotonic milliseconds; only differences mean anything. */
  now(): number;
  /** Wall clock, milliseconds since the epoch; for display only. */
  wallTime(): number;
  /** Calls `fn` once, not earlier than `afterMs` from now. */
  after(afterMs: number, fn: () => void): Timer;
}

/**
 * A timer that fires so late shows that the process was stopped, or the machine. What came meanwhile is in the kernel still, since Node
 * looks at its timers first.
 */
const STALL_MS = 10;

export class SystemClock implements Clock {
  /** Timers wait for what came, and those that are due after them wait behind them. */
  #isBehind = false;

  now(): number {
    return performance.now();
  }

  wallTime(): number {
    return Date.now();
  }

  /** After a stall `fn` is called when what came meanwhile has been heard: nobody gives up on an answer that is there. */
  after(afterMs: number, fn: () => void): Timer {
    const due = performance.now() + afterMs;
    let late: NodeJS.Immediate | undefined;
    const handle = setTimeout(() => {
      if (!this.#isBehind && performance.now() - due < STALL_MS) {
        fn();
        return;
      }
      this.#isBehind = true;
      late = setImmediate(() => {
        this.#isBehind = false;
        fn();
      });
    }, afterMs);
    return {
      cancel: () => {
        clearTimeout(handle);
        clearImmediate(late);
      },
    };
  }
}

/** Resolves after `ms`; rejects with the signal's reason when aborted. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = () => {
      timer.cancel();
      reject(signal?.reason);
    };
    const timer = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}
