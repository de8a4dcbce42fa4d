// A virtual FTDI adapter of up to 15 ports, plugged into our own kernel: the vhci socket on one side, one stream socket per
// port on the other. Bytes pass here in JavaScript, as packets of the chip; what the application asks beyond bytes are events.
// Backpressure both ways: a transfer out is answered when the port's socket took it, and the port's socket is read only
// while the kernel waits for data. Follows docs/protocol/usbip.md.
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';
import type { Clock, Timer } from '../../base/clock.js';
import { type FtdiEvent, FtdiPort } from '../../protocol/ftdi/port.js';
import { type DeviceDescription, maxPacketBytes } from '../../protocol/usbip/descriptors.js';
import { UsbDevice } from '../../protocol/usbip/device.js';
import type { Setup } from '../../protocol/usbip/setup.js';
import type { LineErrors, LineSettings, ModemLines, OutputLines } from '../../serial/line.js';

/**
 * The kernel's buffer of a tty drops what overfills it before a throttle takes effect: no more than this at once, with a
 * pause after it.
 */
const BURST_BYTES = 32 * 1024;
const BURST_MS = 10;
/** An error that no byte follows for so long is told to nobody. */
const ERROR_MS = 100;
const READ_BYTES = 16 * 1024;
const KERNEL_READ_BYTES = 64 * 1024;

export type AdapterEvent = FtdiEvent | { readonly type: 'closed' };

export interface AdapterOptions {
  /** Connected to vhci; the adapter's from now on. */
  readonly fd: number;
  readonly description: DeviceDescription;
  readonly clock: Clock;
  /** The kernel has given the device up, or is none that we know. Once; all ports are closed then. */
  readonly lost: (reason: string) => void;
}

export class UsbipAdapter {
  readonly #device: UsbDevice;
  readonly #socket: Socket;
  readonly #ports: AdapterPort[];
  readonly #lost: (reason: string) => void;
  #corked = false;
  #ended = false;

  constructor({ fd, description, clock, lost }: AdapterOptions) {
    this.#lost = lost;
    this.#device = new UsbDevice(
      description,
      {
        control: (setup, data) => this.#control(setup, data),
        out: (index, seqnum, data) => this.#ports[index]?.out(seqnum, data),
        wanted: (index) => this.#ports[index]?.wanted(),
        unwanted: (index) => this.#ports[index]?.unwanted(),
      },
      (bytes) => this.#write(bytes),
      (reason) => this.#end(reason),
    );
    const packetBytes = maxPacketBytes(description.speed);
    this.#ports = Array.from(
      { length: description.interfaces },
      (_, index) => new AdapterPort(this.#device, index, packetBytes, clock),
    );
    this.#socket = this.#open(fd);
  }

  port(index: number): AdapterPort {
    const port = this.#ports[index];
    if (!port) throw new RangeError(`no port ${index}`);
    return port;
  }

  /** Unplugs it: applications see a hang-up. Idempotent. */
  close(): void {
    this.#ended = true;
    for (const port of this.#ports) port.end();
    this.#socket.destroy();
  }

  #open(fd: number): Socket {
    const buffer = Buffer.alloc(KERNEL_READ_BYTES);
    const options: SocketConstructorOpts & { onread: OnReadOpts } = {
      fd,
      onread: {
        buffer,
        callback: (length) => {
          this.#device.receive(buffer.subarray(0, length));
          return true;
        },
      },
    };
    const socket = new Socket(options);
    socket.on('error', () => {});
    socket.on('close', () => this.#end('the kernel has let go of the device'));
    return socket;
  }

  /** All answers of one turn go in one write. */
  #write(bytes: Uint8Array): void {
    if (this.#ended) return;
    if (!this.#corked) {
      this.#corked = true;
      this.#socket.cork();
      process.nextTick(() => {
        this.#corked = false;
        this.#socket.uncork();
      });
    }
    this.#socket.write(bytes);
  }

  /** The low byte of wIndex is the port, from 1 on. */
  #control(setup: Setup, _data: Uint8Array): Uint8Array | undefined {
    return this.#ports[(setup.index & 0xff) - 1]?.control(setup);
  }

  #end(reason: string): void {
    if (this.#ended) return;
    this.close();
    this.#lost(reason);
  }
}

/** One port of the adapter. */
export class AdapterPort {
  readonly #device: UsbDevice;
  readonly #index: number;
  readonly #packetBytes: number;
  readonly #clock: Clock;
  readonly #chip = new FtdiPort();
  readonly #packet: Uint8Array;
  /** Taken from the port's socket and not yet by the kernel. */
  #rest: Uint8Array = new Uint8Array(0);
  #socket: Socket | undefined;
  #open = false;
  #unwritten = 0;
  #burst = 0;
  #burstTimer: Timer | undefined;
  #errorTimer: Timer | undefined;
  onEvent: (event: AdapterEvent) => void = () => {};

  constructor(device: UsbDevice, index: number, packetBytes: number, clock: Clock) {
    this.#device = device;
    this.#index = index;
    this.#packetBytes = packetBytes;
    this.#clock = clock;
    this.#packet = new Uint8Array(packetBytes);
  }

  get settings(): LineSettings {
    return this.#chip.settings;
  }

  get lines(): OutputLines {
    return this.#chip.lines;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  /** Bytes of the application that the socket has not taken yet. */
  get unwritten(): number {
    return this.#unwritten;
  }

  /** What the device told; the application sees it as of its own line. */
  modemLines(lines: ModemLines): void {
    this.#chip.modemLines(lines);
    this.#deliver();
  }

  lineErrors(errors: LineErrors): void {
    this.#chip.lineErrors(errors);
    this.#errorTimer?.cancel();
    this.#errorTimer = this.#clock.after(ERROR_MS, () => this.#chip.forgetErrors());
  }

  lineBreak(): void {
    if (!this.#open) return;
    this.#chip.lineBreak();
    this.#deliver();
  }

  /** False: tcdrain waits. */
  set transmitterEmpty(empty: boolean) {
    this.#chip.transmitterEmpty = empty;
  }

  /** The stream of the port's bytes, both ways; the port's from now on. In place of the one before. */
  join(fd: number): void {
    this.#socket?.destroy();
    this.#rest = new Uint8Array(0);
    const buffer = Buffer.alloc(READ_BYTES);
    const options: SocketConstructorOpts & { onread: OnReadOpts } = {
      fd,
      onread: { buffer, callback: (length) => this.#received(buffer.subarray(0, length)) },
    };
    const socket = new Socket(options);
    socket.on('error', () => {});
    this.#socket = socket;
  }

  end(): void {
    this.#burstTimer?.cancel();
    this.#errorTimer?.cancel();
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#closed();
  }

  /** Only the adapter calls what follows. */
  control(setup: Setup): Uint8Array | undefined {
    return this.#chip.control(setup, (event) => {
      if (event.type === 'opened') this.#opened();
      else this.onEvent(event);
    });
  }

  out(seqnum: number, data: Uint8Array): void {
    const socket = this.#socket;
    if (!socket) {
      this.#device.completeOut(seqnum);
      return;
    }
    const bytes = Uint8Array.from(data);
    this.#unwritten += bytes.length;
    socket.write(bytes, () => {
      this.#unwritten -= bytes.length;
      this.#device.completeOut(seqnum);
    });
  }

  wanted(): void {
    this.#deliver();
  }

  /** The driver closes a port by taking its transfers back. */
  unwanted(): void {
    this.#closed();
  }

  #opened(): void {
    if (this.#open) return;
    this.#open = true;
    this.onEvent({ type: 'opened' });
  }

  #closed(): void {
    this.#rest = new Uint8Array(0);
    this.#chip.closed();
    this.#socket?.resume();
    if (!this.#open) return;
    this.#open = false;
    this.onEvent({ type: 'closed' });
  }

  /** Returns whether more may come. The bytes lie in memory that is used again only then. */
  #received(bytes: Uint8Array): boolean {
    if (!this.#open) return true;
    this.#rest = bytes;
    this.#deliver();
    return this.#rest.length === 0;
  }

  #deliver(): void {
    const waited = this.#rest.length > 0;
    while ((this.#rest.length > 0 && this.#burst < BURST_BYTES) || this.#chip.due) {
      const room = Math.min(this.#device.room(this.#index), this.#packetBytes);
      if (room === 0) return;
      const { length, used } = this.#chip.packet(this.#packet, room, this.#rest);
      this.#rest = this.#rest.subarray(used);
      this.#spend(used);
      this.#device.fill(this.#index, this.#packet.subarray(0, length));
    }
    if (waited && this.#rest.length === 0) this.#socket?.resume();
  }

  #spend(bytes: number): void {
    this.#burst += bytes;
    this.#burstTimer ??= this.#clock.after(BURST_MS, () => {
      this.#burstTimer = undefined;
      this.#burst = 0;
      this.#deliver();
    });
  }
}
