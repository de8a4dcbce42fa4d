// A virtual USB adapter of the pump: bulk transfers and their framing are moved by the pump's thread; control requests, and
// what a port's application did, come here. It knows no descriptor and no chip. See docs/protocol/usbip.md.
import { binding } from './binding.js';
import type { KeepFile } from './keep-file.js';

/** pump.h: enum usbip_event; below them a bit for each port. */
const REQUESTS = 1 << 16;
const LOST = 1 << 17;
const PORTS = 15;
/** -EPIPE: a request that nobody knows. */
const STALL = -32;
const CONTROL = 0;
/** usbip_napi.c: REQUEST_NUMBERS */
const NUMBERS = 10;
const EMPTY = new Uint8Array(0);

/** The file of an adapter keeps the pump's part in so many bytes. */
export const ADAPTER_KEPT_BYTES = binding.adapterKeptBytes;

/** A control transfer: the setup packet of USB 2.0, 9.3. It is outstanding until `answer`. */
export interface ControlRequest {
  readonly seqnum: number;
  readonly in: boolean;
  readonly requestType: number;
  readonly request: number;
  readonly value: number;
  readonly index: number;
  readonly length: number;
}

export interface AdapterKeep {
  readonly file: KeepFile;
  readonly adopt: boolean;
}

export class PumpAdapter {
  readonly id: number;
  /** In the order of what the kernel asked: `onClosed` follows the requests that came before it. */
  onRequest: (request: ControlRequest) => void = () => {};
  /** The last application closed the port, or the device was unplugged. */
  onClosed: (port: number) => void = () => {};
  /** The transmitter's state was asked for and is not empty: a tcdrain may wait. */
  onAsked: (port: number) => void = () => {};
  /** The kernel has given the device up, or is none that we know; unplug is to follow. */
  onLost: (reason: string) => void = () => {};
  readonly #pump: number;
  readonly #released: (adapter: PumpAdapter) => void;
  #closed = false;

  /** Only Pump makes adapters. Throws a SystemError; EBADMSG: what was kept cannot be gone on with. */
  constructor(pump: number, keep: AdapterKeep | undefined, released: (adapter: PumpAdapter) => void) {
    this.#pump = pump;
    this.#released = released;
    this.id = binding.openAdapter(pump, keep?.file.fd ?? -1, keep?.adopt ?? false);
  }

  /**
   * @param fd a socket of the kernel's vhci; stays the caller's, who unplugs before closing it
   * @param adopt goes on with the device that an earlier process had on the same socket
   */
  plug(fd: number, interfaces: number, packetBytes: number, adopt: boolean): void {
    binding.plugAdapter(this.#pump, this.id, fd, interfaces, packetBytes, adopt);
  }

  /** After an adopting plug: all channels are open again. Until then what applications wrote waits for them. */
  settle(): void {
    binding.settleAdapter(this.#pump, this.id);
  }

  /** Ports that were open are told as closed before it returns. */
  unplug(): void {
    binding.unplugAdapter(this.#pump, this.id);
    this.#takeRequests();
  }

  /** undefined: the request stalls. One that the kernel took back meanwhile is not answered. */
  answer({ seqnum }: ControlRequest, data: Uint8Array | undefined): void {
    binding.answerAdapter(this.#pump, this.id, seqnum, data === undefined ? STALL : 0, data ?? EMPTY);
  }

  /** FTDI's first status byte; the application is told where it changed. */
  setModem(port: number, status: number): void {
    binding.setAdapterModem(this.#pump, this.id, port, status);
  }

  /** Flags of FTDI's second status byte for the next data byte; dropped where none comes in 100 ms. */
  setErrors(port: number, flags: number): void {
    binding.setAdapterErrors(this.#pump, this.id, port, flags);
  }

  /** The application is told a break, at once. */
  setBreak(port: number): void {
    binding.setAdapterBreak(this.#pump, this.id, port);
  }

  /** Everything of the `taken` bytes has left. False: more was written since. */
  transmitted(port: number, taken: number): boolean {
    return binding.adapterTransmitted(this.#pump, this.id, port, taken) === 1;
  }

  /** Transfers of the application wait to be taken. */
  outputWaits(port: number): boolean {
    return binding.adapterOutputWaits(this.#pump, this.id, port) === 1;
  }

  /** On: what is written goes nowhere, until off or the next open. */
  discardOutput(port: number, on: boolean): void {
    binding.discardAdapterOutput(this.#pump, this.id, port, on ? 1 : 0);
  }

  isOpen(port: number): boolean {
    return !this.#closed && binding.isAdapterPortOpen(this.#pump, this.id, port) === 1;
  }

  /** After its channels. Idempotent. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    binding.closeAdapter(this.#pump, this.id);
    this.#released(this);
  }

  /** Only Pump calls it. */
  deliver(bits: number): void {
    if (bits & REQUESTS) this.#takeRequests();
    for (let port = 0; port < PORTS && !this.#closed; port++) if (bits & (1 << port)) this.onAsked(port);
    if (bits & LOST && !this.#closed) this.onLost(binding.adapterLost(this.#pump, this.id));
  }

  #takeRequests(): void {
    const numbers = binding.takeAdapterRequests(this.#pump, this.id);
    for (let at = 0; at < numbers.length && !this.#closed; at += NUMBERS) {
      const [kind, port = 0, seqnum = 0, isIn, , requestType = 0, request = 0, value = 0, index = 0, length = 0] =
        numbers.slice(at, at + NUMBERS);
      if (kind === CONTROL) this.onRequest({ seqnum, in: isIn === 1, requestType, request, value, index, length });
      else this.onClosed(port);
    }
  }
}
