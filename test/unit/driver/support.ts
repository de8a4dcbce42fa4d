// A channel of the pump as a value that a test steers: it moves nothing and notes what it was asked. For the driver's
// parts that only look at counters and give orders.
import type {
  Channel,
  ChannelCounters,
  Direction,
  FenceResult,
  OfflineMode,
  TapRecord,
} from '../../../src/native/channel.js';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export const NO_COUNTERS: ChannelCounters = {
  downTaken: 0,
  downSent: 0,
  upTaken: 0,
  upDelivered: 0,
  downParked: 0,
  upParked: 0,
  downDiscarded: 0,
  downOverflowed: 0,
  downDropped: 0,
  downLost: 0,
  downSuspected: 0,
  upSuspected: 0,
  downReadCut: 0,
  upReadCut: 0,
  upDropped: 0,
  upUnread: 0,
  downStalls: 0,
  upStalls: 0,
  fences: 0,
  fenceWaitUs: 0,
  tapDropped: 0,
  lastDownMs: 0,
  lastUpMs: 0,
  ttyOpen: true,
};

export class StillChannel implements Channel {
  readonly id = 0;
  readonly netErrno = 0;
  readonly counters: Mutable<ChannelCounters> = { ...NO_COUNTERS };
  readonly asked: string[] = [];
  readonly stopped = new Set<Direction>();
  attached = true;
  onEvent = () => {};
  /** What the next fences tell; without any, they pass. */
  fences: (FenceResult | Promise<FenceResult>)[] = [];

  attach(): void {
    this.attached = true;
  }
  setOffline(mode: OfflineMode): void {
    this.asked.push(`offline ${mode.mode}`);
  }
  detach(mode: OfflineMode): void {
    this.attached = false;
    this.asked.push(`detach ${mode.mode}`);
  }
  stop(direction: Direction): void {
    this.stopped.add(direction);
    this.asked.push(`stop ${direction}`);
  }
  resume(direction: Direction): void {
    this.stopped.delete(direction);
    this.asked.push(`resume ${direction}`);
  }
  drop(direction: Direction, bytes = Number.POSITIVE_INFINITY): number {
    const gauge = direction === 'down' ? 'downParked' : 'upParked';
    const dropped = Math.min(bytes, this.counters[gauge]);
    this.counters[gauge] -= dropped;
    if (direction === 'down') this.counters.downDropped += dropped;
    else this.counters.upDropped += dropped;
    return dropped;
  }
  async fence(): Promise<FenceResult> {
    this.counters.fences++;
    return this.fences.shift() ?? 'passed';
  }
  setLookAhead(bytes: number): void {
    this.asked.push(`look ahead ${bytes}`);
  }
  tap(): void {}
  readTap(): TapRecord[] {
    return [];
  }
  close(): { down: Uint8Array; up: Uint8Array } {
    return { down: new Uint8Array(0), up: new Uint8Array(0) };
  }
}
