// A model of a descriptor store that outlives the process: what is in it is what the next process finds.
import type { DescriptorStore } from '../../../../src/daemon/handover/descriptor-store.js';
import { closeFd, dup } from '../../../../src/native/socket.js';

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
