// All virtual adapters of this daemon: which tty has which port of which of them, and that each is plugged into the kernel. A
// name follows its port by the names file, not by the number that the kernel gives; a tty that comes later takes a port that
// is free, or a new adapter, so nothing that is open is ever plugged anew for its sake.
import { readlinkSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Clock, Timer } from '../../base/clock.js';
import { messageOf } from '../../base/fault.js';
import type { Log } from '../../base/log.js';
import { MAX_INTERFACES, type Speed } from '../../protocol/usbip/descriptors.js';
import { type AdapterPort, UsbipAdapter } from './adapter.js';
import { describeDevice } from './identity.js';

const RETRY_MS = 1000;
/** Names that change in one go are one change. */
const ANNOUNCE_MS = 50;

/** What is plugged; the speed is the helper's choice. */
export interface PlugRequest {
  readonly serial: string;
  readonly interfaces: number;
}

export interface UsbipHostOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Where udev's rule looks names up: lines "SERIAL INTERFACE NAME [ALIAS ...]". */
  readonly namesFile: string;
  /** Plugs a device; resolves with our end of its socket. Rejects with a Fault. */
  readonly attach: (request: PlugRequest) => Promise<{ readonly fd: number; readonly speed: Speed }>;
  /** Makes udev look at the names again. Rejects with a Fault. */
  readonly announce: () => Promise<unknown>;
}

/** A port of an adapter, given to one tty. */
export interface UsbipPlace {
  readonly port: AdapterPort;
  /** Why the kernel has no device for it; undefined: it has. */
  trouble(): string | undefined;
  release(): void;
}

interface Group {
  readonly serial: string;
  readonly adapter: UsbipAdapter;
  /** Of each interface the names; undefined: free. */
  readonly names: (readonly string[] | undefined)[];
  /** How many interfaces the device has that is plugged. */
  plugged: number;
  trouble: string | undefined;
  attaching: boolean;
  timer: Timer | undefined;
}

export class UsbipHost {
  readonly #o: UsbipHostOptions;
  readonly #groups: Group[] = [];
  #closed = false;
  #announcement: Timer | undefined;

  constructor(options: UsbipHostOptions) {
    this.#o = options;
  }

  /** A port for a tty, now; the kernel's device follows. */
  take(name: string, aliases: readonly string[]): UsbipPlace {
    const group = this.#groups.find((candidate) => freePort(candidate) !== undefined) ?? this.#add();
    const index = freePort(group) ?? 0;
    group.names[index] = [name, ...aliases];
    this.#writeNames();
    // After all that are taken in one go.
    if (!group.adapter.plugged) this.#later(group, 0);
    return {
      port: group.adapter.port(index),
      trouble: () => group.trouble,
      release: () => this.#release(group, index),
    };
  }

  /** What a name under /dev leads to now; itself where it is not there. */
  static devicePath(path: string): string {
    try {
      return resolve(dirname(path), readlinkSync(path));
    } catch {
      return path;
    }
  }

  close(): void {
    this.#closed = true;
    this.#announcement?.cancel();
    for (const group of this.#groups) this.#unplug(group);
  }

  #add(): Group {
    const used = new Set(this.#groups.map(({ serial }) => serial));
    let n = 0;
    while (used.has(`ttynp${n}`)) n++;
    const group: Group = {
      serial: `ttynp${n}`,
      adapter: new UsbipAdapter(this.#o.clock),
      names: [],
      plugged: 0,
      trouble: 'the kernel has no device yet',
      attaching: false,
      timer: undefined,
    };
    this.#groups.push(group);
    return group;
  }

  #release(group: Group, index: number): void {
    group.names[index] = undefined;
    this.#writeNames();
    if (group.names.some((names) => names !== undefined)) return;
    this.#unplug(group);
    this.#groups.splice(this.#groups.indexOf(group), 1);
  }

  #unplug(group: Group): void {
    group.timer?.cancel();
    group.adapter.unplug();
    group.plugged = 0;
  }

  #later(group: Group, ms: number): void {
    if (group.timer || group.attaching) return;
    group.timer = this.#o.clock.after(ms, () => {
      group.timer = undefined;
      void this.#attach(group);
    });
  }

  async #attach(group: Group): Promise<void> {
    const interfaces = group.names.length;
    group.attaching = true;
    try {
      const { fd, speed } = await this.#o.attach({ serial: group.serial, interfaces });
      group.attaching = false;
      group.plugged = interfaces;
      group.adapter.plug(fd, describeDevice(speed, group.serial, interfaces), (reason) => this.#lost(group, reason));
      if (this.#closed || !this.#groups.includes(group)) this.#unplug(group);
      else if (group.trouble !== undefined)
        this.#o.log.log('info', `${group.serial}: ${interfaces} ports in the kernel`);
      group.trouble = undefined;
    } catch (error) {
      group.attaching = false;
      this.#troubled(group, messageOf(error));
    }
  }

  #lost(group: Group, reason: string): void {
    group.plugged = 0;
    this.#troubled(group, reason);
  }

  /** Said once while it lasts. */
  #troubled(group: Group, reason: string): void {
    if (this.#closed || !this.#groups.includes(group)) return;
    if (group.trouble !== reason)
      this.#o.log.log('warn', `${group.serial}: no kernel device: ${reason}`, { event: 'tty-failed' });
    group.trouble = reason;
    this.#later(group, RETRY_MS);
  }

  /** In one piece: udev may read it at any time. */
  #writeNames(): void {
    const lines = this.#groups.flatMap(({ serial, names }) =>
      names.flatMap((these, index) => (these ? [`${serial} ${index} ${these.join(' ')}\n`] : [])),
    );
    const fresh = join(dirname(this.#o.namesFile), `.usbip-names.${process.pid}`);
    try {
      writeFileSync(fresh, lines.join(''), { mode: 0o644 });
      renameSync(fresh, this.#o.namesFile);
    } catch (error) {
      this.#o.log.log('error', `${this.#o.namesFile}: the names cannot be told to udev: ${messageOf(error)}`);
    }
    // A device that comes is looked at anyway.
    if (this.#groups.some(({ plugged }) => plugged > 0)) this.#announceSoon();
  }

  #announceSoon(): void {
    this.#announcement ??= this.#o.clock.after(ANNOUNCE_MS, () => {
      this.#announcement = undefined;
      this.#o.announce().catch((error: unknown) => {
        this.#o.log.log('warn', `udev does not know that names of ttys have changed: ${messageOf(error)}`);
      });
    });
  }
}

/** Of the device that is plugged; before that, of one that can still grow. */
function freePort({ names, plugged }: Group): number | undefined {
  const limit = plugged > 0 ? plugged : MAX_INTERFACES;
  for (let index = 0; index < limit; index++) if (names[index] === undefined) return index;
  return undefined;
}
