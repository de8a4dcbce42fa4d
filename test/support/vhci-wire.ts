// The kernel's end of a vhci socket, message by message (usbip_common.h): what the kernel sends is written, what it is answered
// is read and taken apart. It checks what the kernel would give a device up for: an answer to what was not asked.
import { writeSync } from 'node:fs';
import { readExactly, readSome } from '../unit/native/support.js';

const HEADER = 48;
const CONTROL_OUT = '0000000000000000';

export function submit(
  seqnum: number,
  endpoint: number,
  direction: 'in' | 'out',
  length: number,
  more: { setup?: string; data?: string } = {},
): Buffer {
  const head = Buffer.alloc(HEADER);
  for (const [i, value] of [1, seqnum, 0x10002, direction === 'in' ? 1 : 0, endpoint, 0x200, length].entries())
    head.writeUInt32BE(value >>> 0, 4 * i);
  Buffer.from(more.setup ?? CONTROL_OUT, 'hex').copy(head, 40);
  return Buffer.concat([head, Buffer.from(more.data ?? '', 'hex')]);
}

export function unlink(seqnum: number, target: number): Buffer {
  const head = Buffer.alloc(HEADER);
  head.writeUInt32BE(2, 0);
  head.writeUInt32BE(seqnum, 4);
  head.writeUInt32BE(target, 20);
  return head;
}

export interface Answer {
  readonly command: 'submit' | 'unlink';
  readonly seqnum: number;
  readonly status: number;
  readonly actual: number;
  readonly data: string;
}

export class VhciWire {
  readonly fd: number;
  #seqnum = 0;
  /** Of transfers that wait: whether they are in. */
  readonly #asked = new Map<number, boolean>();

  constructor(fd: number) {
    this.fd = fd;
  }

  write(...messages: Buffer[]): void {
    writeSync(this.fd, Buffer.concat(messages));
  }

  /** Returns its seqnum. */
  in(endpoint: number, length = 512): number {
    return this.#ask(true, (n) => submit(n, endpoint, 'in', length));
  }

  out(endpoint: number, data: Uint8Array): number {
    const hex = Buffer.from(data).toString('hex');
    return this.#ask(false, (n) => submit(n, endpoint, 'out', data.length, { data: hex }));
  }

  /** @param setup eight bytes, in hexadecimal */
  control(setup: string, length = Buffer.from(setup, 'hex').readUInt16LE(6)): number {
    const isIn = (Number.parseInt(setup.slice(0, 2), 16) & 0x80) !== 0;
    return this.#ask(isIn, (n) => submit(n, 0, isIn ? 'in' : 'out', length, { setup }));
  }

  unlink(target: number): number {
    this.write(unlink(++this.#seqnum, target));
    return this.#seqnum;
  }

  async answer(): Promise<Answer> {
    const head = await readExactly(this.fd, HEADER);
    const [command, seqnum, status, actual] = [
      head.readUInt32BE(0),
      head.readUInt32BE(4),
      head.readInt32BE(20),
      head.readUInt32BE(24),
    ];
    const isIn = this.#asked.get(seqnum);
    if (command === 3 && isIn === undefined) throw new Error(`an answer to nothing: ${seqnum}`);
    if (command === 3) this.#asked.delete(seqnum);
    const data = command === 3 && isIn ? (await readExactly(this.fd, actual)).toString('hex') : '';
    return { command: command === 3 ? 'submit' : 'unlink', seqnum, status, actual, data };
  }

  async answers(count: number): Promise<Answer[]> {
    const all: Answer[] = [];
    while (all.length < count) all.push(await this.answer());
    return all;
  }

  /** True: nothing came in so many milliseconds. */
  async quiet(ms = 30): Promise<boolean> {
    await new Promise((resolve) => setTimeout(resolve, ms));
    return readSome(this.fd) === undefined;
  }

  #ask(isIn: boolean, message: (seqnum: number) => Buffer): number {
    const seqnum = ++this.#seqnum;
    this.#asked.set(seqnum, isIn);
    this.write(message(seqnum));
    return seqnum;
  }
}
