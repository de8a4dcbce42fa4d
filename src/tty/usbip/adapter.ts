// A virtual FTDI adapter of up to 15 ports, plugged into our own kernel. Bytes move in the pump, from the kernel's transfers to
// a port's channel and back; here the control requests are answered, and what an application asked beyond bytes becomes an
// event. Its ports outlive what is plugged: a kernel that lost the device gets another one. Follows docs/protocol/usbip.md.

import type { KeepFile } from '../../native/keep-file.js';
import type { ControlRequest, Pump, PumpAdapter, PumpChannel } from '../../native/pump.js';
import { closeFd, endConnection } from '../../native/socket.js';
import { errorStatus, type FtdiEvent, FtdiPort, type FtdiState, modemStatus } from '../../protocol/ftdi/port.js';
import { type DeviceDescription, MAX_INTERFACES, maxPacketBytes } from '../../protocol/usbip/descriptors.js';
import { isStandard } from '../../protocol/usbip/setup.js';
import { standardAnswer } from '../../protocol/usbip/standard-requests.js';
import type { LineErrors, LineSettings, ModemLines, OutputLines } from '../../serial/line.js';

export type AdapterEvent =
  | FtdiEvent
  /** The last application has closed it: everything that it wrote has been taken. */
  | { readonly type: 'closed' }
  /** The driver waits until everything has left, or reads the modem lines: it cannot be told which. */
  | { readonly type: 'asked' };

interface Plugged {
  readonly fd: number;
  readonly description: DeviceDescription;
  readonly lost: (reason: string) => void;
}

export interface AdapterOptions {
  readonly pump: Pump;
  /** Where what a later process needs is kept up to date. */
  readonly file?: KeepFile | undefined;
  /** Goes on from what is in the file: the chips' states as they were. */
  readonly adopt?: readonly FtdiState[] | undefined;
  /** A chip's state has changed, and is to be kept before the kernel is answered. */
  readonly changed?: () => void;
}

export class UsbipAdapter {
  readonly #native: PumpAdapter;
  readonly #ports: readonly AdapterPort[];
  readonly #changed: () => void;
  #plugged: Plugged | undefined;

  /** Throws a SystemError; EBADMSG: what is in the file cannot be gone on with. */
  constructor({ pump, file, adopt, changed }: AdapterOptions) {
    this.#native = pump.openAdapter(file && { file, adopt: adopt !== undefined });
    this.#changed = changed ?? (() => {});
    const native = this.#native;
    this.#ports = Array.from({ length: MAX_INTERFACES }, (_, i) => new AdapterPort(native, i, pump, adopt?.[i]));
    native.onRequest = (request) => this.#answer(request);
    native.onClosed = (index) => this.#ports[index]?.onEvent({ type: 'closed' });
    native.onAsked = (index) => this.#ports[index]?.onEvent({ type: 'asked' });
    native.onLost = (reason) => {
      const plugged = this.#plugged;
      this.unplug();
      plugged?.lost(reason);
    };
  }

  port(index: number): AdapterPort {
    const port = this.#ports[index];
    if (!port) throw new RangeError(`no port ${index}`);
    return port;
  }

  get plugged(): boolean {
    return this.#plugged !== undefined;
  }

  get states(): readonly FtdiState[] {
    return this.#ports.map((port) => port.state);
  }

  /**
   * @param fd connected to vhci; the adapter's from now on
   * @param description what is plugged; ports beyond its interfaces wait for another
   * @param lost the kernel has given the device up, or is none that we know. Once, unless it was unplugged before
   * @param adopt the device was plugged by an earlier process, on the same socket
   */
  plug(fd: number, description: DeviceDescription, lost: (reason: string) => void, adopt = false): void {
    this.unplug();
    this.#native.plug(fd, description.interfaces, maxPacketBytes(description.speed), adopt);
    this.#plugged = { fd, description, lost };
    if (!adopt) for (const port of this.#ports) port.tellLines();
  }

  /** After an adopting plug, when every port that goes on has its channel: what others wrote goes nowhere. */
  settle(): void {
    this.#native.settle();
  }

  /** Applications see a hang-up. Idempotent. */
  unplug(): void {
    const plugged = this.#plugged;
    if (!plugged) return;
    this.#plugged = undefined;
    for (const port of this.#ports) port.reset();
    this.#native.unplug();
    // Somebody else may hold the socket, too: that it is closed here would tell the kernel nothing.
    endConnection(plugged.fd);
    closeFd(plugged.fd);
  }

  /** After its channels. */
  close(): void {
    this.unplug();
    this.#native.close();
  }

  #answer(request: ControlRequest): void {
    const description = this.#plugged?.description;
    if (!description) return;
    if (isStandard(request)) {
      this.#native.answer(request, standardAnswer(description, request));
      return;
    }
    // The low byte of wIndex is the port, from 1 on.
    const port = this.#ports[(request.index & 0xff) - 1];
    const before = port?.state;
    const answer = port?.control(request);
    if (port?.state !== before) this.#changed();
    this.#native.answer(request, answer);
  }
}

/** One port of the adapter. */
export class AdapterPort {
  readonly #native: PumpAdapter;
  readonly #index: number;
  readonly #pump: Pump;
  readonly #chip: FtdiPort;
  #modem: ModemLines | undefined;
  onEvent: (event: AdapterEvent) => void = () => {};

  constructor(native: PumpAdapter, index: number, pump: Pump, state: FtdiState | undefined) {
    this.#native = native;
    this.#index = index;
    this.#pump = pump;
    this.#chip = new FtdiPort(state);
  }

  get state(): FtdiState {
    return this.#chip.state;
  }

  get settings(): LineSettings {
    return this.#chip.settings;
  }

  get lines(): OutputLines {
    return this.#chip.lines;
  }

  get isOpen(): boolean {
    return this.#native.isOpen(this.#index);
  }

  /** The port's bytes, both ways; one at a time. While there is none, what an application writes goes nowhere. */
  openChannel(keep?: { readonly file: KeepFile; readonly adopt: boolean }): PumpChannel {
    const offline = { mode: 'block' } as const;
    return this.#pump.open(this.#native.id, {
      kind: 'usbip',
      adapterPort: this.#index,
      offline,
      ...(keep ? { keep } : {}),
    });
  }

  /** What the device told; the application sees it as of its own line. */
  modemLines(lines: ModemLines): void {
    this.#modem = lines;
    this.tellLines();
  }

  lineErrors(errors: LineErrors): void {
    this.#native.setErrors(this.#index, errorStatus(errors));
  }

  lineBreak(): void {
    this.#native.setBreak(this.#index);
  }

  /** Nothing is left of so many bytes that the channel took: tcdrain ends, unless more was written since. */
  transmitted(taken: number): void {
    this.#native.transmitted(this.#index, taken);
  }

  /** Something of what was written has not been taken. */
  get outputWaits(): boolean {
    return this.#native.outputWaits(this.#index);
  }

  /** On: what is written goes nowhere until off or the next open; who closes waits no longer. */
  discardOutput(on: boolean): void {
    this.#native.discardOutput(this.#index, on);
  }

  /** Only the adapter calls what follows. A chip that has just got power knows of no line. */
  tellLines(): void {
    if (this.#modem) this.#native.setModem(this.#index, modemStatus(this.#modem));
  }

  reset(): void {
    this.#chip.reset();
  }

  control(request: ControlRequest): Uint8Array | undefined {
    return this.#chip.control(request, (event) => this.onEvent(event));
  }
}
