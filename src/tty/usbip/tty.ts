// The usbip backend: one port of a virtual adapter, whose tty the kernel makes. Carries everything that a serial port of the
// kernel has; its name under /dev belongs to udev. An application cannot be hung up alone: the adapter is one device.
import type { Clock, Timer } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import type { Channel, ChannelCounters, ChannelEvent } from '../../native/channel.js';
import type { Pump, PumpChannel } from '../../native/pump.js';
import { closeFd, socketPair } from '../../native/socket.js';
import { type LineReport, type LineSettings, NO_MODEM_LINES, type OutputLines } from '../../serial/line.js';
import type { NetworkEvent, Tty, TtyCapabilities, TtyEvent } from '../tty.js';
import type { AdapterEvent, AdapterPort } from './adapter.js';

export const USBIP_CAPABILITIES: TtyCapabilities = {
  backend: 'usbip',
  parity: true,
  dataBits: true,
  modemLines: true,
  lineErrors: true,
  breaks: true,
  drain: true,
  flush: false,
  hangUp: false,
  limits: [
    'data bits: 6 are refused by the driver (5, 7 and 8 work)',
    'flush: tcflush(TCOFLUSH) never reaches a USB adapter: what was written is sent',
    'hang-up: only an application without CLOCAL is hung up, by DCD',
  ],
};

export interface UsbipTtyOptions {
  readonly name: string;
  readonly port: AdapterPort;
  readonly pump: Pump;
  /** The name that udev makes, and what it leads to now. */
  readonly path: string;
  readonly devicePath: () => string;
  /** Why the kernel has no device for it; undefined: it has. */
  readonly trouble: () => string | undefined;
  readonly clock: Clock;
  readonly log: Log;
  /** The port is free for another tty. */
  readonly released: () => void;
}

interface Stream {
  readonly near: number;
  readonly channel: PumpChannel;
}

/** Whether the last bytes of an application have been taken is looked at this often, and for at most so long. */
const LOOK_MS = 1;
const LOOKS = 1000;

export class UsbipTty implements Tty {
  readonly name: string;
  readonly capabilities = USBIP_CAPABILITIES;
  readonly remember = undefined;
  readonly #o: UsbipTtyOptions;
  #stream: Stream;
  #open = false;
  #closed = false;
  /** tcdrain waits for what was taken by the time that the session was asked. */
  #draining: number | undefined;
  #look: Timer | undefined;
  onEvent: (event: TtyEvent) => void = () => {};
  onNetwork: (event: NetworkEvent) => void = () => {};
  onReplaced: (last: ChannelCounters) => void = () => {};

  constructor(options: UsbipTtyOptions) {
    this.#o = options;
    this.name = options.name;
    this.#stream = this.#join();
    options.port.onEvent = (event) => this.#onPort(event);
    this.#open = options.port.isOpen;
  }

  get path(): string {
    return this.#o.path;
  }

  get devicePath(): string {
    return this.#o.devicePath();
  }

  get channel(): Channel {
    return this.#stream.channel;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  get settings(): LineSettings {
    return this.#o.port.settings;
  }

  get warnings(): readonly string[] {
    const trouble = this.#o.trouble();
    return trouble === undefined ? [] : [trouble];
  }

  get outputLines(): OutputLines {
    return this.#o.port.lines;
  }

  /** The driver has lowered them by itself where HUPCL is set. */
  get hangUpOnClose(): boolean {
    const { dtr, rts } = this.#o.port.lines;
    return !dtr && !rts;
  }

  report(report: LineReport): void {
    const { port } = this.#o;
    switch (report.type) {
      case 'lines':
        port.modemLines(report.lines);
        return;
      case 'errors':
        port.lineErrors(report.errors);
        return;
      case 'break':
        port.lineBreak();
        return;
      case 'refused':
        // The kernel has told the application already that it has them.
        this.#o.log.log('warn', `${this.name}: the device refused the settings of the application`);
        return;
      default:
        report satisfies never;
    }
  }

  hangUp(): void {
    this.#o.port.modemLines(NO_MODEM_LINES);
    this.#stream.channel.drop('down');
  }

  drained(): void {
    const { port } = this.#o;
    if (this.#draining === port.taken) port.transmitterEmpty = true;
    this.#draining = undefined;
  }

  settle(): void {}

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#open = false;
    this.#look?.cancel();
    this.#o.port.onEvent = () => {};
    this.#o.port.modemLines(NO_MODEM_LINES);
    this.#leave();
    this.#o.released();
  }

  #join(): Stream {
    const [near, far] = socketPair();
    const channel = this.#o.pump.open(near, { kind: 'plain', offline: { mode: 'block' } });
    channel.onEvent = (event) => this.#onChannel(channel, event);
    this.#o.port.join(far);
    return { near, channel };
  }

  #leave(): void {
    this.#o.port.leave();
    this.#stream.channel.close();
    closeFd(this.#stream.near);
  }

  #onChannel(channel: Channel, event: ChannelEvent): void {
    if (this.#closed || channel !== this.#stream.channel) return;
    if (event === 'net-end' || event === 'net-error' || event === 'tap') this.onNetwork(event);
  }

  #onPort(event: AdapterEvent): void {
    switch (event.type) {
      case 'opened':
        this.#opened();
        break;
      case 'settings':
        this.#stream.channel.stop('down');
        this.onEvent(event);
        break;
      case 'lines':
      case 'break':
        this.onEvent(event);
        break;
      case 'asked':
        this.#asked();
        break;
      case 'closed':
        this.#lastClose(0);
        break;
      default:
        event satisfies never;
    }
  }

  #opened(): void {
    // Who opens before we have seen the end of the last use: that one is over.
    if (this.#look) this.#endOfUse();
    if (this.#open) return;
    this.#open = true;
    this.onEvent({ type: 'opened' });
  }

  /** tcdrain asks the adapter again and again; so does whoever reads the modem lines. */
  #asked(): void {
    const { port } = this.#o;
    if (port.transmitterEmpty || this.#draining !== undefined) return;
    if (this.#stream.channel.counters.downTaken < port.taken) return;
    this.#draining = port.taken;
    this.onEvent({ type: 'drain' });
  }

  /** Everything that was written is to be taken by the channel before the close is told. */
  #lastClose(looks: number): void {
    const { port, clock } = this.#o;
    if (this.#stream.channel.counters.downTaken >= port.taken || looks >= LOOKS) {
      this.#endOfUse();
      return;
    }
    this.#look = clock.after(LOOK_MS, () => this.#lastClose(looks + 1));
  }

  #endOfUse(): void {
    this.#look?.cancel();
    this.#look = undefined;
    if (!this.#open) return;
    this.#open = false;
    this.#stream.channel.drop('up');
    this.onEvent({ type: 'closed' });
  }
}
