// Waits until the device has transmitted what the application wrote: first until the device's TCP has taken it (fence),
// then until its transmitter is empty (WAIT_OQUEUE until 0). Gives up only without progress: a device that holds its
// line by CTS or XOFF makes none, a slow one does.
import type { Clock } from '../base/clock.js';
import type { Link } from '../link/link.js';
import type { Channel } from '../native/channel.js';

export type DrainResult = 'drained' | 'stuck' | 'lost';

/** A device may be asked to wait at most this long before it answers. */
const ASK_MS = 100;
const FENCE_MS = 500;

/** What is still ahead of the wire, as one number that falls while there is progress. */
function backlog(channel: Channel, link: Link, deviceQueue: number): number {
  const { downParked, downTaken } = channel.counters;
  // downTaken grows with new bytes: progress is measured on what left.
  return downTaken - downParked - link.unsent - deviceQueue;
}

/**
 * Resolves `drained` when every byte taken until now has left the device: parked and sent, not what waits for a resume; `stuck` when nothing moved
 * for `withoutProgressMs`; `lost` when the link ended or `signal` was aborted. Never rejects for the link's end.
 */
export async function drainOutput(
  channel: Channel,
  link: Link,
  clock: Clock,
  withoutProgressMs: number,
  signal: AbortSignal,
): Promise<DrainResult> {
  let left = 0;
  let best = Number.NEGATIVE_INFINITY;
  let since = clock.now();
  while (!signal.aborted) {
    const fence = await channel.fence(FENCE_MS);
    if (fence === 'detached' || signal.aborted) return 'lost';
    // A link through which the bytes pass may still have what it took.
    const passed = fence === 'passed' && link.unsent === 0;
    if (passed && !link.capabilities.drain) return 'drained';
    if (link.capabilities.drain) {
      try {
        // Asked before the fence has passed too: a slow device may move nothing else that we can see for half a minute.
        left = await link.outputQueue(ASK_MS);
      } catch {
        // The link's end is told to the session by its own event, with the cause.
        return 'lost';
      }
      if (passed && left === 0) return 'drained';
    }
    if (link.capabilities.drain || fence === 'passed') await paced(clock, signal);
    const moved = backlog(channel, link, left);
    if (moved > best) {
      best = moved;
      since = clock.now();
    } else if (clock.now() - since >= withoutProgressMs) {
      return 'stuck';
    }
  }
  return 'lost';
}

/** A device that answers at once instead of waiting must not be asked thousands of times a second. */
function paced(clock: Clock, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      signal.removeEventListener('abort', done);
      timer.cancel();
      resolve();
    };
    const timer = clock.after(5, done);
    signal.addEventListener('abort', done, { once: true });
  });
}
