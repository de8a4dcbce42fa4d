// A program as the serial device: what the host sends is its standard input, what it prints is received. Both ways
// are paced at the line's speed and bounded. Its modem lines are up while it runs; it is started again when it ends.
// A program sees no settings, no break and no lines of the host.
import type { Clock, Timer } from '../base/clock.js';
import { Fault, messageOf } from '../base/fault.js';
import { type Log, silentLog } from '../base/log.js';
import {
  DEFAULT_SETTINGS,
  type LineRequest,
  type LineSettings,
  type ModemLines,
  type OutputLines,
} from '../serial/line.js';
import { Child } from './child.js';
import { isPossible, keepRateAtZero, LINES_DOWN } from './line-state.js';
import type { UartObserver } from './observer.js';
import { Receiver } from './receiver.js';
import { PacedTransmitter } from './transmitter.js';
import type { Uart, UartEvents } from './uart.js';

export interface ProgramOptions {
  readonly clock: Clock;
  /** A command line for /bin/sh. */
  readonly program: string;
  readonly name?: string;
  readonly unpaced?: boolean;
  readonly observer?: UartObserver;
  readonly log?: Log;
  /** Pause before the program is started again, milliseconds. */
  readonly restartMs?: number;
}

const CAPACITY = 4096;
/** A full terminal is tried again after this time. */
const RETRY_MS = 10;
const READY_MS = 5000;
const KILL_MS = 1000;
const UP: ModemLines = { cts: true, dsr: true, dcd: true, ri: false };
const DOWN: ModemLines = { cts: false, dsr: false, dcd: false, ri: false };

export class ProgramUart implements Uart {
  readonly name: string;
  readonly #options: ProgramOptions;
  readonly #log: Log;
  /** Host to program, program to host. */
  readonly #transmitter: PacedTransmitter;
  readonly #answers: PacedTransmitter;
  readonly #receiver: Receiver;
  #events: UartEvents | undefined;
  #child: Child | undefined;
  #settings: LineSettings = DEFAULT_SETTINGS;
  #outputLines: OutputLines = LINES_DOWN;
  #modemLines: ModemLines = DOWN;
  /** Left the transmitter, not yet taken by the terminal. */
  #pending: Uint8Array = new Uint8Array(0);
  #unsaid: Uint8Array = new Uint8Array(0);
  #retry: Timer | undefined;
  #restart: Timer | undefined;
  #wantsRoom = false;
  #wasBusy = false;
  #closed = false;

  constructor(options: ProgramOptions) {
    this.#options = options;
    this.#log = options.log ?? silentLog;
    this.name = options.name ?? 'program';
    this.#receiver = new Receiver({
      capacity: CAPACITY,
      received: (bytes) => this.#events?.received(bytes),
      room: () => this.#answers.resume('sink'),
    });
    this.#transmitter = new PacedTransmitter({
      ...this.#paced(),
      deliver: (bytes, settings) => {
        options.observer?.transmitted?.(bytes, settings, options.clock.now());
        this.#feed(bytes);
      },
      sinkRoom: () => (this.#pending.length === 0 ? 1024 : 0),
      progressed: () => this.#progressed(),
    });
    this.#answers = new PacedTransmitter({
      ...this.#paced(),
      deliver: (bytes) => void this.#receiver.push(bytes),
      sinkRoom: () => this.#receiver.room,
      progressed: () => this.#hear(),
    });
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
    return this.#transmitter.queued + this.#pending.length;
  }

  get inputQueue(): number {
    return this.#receiver.queued;
  }

  /** Resolves when the program's terminal is ready. */
  open(events: UartEvents): Promise<void> {
    this.#events = events;
    return this.#start();
  }

  async request(request: LineRequest): Promise<boolean> {
    if (this.#closed) return false;
    switch (request.type) {
      case 'settings': {
        if (!isPossible(request.settings)) return false;
        this.#settings = keepRateAtZero(request.settings, this.#settings);
        this.#transmitter.setSettings(this.#settings);
        this.#answers.setSettings(this.#settings);
        this.#options.observer?.settings?.(this.#settings, this.#options.clock.now());
        this.#setLines(request.settings.baudRate === 0 ? LINES_DOWN : request.lines);
        return true;
      }
      case 'lines':
        this.#setLines(request.lines);
        return true;
      case 'break':
        if (request.on) this.#transmitter.stop('break');
        else this.#transmitter.resume('break');
        return true;
      case 'flush':
        if (request.queue !== 'rx') this.#flushTransmit();
        if (request.queue !== 'tx') this.#receiver.clear();
        return true;
      case 'transmitter':
        if (request.on) this.#transmitter.resume('host');
        else this.#transmitter.stop('host');
        return true;
      case 'fifo':
        return true;
      default:
        return request satisfies never;
    }
  }

  write(bytes: Uint8Array): number {
    if (this.#closed) return 0;
    const accepted = this.#transmitter.write(bytes);
    if (accepted > 0) this.#wasBusy = true;
    if (accepted < bytes.length) this.#wantsRoom = true;
    return accepted;
  }

  pauseInput(): void {
    this.#receiver.pause();
  }

  resumeInput(): void {
    this.#receiver.resume();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#events = undefined;
    this.#retry?.cancel();
    this.#restart?.cancel();
    this.#transmitter.dispose();
    this.#answers.dispose();
    this.#receiver.dispose();
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined) return;
    child.resume();
    child.kill('SIGHUP');
    const timer = this.#options.clock.after(KILL_MS, () => child.kill('SIGKILL'));
    await child.exit;
    timer.cancel();
  }

  #paced() {
    const { clock, unpaced } = this.#options;
    return { clock, unpaced: unpaced ?? false, capacity: CAPACITY, settings: this.#settings };
  }

  #start(): Promise<void> {
    return new Promise((resolve, reject) => {
      const child = new Child(this.#options.program, {
        ready: () => {
          timer.cancel();
          this.#setModemLines(UP);
          this.#progressed();
          resolve();
        },
        output: (bytes) => this.#said(bytes),
        exited: (text) => {
          timer.cancel();
          reject(new Fault('SYSTEM', `${this.name}: '${this.#options.program}' ended before it was ready: ${text}`));
          if (this.#child === child) this.#ended(text);
        },
      });
      const timer = this.#options.clock.after(READY_MS, () => child.kill('SIGKILL'));
      this.#child = child;
    });
  }

  #ended(text: string): void {
    this.#child = undefined;
    this.#unsaid = new Uint8Array(0);
    this.#log.log('info', `${this.name}: program ended (${text})`);
    this.#setModemLines(DOWN);
    this.#restart = this.#options.clock.after(this.#options.restartMs ?? 1000, () => {
      this.#start().catch((error: unknown) => this.#log.log('warn', messageOf(error)));
    });
  }

  #said(bytes: Uint8Array): void {
    if (this.#closed) return;
    const accepted = this.#answers.write(bytes);
    if (accepted === bytes.length) return;
    // At most what node-pty had read already; it reads no more until this has gone.
    this.#unsaid = joined(this.#unsaid, bytes.subarray(accepted));
    this.#child?.pause();
  }

  #hear(): void {
    if (this.#receiver.room > 0) this.#answers.resume('sink');
    if (this.#unsaid.length === 0) return;
    this.#unsaid = this.#unsaid.subarray(this.#answers.write(this.#unsaid));
    if (this.#unsaid.length === 0) this.#child?.resume();
  }

  #feed(bytes: Uint8Array): void {
    this.#pending = joined(this.#pending, bytes);
    // Without a program the bytes go nowhere, as to a device without power.
    if (this.#child === undefined) this.#pending = new Uint8Array(0);
    else this.#pending = this.#pending.subarray(this.#child.write(this.#pending));
    if (this.#pending.length === 0 || this.#retry !== undefined) return;
    this.#retry = this.#options.clock.after(RETRY_MS, () => {
      this.#retry = undefined;
      this.#feed(new Uint8Array(0));
      this.#progressed();
    });
  }

  #flushTransmit(): void {
    this.#transmitter.clear();
    this.#pending = new Uint8Array(0);
    queueMicrotask(() => this.#progressed());
  }

  #progressed(): void {
    if (this.#closed) return;
    if (this.#pending.length === 0) this.#transmitter.resume('sink');
    if (this.#wantsRoom && this.#transmitter.room > 0) {
      this.#wantsRoom = false;
      queueMicrotask(() => this.#events?.writable());
    }
    if (this.#wasBusy && this.outputQueue === 0) {
      this.#wasBusy = false;
      queueMicrotask(() => this.#events?.drained());
    }
  }

  #setLines(lines: OutputLines): void {
    this.#outputLines = lines;
    this.#options.observer?.lines?.(lines, this.#options.clock.now());
  }

  #setModemLines(lines: ModemLines): void {
    this.#modemLines = lines;
    queueMicrotask(() => this.#events?.report({ type: 'lines', lines }));
  }
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const out = new Uint8Array(a.length + b.length);
  out.set(a, 0);
  out.set(b, a.length);
  return out;
}
