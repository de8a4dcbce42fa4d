// A virtual FTDI adapter of up to 15 ports, plugged into our own kernel: the vhci socket on one side, one stream socket per
// port on the other. Bytes pass here in JavaScript, as packets of the chip; what the application asks beyond bytes are events.
// Backpressure both ways: a transfer out is answered when the port's socket took it, and the port's socket is read only
// while the kernel waits for data. Follows docs/protocol/usbip.md.
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';
import type { Clock, Timer } from '../../base/clock.js';
import { type FtdiEvent, FtdiPort } from '../../protocol/ftdi/port.js';
import { type DeviceDescription, MAX_INTERFACES, maxPacketBytes } from '../../protocol/usbip/descriptors.js';
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

/** What a port does to the device, while there is one. */
interface Plug {
  room(index: number): number;
  fill(index: number, data: Uint8Array): void;
  completeOut(seqnum: number): void;
}

/** Nothing is plugged: nobody wants data, and nobody waits for an answer. */
const UNPLUGGED: Plug = { room: () => 0, fill: () => {}, completeOut: () => {} };

/** Its ports outlive what is plugged: a kernel that lost the device gets another one, with the same ports. */
export class UsbipAdapter {
  readonly #ports: readonly AdapterPort[];
  #plugged: Plugged | undefined;

  constructor(clock: Clock) {
    this.#ports = Array.from({ length: MAX_INTERFACES }, (_, index) => new AdapterPort(index, clock));
  }

  port(index: number): AdapterPort {
    const port = this.#ports[index];
    if (!port) throw new RangeError(`no port ${index}`);
    return port;
  }

  get plugged(): boolean {
    return this.#plugged !== undefined;
  }

  /**
   * @param fd connected to vhci; the adapter's from now on
   * @param description what is plugged; ports beyond its interfaces wait for another
   * @param lost the kernel has given the device up, or is none that we know. Once, unless it was unplugged before
   */
  plug(fd: number, description: DeviceDescription, lost: (reason: string) => void): void {
    this.unplug();
    const ports = this.#ports.slice(0, description.interfaces);
    const plugged = new Plugged(fd, description, ports, (reason) => {
      if (this.#plugged !== plugged) return;
      this.unplug();
      lost(reason);
    });
    this.#plugged = plugged;
  }

  /** Applications see a hang-up. Idempotent. */
  unplug(): void {
    const plugged = this.#plugged;
    this.#plugged = undefined;
    plugged?.close();
  }
}

/** One life of the device in the kernel. */
class Plugged {
  readonly #device: UsbDevice;
  readonly #socket: Socket;
  readonly #ports: readonly AdapterPort[];
  readonly #lost: (reason: string) => void;
  #corked = false;
  #ended = false;

  constructor(
    fd: number,
    description: DeviceDescription,
    ports: readonly AdapterPort[],
    lost: (reason: string) => void,
  ) {
    this.#ports = ports;
    this.#lost = lost;
    this.#device = new UsbDevice(
      description,
      {
        control: (setup) => this.#control(setup),
        out: (index, seqnum, data) => ports[index]?.out(seqnum, data),
        wanted: (index) => ports[index]?.wanted(),
        unwanted: (index) => ports[index]?.unwanted(),
      },
      (bytes) => this.#write(bytes),
      (reason) => this.#end(reason),
    );
    for (const port of ports) port.plug(this.#device, maxPacketBytes(description.speed));
    this.#socket = this.#open(fd);
  }

  close(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const port of this.#ports) port.unplug();
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
    socket.on('end', () => socket.destroy());
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
  #control(setup: Setup): Uint8Array | undefined {
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
  readonly #index: number;
  readonly #clock: Clock;
  #packet = new Uint8Array(0);
  #device: Plug = UNPLUGGED;
  #chip = new FtdiPort();
  /** Taken from the port's socket and not yet by the kernel. */
  #rest: Uint8Array = new Uint8Array(0);
  #socket: Socket | undefined;
  #open = false;
  #taken = 0;
  #burst = 0;
  #burstTimer: Timer | undefined;
  #errorTimer: Timer | undefined;
  onEvent: (event: AdapterEvent) => void = () => {};

  constructor(index: number, clock: Clock) {
    this.#index = index;
    this.#clock = clock;
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

  /** Bytes of the application since the socket was joined. */
  get taken(): number {
    return this.#taken;
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

  /** False: tcdrain waits. Becomes false by itself with every byte that is taken. */
  get transmitterEmpty(): boolean {
    return this.#chip.transmitterEmpty;
  }

  set transmitterEmpty(empty: boolean) {
    this.#chip.transmitterEmpty = empty;
  }

  /** The stream of the port's bytes, both ways; the port's from now on. In place of the one before. */
  join(fd: number): void {
    this.#socket?.destroy();
    this.#rest = new Uint8Array(0);
    this.#taken = 0;
    const buffer = Buffer.alloc(READ_BYTES);
    const options: SocketConstructorOpts & { onread: OnReadOpts } = {
      fd,
      onread: { buffer, callback: (length) => this.#received(buffer.subarray(0, length)) },
    };
    const socket = new Socket(options);
    socket.on('error', () => {});
    this.#socket = socket;
  }

  /** Nobody takes the bytes any more: what an application writes goes nowhere. */
  leave(): void {
    this.#socket?.destroy();
    this.#socket = undefined;
    this.#rest = new Uint8Array(0);
  }

  /** Only the adapter calls what follows. */
  plug(device: Plug, packetBytes: number): void {
    this.#device = device;
    this.#packet = new Uint8Array(packetBytes);
  }

  /** The application is hung up. The next device begins as a chip does. */
  unplug(): void {
    this.#burstTimer?.cancel();
    this.#burstTimer = undefined;
    this.#errorTimer?.cancel();
    this.#device = UNPLUGGED;
    this.#closed();
  }

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
    const device = this.#device;
    const bytes = Uint8Array.from(data);
    this.#taken += bytes.length;
    this.#chip.transmitterEmpty = false;
    socket.write(bytes, () => device.completeOut(seqnum));
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
      const room = Math.min(this.#device.room(this.#index), this.#packet.length);
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
