// offlineData: hold keeps bytes no longer than `holdTime`. The pump keeps the newest bytes; this tells which of them
// have become too old: marks of (time, total taken) every tick, and what was taken before the oldest young mark goes.
import type { Clock, Timer } from '../base/clock.js';
import type { Channel } from '../native/channel.js';

const TICKS = 20;

export class HoldAge {
  readonly #marks: { at: number; taken: number }[] = [];
  #timer: Timer | undefined;

  /** @param dropped told how many bytes were dropped for age */
  constructor(
    readonly channel: Channel,
    readonly clock: Clock,
    readonly holdTimeMs: number,
    readonly dropped: (bytes: number) => void,
  ) {
    this.#tick();
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #tick(): void {
    const now = this.clock.now();
    const { downTaken, downParked } = this.channel.counters;
    let tooOld: { at: number; taken: number } | undefined;
    while (this.#marks[0] && now - this.#marks[0].at >= this.holdTimeMs) tooOld = this.#marks.shift();
    if (tooOld) {
      const young = downTaken - tooOld.taken;
      if (downParked > young) this.dropped(this.channel.drop('down', downParked - young));
    }
    this.#marks.push({ at: now, taken: downTaken });
    this.#timer = this.clock.after(Math.max(10, this.holdTimeMs / TICKS), () => this.#tick());
  }
}
