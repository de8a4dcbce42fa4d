// The service manager's descriptor store (sd_notify(3): FDSTORE, FDSTOREREMOVE, BARRIER; sd_listen_fds(3)): what is put there
// outlives this process and comes back at the next start. Never waits but in barrier(), and never asks what a descriptor is.
import type { Clock, Timer } from '../../base/clock.js';
import { Fault, messageOf } from '../../base/fault.js';
import type { Log } from '../../base/log.js';
import { closeFd, isSystemError } from '../../native/socket.js';
import { descriptorLimit } from '../descriptor-limit.js';
import { type Environment, takeInherited } from './inherited-descriptors.js';
import { type ManagerWire, NotifyWire } from './manager-wire.js';
import { StoreQueue } from './store-queue.js';

/** A slow manager is asked again soon, and then less and less often. */
const RETRY_MIN_MS = 5;
const RETRY_MAX_MS = 100;

/** What systemd takes for a name (fdname_is_valid): it calls the descriptor "stored" where it does not like the name. */
const NAME = /^[\x20-\x39\x3b-\x7e]{1,255}$/;

/**
 * A service whose start is given more than this cannot be started at all any more. systemd moves the descriptors below
 * RLIMIT_NOFILE, with some of its own, before exec; and the kernel takes no string of the environment that is longer than
 * MAX_ARG_STRLEN, the one with all the names (execve(2)).
 */
const SPARE_DESCRIPTORS = 64;
const NAMES_MAX_BYTES = 131_072 - 'LISTEN_FDNAMES='.length - 1;

export interface DescriptorStore {
  /** False: puts are refused, removals and barriers do nothing. Descriptors may have been adopted nevertheless. */
  readonly present: boolean;
  /** How many descriptors the manager keeps (it drops what is more without a word) and can pass to a start. */
  readonly limit: number;
  /** How many it has, or will have when everything queued was sent. */
  readonly used: number;
  /** Names that were adopted at start and neither taken nor discarded. */
  readonly adopted: readonly string[];
  /**
   * Stores the descriptor under the name instead of whatever is there. The caller's own may be closed right after. False:
   * no store, no room in it, or the manager cannot be told; nothing is stored under the name then. Throws a Fault for a name
   * that the manager would not keep, and a SystemError for what is no descriptor. The manager keeps a file once only: put
   * under a second name it stays under its first.
   */
  put(name: string, fd: number): boolean;
  /** Whatever is stored under the name is closed by the manager. */
  remove(name: string): void;
  /**
   * Sends what is queued and waits, without a turn of the event loop, until the manager has handled it. To be called before
   * the process ends: a message whose sender is gone is nobody's. False: not within the time, or there is no store.
   */
  barrier(timeoutMs: number): boolean;
  /** A descriptor that was adopted; it is the caller's from now on, and is still stored. */
  take(name: string): number | undefined;
  /** Closes and removes from the store what nobody took; returns the names. */
  discardRest(): string[];
  /** Stops telling the manager; what is stored stays. Closes what nobody took. */
  close(): void;
}

export interface DescriptorStoreOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** process.env: NOTIFY_SOCKET and FDSTORE are read, LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES are deleted. */
  readonly environment: Environment;
  readonly pid: number;
  /** Instead of the socket that the environment names. */
  readonly wire?: ManagerWire;
}

/**
 * To be called once, before anything else closes or opens descriptors. LimitNOFILE of the unit must be above its
 * FileDescriptorStoreMax, the soft limit too: with more than that in the store systemd cannot start it any more, and which
 * soft limit there was at the start cannot be seen from here, because Node raises it.
 */
export function openDescriptorStore(options: DescriptorStoreOptions): DescriptorStore {
  return new ManagerStore(options);
}

function storeLimit(environment: Environment, log: Log): number {
  const { NOTIFY_SOCKET, FDSTORE } = environment;
  if (!NOTIFY_SOCKET || !FDSTORE) return 0;
  if (!/^\d{1,9}$/.test(FDSTORE)) {
    log.log('warn', `no descriptor store: FDSTORE is ${JSON.stringify(FDSTORE.slice(0, 40))}, not a number`);
    return 0;
  }
  const startable = Math.max(0, descriptorLimit() - SPARE_DESCRIPTORS);
  if (Number(FDSTORE) <= startable) return Number(FDSTORE);
  log.log(
    'warn',
    `of the ${FDSTORE} descriptors in the store ${startable} are used: a start with more than LimitNOFILE fails`,
  );
  return startable;
}

class ManagerStore implements DescriptorStore {
  readonly limit: number;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #wire: ManagerWire;
  readonly #queue = new StoreQueue();
  /** How many descriptors are stored under a name: one, but for what an earlier process left. */
  readonly #entries = new Map<string, number>();
  readonly #adopted = new Map<string, number>();
  #used = 0;
  /** Of LISTEN_FDNAMES at the next start. */
  #nameBytes = 0;
  #timer: Timer | undefined;
  #retryMs = RETRY_MIN_MS;
  #full = false;
  #mute = false;

  constructor(options: DescriptorStoreOptions) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.limit = storeLimit(options.environment, options.log);
    this.#wire = options.wire ?? new NotifyWire(options.environment.NOTIFY_SOCKET ?? '');
    const { inherited, unusable } = takeInherited(options.environment, options.pid, options.log);
    for (const { name } of inherited) this.#count(name, 1);
    for (const { name, fd } of inherited) this.#adopt(name, fd);
    for (const name of new Set(unusable)) this.remove(name);
  }

  get present(): boolean {
    return this.limit > 0;
  }

  get used(): number {
    return this.#used;
  }

  get adopted(): readonly string[] {
    return [...this.#adopted.keys()];
  }

  put(name: string, fd: number): boolean {
    if (!NAME.test(name)) throw new Fault('SYSTEM', `no name for a stored descriptor: ${JSON.stringify(name)}`);
    if (!this.present) return false;
    if (!this.#hasRoom(name)) return this.#refuse(name);
    try {
      this.#queue.put(name, fd);
    } catch (error) {
      if (!isSystemError(error) || (error.code !== 'EMFILE' && error.code !== 'ENFILE')) throw error;
      this.#log.log('warn', `${name} is not stored: ${messageOf(error)}`);
      this.remove(name);
      return false;
    }
    this.#count(name, 1 - this.#stored(name));
    this.#send();
    return this.#entries.has(name);
  }

  remove(name: string): void {
    if (!this.present || !NAME.test(name)) return;
    this.#count(name, -this.#stored(name));
    this.#queue.remove(name);
    this.#send();
    if (!this.#full || this.#used >= this.limit || this.#nameBytes >= NAMES_MAX_BYTES) return;
    this.#full = false;
    this.#log.log('info', `the descriptor store has room again: ${this.#used} of ${this.limit} are used`);
  }

  barrier(timeoutMs: number): boolean {
    if (!this.present) return false;
    const deadline = this.#clock.now() + timeoutMs;
    const left = () => Math.max(0, deadline - this.#clock.now());
    let barrier: number | undefined;
    try {
      while (!this.#drain()) if (!this.#wire.awaitRoom(left())) return false;
      for (barrier = this.#wire.beginBarrier(); barrier === undefined; barrier = this.#wire.beginBarrier())
        if (!this.#wire.awaitRoom(left())) return false;
      return this.#wire.awaitEnd(barrier, left());
    } catch (error) {
      this.#unheard(error);
      return false;
    } finally {
      if (barrier !== undefined) closeFd(barrier);
      this.#schedule();
    }
  }

  take(name: string): number | undefined {
    const fd = this.#adopted.get(name);
    this.#adopted.delete(name);
    return fd;
  }

  discardRest(): string[] {
    const names = this.#closeAdopted();
    for (const name of names) this.remove(name);
    return names;
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#queue.clear();
    this.#closeAdopted();
  }

  #closeAdopted(): string[] {
    const names = this.adopted;
    for (const fd of this.#adopted.values()) closeFd(fd);
    this.#adopted.clear();
    return [...names];
  }

  /**
   * Under one name the manager passes the newest first (but a reload of the manager turns the order of its store). The others
   * go, there too, by putting the first once more.
   */
  #adopt(name: string, fd: number): void {
    const first = this.#adopted.get(name);
    if (first === undefined) {
      this.#adopted.set(name, fd);
      return;
    }
    closeFd(fd);
    const count = this.#stored(name);
    if (count < 2) return;
    this.#log.log('warn', `${count} descriptors were stored as ${name}: the first is kept`);
    if (this.present && NAME.test(name)) this.put(name, first);
    else this.#count(name, 1 - count);
  }

  #stored(name: string): number {
    return this.#entries.get(name) ?? 0;
  }

  #count(name: string, change: number): void {
    const now = this.#stored(name) + change;
    this.#used += change;
    this.#nameBytes += change * (Buffer.byteLength(name) + 1);
    if (now > 0) this.#entries.set(name, now);
    else this.#entries.delete(name);
  }

  #hasRoom(name: string): boolean {
    const stored = this.#stored(name);
    const bytes = this.#nameBytes + (1 - stored) * (name.length + 1);
    return this.#used - stored < this.limit && bytes <= NAMES_MAX_BYTES;
  }

  #refuse(name: string): false {
    if (!this.#full)
      this.#log.log(
        'warn',
        `the descriptor store is full (${this.#used} of ${this.limit}): ${name} will not outlive a restart`,
      );
    this.#full = true;
    return false;
  }

  #send(): void {
    this.#drain();
    this.#schedule();
  }

  /** Sends until the manager has no room; true: everything is sent. */
  #drain(): boolean {
    for (let next = this.#queue.head; next !== undefined; next = this.#queue.head) {
      const { name, fd } = next;
      try {
        const sent =
          fd === undefined
            ? this.#wire.send(`FDSTOREREMOVE=1\nFDNAME=${name}`, [])
            : this.#wire.send(`FDSTORE=1\nFDNAME=${name}\nFDPOLL=0`, [fd]);
        if (!sent) return false;
        if (this.#mute) this.#log.log('info', 'the service manager is told again');
        this.#mute = false;
      } catch (error) {
        if (!isSystemError(error)) throw error;
        this.#unheard(error);
        if (fd !== undefined) this.#count(name, -this.#stored(name));
      }
      this.#retryMs = RETRY_MIN_MS;
      this.#queue.drop(next);
    }
    return true;
  }

  #unheard(error: unknown): void {
    if (!this.#mute) this.#log.log('warn', `the service manager is not told what to store: ${messageOf(error)}`);
    this.#mute = true;
  }

  #schedule(): void {
    if (this.#queue.length === 0) {
      this.#timer?.cancel();
      this.#timer = undefined;
      return;
    }
    this.#timer ??= this.#clock.after(this.#retryMs, () => {
      this.#timer = undefined;
      this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MAX_MS);
      this.#send();
    });
  }
}
