// A Tty without a kernel device: a socketpair, whose one end the pump has and whose other end plays the application.
// Keeps the whole contract of tty.ts; used to drive a session step by step. Never touches the file system.
import type { Channel, ChannelCounters, ChannelEvent } from '../native/channel.js';
import type { Pump, PumpChannel } from '../native/pump.js';
import { closeFd, discardInput, dup, outputQueue, shutdownFd, socketPair } from '../native/socket.js';
import { type LineReport, type LineSettings, type OutputLines, type Queue, sameSettings } from '../serial/line.js';
import type { NetworkEvent, Tty, TtyCapabilities, TtyEvent } from './tty.js';

const CAPABILITIES: TtyCapabilities = {
  backend: 'memory',
  parity: true,
  dataBits: true,
  modemLines: true,
  lineErrors: true,
  breaks: true,
  drain: false,
  flush: true,
  hangUp: true,
  limits: ['no device node: only this process can open it'],
};

/** How often is looked whether the last bytes of an application have been taken. */
const LOOK_MS = 1;

export interface MemoryTtyOptions {
  readonly name: string;
  readonly pump: Pump;
  readonly settings: LineSettings;
}

/** What an application holds: a descriptor to read and write, and the calls that are ioctls elsewhere. */
export interface MemoryApp {
  readonly fd: number;
  set(settings: LineSettings): void;
  setLines(lines: OutputLines): void;
  sendBreak(on: boolean): void;
  flush(queue: Queue): void;
  /** tcflow: suspend or resume the output. */
  flow(on: boolean): void;
  close(): void;
}

interface Device {
  readonly near: number;
  readonly far: number;
  readonly channel: PumpChannel;
}

export class MemoryTty implements Tty {
  readonly name: string;
  readonly capabilities = CAPABILITIES;
  readonly warnings: readonly string[] = [];
  /** HUPCL, as the application has set it. */
  hangUpOnClose = true;
  /** What the device told, for the application. */
  readonly reports: LineReport[] = [];
  readonly remember = undefined;
  /** Undefined until the application has set them. */
  outputLines: OutputLines | undefined;
  onEvent: (event: TtyEvent) => void = () => {};
  onNetwork: (event: NetworkEvent) => void = () => {};
  onReplaced: (last: ChannelCounters) => void = () => {};

  readonly #pump: Pump;
  #settings: LineSettings;
  #device: Device;
  #number = 0;
  #apps = new Set<MemoryApp>();
  #open = false;
  #closed = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: MemoryTtyOptions) {
    this.name = options.name;
    this.#pump = options.pump;
    this.#settings = options.settings;
    this.#device = this.#make();
  }

  get path(): string {
    return `memory:${this.name}`;
  }

  get devicePath(): string {
    return `memory:${this.name}#${this.#number}`;
  }

  get channel(): Channel {
    return this.#device.channel;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  get settings(): LineSettings {
    return this.#settings;
  }

  /** Opens it, as an application does. */
  open(): MemoryApp {
    const fd = dup(this.#device.far);
    let held = true;
    const app: MemoryApp = {
      fd,
      set: (settings) => this.#set(settings),
      setLines: (lines) => {
        this.outputLines = lines;
        this.#tell({ type: 'lines', lines });
      },
      sendBreak: (on) => this.#tell({ type: 'break', on }),
      flush: (queue) => this.#flush(queue),
      flow: (on) => this.#tell({ type: 'transmitter', on }),
      close: () => {
        if (held) closeFd(fd);
        held = false;
        // One that was hung up holds nothing of the present device.
        if (this.#apps.delete(app) && this.#apps.size === 0) this.#lastClose();
      },
    };
    this.#apps.add(app);
    if (this.#timer !== undefined) this.#endOfUse();
    if (!this.#open) {
      this.#open = true;
      this.#tell({ type: 'opened' });
    }
    return app;
  }

  report(report: LineReport): void {
    this.reports.push(report);
  }

  hangUp(): void {
    this.#stopLooking();
    this.#open = false;
    const old = this.#device;
    this.#hangUpApps();
    const last = { ...old.channel.counters };
    release(old);
    this.#device = this.#make();
    this.onReplaced(last);
  }

  settle(): void {}

  drained(): void {}

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopLooking();
    this.#open = false;
    this.#hangUpApps();
    release(this.#device);
  }

  #make(): Device {
    const [near, far] = socketPair();
    this.#number++;
    const channel = this.#pump.open(near, { kind: 'plain', offline: { mode: 'block' } });
    channel.onEvent = (event) => this.#onChannel(channel, event);
    return { near, far, channel };
  }

  #onChannel(channel: Channel, event: ChannelEvent): void {
    if (this.#closed || channel !== this.#device.channel) return;
    if (event === 'net-end' || event === 'net-error' || event === 'tap') this.onNetwork(event);
  }

  #set(settings: LineSettings): void {
    if (sameSettings(settings, this.#settings)) return;
    this.#settings = settings;
    this.#device.channel.stop('down');
    this.#tell({ type: 'settings', settings });
  }

  #flush(queue: Queue): void {
    const { near, far, channel } = this.#device;
    channel.stop('down');
    if (queue !== 'tx') {
      channel.stop('up');
      channel.drop('up');
      discardInput(far);
    }
    if (queue !== 'rx') {
      channel.drop('down');
      discardInput(near);
    }
    this.#tell({ type: 'flush', queue });
  }

  /** As from the kernel: never from inside the application's call. */
  #tell(event: TtyEvent): void {
    const device = this.#device;
    setImmediate(() => {
      if (!this.#closed && device === this.#device) this.onEvent(event);
    });
  }

  #lastClose(): void {
    this.#timer = setInterval(() => {
      if (outputQueue(this.#device.far) === 0) this.#endOfUse();
    }, LOOK_MS);
  }

  #endOfUse(): void {
    this.#stopLooking();
    this.#open = false;
    this.#device.channel.drop('up');
    discardInput(this.#device.far);
    this.#tell({ type: 'closed' });
  }

  #stopLooking(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #hangUpApps(): void {
    shutdownFd(this.#device.far, 'both');
    this.#apps.clear();
  }
}

function release({ near, far, channel }: Device): void {
  channel.close();
  closeFd(near);
  closeFd(far);
}
