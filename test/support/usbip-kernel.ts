// The kernel's side of a virtual host controller, as far as plugging in goes: takes the socket of a descriptor, asks the device
// for its descriptors and strings over USB/IP, and shows in a tree of files what it got. Binds no driver.
import { Socket } from 'node:net';
import { Vhci, type VhciPort } from '../../src/cli/usbip/vhci.js';
import { dup } from '../../src/native/socket.js';
import type { VhciTree } from './vhci-tree.js';

const HEADER = 48;
const IN = 1;

export class UsbipKernel extends Vhci {
  readonly #tree: VhciTree;
  readonly #sockets = new Map<number, Socket>();
  /** Thrown by the next attach, each once. */
  readonly refusals: string[] = [];
  /** Bytes that came before anything was asked for. */
  unasked = 0;
  attached = 0;

  constructor(tree: VhciTree) {
    super(tree.sys);
    this.#tree = tree;
  }

  get sockets(): number {
    return this.#sockets.size;
  }

  override attach(port: VhciPort, fd: number, devid: number): void {
    const code = this.refusals.shift();
    if (code !== undefined) throw Object.assign(new Error(code), { code });
    super.attach(port, fd, devid);
    this.attached++;
    const socket = new Socket({ fd: dup(fd) });
    this.#sockets.set(port.number, socket);
    this.#tree.take(port.number, 0);
    socket.on('error', () => {});
    socket.on('close', () => {
      if (this.#sockets.get(port.number) !== socket) return;
      this.#sockets.delete(port.number);
      this.#tree.free(port.number);
    });
    void this.#enumerate(port.number, socket, devid);
  }

  override detach(number: number): void {
    this.#sockets.get(number)?.destroy();
  }

  async #enumerate(port: number, socket: Socket, devid: number): Promise<void> {
    let seqnum = 0;
    let kept = Buffer.alloc(0);
    const waiting: ((data: Buffer) => void)[] = [];
    socket.on('data', (bytes: Buffer) => {
      if (waiting.length === 0) this.unasked += bytes.length;
      kept = Buffer.concat([kept, bytes]);
      while (kept.length >= HEADER && kept.length >= HEADER + kept.readUInt32BE(24)) {
        const end = HEADER + kept.readUInt32BE(24);
        waiting.shift()?.(kept.subarray(HEADER, end));
        kept = kept.subarray(end);
      }
    });
    const get = (value: number): Promise<Buffer> =>
      new Promise((resolve) => {
        const message = Buffer.alloc(HEADER);
        for (const [at, number] of [1, ++seqnum, devid, IN, 0, 0, 4096].entries())
          message.writeUInt32BE(number, 4 * at);
        message.set([0x80, 6, value & 0xff, value >> 8, 0, 0, 0, 16], 40);
        waiting.push(resolve);
        socket.write(message);
      });
    const device = await get(0x0100);
    const configuration = await get(0x0200);
    const strings: Record<string, string> = {};
    for (const [index, name] of ['manufacturer', 'product', 'serial'].entries()) {
      strings[name] = (await get(0x0301 + index)).subarray(2).toString('utf16le');
    }
    if (socket.destroyed) return;
    this.#tree.take(port, devid);
    this.#tree.plugIn(port, strings, Buffer.concat([device, configuration]), configuration[4] ?? 0);
  }
}
