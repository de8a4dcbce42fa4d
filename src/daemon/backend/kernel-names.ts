// Whether the names of kernel ttys are there: udev makes them in /dev, some time after the device is plugged in. Told by the
// kernel when /dev changes, and looks again by itself only while one is missing. Makes no name and opens no tty.
import { type FSWatcher, readlinkSync, statSync, watch } from 'node:fs';
import { dirname } from 'node:path';
import type { Clock, Timer } from '../../base/clock.js';

export interface KernelNamesOptions {
  /** Where udev makes the names; watched while there are any. */
  readonly dev: string;
  readonly clock: Clock;
  /** A name came or went, or misses for another reason. */
  readonly changed: (tty: string) => void;
  /** A device is there and its name is not: udev is to look again. */
  readonly ask: () => void;
}

interface Wanted {
  readonly path: string;
  readonly trouble: () => string | undefined;
  seen: string | undefined;
  /** Looks in which the device was there and the name was not. */
  late: number;
}

const LOOK_MS = 1000;
/** What changes in one go is looked at once. */
const SETTLE_MS = 20;
const ASK_EVERY = 5;

export class KernelNames {
  readonly #o: KernelNamesOptions;
  readonly #wanted = new Map<string, Wanted>();
  #watcher: FSWatcher | undefined;
  #timer: Timer | undefined;
  #soon: Timer | undefined;

  constructor(options: KernelNamesOptions) {
    this.#o = options;
  }

  /** @param trouble why there is no device; undefined: there is one */
  add(tty: string, path: string, trouble: () => string | undefined): void {
    const wanted: Wanted = { path, trouble, seen: undefined, late: 0 };
    wanted.seen = missing(wanted);
    this.#wanted.set(tty, wanted);
    this.#watch();
    this.#later(LOOK_MS);
  }

  remove(tty: string): void {
    this.#wanted.delete(tty);
    if (this.#wanted.size > 0) return;
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#timer?.cancel();
    this.#timer = undefined;
    this.#soon?.cancel();
    this.#soon = undefined;
  }

  /** Why an application cannot open it now; undefined: it can, or the name is none of ours. */
  missing(tty: string): string | undefined {
    const wanted = this.#wanted.get(tty);
    return wanted && missing(wanted);
  }

  #watch(): void {
    if (this.#watcher) return;
    try {
      const watcher = watch(this.#o.dev, () => {
        this.#soon ??= this.#o.clock.after(SETTLE_MS, () => {
          this.#soon = undefined;
          this.#look(false);
        });
      });
      watcher.on('error', () => this.#unwatched());
      this.#watcher = watcher;
    } catch {
      // No inotify instance left: then by looking.
    }
  }

  #unwatched(): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#later(LOOK_MS);
  }

  #later(ms: number): void {
    this.#timer ??= this.#o.clock.after(ms, () => {
      this.#timer = undefined;
      this.#look(true);
    });
  }

  /** @param timed a second has gone by */
  #look(timed: boolean): void {
    let ask = false;
    let some = false;
    for (const [tty, wanted] of this.#wanted) {
      const now = missing(wanted);
      some ||= now !== undefined;
      if (now === undefined || wanted.trouble() !== undefined) wanted.late = 0;
      else if (timed && ++wanted.late % ASK_EVERY === 0) ask = true;
      if (now === wanted.seen) continue;
      wanted.seen = now;
      this.#o.changed(tty);
    }
    if (ask) this.#o.ask();
    if (some || (!this.#watcher && this.#wanted.size > 0)) this.#later(LOOK_MS);
  }
}

function missing({ path, trouble }: Wanted): string | undefined {
  const reason = trouble();
  if (reason !== undefined) return `waits for its device: ${reason}`;
  let target: string;
  try {
    target = readlinkSync(path);
  } catch (error) {
    const taken = error instanceof Error && 'code' in error && error.code === 'EINVAL';
    return taken
      ? `waits for its name: ${path} is there already, ttynp did not make it: remove it`
      : `waits for its name: udev has not made ${path} yet`;
  }
  if (!/^ttyUSB\d+$/.test(target)) return `waits for its name: ${path} leads to ${target} and is not udev's`;
  // stat(2): the unit's DevicePolicy= lets access(2) fail, as open(2).
  if (!statSync(`${dirname(path)}/${target}`, { throwIfNoEntry: false }))
    return `waits for its name: ${path} leads to ${target}, which is gone`;
  return undefined;
}
