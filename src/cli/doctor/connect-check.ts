// One TCP connection that a probe made, judged. Pure.
import { type Check, failed, notChecked, ok } from './check.js';
import type { ConnectFacts } from './facts.js';

export const BUSY_HINT =
  "see in the device's web console which host is connected, and free the port there or end that host";

export function placeOf(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}

/** @param refused what to do where nobody listens */
export function connectCheck(step: string, place: string, facts: ConnectFacts, refused: string): Check {
  switch (facts.result) {
    case 'connected':
      return ok(step, `${place} accepts connections (${facts.ms.toFixed(1)} ms)`);
    case 'refused':
      return failed(step, `${place} refuses connections`, refused);
    case 'timeout':
      return failed(
        step,
        `${place} does not answer`,
        'is the device switched on, is its address right, does a firewall drop it? try: ping',
      );
    case 'no route':
      return notChecked(step, `there is no way to ${place}`);
    case 'closed':
      return failed(step, `${place} accepted, then closed: the port is in use by another host`, BUSY_HINT);
    case 'error':
      return failed(step, `${place}: ${facts.why}`, 'see the message of the system');
    case 'not tried':
      return notChecked(step, `${place} was not tried, the step before failed`);
    default:
      return facts satisfies never;
  }
}
