// The pty backend: a pseudo terminal whose master the pump reads. Carries bytes, rate, stop bits and flow control; what it
// cannot carry (data bits, parity, modem lines, break, drain) its capabilities say, and the configuration gives.
// Between two openers the device is cleared; where that is not possible, and at every hang-up, it is replaced.
import { chmodSync, chownSync, statSync } from 'node:fs';
import { Fault, messageOf } from '../base/fault.js';
import type { Log } from '../base/log.js';
import type { Channel, ChannelCounters, ChannelEvent } from '../native/channel.js';
import { KeepFile } from '../native/keep-file.js';
import { createPty, slavePath } from '../native/pty.js';
import type { Pump, PumpChannel } from '../native/pump.js';
import { closeFd } from '../native/socket.js';
import { getTermios } from '../native/termios.js';
import { formatSettings } from '../serial/format.js';
import type { LineSettings } from '../serial/line.js';
import { initialTermios, TERMIOS, type Termios, toLineSettings } from '../serial/termios.js';
import type { DeviceLink } from './device-link.js';
import { ptyWarnings } from './pty-warnings.js';
import type { NetworkEvent, Tty, TtyCapabilities, TtyEvent } from './tty.js';

export const PTY_CAPABILITIES: TtyCapabilities = {
  backend: 'pty',
  parity: false,
  dataBits: false,
  modemLines: false,
  lineErrors: false,
  breaks: false,
  drain: false,
  flush: true,
  hangUp: true,
  limits: [
    'data bits and parity: the kernel forces 8N on a PTY; set `format` in the configuration',
    'modem lines: an application can neither read nor set them; DTR and RTS come from `dtr` and `rts`',
    'break: tcsendbreak() has no effect',
    'drain: tcdrain() returns at once; bytes written just before a change of settings (a few milliseconds) may go out after it',
  ],
};

export interface PtyOptions {
  readonly name: string;
  readonly link: DeviceLink;
  readonly pump: Pump;
  /** Initial settings; data bits and parity stay as given here. */
  readonly settings: LineSettings;
  /** undefined: as the process. */
  readonly uid?: number;
  readonly gid?: number;
  readonly mode: number;
  readonly log: Log;
  /** Absent: nothing outlives this process. */
  readonly keeper?: PtyKeeper;
  /** What an earlier process left: its master and its file, ours from now on. */
  readonly adopted?: { readonly fd: number; readonly file: KeepFile };
}

/** Who holds the descriptors of a PTY beside us, so that it outlives this process. */
export interface PtyKeeper {
  /** In place of those before. */
  made(master: number, file: KeepFile): void;
  gone(): void;
}

interface Device {
  readonly fd: number;
  readonly path: string;
  readonly channel: PumpChannel;
  readonly file: KeepFile | undefined;
}

const IGNORE = () => {};

export class PtyTty implements Tty {
  readonly name: string;
  readonly capabilities = PTY_CAPABILITIES;
  readonly #o: PtyOptions;
  #device: Device;
  #open = false;
  #closed = false;
  /** Once its descriptor is gone: a status may still ask. */
  #last: Termios | undefined;
  #replaceWhenSettled = false;
  #record: unknown;
  readonly remember: ((record: unknown) => void) | undefined;
  readonly outputLines = undefined;
  onEvent: (event: TtyEvent) => void = IGNORE;
  onNetwork: (event: NetworkEvent) => void = IGNORE;
  onReplaced: (last: ChannelCounters) => void = IGNORE;

  /** Makes the PTY and publishes its link. Throws a Fault (NO_DESCRIPTORS, LINK_PATH_TAKEN, PERMISSION, SYSTEM). */
  constructor(options: PtyOptions) {
    this.#o = options;
    this.name = options.name;
    const adopted = options.adopted && this.#adopt(options.adopted);
    this.#device = adopted ?? this.#make(options.settings);
    this.#open = this.#device.channel.adoptedOpen;
    this.remember = options.keeper && ((record) => this.#remember(record));
    try {
      options.link.publish(this.#device.path);
    } catch (error) {
      options.keeper?.gone();
      release(this.#device);
      throw error;
    }
    if (!adopted) this.#hold(this.#device);
    // Who came and went meanwhile may have left what shuts everybody out.
    else if (!this.#open) this.#replaceWhenSettled = adopted.channel.reset() === 'failed';
  }

  get path(): string {
    return this.#o.link.path;
  }

  get devicePath(): string {
    return this.#device.path;
  }

  get channel(): Channel {
    return this.#device.channel;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  get settings(): LineSettings {
    const { dataBits, parity } = this.#o.settings;
    return { ...toLineSettings(this.#termios()), dataBits, parity };
  }

  get hangUpOnClose(): boolean {
    return (this.#termios().cflag & TERMIOS.HUPCL) !== 0;
  }

  get warnings(): readonly string[] {
    return this.#open ? ptyWarnings(this.#termios(), this.#o.settings) : [];
  }

  /** A PTY has no way to tell an application: the daemon's status shows it. */
  report(): void {}

  /** Never asked: tcdrain of a PTY waits for nobody. */
  drained(): void {}

  hangUp(): void {
    this.#open = false;
    this.#replace();
  }

  settle(): void {
    if (this.#replaceWhenSettled && !this.#open) this.#replace();
  }

  close(): void {
    if (this.#closed) return;
    this.#last = this.#termios();
    this.#closed = true;
    this.#open = false;
    this.#o.link.remove();
    this.#o.keeper?.gone();
    release(this.#device);
  }

  #remember(record: unknown): void {
    this.#record = record;
    if (this.#closed) return;
    try {
      this.#device.file?.write(record);
    } catch (error) {
      this.#o.log.log('warn', `${this.name}: a restart will not go on with it: ${messageOf(error)}`);
    }
  }

  #hold({ fd, file }: Device): void {
    if (!file) return;
    if (this.#record !== undefined) this.#remember(this.#record);
    this.#o.keeper?.made(fd, file);
  }

  #termios(): Termios {
    return this.#last ?? getTermios(this.#device.fd);
  }

  #make(settings: LineSettings): Device {
    const { uid, gid, mode, name } = this.#o;
    let made: { fd: number; path: string };
    try {
      made = createPty({
        ...initialTermios(settings),
        mode,
        ...(uid === undefined ? {} : { uid }),
        ...(gid === undefined ? {} : { gid }),
      });
    } catch (error) {
      throw ptyFault(name, error);
    }
    let file: KeepFile | undefined;
    try {
      if (this.#o.keeper) file = KeepFile.create(name);
      return this.#join(made.fd, made.path, file, false);
    } catch (error) {
      file?.close();
      closeFd(made.fd);
      throw ptyFault(name, error);
    }
  }

  #join(fd: number, path: string, file: KeepFile | undefined, adopt: boolean): Device {
    const keep = file && { file, adopt };
    const offline = { mode: 'block' } as const;
    const channel = this.#o.pump.open(fd, { kind: 'pty', path, offline, ...(keep ? { keep } : {}) });
    channel.onEvent = (event) => this.#onChannel(channel, event);
    return { fd, path, channel, file };
  }

  /**
   * Goes on with a PTY of an earlier process; of its owner and mode what the configuration says now holds. undefined: it is of
   * no use here, and whoever has it open is hung up.
   */
  #adopt({ fd, file }: { readonly fd: number; readonly file: KeepFile }): Device | undefined {
    const { name, log } = this.#o;
    try {
      const path = slavePath(fd);
      this.#permit(path);
      try {
        return this.#join(fd, path, file, true);
      } catch (error) {
        log.log('warn', `${name}: what was kept of it cannot be read, it starts anew: ${messageOf(error)}`);
        return this.#join(fd, path, file, false);
      }
    } catch (error) {
      log.log('warn', `${name} cannot go on with its PTY and gets another: ${messageOf(error)}`);
      this.#o.keeper?.gone();
      file.close();
      closeFd(fd);
      return undefined;
    }
  }

  #permit(path: string): void {
    const { uid, gid, mode, name, log } = this.#o;
    const now = statSync(path);
    const owner = { uid: uid ?? now.uid, gid: gid ?? now.gid };
    try {
      if (owner.uid !== now.uid || owner.gid !== now.gid) chownSync(path, owner.uid, owner.gid);
      if ((now.mode & 0o777) !== mode) chmodSync(path, mode);
    } catch (error) {
      log.log('warn', `${name}: its owner and mode stay as they were: ${messageOf(error)}`);
    }
  }

  #replace(): void {
    this.#replaceWhenSettled = false;
    const old = this.#device;
    const termios = this.#termios();
    let fresh: Device | undefined;
    try {
      // Line settings persist, as they do on a tty after a hang-up.
      fresh = this.#make(toLineSettings(termios));
      this.#o.link.publish(fresh.path);
    } catch (error) {
      if (fresh) release(fresh);
      this.#last = termios;
      this.#closed = true;
      this.#o.link.remove();
      this.#o.keeper?.gone();
      release(old);
      this.onEvent({ type: 'failed', reason: messageOf(error) });
      return;
    }
    this.#device = fresh;
    this.#hold(fresh);
    const last = old.channel.counters;
    const copy = { ...last };
    release(old);
    this.#o.log.log('debug', `${this.name} is ${fresh.path} now, ${formatSettings(this.settings)}`);
    this.onReplaced(copy);
  }

  #onChannel(channel: Channel, event: ChannelEvent): void {
    if (this.#closed || channel !== this.#device.channel) return;
    switch (event) {
      case 'opened':
        this.#opened();
        break;
      case 'closed':
        this.#lastClose();
        break;
      case 'reopened':
        this.onEvent({ type: 'closed' });
        this.onEvent({ type: 'opened' });
        break;
      case 'settings':
        this.onEvent({ type: 'settings', settings: this.settings });
        break;
      case 'flush-input':
        this.onEvent({ type: 'flush', queue: 'rx' });
        break;
      case 'flush-output':
        this.onEvent({ type: 'flush', queue: 'tx' });
        break;
      case 'output-stopped':
        this.onEvent({ type: 'transmitter', on: false });
        break;
      case 'output-started':
        this.onEvent({ type: 'transmitter', on: true });
        break;
      case 'tty-error':
        this.hangUp();
        break;
      case 'net-end':
      case 'net-error':
      case 'tap':
        this.onNetwork(event);
        break;
      case 'closing':
        // Nobody waits at the close of a PTY.
        break;
      case 'termios':
        // Warnings are read when they are asked for.
        break;
      default:
        event satisfies never;
    }
  }

  #opened(): void {
    if (this.#open) return;
    this.#open = true;
    this.onEvent({ type: 'opened' });
  }

  #lastClose(): void {
    if (!this.#open) return;
    this.#open = false;
    // 'opened' tells by itself that somebody else was faster.
    if (this.#device.channel.reset() === 'failed') this.#replaceWhenSettled = true;
    this.onEvent({ type: 'closed' });
  }
}

function release(device: Device): void {
  device.channel.close();
  closeFd(device.fd);
  device.file?.close();
}

function ptyFault(name: string, error: unknown): Fault {
  const code = error instanceof Error && 'code' in error ? String(error.code) : '';
  if (code === 'EMFILE' || code === 'ENFILE') {
    return new Fault('NO_DESCRIPTORS', `${name}: no PTY: out of file descriptors (${code}): raise LimitNOFILE`, {
      cause: error,
    });
  }
  if (code === 'ENOSPC') {
    return new Fault('SYSTEM', `${name}: no PTY left: raise the sysctl kernel.pty.max`, { cause: error });
  }
  return new Fault('SYSTEM', `${name}: cannot make a PTY: ${messageOf(error)}`, { cause: error });
}
