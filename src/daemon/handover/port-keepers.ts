// What of the ports outlives this process: their descriptors in the service manager's store, under names that say whose and
// what they are, and what an earlier process left there. A port is kept whole or not at all.
import { messageOf } from '../../base/fault.js';
import type { Log } from '../../base/log.js';
import type { AdoptedPort, ConnectionKeeper } from '../../driver/session.js';
import { type DescriptorKind, descriptorKind } from '../../native/descriptor.js';
import { KeepFile } from '../../native/keep-file.js';
import { ADAPTER_KEPT_BYTES } from '../../native/pump.js';
import { closeFd, endConnection } from '../../native/socket.js';
import type { PtyKeeper } from '../../tty/pty.js';
import type { AdapterKeeper, AdoptedAdapter } from '../../tty/usbip/host.js';
import type { UsbipTtyKeeper } from '../../tty/usbip/tty.js';
import type { DescriptorStore } from './descriptor-store.js';

/** The pump's own: what was in hand between a read and a write. */
const HAND = 'pump';
type Role = 'tty' | 'state' | 'data' | 'command';
const KINDS: Readonly<Record<Role, DescriptorKind>> = {
  tty: 'pty-master',
  state: 'memfd',
  data: 'tcp',
  command: 'tcp',
};

const ROLES = Object.keys(KINDS).length;
/** Of a virtual adapter: its socket to the kernel, and its file. */
const ADAPTER_SOCKET = /^usbip-(.+)$/;

export interface AdoptedTty {
  /** Its file, and its master where it is a PTY. */
  readonly tty: { readonly master: number | undefined; readonly file: KeepFile };
  readonly port: AdoptedPort;
}

/** What the daemon says of itself to the next one. */
export interface KeptDaemon {
  readonly version: string;
  /** It ended by handing over; false: it was killed, or died. */
  readonly handedOver: boolean;
}

export class PortKeepers {
  readonly #store: DescriptorStore;
  readonly #log: Log;
  readonly #kept = new Set<string>();
  #hand: KeepFile | undefined;
  #full = false;

  constructor(store: DescriptorStore, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** Somebody holds what we put there. */
  get present(): boolean {
    return this.#store.present;
  }

  isKept(name: string): boolean {
    return this.#kept.has(name);
  }

  /** The pump's file, and what the daemon before said; undefined where nothing is kept. */
  hand(): { readonly file: KeepFile; readonly before: KeptDaemon | undefined } | undefined {
    if (!this.present) return undefined;
    const fd = this.#take(HAND, 'memfd');
    const file = fd === undefined ? KeepFile.create(HAND) : new KeepFile(fd);
    const before = fd === undefined ? undefined : keptDaemon(file.read());
    this.#hand = file;
    if (fd === undefined) this.#store.put(HAND, file.fd);
    return { file, before };
  }

  /** Says to the next daemon who we are. */
  sign(daemon: KeptDaemon): void {
    this.#hand?.write(daemon);
  }

  pty(name: string): PtyKeeper | undefined {
    if (!this.present) return undefined;
    return {
      made: (master, file) => {
        const whole = this.#hasRoom(name) && this.#put('state', name, file.fd) && this.#put('tty', name, master);
        if (whole) this.#kept.add(name);
        else this.#forget(name);
      },
      gone: () => this.#forget(name),
    };
  }

  usbipTty(name: string): UsbipTtyKeeper | undefined {
    if (!this.present) return undefined;
    return {
      made: (file) => {
        if (this.#hasRoom(name) && this.#put('state', name, file.fd)) this.#kept.add(name);
        else this.#forget(name);
      },
      gone: () => this.#forget(name),
    };
  }

  /** Of all virtual adapters. To be asked for once. */
  adapters(): AdapterKeeper | undefined {
    if (!this.present) return undefined;
    const forget = (serial: string) => {
      this.#store.remove(`usbip-${serial}`);
      this.#store.remove(`adapter-${serial}`);
    };
    return {
      adopted: this.#store.adopted.flatMap((name) => this.#adoptAdapter(ADAPTER_SOCKET.exec(name)?.[1]) ?? []),
      made: (serial, fd, file) => {
        if (this.#store.put(`adapter-${serial}`, file.fd) && this.#store.put(`usbip-${serial}`, fd)) return;
        forget(serial);
      },
      gone: forget,
    };
  }

  /** @param target what it connects to, in words that change when that does */
  connection(name: string, target: string): ConnectionKeeper | undefined {
    if (!this.present) return undefined;
    return {
      target,
      made: ({ data, command }) => {
        const whole = this.#kept.has(name) && this.#put('data', name, data);
        if (whole && (command === undefined || this.#put('command', name, command))) return;
        this.#disconnect(name);
      },
      gone: () => this.#disconnect(name),
    };
  }

  /**
   * What an earlier process left of the port; the caller's from now on.
   * @param single it connects by one connection now; else what is left of one of two is ended
   * @param usbip it is a port of a virtual adapter now; what was a PTY is ended then, and the other way round
   */
  adopt(name: string, usbip: boolean, single = false): AdoptedTty | undefined {
    const master = this.#take(`tty-${name}`, KINDS.tty);
    if (usbip !== (master === undefined)) {
      if (master !== undefined) closeFd(master);
      this.#discard(name);
      return undefined;
    }
    const state = this.#take(`state-${name}`, KINDS.state);
    if (usbip && state === undefined) {
      this.#discard(name);
      return undefined;
    }
    let file: KeepFile;
    try {
      file = state === undefined ? KeepFile.create(name) : new KeepFile(state);
    } catch (error) {
      this.#log.log('warn', `${name} is made anew: ${messageOf(error)}`);
      if (master !== undefined) closeFd(master);
      this.#discard(name);
      return undefined;
    }
    // One without the other: its application stays, and its state starts anew.
    if (state === undefined) this.#put('state', name, file.fd);
    this.#kept.add(name);
    const data = this.#take(`data-${name}`, KINDS.data);
    const command = this.#take(`command-${name}`, KINDS.command);
    const whole = data !== undefined && single === (command === undefined);
    if (!whole) for (const half of [data, command]) if (half !== undefined) this.#end(half);
    if (!whole) this.#disconnect(name);
    return { tty: { master, file }, port: { record: file.read(), connection: whole ? { data, command } : undefined } };
  }

  /** After all ports are made: what belongs to none of them. */
  discardRest(): void {
    const names = this.#store.discardRest();
    if (names.length === 0) return;
    const some = names.slice(0, 4).join(', ');
    this.#log.log('warn', `${names.length} kept descriptors belong to no port of the configuration, closed: ${some}`);
  }

  #adoptAdapter(serial: string | undefined): AdoptedAdapter | undefined {
    if (serial === undefined) return undefined;
    const fd = this.#take(`usbip-${serial}`, 'unix');
    const state = this.#take(`adapter-${serial}`, 'memfd');
    if (fd !== undefined && state !== undefined) return { serial, fd, file: new KeepFile(state, ADAPTER_KEPT_BYTES) };
    for (const half of [fd, state]) if (half !== undefined) closeFd(half);
    this.#store.remove(`usbip-${serial}`);
    this.#store.remove(`adapter-${serial}`);
    return undefined;
  }

  /** Room is for whole ports: one without its connection would lose more than one that is ended cleanly. */
  #hasRoom(name: string): boolean {
    const ports = Math.floor((this.#store.limit - 1) / ROLES);
    if (this.#kept.has(name) || this.#kept.size < ports) return true;
    if (!this.#full) {
      const advice = 'raise FileDescriptorStoreMax and FDSTORE of the service';
      this.#log.log(
        'warn',
        `a restart will hang up ${name} and others: there is room to keep ${ports} ports: ${advice}`,
        {
          event: 'descriptors',
        },
      );
    }
    this.#full = true;
    return false;
  }

  #put(role: Role, name: string, fd: number): boolean {
    return this.#store.put(`${role}-${name}`, fd);
  }

  #take(name: string, kind: DescriptorKind): number | undefined {
    const fd = this.#store.take(name);
    if (fd === undefined || descriptorKind(fd) === kind) return fd;
    this.#log.log('warn', `what is kept as ${name} is none of that kind: closed`);
    closeFd(fd);
    this.#store.remove(name);
    return undefined;
  }

  /** Without its tty the rest is of no use, and its names are the next tty's. */
  #discard(name: string): void {
    for (const role of ['state', 'data', 'command'] as const) {
      const fd = this.#store.take(`${role}-${name}`);
      if (fd === undefined) continue;
      if (descriptorKind(fd) === 'tcp') endConnection(fd);
      closeFd(fd);
    }
    this.#forget(name);
  }

  #end(fd: number): void {
    endConnection(fd);
    closeFd(fd);
  }

  #disconnect(name: string): void {
    this.#store.remove(`data-${name}`);
    this.#store.remove(`command-${name}`);
  }

  #forget(name: string): void {
    this.#kept.delete(name);
    this.#disconnect(name);
    this.#store.remove(`tty-${name}`);
    this.#store.remove(`state-${name}`);
  }
}

function keptDaemon(record: unknown): KeptDaemon | undefined {
  if (typeof record !== 'object' || record === null) return undefined;
  const { version, handedOver } = record as Partial<Record<keyof KeptDaemon, unknown>>;
  if (typeof version !== 'string') return undefined;
  return { version, handedOver: handedOver === true };
}
