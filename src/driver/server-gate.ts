// Who may connect to one device server, and when. While the server is down one port probes it, once a second; its
// success releases the others, at most `limit` between SYN and answered PORT_INIT. A port that fails while others of
// the server are up is busy by itself and tries again once a second. Performs nothing: it only calls back.
import type { Clock, Timer } from '../base/clock.js';

export interface GateOptions {
  readonly clock: Clock;
  /** 0 <= random() < 1; spreads probes of many servers. */
  readonly random: () => number;
  readonly limit?: number;
  readonly probeMs?: number;
  /** Down for longer than this: probe every `slowProbeMs`. */
  readonly slowAfterMs?: number;
  readonly slowProbeMs?: number;
}

/** One port's place at the gate. */
export interface GateTicket {
  /** Asks for a turn; `granted` is called once, never from inside this call. A second ask while waiting is ignored. */
  request(granted: () => void): void;
  /** The granted attempt ended well: PORT_INIT was answered. */
  succeeded(): void;
  /** The port has a connection from before. */
  adopted(): void;
  /** The granted attempt failed. */
  failed(): void;
  /** An established connection ended. */
  lost(): void;
  /** No turn is wanted any more; an attempt under way counts as neither. */
  cancel(): void;
  /** The port is gone. */
  leave(): void;
}

type Place = 'out' | 'queued' | 'trying' | 'up';

interface Member {
  place: Place;
  granted: () => void;
  /** Not before this time, by the clock. */
  notBefore: number;
}

export class ServerGate {
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #limit: number;
  readonly #probeMs: number;
  readonly #slowAfterMs: number;
  readonly #slowProbeMs: number;
  readonly #members = new Set<Member>();
  #downSince: number | undefined;
  #timer: Timer | undefined;
  #timerAt = Number.POSITIVE_INFINITY;

  constructor(options: GateOptions) {
    this.#clock = options.clock;
    this.#random = options.random;
    this.#limit = options.limit ?? 64;
    this.#probeMs = options.probeMs ?? 1000;
    this.#slowAfterMs = options.slowAfterMs ?? 600_000;
    this.#slowProbeMs = options.slowProbeMs ?? 5000;
  }

  /** True from the first failure with no port up until a port comes up. */
  get down(): boolean {
    return this.#downSince !== undefined;
  }

  get upCount(): number {
    return this.#count('up');
  }

  enter(): GateTicket {
    const member: Member = { place: 'out', granted: () => {}, notBefore: 0 };
    this.#members.add(member);
    return {
      request: (granted) => this.#request(member, granted),
      succeeded: () => this.#succeeded(member),
      adopted: () => {
        member.place = 'up';
      },
      failed: () => this.#failed(member),
      lost: () => this.#leavePlace(member),
      cancel: () => this.#leavePlace(member),
      leave: () => {
        this.#leavePlace(member);
        this.#members.delete(member);
        if (this.#members.size === 0) this.#stopTimer();
      },
    };
  }

  #request(member: Member, granted: () => void): void {
    if (member.place === 'queued' || member.place === 'trying') return;
    // Last in the line: with one probe at a time the ports take turns, so that one bad port does not bar the others.
    this.#members.delete(member);
    this.#members.add(member);
    member.place = 'queued';
    member.granted = granted;
    this.#schedule(Math.max(this.#clock.now(), member.notBefore));
  }

  #succeeded(member: Member): void {
    if (member.place !== 'trying') return;
    member.place = 'up';
    member.notBefore = this.#clock.now() + this.#probeMs / 4;
    if (this.#downSince !== undefined) {
      this.#downSince = undefined;
      for (const other of this.#members) if (other.place === 'queued') other.notBefore = 0;
    }
    this.#schedule(this.#clock.now());
  }

  #failed(member: Member): void {
    if (member.place !== 'trying') return;
    member.place = 'out';
    const now = this.#clock.now();
    member.notBefore = now + this.#pause(now);
    if (this.#count('up') === 0) {
      this.#downSince ??= now;
      for (const other of this.#members) other.notBefore = Math.max(other.notBefore, member.notBefore);
    }
    this.#schedule(member.notBefore);
  }

  #leavePlace(member: Member): void {
    if (member.place === 'out') return;
    member.place = 'out';
    this.#schedule(this.#clock.now());
  }

  #pause(now: number): number {
    const slow = this.#downSince !== undefined && now - this.#downSince >= this.#slowAfterMs;
    const base = slow ? this.#slowProbeMs : this.#probeMs;
    // Never later than the base: "usable two seconds after the device accepts again" counts on it.
    return base * (1 - 0.1 * this.#random());
  }

  #count(place: Place): number {
    let n = 0;
    for (const member of this.#members) if (member.place === place) n++;
    return n;
  }

  #schedule(at: number): void {
    if (at >= this.#timerAt) return;
    this.#stopTimer();
    this.#timerAt = at;
    this.#timer = this.#clock.after(Math.max(0, at - this.#clock.now()), () => {
      this.#timerAt = Number.POSITIVE_INFINITY;
      this.#timer = undefined;
      this.#grant();
    });
  }

  #stopTimer(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#timerAt = Number.POSITIVE_INFINITY;
  }

  #grant(): void {
    const now = this.#clock.now();
    let trying = this.#count('trying');
    const limit = this.#downSince !== undefined ? 1 : this.#limit;
    let next = Number.POSITIVE_INFINITY;
    for (const member of [...this.#members]) {
      if (member.place !== 'queued') continue;
      // A timer may fire a fraction of a millisecond early.
      if (member.notBefore > now + 0.5) {
        next = Math.min(next, member.notBefore);
        continue;
      }
      if (trying >= limit) break;
      trying++;
      member.place = 'trying';
      member.granted();
    }
    if (next !== Number.POSITIVE_INFINITY) this.#schedule(next);
  }
}
