// A channel of the pump, as JavaScript sees it: calls go straight to the addon, events come from Pump.
// It moves no byte. Its contract is that of channel.ts.
import { binding } from './binding.js';
import type {
  Channel,
  ChannelCounters,
  ChannelEvent,
  Direction,
  FenceResult,
  OfflineMode,
  TapRecord,
} from './channel.js';
import type { KeepFile } from './keep-file.js';

/** pump.h: enum channel_event. */
const BIT = {
  opened: 1 << 0,
  closed: 1 << 1,
  settings: 1 << 2,
  termios: 1 << 3,
  flushInput: 1 << 4,
  flushOutput: 1 << 5,
  outputStopped: 1 << 6,
  outputStarted: 1 << 7,
  netEnd: 1 << 8,
  netError: 1 << 9,
  ttyError: 1 << 10,
  tap: 1 << 11,
  fence: 1 << 12,
  ready: 1 << 13,
  closing: 1 << 14,
  stateOutputStopped: 1 << 29,
  stateOpen: 1 << 30,
} as const;

/** pump.h: enum channel_counter. The names that ChannelCounters does not have are read apart. */
const COUNTERS = [
  'downTaken',
  'downSent',
  'upTaken',
  'upDelivered',
  'downParked',
  'upParked',
  'downDiscarded',
  'downOverflowed',
  'downDropped',
  'upDropped',
  'upUnread',
  'downStalls',
  'upStalls',
  'fences',
  'fenceWaitUs',
  'tapDropped',
  'lastDownMs',
  'lastUpMs',
  'ttyOpen',
  'downLost',
  'netErrno',
  'attached',
  'downSuspected',
  'upSuspected',
  'downReadCut',
  'upReadCut',
  'adoptedOpen',
] as const;

const KINDS = { pty: 0, plain: 1, connect: 2, usbip: 3 } as const;
const OFFLINE = { discard: 0, hold: 1, block: 2 } as const;
const FENCES: readonly FenceResult[] = ['passed', 'timeout', 'detached'];
const RESETS = ['failed', 'done', 'opened'] as const;
const TAP_HEADER_BYTES = 16;
/** pump.h: PUMP_PARK_BYTES */
const PARK_BYTES = 65536;
const LOOK_AHEAD_UNKNOWN = 0;

export type ChannelKind = keyof typeof KINDS;
export type ResetResult = (typeof RESETS)[number];

export interface ChannelOptions {
  /**
   * `pty`: a master in packet mode, as createPty makes it. `plain`: any descriptor that epoll can watch. `usbip`: a port of an
   * adapter, whose number stands for the descriptor.
   */
  readonly kind: 'pty' | 'plain' | 'usbip';
  /** Of usbip: which port of the adapter. */
  readonly adapterPort?: number;
  /** Of a pty: its slave, whose opens and closes are watched. */
  readonly path?: string;
  /**
   * Bytes that may be taken ahead from the tty. Where nothing is said: 64 KiB, and of a peer that takes those at once what the socket's send
   * buffer has room for.
   */
  readonly lookAhead?: number;
  /** What happens to `down` bytes until a network side is attached; `block` where nothing is said. */
  readonly offline?: OfflineMode;
  /** Where what a later process needs is kept up to date. `adopt`: go on from what an earlier one left there. */
  readonly keep?: { readonly file: KeepFile; readonly adopt: boolean };
}

const direction = (d: Direction): 0 | 1 => (d === 'down' ? 0 : 1);

function offline(o: OfflineMode): [number, number] {
  return [OFFLINE[o.mode], o.mode === 'hold' ? Math.min(o.bytes, PARK_BYTES) : 0];
}

/** A live view: each property is one read of shared memory. */
class Counters implements ChannelCounters {
  declare readonly downTaken: number;
  declare readonly downSent: number;
  declare readonly upTaken: number;
  declare readonly upDelivered: number;
  declare readonly downParked: number;
  declare readonly upParked: number;
  declare readonly downDiscarded: number;
  declare readonly downOverflowed: number;
  declare readonly downDropped: number;
  declare readonly upDropped: number;
  declare readonly upUnread: number;
  declare readonly downStalls: number;
  declare readonly upStalls: number;
  declare readonly fences: number;
  declare readonly fenceWaitUs: number;
  declare readonly tapDropped: number;
  declare readonly downLost: number;
  declare readonly downSuspected: number;
  declare readonly upSuspected: number;
  declare readonly downReadCut: number;
  declare readonly upReadCut: number;
  declare readonly lastDownMs: number;
  declare readonly lastUpMs: number;
  declare readonly ttyOpen: boolean;

  constructor(readonly shared: Float64Array) {
    for (const [index, name] of COUNTERS.entries()) {
      if (name === 'netErrno' || name === 'attached' || name === 'adoptedOpen') continue;
      const get = name === 'ttyOpen' ? () => shared[index] === 1 : () => shared[index] ?? 0;
      Object.defineProperty(this, name, { get, enumerable: true });
    }
    Object.defineProperty(this, 'shared', { enumerable: false });
  }
}

export class PumpChannel implements Channel {
  readonly id: number;
  readonly counters: ChannelCounters;
  onEvent: (event: ChannelEvent) => void = () => {};
  /** Of a channel that was adopted: an application had it open when the earlier process looked last. */
  readonly adoptedOpen: boolean;
  /** A connecting socket became ready; only the connect kind raises it. */
  onReady: () => void = () => {};

  readonly #pump: number;
  readonly #shared = new Float64Array(binding.counterCount);
  readonly #fences = new Map<number, (result: FenceResult) => void>();
  readonly #released: (channel: PumpChannel) => void;
  #open = false;
  #closed = false;

  /** Only Pump makes channels. */
  constructor(
    pump: number,
    ttyFd: number,
    options: Omit<ChannelOptions, 'kind'> & { readonly kind: ChannelKind },
    released: (channel: PumpChannel) => void,
  ) {
    this.#pump = pump;
    this.#released = released;
    this.counters = new Counters(this.#shared);
    const [mode, bytes] = offline(options.offline ?? { mode: 'block' });
    this.id = binding.openChannel(
      pump,
      ttyFd,
      KINDS[options.kind],
      options.path ?? '',
      options.lookAhead ?? LOOK_AHEAD_UNKNOWN,
      mode,
      bytes,
      this.#shared,
      options.keep?.file.fd ?? -1,
      options.keep?.adopt ?? false,
      options.adapterPort ?? 0,
    );
    this.adoptedOpen = this.#shared[COUNTERS.indexOf('adoptedOpen')] === 1;
    this.#open = options.kind === 'plain' || this.adoptedOpen;
  }

  get netErrno(): number {
    return this.#shared[COUNTERS.indexOf('netErrno')] ?? 0;
  }

  get attached(): boolean {
    return this.#shared[COUNTERS.indexOf('attached')] === 1;
  }

  attach(fd: number, onLoss: OfflineMode = { mode: 'block' }): void {
    binding.attach(this.#pump, this.id, fd, ...offline(onLoss));
  }

  detach(mode: OfflineMode): void {
    if (this.#closed) return;
    binding.detach(this.#pump, this.id, ...offline(mode));
  }

  setOffline(mode: OfflineMode): void {
    binding.setOffline(this.#pump, this.id, ...offline(mode));
  }

  stop(d: Direction): void {
    binding.stop(this.#pump, this.id, direction(d));
  }

  resume(d: Direction): void {
    binding.resume(this.#pump, this.id, direction(d));
  }

  drop(d: Direction, bytes = 0xffffffff): number {
    return binding.drop(this.#pump, this.id, direction(d), bytes);
  }

  /** At most 8 at a time; a further one rejects with EAGAIN. */
  async fence(timeoutMs: number): Promise<FenceResult> {
    const slot = binding.fence(this.#pump, this.id, Math.max(0, Math.ceil(timeoutMs)));
    if (slot < 0) return FENCES[-1 - slot] ?? 'detached';
    return new Promise((resolve) => this.#fences.set(slot, resolve));
  }

  setLookAhead(bytes: number): void {
    binding.setLookAhead(this.#pump, this.id, Math.max(1, Math.floor(bytes)));
  }

  tap(bytes: number): void {
    binding.tap(this.#pump, this.id, bytes);
  }

  readTap(): TapRecord[] {
    const raw = binding.readTap(this.#pump, this.id);
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const records: TapRecord[] = [];
    for (let at = 0; at < raw.length; ) {
      const length = view.getUint32(at, LITTLE_ENDIAN);
      const start = at + TAP_HEADER_BYTES;
      records.push({
        direction: view.getUint32(at + 4, LITTLE_ENDIAN) === 0 ? 'down' : 'up',
        atUs: view.getFloat64(at + 8, LITTLE_ENDIAN),
        bytes: raw.subarray(start, start + length),
      });
      at = start + length;
    }
    return records;
  }

  /**
   * Of a pty that nobody has open: re-arms its termios and clears what the last opener left (unread input, TIOCEXCL, a
   * stopped output). `opened`: an application was faster, and nothing was done to it. `failed`: replace the PTY.
   */
  reset(): ResetResult {
    return RESETS[binding.reset(this.#pump, this.id)] ?? 'failed';
  }

  /**
   * Of usbip: watches who opens and closes the device node, for 'closing'; undefined: no more. Throws a SystemError: EACCES
   * where the node may not be read, ENOENT.
   * @param openers how many have it open already
   */
  watchNode(path: string | undefined, openers = 0): void {
    binding.watchNode(this.#pump, this.id, path ?? '', openers);
  }

  /** Idempotent; a second close has nothing to give back. Fences that still wait resolve as detached. */
  close(): { readonly down: Uint8Array; readonly up: Uint8Array } {
    if (this.#closed) return { down: new Uint8Array(0), up: new Uint8Array(0) };
    this.#closed = true;
    const parked = binding.closeChannel(this.#pump, this.id);
    for (const resolve of this.#fences.values()) resolve('detached');
    this.#fences.clear();
    this.#released(this);
    return parked;
  }

  /** Only Pump calls it: what coalesced since the last look, in the order that a reader expects. */
  deliver(bits: number): void {
    if (bits & BIT.fence) this.#takeFences();
    for (const event of this.#eventsOf(bits)) {
      if (this.#closed) return;
      this.onEvent(event);
    }
    if (bits & BIT.ready && !this.#closed) this.onReady();
  }

  #takeFences(): void {
    const done = binding.takeFences(this.#pump, this.id);
    for (let i = 0; i + 1 < done.length; i += 2) {
      const slot = done[i] ?? -1;
      const resolve = this.#fences.get(slot);
      this.#fences.delete(slot);
      resolve?.(FENCES[done[i + 1] ?? 2] ?? 'detached');
    }
  }

  /** Bits have no order: open and closed are told from what was known before and what is true now. */
  *#eventsOf(bits: number): Generator<ChannelEvent> {
    const wasOpen = this.#open;
    this.#open = (bits & BIT.stateOpen) !== 0;
    if (wasOpen && this.#open && bits & BIT.closed) yield 'reopened';
    else if (wasOpen && bits & BIT.opened && bits & BIT.closed) yield 'reopened';
    else if (!wasOpen && bits & BIT.opened) yield 'opened';
    if (bits & BIT.settings) yield 'settings';
    if (bits & BIT.termios) yield 'termios';
    if (bits & BIT.flushInput) yield 'flush-input';
    if (bits & BIT.flushOutput) yield 'flush-output';
    const outputStopped = (bits & BIT.stateOutputStopped) !== 0;
    if (bits & BIT.outputStarted && outputStopped) yield 'output-started';
    if (bits & BIT.outputStopped) yield 'output-stopped';
    if (bits & BIT.outputStarted && !outputStopped) yield 'output-started';
    if (bits & BIT.netEnd) yield 'net-end';
    if (bits & BIT.netError) yield 'net-error';
    if (bits & BIT.ttyError) yield 'tty-error';
    if (bits & BIT.closing) yield 'closing';
    if (bits & BIT.closed && !this.#open) yield 'closed';
    if (bits & BIT.tap) yield 'tap';
  }
}

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
