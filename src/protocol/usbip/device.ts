// A virtual USB device, from the kernel's messages to answers: standard requests are answered here, what concerns the chip is
// handed on. No IO, no clock. Every transfer is answered once and every unlink too, whatever the order; a request that nobody
// knows stalls. What is outstanding is bounded: more than a driver of ours ever has is nonsense.
// Source: USB 2.0 chapter 9; Linux, drivers/usb/usbip/vhci_rx.c and stub_rx.c for what the kernel takes; docs/protocol/usbip.md.
import { UsbipDecoder } from './decoder.js';
import { type DeviceDescription, descriptor } from './descriptors.js';
import { encodeRetSubmit, encodeRetUnlink } from './encoder.js';
import { type Message, STATUS_OK, STATUS_STALL, STATUS_UNLINKED, type Submit } from './messages.js';
import { isStandard, parseSetup, type Setup } from './setup.js';

/** Per endpoint and direction. A serial driver has two transfers in, and up to two out. */
const MAX_OUTSTANDING = 32;
const IN_ENDPOINT = 0x80;
const GET_STATUS = 0;
const GET_DESCRIPTOR = 6;
const GET_CONFIGURATION = 8;
const GET_INTERFACE = 10;

/** What a device is besides its descriptors. All calls come from inside `receive`. */
export interface UsbFunction {
  /** A vendor's or class's control request: what an in request gets, or an empty answer; undefined: it stalls. */
  control(setup: Setup, data: Uint8Array): Uint8Array | undefined;
  /** Bulk data for an interface. `data` is valid only during the call; completeOut(seqnum) when it has been taken. */
  out(index: number, seqnum: number, data: Uint8Array): void;
  /** The host waits for bulk data of an interface, and did not before. */
  wanted(index: number): void;
  /** The host wants no bulk data of the interface any more: its driver has closed it. */
  unwanted(index: number): void;
}

interface Outstanding {
  readonly seqnum: number;
  readonly index: number;
  readonly length: number;
}

export class UsbDevice {
  readonly #description: DeviceDescription;
  readonly #function: UsbFunction;
  readonly #write: (bytes: Uint8Array) => void;
  readonly #lost: (reason: string) => void;
  readonly #decoder = new UsbipDecoder();
  readonly #in: Outstanding[][];
  readonly #out = new Map<number, Outstanding>();
  #ended = false;

  /**
   * @param write an answer, to be given to the socket in this order; several may go in one piece
   * @param lost the peer is no kernel that we know: the socket is to be closed. Once, and nothing follows
   */
  constructor(
    description: DeviceDescription,
    usbFunction: UsbFunction,
    write: (bytes: Uint8Array) => void,
    lost: (reason: string) => void,
  ) {
    this.#description = description;
    this.#function = usbFunction;
    this.#write = write;
    this.#lost = lost;
    this.#in = Array.from({ length: description.interfaces }, () => []);
  }

  receive(chunk: Uint8Array): void {
    if (this.#ended) return;
    this.#decoder.decode(chunk, (message) => {
      if (!this.#ended) this.#take(message);
    });
  }

  /** Bytes that the next answer of an interface may have; 0: nothing is wanted. */
  room(index: number): number {
    return this.#in[index]?.[0]?.length ?? 0;
  }

  /** Answers the oldest transfer in of an interface; `data` fits into `room`. */
  fill(index: number, data: Uint8Array): void {
    const transfer = this.#in[index]?.shift();
    if (!transfer) throw new RangeError(`interface ${index}: no transfer is outstanding`);
    this.#write(encodeRetSubmit(transfer.seqnum, STATUS_OK, data.length, data));
  }

  /** What `out` gave has been taken. One that was unlinked meanwhile is answered already. */
  completeOut(seqnum: number): void {
    const transfer = this.#out.get(seqnum);
    if (!transfer) return;
    this.#out.delete(seqnum);
    this.#write(encodeRetSubmit(seqnum, STATUS_OK, transfer.length));
  }

  #take(message: Message): void {
    switch (message.type) {
      case 'nonsense':
        this.#fail(message.reason);
        return;
      case 'unlink':
        this.#unlink(message.seqnum, message.target);
        return;
      default:
        break;
    }
    if (message.endpoint === 0) this.#control(message);
    else if (message.direction === 'in') this.#bulkIn(message);
    else this.#bulkOut(message);
  }

  #control({ seqnum, direction, length, setup: bytes, data }: Submit): void {
    const setup = parseSetup(bytes);
    const answer = isStandard(setup) ? this.#standard(setup) : this.#function.control(setup, data);
    if (answer === undefined) {
      this.#write(encodeRetSubmit(seqnum, STATUS_STALL, 0));
    } else if (direction === 'out') {
      this.#write(encodeRetSubmit(seqnum, STATUS_OK, length));
    } else {
      // Never longer than asked: the kernel would give the device up.
      const part = answer.subarray(0, Math.min(length, setup.length));
      this.#write(encodeRetSubmit(seqnum, STATUS_OK, part.length, part));
    }
  }

  #standard({ requestType, request, value }: Setup): Uint8Array | undefined {
    if ((requestType & IN_ENDPOINT) === 0) return new Uint8Array(0);
    switch (request) {
      case GET_DESCRIPTOR:
        return descriptor(this.#description, value);
      case GET_STATUS:
        return Uint8Array.from([(requestType & 0x1f) === 0 ? 1 : 0, 0]);
      case GET_CONFIGURATION:
        return Uint8Array.from([1]);
      case GET_INTERFACE:
        return Uint8Array.from([0]);
      default:
        return undefined;
    }
  }

  #bulkIn({ seqnum, endpoint, length }: Submit): void {
    const index = endpoint - 1;
    const queue = this.#in[index];
    if (!queue) {
      this.#write(encodeRetSubmit(seqnum, STATUS_STALL, 0));
      return;
    }
    if (queue.length >= MAX_OUTSTANDING) {
      this.#fail(`${queue.length} transfers wait for data of interface ${index}`);
      return;
    }
    queue.push({ seqnum, index, length });
    if (queue.length === 1) this.#function.wanted(index);
  }

  #bulkOut({ seqnum, endpoint, length, data }: Submit): void {
    const index = endpoint - 1;
    if (index >= this.#in.length) {
      this.#write(encodeRetSubmit(seqnum, STATUS_STALL, 0));
      return;
    }
    if (this.#out.size >= MAX_OUTSTANDING * this.#in.length) {
      this.#fail(`${this.#out.size} transfers wait to be taken`);
      return;
    }
    this.#out.set(seqnum, { seqnum, index, length });
    this.#function.out(index, seqnum, data);
  }

  #unlink(seqnum: number, target: number): void {
    const forgotten = this.#out.delete(target) || this.#unlinkIn(target);
    this.#write(encodeRetUnlink(seqnum, forgotten ? STATUS_UNLINKED : STATUS_OK));
  }

  #unlinkIn(target: number): boolean {
    for (const [index, queue] of this.#in.entries()) {
      const at = queue.findIndex(({ seqnum }) => seqnum === target);
      if (at < 0) continue;
      queue.splice(at, 1);
      if (queue.length === 0) this.#function.unwanted(index);
      return true;
    }
    return false;
  }

  #fail(reason: string): void {
    this.#ended = true;
    this.#lost(reason);
  }
}
