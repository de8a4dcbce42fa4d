// A model of a descriptor store that outlives the process: what is in it is what the next process finds. And what its tests share:
// connections whose far ends are there to look at, and that no descriptor is left.
import { readdirSync } from 'node:fs';
import net from 'node:net';
import { afterEach, beforeEach, expect } from 'vitest';
import type { DescriptorStore } from '../../../../src/daemon/handover/descriptor-store.js';
import { closeFd, connectTcp, dup } from '../../../../src/native/socket.js';

export class ModelStore implements DescriptorStore {
  readonly #adopted: Map<string, number>;

  constructor(
    readonly stored: Map<string, number>,
    readonly limit: number,
    readonly present = true,
  ) {
    this.#adopted = new Map([...stored].map(([name, fd]) => [name, dup(fd)]));
  }
  get used(): number {
    return this.stored.size;
  }
  get adopted(): readonly string[] {
    return [...this.#adopted.keys()];
  }
  put(name: string, fd: number): boolean {
    this.remove(name);
    if (this.stored.size >= this.limit) return false;
    this.stored.set(name, dup(fd));
    return true;
  }
  remove(name: string): void {
    const fd = this.stored.get(name);
    if (fd !== undefined) closeFd(fd);
    this.stored.delete(name);
  }
  barrier(): boolean {
    return true;
  }
  take(name: string): number | undefined {
    const fd = this.#adopted.get(name);
    this.#adopted.delete(name);
    return fd;
  }
  discardRest(): string[] {
    const names = this.adopted;
    this.close();
    for (const name of names) this.remove(name);
    return [...names];
  }
  close(): void {
    for (const fd of this.#adopted.values()) closeFd(fd);
    this.#adopted.clear();
  }
}

const descriptors = () => readdirSync('/proc/self/fd').length;

/** For a file of tests: to be called once. */
export function storeTests() {
  /** What earlier processes left. */
  const stored = new Map<string, number>();
  /** Closed at the end of the test. */
  const mine: number[] = [];
  /** The far ends of the connections, in their order. */
  const accepted: net.Socket[] = [];
  let server: net.Server;
  let before = 0;

  beforeEach(async () => {
    server = net.createServer((socket) => accepted.push(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    before = descriptors();
  });

  afterEach(async () => {
    for (const fd of [...mine.splice(0), ...stored.values()]) closeFd(fd);
    stored.clear();
    for (const socket of accepted.splice(0)) {
      socket.destroy();
      if (!socket.closed) await new Promise((resolve) => socket.once('close', resolve));
    }
    expect(descriptors()).toBe(before);
    await new Promise((resolve) => server.close(resolve));
  });

  /** A connection; its far end is in `accepted`. */
  async function connection(): Promise<number> {
    const { port } = server.address() as net.AddressInfo;
    const there = accepted.length;
    const fd = await connectTcp({ host: '127.0.0.1', port, timeoutMs: 5000 });
    while (accepted.length === there) await new Promise((resolve) => setImmediate(resolve));
    return fd;
  }

  return { stored, mine, accepted, connection };
}
