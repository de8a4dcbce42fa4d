// The usbip backend: one port of a virtual adapter, whose tty the kernel makes. Carries everything that a serial port of the
// kernel has; its name under /dev belongs to udev. An application cannot be hung up alone: the adapter is one device.
import type { Clock, Timer } from '../../base/clock.js';
import { messageOf } from '../../base/fault.js';
import type { Log } from '../../base/log.js';
import type { Channel, ChannelCounters, ChannelEvent } from '../../native/channel.js';
import { KeepFile } from '../../native/keep-file.js';
import type { PumpChannel } from '../../native/pump.js';
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
  /** The name that udev makes, and what it leads to now. */
  readonly path: string;
  readonly devicePath: () => string;
  /** Why the kernel has no device for it; undefined: it has. */
  readonly trouble: () => string | undefined;
  /** A close waits for its output no longer than this without progress. */
  readonly closingWaitMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Absent: nothing outlives this process. */
  readonly keeper?: UsbipTtyKeeper;
  /** What an earlier process left of it, where its port goes on too; ours from now on. */
  readonly adopted?: KeepFile;
  /** The port is free for another tty. */
  readonly released: () => void;
}

/** A drain that the device could not end is asked for again, but not by every poll of the driver. */
const ASK_AGAIN_MS = 100;

/** The driver closes in far less once its output is gone. */
const CLOSE_MS = 1000;

/** Who holds the file of a tty beside us, so that it outlives this process. */
export interface UsbipTtyKeeper {
  made(file: KeepFile): void;
  gone(): void;
}

export class UsbipTty implements Tty {
  readonly name: string;
  readonly capabilities = USBIP_CAPABILITIES;
  readonly remember: ((record: unknown) => void) | undefined;
  readonly #o: UsbipTtyOptions;
  readonly #file: KeepFile | undefined;
  readonly #channel: PumpChannel;
  #open: boolean;
  #closed = false;
  /** tcdrain waits for what was taken by the time that the session was asked. */
  #draining: number | undefined;
  #pause: Timer | undefined;
  #closing: Timer | undefined;
  onEvent: (event: TtyEvent) => void = () => {};
  onNetwork: (event: NetworkEvent) => void = () => {};
  onReplaced: (last: ChannelCounters) => void = () => {};

  /** Throws a SystemError where there is no memory for it. */
  constructor(options: UsbipTtyOptions) {
    this.#o = options;
    this.name = options.name;
    const { port, adopted, keeper } = options;
    this.#file = adopted ?? (keeper && KeepFile.create(options.name));
    this.#channel = this.#openChannel(adopted !== undefined);
    this.#channel.onEvent = (event) => this.#onChannel(event);
    port.onEvent = (event) => this.#onPort(event);
    this.#open = port.isOpen;
    // How many those are is not known any more: that it is one is the usual case.
    if (this.#open) this.#watchNode(this.devicePath, 1);
    this.remember = keeper && ((record) => this.#remember(record));
    if (this.#file && !adopted) keeper?.made(this.#file);
  }

  get path(): string {
    return this.#o.path;
  }

  get devicePath(): string {
    return this.#o.devicePath();
  }

  get channel(): Channel {
    return this.#channel;
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

  /** The driver has lowered them by itself where HUPCL is set; a use that we end ends as by a cable that is pulled. */
  get hangUpOnClose(): boolean {
    const { dtr, rts } = this.#o.port.lines;
    return this.#open || (!dtr && !rts);
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
        this.#o.log.log('warn', 'the device refused the settings of the application');
        return;
      default:
        report satisfies never;
    }
  }

  hangUp(): void {
    this.#o.port.modemLines(NO_MODEM_LINES);
    this.#channel.drop('down');
  }

  drained(empty: boolean): void {
    const draining = this.#draining;
    if (draining === undefined) return;
    if (empty) this.#o.port.transmitted(draining);
    else if (!this.#closed) this.#pause = this.#o.clock.after(ASK_AGAIN_MS, () => this.#endDrain());
    if (empty) this.#draining = undefined;
  }

  settle(): void {}

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#endUse();
    this.#o.port.onEvent = () => {};
    this.#o.port.modemLines(NO_MODEM_LINES);
    this.#o.keeper?.gone();
    this.#channel.close();
    this.#file?.close();
    this.#o.released();
  }

  #openChannel(adopt: boolean): PumpChannel {
    const { port, log } = this.#o;
    const file = this.#file;
    if (!file) return port.openChannel();
    try {
      return port.openChannel({ file, adopt });
    } catch (error) {
      if (!adopt) throw error;
      log.log('warn', `what was kept of it cannot be read, it starts anew: ${messageOf(error)}`);
      return port.openChannel({ file, adopt: false });
    }
  }

  #remember(record: unknown): void {
    if (this.#closed) return;
    try {
      this.#file?.write(record);
    } catch (error) {
      this.#o.log.log('warn', `a restart will not go on with it: ${messageOf(error)}`);
    }
  }

  #onChannel(event: ChannelEvent): void {
    if (this.#closed) return;
    if (event === 'closing') this.#lastClose();
    if (event === 'net-end' || event === 'net-error' || event === 'tap') this.onNetwork(event);
  }

  #onPort(event: AdapterEvent): void {
    switch (event.type) {
      case 'opened':
        if (this.#open) break;
        this.#open = true;
        // The opener waits for our answer: its open is told after it.
        this.#watchNode(this.devicePath);
        this.onEvent(event);
        break;
      case 'settings':
      case 'lines':
      case 'break':
        // What is written behind it waits until the device was told.
        this.#channel.stop('down');
        this.onEvent(event);
        break;
      case 'asked':
        this.#asked();
        break;
      case 'closed':
        if (!this.#open) break;
        this.#endUse();
        this.onEvent(event);
        break;
      default:
        event satisfies never;
    }
  }

  /** tcdrain asks the adapter again and again; so does whoever reads the modem lines. */
  #asked(): void {
    if (this.#draining !== undefined) return;
    this.#draining = this.#channel.counters.downTaken;
    this.onEvent({ type: 'drain' });
  }

  #endDrain(): void {
    this.#pause?.cancel();
    this.#draining = undefined;
  }

  #endUse(): void {
    this.#open = false;
    this.#endDrain();
    this.#closing?.cancel();
    this.#closing = undefined;
    this.#watchNode(undefined);
  }

  #watchNode(path: string | undefined, openers = 0): void {
    try {
      this.#channel.watchNode(path, openers);
    } catch (error) {
      // Then the kernel itself ends the wait of a close, after 30 s.
      this.#o.log.log('debug', `its closes cannot be seen: ${messageOf(error)}`);
    }
  }

  /** The kernel lets the application wait until its output has left, and cannot be told how long it may. */
  #lastClose(): void {
    const { clock, closingWaitMs, port, log } = this.#o;
    const moved = this.#moved;
    this.#closing?.cancel();
    this.#closing = clock.after(closingWaitMs, () => {
      if (this.#moved > moved) {
        this.#lastClose();
        return;
      }
      // Who only seemed to close, and has nothing to wait for, loses nothing.
      if (!port.outputWaits && this.#draining === undefined) return;
      log.log('warn', 'closed, and its output did not leave within closingWait: it is dropped', {
        event: 'dropped',
      });
      port.discardOutput(true);
      // The kernel tells opens that follow each other at once as one. A tty that stays open is not being closed.
      this.#closing = clock.after(CLOSE_MS, () => port.discardOutput(false));
    });
  }

  get #moved(): number {
    const { downTaken, downSent } = this.#channel.counters;
    return downTaken + downSent;
  }
}
