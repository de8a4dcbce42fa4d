// All virtual adapters of this daemon: which tty has which port of which of them, and that each is plugged into the kernel. A
// name follows its port by the names file, not by the number that the kernel gives; a tty that comes later takes a port that
// is free, or a new adapter, so nothing that is open is ever plugged anew for its sake.
import { readlinkSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Clock, Timer } from '../../base/clock.js';
import { messageOf } from '../../base/fault.js';
import type { Log } from '../../base/log.js';
import { KeepFile } from '../../native/keep-file.js';
import { ADAPTER_KEPT_BYTES, type Pump } from '../../native/pump.js';
import { closeFd, endConnection } from '../../native/socket.js';
import { MAX_INTERFACES, type Speed } from '../../protocol/usbip/descriptors.js';
import { type AdapterPort, UsbipAdapter } from './adapter.js';
import { describeDevice } from './identity.js';
import { formatKeptAdapter, type KeptAdapter, parseKeptAdapter } from './kept-adapter.js';
import { mapLine, type NamedTty, type TtyAccess } from './names.js';

const RETRY_MS = 1000;
const ASLEEP = 'unplugged while the machine goes to sleep (ttynp usbip resume)';
/** What nobody resumes is resumed, after so long of running: a machine that did not go to sleep gets its ttys back. */
const SUSPEND_MS = 60_000;
/** Names that change in one go are one change. */
const ANNOUNCE_MS = 50;
/** A driver that is about to take a device has not taken it yet; in the next look it has. */
const DRIVERLESS_LOOKS = 2;

/** What is plugged; the speed is the helper's choice. */
export interface PlugRequest {
  readonly serial: string;
  readonly interfaces: number;
}

/** What an earlier process left of an adapter: its socket and its file, ours from now on. */
export interface AdoptedAdapter {
  readonly serial: string;
  readonly fd: number;
  readonly file: KeepFile;
}

/** Who holds the descriptors of adapters beside us, so that they outlive this process. */
export interface AdapterKeeper {
  readonly adopted: readonly AdoptedAdapter[];
  made(serial: string, fd: number, file: KeepFile): void;
  gone(serial: string): void;
}

export interface UsbipHostOptions {
  readonly pump: Pump;
  /** Absent: nothing outlives this process. */
  readonly keeper?: AdapterKeeper | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** Where udev's rule looks names up, and who may open the tty (names.ts). */
  readonly namesFile: string;
  /** Plugs a device; resolves with our end of its socket. Rejects with a Fault. */
  readonly attach: (request: PlugRequest) => Promise<{ readonly fd: number; readonly speed: Speed }>;
  /** Makes udev look at the names again. Rejects with a Fault. */
  readonly announce: () => Promise<unknown>;
  /** Whether the kernel has the device of this serial string and no driver for it (kernel-device.ts). */
  readonly isDriverless: (serial: string) => boolean;
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
  readonly file: KeepFile | undefined;
  /** Of each interface the tty; undefined: free. */
  readonly names: (NamedTty | undefined)[];
  /** Whose an interface was in an earlier process: nobody else gets it until `settle`. */
  left: readonly (readonly string[] | null)[];
  /** Whose an interface was last: an application may have it open still. */
  readonly last: (string | undefined)[];
  speed: Speed | undefined;
  /** How many interfaces the device has that is plugged. */
  plugged: number;
  trouble: string | undefined;
  attaching: boolean;
  /** Looks in a row in which no driver had it. */
  driverless: number;
  timer: Timer | undefined;
}

export class UsbipHost {
  readonly #o: UsbipHostOptions;
  readonly #groups: Group[] = [];
  #closed = false;
  #announcement: Timer | undefined;
  #unannounced: string | undefined;
  #suspended: Timer | undefined;

  constructor(options: UsbipHostOptions) {
    this.#o = options;
    for (const adopted of options.keeper?.adopted ?? []) this.#adopt(adopted);
  }

  /** A port for a tty, now; the kernel's device follows. The one that it had in an earlier process, where that goes on. */
  take(name: string, aliases: readonly string[], access: TtyAccess = {}): UsbipPlace {
    const had = this.#groups.find((group) => portOf(group, name) >= 0);
    const group = had ?? this.#groups.find((candidate) => freePort(candidate) !== undefined) ?? this.#add();
    const index = had ? portOf(had, name) : (freePort(group) ?? 0);
    group.names[index] = { ...access, names: [name, ...aliases] };
    this.#writeNames();
    this.#remember(group);
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

  /** Every tty that goes on has taken its port: what is left belongs to nobody. */
  settle(): void {
    for (const group of [...this.#groups]) {
      group.left = [];
      group.adapter.settle();
      this.#remember(group);
      this.#endIfUnused(group);
    }
    this.#writeNames();
  }

  /** Names are missing though their devices are plugged in: udev is asked, and what has lost its driver is plugged in anew. */
  lookAgain(): void {
    this.#announceSoon(ANNOUNCE_MS);
    for (const group of this.#groups) {
      group.driverless = group.adapter.plugged && this.#o.isDriverless(group.serial) ? group.driverless + 1 : 0;
      if (group.driverless < DRIVERLESS_LOOKS) continue;
      group.driverless = 0;
      this.#unplug(group);
      this.#troubled(group, 'its driver is gone');
    }
  }

  /** Unplugs all, since a machine with one of our devices does not go to sleep, and plugs in none until `resume`. */
  suspend(): number {
    const plugged = this.#groups.filter(({ adapter }) => adapter.plugged).length;
    this.#suspended?.cancel();
    this.#suspended = this.#o.clock.after(SUSPEND_MS, () => {
      this.#o.log.log('warn', `nobody told within ${SUSPEND_MS / 1000} s that the machine is awake: plugging in again`);
      this.resume();
    });
    this.#o.log.log('info', `${plugged} adapters unplugged before the machine sleeps`);
    for (const group of this.#groups) {
      this.#unplug(group);
      group.trouble = ASLEEP;
    }
    return plugged;
  }

  /** After `suspend`: the same ports, with the same names. */
  resume(): number {
    if (!this.#suspended) return 0;
    this.#suspended.cancel();
    this.#suspended = undefined;
    for (const group of this.#groups) this.#later(group, 0);
    return this.#groups.length;
  }

  /** After the ttys. */
  close(): void {
    this.#closed = true;
    this.#suspended?.cancel();
    this.#announcement?.cancel();
    for (const group of this.#groups) this.#end(group);
  }

  #add(): Group {
    const used = new Set(this.#groups.map(({ serial }) => serial));
    let n = 0;
    while (used.has(`ttynp${n}`)) n++;
    const serial = `ttynp${n}`;
    return this.#make(serial, this.#o.keeper && KeepFile.create(serial, ADAPTER_KEPT_BYTES));
  }

  #make(serial: string, file: KeepFile | undefined, kept?: KeptAdapter): Group {
    const adapter = new UsbipAdapter({
      pump: this.#o.pump,
      file,
      adopt: kept?.ports,
      changed: () => this.#remember(group),
    });
    const group: Group = {
      serial,
      adapter,
      file,
      names: [],
      left: kept?.names ?? [],
      last: [],
      speed: kept?.speed,
      plugged: kept?.interfaces ?? 0,
      trouble: kept ? undefined : 'the kernel has no device yet',
      attaching: false,
      driverless: 0,
      timer: undefined,
    };
    this.#groups.push(group);
    return group;
  }

  /** One that cannot be gone on with is unplugged: its applications are hung up. */
  #adopt({ serial, fd, file }: AdoptedAdapter): void {
    const kept = parseKeptAdapter(file.read());
    try {
      if (kept?.serial !== serial) throw new Error('its record is of another version');
      const group = this.#make(serial, file, kept);
      const description = describeDevice(kept.speed, serial, kept.interfaces);
      group.adapter.plug(fd, description, (reason) => this.#lost(group, reason), true);
    } catch (error) {
      this.#o.log.log('warn', `${serial} cannot be gone on with, and is plugged in anew: ${messageOf(error)}`);
      const made = this.#groups.findIndex((group) => group.serial === serial);
      for (const group of made < 0 ? [] : this.#groups.splice(made, 1)) group.adapter.close();
      endConnection(fd);
      closeFd(fd);
      file.close();
      this.#o.keeper?.gone(serial);
    }
  }

  #remember(group: Group): void {
    const { serial, speed, plugged: interfaces, adapter, file } = group;
    if (!file || !speed || interfaces === 0) return;
    // Who is not back yet is remembered too: this process may be killed in the middle of its start.
    const names = Array.from({ length: MAX_INTERFACES }, (_, i) => group.names[i]?.names ?? group.left[i] ?? null);
    try {
      file.write(formatKeptAdapter({ serial, speed, interfaces, names, ports: adapter.states }));
    } catch (error) {
      this.#o.log.log('warn', `${serial}: a restart will not go on with it: ${messageOf(error)}`);
    }
  }

  #release(group: Group, index: number): void {
    group.last[index] = group.names[index]?.names[0];
    group.names[index] = undefined;
    this.#writeNames();
    this.#remember(group);
    this.#endIfUnused(group);
  }

  #endIfUnused(group: Group): void {
    if (group.names.some((names) => names !== undefined) || group.left.some((names) => names !== null)) return;
    this.#groups.splice(this.#groups.indexOf(group), 1);
    this.#end(group);
  }

  #end(group: Group): void {
    this.#unplug(group);
    group.adapter.close();
    group.file?.close();
  }

  #unplug(group: Group): void {
    group.timer?.cancel();
    group.timer = undefined;
    group.adapter.unplug();
    group.plugged = 0;
    this.#o.keeper?.gone(group.serial);
  }

  #later(group: Group, ms: number): void {
    if (group.timer || group.attaching || this.#suspended) return;
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
      if (this.#closed || this.#suspended || !this.#groups.includes(group)) {
        closeFd(fd);
        return;
      }
      group.plugged = interfaces;
      group.speed = speed;
      try {
        group.adapter.plug(fd, describeDevice(speed, group.serial, interfaces), (reason) => this.#lost(group, reason));
      } catch (error) {
        group.plugged = 0;
        closeFd(fd);
        throw error;
      }
      this.#remember(group);
      if (group.file) this.#o.keeper?.made(group.serial, fd, group.file);
      if (group.trouble !== undefined) this.#o.log.log('info', `${group.serial}: ${interfaces} ports in the kernel`);
      group.trouble = undefined;
    } catch (error) {
      group.attaching = false;
      this.#troubled(group, messageOf(error));
    }
  }

  #lost(group: Group, reason: string): void {
    group.plugged = 0;
    this.#o.keeper?.gone(group.serial);
    this.#troubled(group, reason);
  }

  /** Said once while it lasts. */
  #troubled(group: Group, reason: string): void {
    if (this.#closed || this.#suspended || !this.#groups.includes(group)) return;
    if (group.trouble !== reason)
      this.#o.log.log('warn', `${group.serial}: no kernel device: ${reason}`, { event: 'tty-failed' });
    group.trouble = reason;
    this.#later(group, RETRY_MS);
  }

  /** In one piece: udev may read it at any time. While ttys are still to come back it is the earlier process's. */
  #writeNames(): void {
    if (this.#groups.some(({ left }) => left.length > 0)) return;
    const lines = this.#groups.flatMap(({ serial, names }) =>
      names.flatMap((tty, index) => (tty ? [mapLine(serial, index, tty)] : [])),
    );
    const fresh = join(dirname(this.#o.namesFile), `.usbip-names.${process.pid}`);
    try {
      writeFileSync(fresh, lines.join(''), { mode: 0o644 });
      renameSync(fresh, this.#o.namesFile);
    } catch (error) {
      this.#o.log.log('error', `${this.#o.namesFile}: the names cannot be told to udev: ${messageOf(error)}`);
    }
    // A device that comes is looked at anyway.
    if (this.#groups.some(({ plugged }) => plugged > 0)) this.#announceSoon(ANNOUNCE_MS);
  }

  #announceSoon(ms: number): void {
    if (this.#closed) return;
    this.#announcement ??= this.#o.clock.after(ms, () => {
      this.#announcement = undefined;
      this.#o.announce().then(
        () => {
          this.#unannounced = undefined;
        },
        (error: unknown) => this.#notAnnounced(messageOf(error)),
      );
    });
  }

  /** Said once while it lasts, and tried again. */
  #notAnnounced(reason: string): void {
    if (this.#unannounced !== reason)
      this.#o.log.log('warn', `udev does not know that names of ttys have changed: ${reason}`);
    this.#unannounced = reason;
    this.#announceSoon(RETRY_MS);
  }
}

/** Of the device that is plugged; before that, of one that can still grow. */
function freePort({ names, left, plugged, adapter }: Group): number | undefined {
  const limit = plugged > 0 ? plugged : MAX_INTERFACES;
  for (let index = 0; index < limit; index++) {
    // What an application has open is never another tty's.
    if (names[index] === undefined && (left[index] ?? null) === null && !adapter.port(index).isOpen) return index;
  }
  return undefined;
}

/** The free port that a tty had before, in this process or an earlier one; -1: none. */
function portOf({ names, left, last }: Group, name: string): number {
  const had = (index: number) => last[index] ?? left[index]?.[0];
  return Array.from({ length: MAX_INTERFACES }).findIndex((_, i) => had(i) === name && names[i] === undefined);
}
