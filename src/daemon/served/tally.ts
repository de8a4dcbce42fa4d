// What a serial port's counters say, for the next process to go on from. The times in it are of the wall clock, since a process
// has a clock of its own.
import type { Clock } from '../../base/clock.js';
import type { LineMeter } from '../../uart/metered.js';
import type { Counts } from './serial-port-view.js';

export interface Tally {
  readonly since: string;
  readonly counts: Counts;
  readonly meter: LineMeter;
}

/** Of a record of this version; undefined where it says nothing. */
export function tallyOf(about: unknown): Tally | undefined {
  return isTally(about) ? about : undefined;
}

const isTally = (about: unknown): about is Tally => typeof about === 'object' && about !== null && 'meter' in about;

export function tallyNow(meter: LineMeter, counts: Counts, since: string, clock: Clock): Tally {
  return { since, counts, meter: withTimes(meter, clock.wallTime() - clock.now()) };
}

/** The meter by this process's clock. */
export function meterAfter({ meter }: Tally, clock: Clock): LineMeter {
  return withTimes(meter, clock.now() - clock.wallTime());
}

function withTimes(meter: LineMeter, shiftMs: number): LineMeter {
  const shifted = (ms: number | undefined) => (ms === undefined ? undefined : ms + shiftMs);
  return {
    ...meter,
    lastTransmittedMs: shifted(meter.lastTransmittedMs),
    lastReceivedMs: shifted(meter.lastReceivedMs),
  };
}
