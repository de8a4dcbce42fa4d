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
  readTermios,
  runTransmitter,
  SerialWaiter,
  setModemBits,
} from '../native/serial-port.js';
import {
  DEFAULT_SETTINGS,
  type LineRequest,
  type LineSettings,
  type ModemLines,
  type OutputLines,
  type Queue,
} from '../serial/line.js';
import { DriverCalls } from './driver-calls.js';
import { keepRateAtZero, LINES_DOWN, sameLines } from './line-state.js';
import { LineWatch } from './line-watch.js';
import { LOCK_DIRECTORY, lockPort } from './lock-file.js';
import {
  freeLine,
  giveUpPort,
  openFault,
  quietly,
  readLines,
  readOutputLines,
  realDevice,
  switchByRts,
  VIRTUAL_LINES,
} from './serial-device.js';
import { SerialInput } from './serial-input.js';
import { SerialOutput } from './serial-output.js';
import { asUart, isCarried, isPossible, rawTermios } from './serial-settings.js';
import { Standstill } from './standstill.js';
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
const BOTH = MODEM_BITS.DTR | MODEM_BITS.RTS;

export class SerialPortUart implements Uart {
  readonly name: string;
  readonly #options: SerialPortOptions;
  #fd = -1;
  #waiter: SerialWaiter | undefined;
  #output: SerialOutput | undefined;
  #input: SerialInput | undefined;
  #events: UartEvents | undefined;
  #unlock: (() => void) | undefined;
  #settings: LineSettings;
  #outputLines: OutputLines = LINES_DOWN;
  #modemLines: ModemLines = VIRTUAL_LINES;
  #virtual = true;
  #counters: LineCounters | undefined;
  #paused = false;
  #standstill: Standstill | undefined;
  #stopped = false;
  #calls = new DriverCalls();
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
    return this.#input?.queued ?? 0;
  }

  get descriptor(): number | undefined {
    return this.#fd < 0 ? undefined : this.#fd;
  }

  async open(events: UartEvents, kept?: KeptUart): Promise<void> {
    const { device, rs485, clock } = this.#options;
    this.#closed = false;
    this.#calls = new DriverCalls();
    this.#fd = kept?.fd ?? -1;
    try {
      const real = realDevice(device, kept?.fd);
      this.#unlock = lockPort(real, this.#options.lockDirectory ?? LOCK_DIRECTORY);
      const fd = kept?.fd ?? (await openSerialPort(real));
      this.#fd = fd;
      if (kept === undefined) await this.#begin(fd, rs485);
      else if (kept.state === undefined) await this.#beginAgain(fd);
      else await this.#goOn(fd, kept.state);
      this.#unlessClosed(fd);
      this.#events = events;
      const calls = this.#calls;
      this.#input = new SerialInput(fd, {
        counters: this.#counters,
        inOrder: (ask) => calls.run(ask),
        wantReadable: () => this.#want(),
        received: (bytes) => this.#events?.received(bytes),
        report: (report) => this.#events?.report(report),
        failed: (error) => this.#failed(error),
      });
      if (this.#paused) this.#input.hold('owner', true);
      this.#output = new SerialOutput(fd, {
        clock,
        hasTransmitter: !this.#virtual,
        settings: () => this.#settings,
        inOrder: (ask) => calls.run(ask),
        wantWritable: () => this.#want(),
        writable: () => this.#events?.writable(),
        drained: () => this.#events?.drained(),
        failed: (error) => this.#failed(error),
      });
      this.#standstill = new Standstill(calls, [this.#output, this.#input]);
      const lines = new LineWatch(
        fd,
        calls,
        (now) => this.#linesAre(now),
        (error) => this.#failed(error),
      );
      const look = () => {
        this.#input?.lookAtCounters();
        lines.look();
      };
      const sampleMs = this.#virtual && this.#counters === undefined ? 0 : SAMPLE_MS;
      this.#waiter = new SerialWaiter(
        fd,
        { sampleMs, modem: !this.#virtual },
        {
          readable: () => this.#input?.feed(),
          writable: () => this.#output?.feed(),
          line: look,
          hungUp: () => this.#failed(undefined),
        },
      );
      if (kept?.state !== undefined) {
        this.#input.goOn(kept.state);
        this.#output.goOn(kept.state);
        // Meanwhile something may have changed; whoever opens it does not listen yet.
        setImmediate(look);
      }
      this.#want();
    } catch (error) {
      if (kept !== undefined && this.#fd >= 0) {
        this.#fd = -1;
        await giveUpPort(kept.fd);
      }
      await this.close();
      throw openFault(device, error);
    }
  }

  /** Who closes it while it is being opened has the descriptor closed: its number may be that of another file. */
  #unlessClosed(fd: number): number {
    if (this.#closed) throw new Fault('CANCELED', `${this.#options.device}: closed while it was being opened`);
    return fd;
  }

  async #begin(fd: number, rs485: Rs485Options | undefined): Promise<void> {
    await this.#setUp(fd);
    this.#unlessClosed(fd);
    // The kernel raised both when the port was opened.
    await this.#setLines(LINES_DOWN);
    this.#modemLines = await readLines(this.#unlessClosed(fd));
    if (rs485 !== undefined) switchByRts(this.#unlessClosed(fd), rs485, this.#options.device);
  }

  /** Of a process that was killed: nothing that it did to the line but its lines, which whoever opens it decides about. */
  async #beginAgain(fd: number): Promise<void> {
    await this.#setUp(fd);
    await freeLine(this.#unlessClosed(fd));
    this.#outputLines = this.#virtual ? LINES_DOWN : await readOutputLines(this.#unlessClosed(fd));
    this.#modemLines = await readLines(this.#unlessClosed(fd));
  }

  async #setUp(fd: number): Promise<void> {
    this.#virtual = (await modemBits(this.#unlessClosed(fd))) === undefined;
    this.#counters = lineCounters(this.#unlessClosed(fd));
    const wanted = rawTermios(await readTermios(fd), this.#settings, this.#counters !== undefined);
    const inForce = await applyTermios(this.#unlessClosed(fd), wanted);
    if (!this.#virtual && !isCarried(this.#settings, inForce)) {
      throw new Fault('CONFIG_INVALID', `${this.#options.device}: its driver does not carry these line settings`);
    }
    await flushQueues(this.#unlessClosed(fd), 'both');
  }

  async #goOn(fd: number, state: UartState): Promise<void> {
    this.#virtual = (await modemBits(fd)) === undefined;
    this.#settings = state.settings;
    this.#outputLines = state.outputLines;
    this.#modemLines = state.modemLines;
    this.#counters = state.counters;
    this.#stopped = state.stopped;
    // What waited for the device when the process before left was done after it, or not.
    const inForce = await readTermios(this.#unlessClosed(fd));
    if (!this.#virtual && !isCarried(this.#settings, inForce))
      await applyTermios(this.#unlessClosed(fd), rawTermios(inForce, this.#settings, this.#counters !== undefined));
    if (state.mayBreak) await quietly(endBreak(this.#unlessClosed(fd)));
  }

  handOver(): KeptUart | undefined {
    if (this.#events === undefined || this.#output === undefined || this.#input === undefined) return undefined;
    const { settings, outputLines, modemLines } = this;
    const line = { settings, outputLines, modemLines, ...this.#input.handOver() };
    const kept: KeptUart = { fd: this.#fd, state: { ...line, ...this.#output.handOver() } };
    this.#events = undefined;
    this.#waiter?.close();
    this.#fd = -1;
    void this.#calls.end();
    this.#closed = true;
    this.#unlock?.();
    this.#unlock = undefined;
    return kept;
  }

  async request(request: LineRequest): Promise<boolean> {
    const output = this.#output;
    const standstill = this.#standstill;
    if (this.#events === undefined || output === undefined || standstill === undefined) return false;
    const calls = this.#calls;
    try {
      switch (request.type) {
        case 'settings':
          return await standstill.during(() => this.#apply(request.settings, request.lines));
        case 'lines':
          return (await calls.run(() => this.#setLines(request.lines))) ?? false;
        case 'break':
          return await (request.on ? output.beginBreak() : output.endBreak());
        case 'flush':
          return await this.#flush(output, standstill, request.queue);
        case 'transmitter':
          this.#stopped = !request.on;
          if (this.#stopped) output.hold('host', true);
          await calls.run(() => runTransmitter(this.#fd, request.on));
          output.hold('host', this.#stopped);
          return true;
        case 'fifo':
          // The driver's own matter: no application of this machine can set it either.
          return true;
        default:
          return request satisfies never;
      }
    } catch (error) {
      if (!calls.ended) this.#failed(error);
      return false;
    }
  }

  write(bytes: Uint8Array): number {
    return this.#output?.write(bytes) ?? 0;
  }

  pauseInput(): void {
    this.#paused = true;
    this.#input?.hold('owner', true);
  }

  resumeInput(): void {
    this.#paused = false;
    this.#input?.hold('owner', false);
  }

  async close(): Promise<void> {
    this.#events = undefined;
    const idle = this.#calls.end();
    this.#waiter?.close();
    this.#waiter = undefined;
    const breaking = this.#output?.close();
    this.#output = undefined;
    this.#input?.close();
    this.#input = undefined;
    this.#closed = true;
    const fd = this.#fd;
    this.#fd = -1;
    if (fd >= 0) {
      // What it is doing still would come after the lines have fallen.
      await idle;
      // A device that is gone has neither break nor lines to end.
      if (await breaking) await quietly(endBreak(fd));
      if (!this.#virtual) await quietly(setModemBits(fd, 0, BOTH));
      if (this.#stopped) {
        // Somebody else may have it open still: then it stays stopped for whoever opens it next. What is queued is not to leave.
        await quietly(flushQueues(fd, 'both'));
        await quietly(runTransmitter(fd, true));
      }
      await quietly(closeSerialPort(fd));
    }
    this.#unlock?.();
    this.#unlock = undefined;
    this.#outputLines = LINES_DOWN;
    this.#stopped = false;
  }

  async #apply(asked: LineSettings, lines: OutputLines): Promise<boolean> {
    if (!isPossible(asked)) return false;
    const fd = this.#fd;
    const calls = this.#calls;
    const wanted = asUart(keepRateAtZero(asked, this.#settings));
    const before = await readTermios(fd);
    if (calls.ended) return false;
    let inForce = before;
    try {
      inForce = await applyTermios(fd, rawTermios(before, wanted, this.#counters !== undefined));
    } catch (error) {
      if (isSystemError(error) && error.code === 'EINVAL') return false;
      throw error;
    }
    if (calls.ended) return false;
    if (!this.#virtual && !isCarried(wanted, inForce)) {
      await applyTermios(fd, before);
      return false;
    }
    this.#settings = wanted;
    return this.#setLines(asked.baudRate === 0 ? LINES_DOWN : lines);
  }

  async #setLines(lines: OutputLines): Promise<boolean> {
    const bits = (lines.dtr ? MODEM_BITS.DTR : 0) | (lines.rts ? MODEM_BITS.RTS : 0);
    // With RTS/CTS handshake RTS is the driver's, which lowers it when its buffer is full; but what we lowered it does not raise.
    const isOfDriver = this.#settings.flowControl.rtsCts && lines.rts && this.#outputLines.rts;
    const mask = isOfDriver ? MODEM_BITS.DTR : BOTH;
    this.#outputLines = lines;
    if (!this.#virtual) await setModemBits(this.#fd, bits, mask);
    return true;
  }

  /** What is written after the call is not dropped by it. */
  #flush(output: SerialOutput, standstill: Standstill, queue: Queue): Promise<boolean> {
    if (queue !== 'rx') output.clear();
    if (queue !== 'tx') this.#input?.clear();
    return standstill.during(async () => {
      await flushQueues(this.#fd, queue);
      if (queue !== 'rx') output.flushed();
      return true;
    });
  }

  #want(): void {
    this.#waiter?.want(this.#input?.wantsToRead ?? false, this.#output?.wantsToWrite ?? false);
  }

  #linesAre(lines: ModemLines): void {
    if (sameLines(lines, this.#modemLines)) return;
    this.#modemLines = lines;
    this.#events?.report({ type: 'lines', lines });
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
