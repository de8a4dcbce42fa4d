// What of the serial ports that are offered outlives this process, in the service manager's store: the device and what listens
// always, its clients when it hands over. A client of a daemon that was killed is disconnected: bytes may be missing, and it has to know.
// A port is kept whole or not at all.
import { readSync, writeSync } from 'node:fs';
import { parseWithBytes, stringifyWithBytes } from '../../base/bytes-json.js';
import { messageOf } from '../../base/fault.js';
import type { Log } from '../../base/log.js';
import { createStateFile, type DescriptorKind, descriptorKind } from '../../native/descriptor.js';
import { closeFd } from '../../native/socket.js';
import { endSocket, type KeptServer, type ServerHandover } from '../../serve/handover.js';
import { giveUpPort } from '../../uart/serial-device.js';
import type { DescriptorStore } from './descriptor-store.js';

/** Changes with what the record says: one of another version ends its clients. */
const FORMAT = 1;
const NAME = /^serial-(\d+)-(uart|state|listen|socket)(?:-(\d+))?$/;
const KINDS: Readonly<Record<string, DescriptorKind>> = {
  uart: 'tty',
  state: 'memfd',
  listen: 'tcp-listener',
  socket: 'tcp',
};

export interface KeptPort extends KeptServer {
  /** What its daemon said of it beside: see `leave`. */
  readonly about: unknown;
}

export interface ServedKeeper {
  /** It is open: this much outlives a process that is killed. The descriptors stay the caller's. */
  opened(descriptors: { readonly uart: number | undefined; readonly listeners: readonly number[] }): void;
  /** Nothing of it is kept any more. */
  closed(): void;
  /** Takes over the descriptors. False: there is no room for all of them, and they are ended. */
  leave(handover: ServerHandover, about: unknown): boolean;
}

interface Found {
  uart: number | undefined;
  state: number | undefined;
  readonly listeners: (number | undefined)[];
  readonly sockets: (number | undefined)[];
  readonly names: string[];
}

interface StoredState {
  readonly format: number;
  readonly config: string;
  /** How many there are. */
  readonly listeners: number;
  readonly sockets: number;
  readonly kept: KeptServer['state'];
  readonly about: unknown;
}

export class ServedKeepers {
  readonly #store: DescriptorStore;
  readonly #log: Log;
  readonly #found = new Map<number, Found>();

  /** Takes from the store at once what is of serial ports. */
  constructor(store: DescriptorStore, log: Log) {
    this.#store = store;
    this.#log = log;
    for (const name of store.adopted) this.#find(name);
  }

  /**
   * What an earlier process left of the port; its descriptors are the caller's. undefined: nothing, or not of this configuration; it has
   * been ended then, and its device is free.
   */
  async adopt(port: number, config: string): Promise<KeptPort | undefined> {
    const found = this.#found.get(port);
    if (found === undefined) return undefined;
    this.#found.delete(port);
    const state = this.#read(port, found);
    const listeners = found.listeners.filter((fd) => fd !== undefined);
    const sockets = found.sockets.filter((fd) => fd !== undefined);
    const { uart } = found;
    // What was put there by a process that was killed while it handed over is more than it says.
    const whole = listeners.length === state?.listeners && sockets.length >= state.sockets;
    if (uart === undefined || !whole || state.config !== config) {
      await this.#end(found);
      return undefined;
    }
    // What is kept from now on is put there when it is open. A client is kept for one restart: where this process is killed, it is
    // to see its end.
    for (const name of found.names) this.#store.remove(name);
    return { uart, listeners, sockets, state: state.kept, about: state.about };
  }

  /** @param config in words that change when it does */
  keeper(port: number, config: string): ServedKeeper | undefined {
    if (!this.#store.present) return undefined;
    const names = new Set<string>();
    const put = (name: string, fd: number) => {
      names.add(name);
      return this.#store.put(name, fd);
    };
    const closed = () => {
      for (const name of names) this.#store.remove(name);
      names.clear();
    };
    const putState = (state: Omit<StoredState, 'format' | 'config'>) => {
      const text = stringifyWithBytes({ ...state, format: FORMAT, config } satisfies StoredState);
      const fd = writeState(`serial-${port}`, text);
      try {
        return put(`serial-${port}-state`, fd);
      } finally {
        closeFd(fd);
      }
    };
    const putAll = (uart: number, listeners: readonly number[]) =>
      put(`serial-${port}-uart`, uart) && listeners.every((fd, i) => put(`serial-${port}-listen-${i}`, fd));
    return {
      opened: ({ uart, listeners }) => {
        const state = { listeners: listeners.length, sockets: 0, kept: undefined, about: undefined };
        if (uart === undefined || !putState(state) || !putAll(uart, listeners)) closed();
      },
      closed,
      leave: ({ uart, listeners, sockets, state }, about) => {
        const whole =
          putAll(uart, listeners) &&
          sockets.every((fd, i) => put(`serial-${port}-socket-${i}`, fd)) &&
          putState({ listeners: listeners.length, sockets: sockets.length, kept: state, about });
        if (!whole) closed();
        for (const fd of [...listeners, ...sockets]) whole ? closeFd(fd) : endSocket(fd);
        closeFd(uart);
        return whole;
      },
    };
  }

  /** Of ports that nobody adopted. */
  async endRest(): Promise<void> {
    const rest = [...this.#found];
    this.#found.clear();
    for (const [port, found] of rest) {
      this.#log.log('info', `serial port ${port} is not offered any more: what was kept of it is ended`);
      await this.#end(found);
    }
  }

  #find(name: string): void {
    const [, port, role = '', index] = NAME.exec(name) ?? [];
    const fd = port === undefined ? undefined : this.#store.take(name);
    if (fd === undefined) return;
    const empty: Found = { uart: undefined, state: undefined, listeners: [], sockets: [], names: [] };
    const found = this.#found.get(Number(port)) ?? empty;
    this.#found.set(Number(port), found);
    found.names.push(name);
    if (descriptorKind(fd) !== KINDS[role]) {
      this.#log.log('warn', `what is kept as ${name} is none of that kind: closed`);
      closeFd(fd);
    } else if (role === 'uart') found.uart = fd;
    else if (role === 'state') found.state = fd;
    else {
      const list = role === 'listen' ? found.listeners : found.sockets;
      const at = Number(index ?? 0);
      while (list.length <= at) list.push(undefined);
      list[at] = fd;
    }
  }

  #read(port: number, found: Found): StoredState | undefined {
    const fd = found.state;
    found.state = undefined;
    if (fd === undefined) return undefined;
    try {
      const state = parseWithBytes(readState(fd));
      return isStoredState(state) ? state : undefined;
    } catch (error) {
      this.#log.log('warn', `serial port ${port} begins anew: ${messageOf(error)}`);
      return undefined;
    } finally {
      closeFd(fd);
    }
  }

  /** The manager has another descriptor of each, and lets go of it when it comes to it. */
  async #end({ uart, state, listeners, sockets, names }: Found): Promise<void> {
    for (const fd of [...listeners, ...sockets]) if (fd !== undefined) endSocket(fd);
    if (state !== undefined) closeFd(state);
    for (const name of names) this.#store.remove(name);
    if (uart !== undefined) await giveUpPort(uart);
  }
}

/** A record of this version is of the shape that this version writes. */
function isStoredState(value: unknown): value is StoredState {
  return typeof value === 'object' && value !== null && 'format' in value && value.format === FORMAT;
}

const LENGTH_BYTES = 8;

/** The caller closes it. */
function writeState(name: string, text: string): number {
  const bytes = Buffer.from(text);
  const fd = createStateFile(name, LENGTH_BYTES + bytes.length);
  const length = Buffer.alloc(LENGTH_BYTES);
  length.writeUInt32LE(bytes.length);
  writeSync(fd, length, 0, LENGTH_BYTES, 0);
  writeSync(fd, bytes, 0, bytes.length, LENGTH_BYTES);
  return fd;
}

function readState(fd: number): string {
  const length = Buffer.alloc(LENGTH_BYTES);
  readSync(fd, length, 0, LENGTH_BYTES, 0);
  const bytes = Buffer.alloc(length.readUInt32LE());
  readSync(fd, bytes, 0, bytes.length, LENGTH_BYTES);
  return bytes.toString();
}
