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

export class SystemClock implements Clock {
  now(): number {
    return performance.now();
  }

  wallTime(): number {
    return Date.now();
  }

  after(afterMs: number, fn: () => void): Timer {
    const handle = setTimeout(fn, afterMs);
    return { cancel: () => clearTimeout(handle) };
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
