// A serial port of this machine. Settings go to the open descriptor by TCSETS2, so that nothing is reopened and DTR never
// moves; one reader; modem lines and line errors as the driver tells them. A port without modem lines (a PTY) keeps
// virtual ones, and what frame it has nobody can see.
// Never finds a device again that is gone: it says so once, and its owner opens another one.
import { basename } from 'node:path';
import type { Clock } from '../base/clock.js';
import { Fault, messageOf } from '../base/fault.js';
import {
  applyTermios,
  closeSerialPort,
  endBreak,
  flushQueues,
  isSystemError,
  type LineCounters,
  lineCounters,
  MODEM_BITS,
  modemBits,
  openSerialPort,
  type Rs485Options,
  readNow,
  runTransmitter,
  SerialWaiter,
  setModemBits,
  unreadBytes,
} from '../native/serial-port.js';
import { getTermios } from '../native/termios.js';
import {
  DEFAULT_SETTINGS,
  type LineRequest,
  type LineSettings,
  type ModemLines,
  type OutputLines,
  type Queue,
} from '../serial/line.js';
import { BreakMarks } from './break-marks.js';
import { keepRateAtZero, LINES_DOWN, sameLines } from './line-state.js';
import { LOCK_DIRECTORY, lockPort } from './lock-file.js';
import {
  freeLine,
  openFault,
  quietly,
  readLines,
  readOutputLines,
  realDevice,
  switchByRts,
  VIRTUAL_LINES,
} from './serial-device.js';
import { SerialOutput } from './serial-output.js';
import { asUart, isCarried, isPossible, rawTermios } from './serial-settings.js';
import type { KeptUart, Uart, UartEvents, UartState } from './uart.js';

export interface SerialPortOptions {
  /** As the operator names it: a link, such as below /dev/serial/by-id, is followed at each open. */
  readonly device: string;
  readonly clock: Clock;
  /** In force once it is open. */
  readonly settings?: LineSettings;
  /** Absent: the driver's mode is left as it is. */
  readonly rs485?: Rs485Options | undefined;
  readonly lockDirectory?: string;
}

/** How soon a line error is told that came with no byte; no driver wakes anybody for one. */
const SAMPLE_MS = 100;
const READ_BYTES = 4096;
const BOTH = MODEM_BITS.DTR | MODEM_BITS.RTS;

export class SerialPortUart implements Uart {
  readonly name: string;
  readonly #options: SerialPortOptions;
  readonly #scratch = new Uint8Array(READ_BYTES);
  #fd = -1;
  #waiter: SerialWaiter | undefined;
  #output: SerialOutput | undefined;
  #events: UartEvents | undefined;
  #unlock: (() => void) | undefined;
  #settings: LineSettings;
  #outputLines: OutputLines = LINES_DOWN;
  #modemLines: ModemLines = VIRTUAL_LINES;
  #virtual = true;
  #counters: LineCounters | undefined;
  readonly #marks = new BreakMarks();
  #paused = false;
  /** Settings and lines take effect in the order of the calls. */
  #changes: Promise<unknown> = Promise.resolve();
  #looking = false;
  #lookAgain = false;
  #closed = false;

  constructor(options: SerialPortOptions) {
    this.#options = options;
    this.name = basename(options.device);
    this.#settings = asUart(options.settings ?? DEFAULT_SETTINGS);
  }

  get settings(): LineSettings {
    return this.#settings;
  }

  get outputLines(): OutputLines {
    return this.#outputLines;
  }

  get modemLines(): ModemLines {
    return this.#modemLines;
  }

  get outputQueue(): number {
    return this.#output?.queued ?? 0;
  }

  get inputQueue(): number {
    return this.#fd < 0 ? 0 : (this.#try(() => unreadBytes(this.#fd)) ?? 0);
  }

  get descriptor(): number | undefined {
    return this.#fd < 0 ? undefined : this.#fd;
  }

  async open(events: UartEvents, kept?: KeptUart): Promise<void> {
    const { device, rs485, clock } = this.#options;
    this.#closed = false;
    this.#marks.reset();
    this.#fd = kept?.fd ?? -1;
    try {
      const real = realDevice(device, kept?.fd);
      this.#unlock = lockPort(real, this.#options.lockDirectory ?? LOCK_DIRECTORY);
      const fd = kept?.fd ?? (await openSerialPort(real));
      this.#fd = fd;
      if (kept === undefined) await this.#begin(fd, rs485);
      else if (kept.state === undefined) await this.#beginAgain(fd);
      else await this.#goOn(fd, kept.state);
      if (this.#closed) throw new Fault('CANCELED', `${device}: closed while it was being opened`);
      this.#events = events;
      this.#output = new SerialOutput(fd, {
        clock,
        hasTransmitter: !this.#virtual,
        settings: () => this.#settings,
        wantWritable: () => this.#want(),
        writable: () => this.#events?.writable(),
        drained: () => this.#events?.drained(),
        failed: (error) => this.#failed(error),
      });
      const sampleMs = this.#virtual && this.#counters === undefined ? 0 : SAMPLE_MS;
      this.#waiter = new SerialWaiter(
        fd,
        { sampleMs, modem: !this.#virtual },
        {
          readable: () => this.#readable(),
          writable: () => this.#output?.feed(),
          line: () => this.#lookAtLine(),
          hungUp: () => this.#failed(undefined),
        },
      );
      if (kept?.state !== undefined) {
        this.#output.goOn(kept.state);
        // Meanwhile something may have changed; whoever opens it does not listen yet.
        setImmediate(() => this.#lookAtLine());
      }
      this.#want();
    } catch (error) {
      await this.close();
      throw openFault(device, error);
    }
  }

  async #begin(fd: number, rs485: Rs485Options | undefined): Promise<void> {
    await this.#setUp(fd);
    // The kernel raised both when the port was opened.
    await this.#setLines(LINES_DOWN);
    this.#modemLines = await readLines(fd);
    if (rs485 !== undefined) switchByRts(fd, rs485, this.#options.device);
  }

  /** Of a process that was killed: nothing that it did to the line but its lines, which whoever opens it decides about. */
  async #beginAgain(fd: number): Promise<void> {
    await this.#setUp(fd);
    await freeLine(fd);
    this.#outputLines = this.#virtual ? LINES_DOWN : await readOutputLines(fd);
    this.#modemLines = await readLines(fd);
  }

  async #setUp(fd: number): Promise<void> {
    this.#virtual = (await modemBits(fd)) === undefined;
    this.#counters = lineCounters(fd);
    await applyTermios(fd, rawTermios(getTermios(fd), this.#settings, this.#counters !== undefined));
    if (!this.#virtual && !isCarried(this.#settings, getTermios(fd))) {
      throw new Fault('CONFIG_INVALID', `${this.#options.device}: its driver does not carry these line settings`);
    }
    flushQueues(fd, 'both');
  }

  async #goOn(fd: number, state: UartState): Promise<void> {
    this.#virtual = (await modemBits(fd)) === undefined;
    this.#settings = state.settings;
    this.#outputLines = state.outputLines;
    this.#modemLines = state.modemLines;
    this.#counters = state.counters;
    this.#marks.goOn(state.marked);
  }

  handOver(): KeptUart | undefined {
    if (this.#events === undefined || this.#output === undefined) return undefined;
    const { settings, outputLines, modemLines } = this;
    const line = { settings, outputLines, modemLines, counters: this.#counters, marked: this.#marks.seen };
    const kept: KeptUart = { fd: this.#fd, state: { ...line, ...this.#output.handOver() } };
    this.#events = undefined;
    this.#waiter?.close();
    this.#fd = -1;
    this.#closed = true;
    this.#unlock?.();
    this.#unlock = undefined;
    return kept;
  }

  async request(request: LineRequest): Promise<boolean> {
    const output = this.#output;
    if (this.#events === undefined || output === undefined) return false;
    try {
      switch (request.type) {
        case 'settings':
          return await this.#inOrder(() => this.#apply(request.settings, request.lines));
        case 'lines':
          return await this.#inOrder(() => this.#setLines(request.lines));
        case 'break':
          return await (request.on ? output.beginBreak() : output.endBreak());
        case 'flush':
          this.#flush(request.queue);
          return true;
        case 'transmitter':
          runTransmitter(this.#fd, request.on);
          output.hold('host', !request.on);
          return true;
        case 'fifo':
          // The driver's own matter: no application of this machine can set it either.
          return true;
        default:
          return request satisfies never;
      }
    } catch (error) {
      this.#failed(error);
      return false;
    }
  }

  write(bytes: Uint8Array): number {
    return this.#output?.write(bytes) ?? 0;
  }

  pauseInput(): void {
    this.#paused = true;
    this.#want();
  }

  resumeInput(): void {
    this.#paused = false;
    this.#want();
  }

  async close(): Promise<void> {
    this.#events = undefined;
    this.#waiter?.close();
    this.#waiter = undefined;
    const breaking = this.#output?.close() ?? false;
    this.#output = undefined;
    this.#closed = true;
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) {
      // A device that is gone has neither break nor lines to end.
      if (breaking) await quietly(endBreak(fd));
      if (!this.#virtual) await quietly(setModemBits(fd, 0, BOTH));
      await quietly(closeSerialPort(fd));
    }
    this.#unlock?.();
    this.#unlock = undefined;
    this.#outputLines = LINES_DOWN;
  }

  /** False, too, where the port was closed meanwhile. */
  #inOrder(change: () => Promise<boolean>): Promise<boolean> {
    const done = this.#changes.then(() => this.#fd >= 0 && change());
    this.#changes = done.catch(() => {});
    return done;
  }

  async #apply(asked: LineSettings, lines: OutputLines): Promise<boolean> {
    if (!isPossible(asked)) return false;
    const fd = this.#fd;
    const wanted = asUart(keepRateAtZero(asked, this.#settings));
    const before = getTermios(fd);
    try {
      await applyTermios(fd, rawTermios(before, wanted, this.#counters !== undefined));
    } catch (error) {
      if (isSystemError(error) && error.code === 'EINVAL') return false;
      throw error;
    }
    if (this.#fd < 0) return false;
    if (!this.#virtual && !isCarried(wanted, getTermios(fd))) {
      await applyTermios(fd, before);
      return false;
    }
    this.#settings = wanted;
    return this.#setLines(asked.baudRate === 0 ? LINES_DOWN : lines);
  }

  async #setLines(lines: OutputLines): Promise<boolean> {
    const bits = (lines.dtr ? MODEM_BITS.DTR : 0) | (lines.rts ? MODEM_BITS.RTS : 0);
    // With RTS/CTS handshake RTS is the driver's, which lowers it when its buffer is full.
    const mask = this.#settings.flowControl.rtsCts && lines.rts ? MODEM_BITS.DTR : BOTH;
    this.#outputLines = lines;
    if (!this.#virtual) await setModemBits(this.#fd, bits, mask);
    return true;
  }

  #flush(queue: Queue): void {
    if (queue !== 'rx') this.#output?.clear();
    if (queue !== 'tx') this.#marks.reset();
    flushQueues(this.#fd, queue);
  }

  #want(): void {
    this.#waiter?.want(!this.#paused, this.#output?.wantsToWrite ?? false);
  }

  #readable(): void {
    if (this.#paused || this.#fd < 0) return;
    const count = this.#try(() => readNow(this.#fd, this.#scratch));
    if (count === 'end') this.#failed(undefined);
    if (typeof count !== 'number') return;
    let bytes: Uint8Array = this.#scratch.slice(0, count);
    if (this.#counters !== undefined) {
      this.#lookAtCounters();
      bytes = this.#marks.remove(bytes);
    }
    if (bytes.length > 0) this.#events?.received(bytes);
    this.#want();
  }

  #lookAtLine(): void {
    if (this.#fd < 0) return;
    if (this.#counters !== undefined) this.#lookAtCounters();
    this.#lookAgain = true;
    if (!this.#looking) this.#tellLines().catch((error: unknown) => this.#failed(error));
  }

  /** One question at a time; a change during it is asked for after it. */
  async #tellLines(): Promise<void> {
    this.#looking = true;
    try {
      while (this.#lookAgain && this.#fd >= 0) {
        this.#lookAgain = false;
        const lines = await readLines(this.#fd);
        if (sameLines(lines, this.#modemLines)) continue;
        this.#modemLines = lines;
        this.#events?.report({ type: 'lines', lines });
      }
    } finally {
      this.#looking = false;
    }
  }

  #lookAtCounters(): void {
    const now = this.#try(() => lineCounters(this.#fd));
    const before = this.#counters;
    if (now === undefined || before === undefined) return;
    this.#counters = now;
    const errors = {
      parity: now.parity !== before.parity,
      framing: now.framing !== before.framing,
      overrun: now.overrun !== before.overrun,
      bufferOverrun: now.bufferOverrun !== before.bufferOverrun,
    };
    if (Object.values(errors).includes(true)) this.#events?.report({ type: 'errors', errors });
    if (now.breaks !== before.breaks) this.#events?.report({ type: 'break' });
  }

  /** undefined where it threw: the port is gone then. */
  #try<T>(call: () => T): T | undefined {
    try {
      return call();
    } catch (error) {
      this.#failed(error);
      return undefined;
    }
  }

  /** May be called from inside a call of the port: what it tells comes from a microtask. */
  #failed(error: unknown): void {
    const events = this.#events;
    if (events === undefined) return;
    this.#events = undefined;
    this.#waiter?.close();
    const why = error === undefined ? 'it was unplugged, or hung up' : messageOf(error);
    const fault = new Fault('TTY_GONE', `${this.#options.device} is gone: ${why}`, { cause: error });
    queueMicrotask(() => events.failed(fault));
  }
}
