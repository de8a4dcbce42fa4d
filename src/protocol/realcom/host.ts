// The host role of a Real COM command connection: requests and bytes in, things to do out. No IO, no clock. One command is
// outstanding, the rest wait in a bounded queue; replies carry no number, so a command that is not answered in time ends
// the connection. Follows docs/protocol/realcom.md sections 3, 4.1, 11.2 and 12.
//
// The owner of the socket performs the outputs of each call strictly in order:
//   write      hand the bytes to the socket (command: what they say, undefined for the preamble)
//   timer      call timeout() after that many ms; replaces the running timer; undefined stops it
//   ready      commands may flow; comes once, from start() or after the IPv6 preamble
//   received   a frame, for trace; `answers`: it is the reply that the outstanding command waited for
//   settled    the request or question `id` is done; failed: it ended with the connection
//   report     what the device told of the line
//   preamble   whether the peer knows the preamble, to be remembered for the next connect
//   close      close both sockets; nothing follows
import { Fault, type FaultCode } from '../../base/fault.js';
import type { LogLevel } from '../../base/log.js';
import type { LineReport, LineRequest, LineSettings, ModemLines } from '../../serial/line.js';
import { parseCommand } from './command-decoder.js';
import * as c from './constants.js';
import { describeFrame, hexBytes, nameOf } from './describe.js';
import { codeOf, encodeCommand } from './encoder.js';
import { FrameDecoder } from './frame-decoder.js';
import type { Command, DecodedFrame, Frame } from './messages.js';
import { reportsOf, settingsCommands } from './settings.js';

export type HostOutput =
  | { readonly type: 'write'; readonly bytes: Uint8Array; readonly command: Command | undefined }
  | { readonly type: 'timer'; readonly afterMs: number | undefined }
  | { readonly type: 'ready' }
  | { readonly type: 'received'; readonly bytes: Uint8Array; readonly frame: Frame; readonly answers: boolean }
  /** `left`: bytes left in the device's transmit queue, for outputQueue only. */
  | { readonly type: 'settled'; readonly id: number; readonly left: number | undefined }
  | { readonly type: 'failed'; readonly id: number; readonly fault: Fault }
  | { readonly type: 'report'; readonly report: LineReport }
  | { readonly type: 'preamble'; readonly supported: boolean }
  | { readonly type: 'log'; readonly level: LogLevel; readonly message: string }
  | { readonly type: 'close'; readonly fault: Fault };

export interface HostOptions {
  /** "192.168.127.254:966", for messages. */
  readonly peer: string;
  /**
   * The 16 bytes that the vendor's hosts and devices exchange over IPv6 before anything else (1.3 step 3). `on`: required;
   * `auto`: offered, and a peer that does not answer is told of as not knowing it; `off` for IPv4 peers.
   */
  readonly preamble?: 'auto' | 'on' | 'off';
  readonly commandTimeoutMs?: number;
  readonly preambleTimeoutMs?: number;
}

/** Where a connection is between two calls: what another engine needs to go on with it. */
export interface HostState {
  /** Bytes of a frame that has begun. */
  readonly pending: readonly number[];
  /** The command whose reply has not come, as it was sent. */
  readonly outstanding: readonly number[] | undefined;
  readonly answered: boolean;
  readonly lines: ModemLines | undefined;
}

/** Moxa's own limit (11.2 no. 5). */
const COMMAND_TIMEOUT_MS = 10_000;
/** In `auto`: a device that knows the preamble answers in a round trip, and one that does not must not cost 10 s. */
const PREAMBLE_AUTO_TIMEOUT_MS = 2000;
const MAX_WAIT_MS = 100;
const MAX_JOBS = 64;
/** An outstanding command of an earlier engine: nobody waits for its reply, and it may never have been sent. */
const ADOPTED_TIMEOUT_MS = 2000;
const ADOPTED_JOB = 0;

interface Job {
  readonly id: number;
  readonly commands: readonly Command[];
  /** Set for a settings request: what a refusal is about. */
  readonly settings: LineSettings | undefined;
  /** Index of the outstanding command; -1: not begun. */
  at: number;
  refused: boolean;
  left: number | undefined;
}

export class HostEngine {
  readonly #decoder = new FrameDecoder();
  readonly #peer: string;
  readonly #commandTimeoutMs: number;
  readonly #preambleTimeoutMs: number;
  readonly #jobs: Job[] = [];
  #preamble: 'auto' | 'on' | 'off';
  #preambleLeft = c.PREAMBLE_BYTES;
  #ready = false;
  #answered = false;
  #lines: ModemLines | undefined;
  #ended: Fault | undefined;

  constructor(options: HostOptions) {
    this.#peer = options.peer;
    this.#preamble = options.preamble ?? 'off';
    this.#commandTimeoutMs = options.commandTimeoutMs ?? COMMAND_TIMEOUT_MS;
    const auto = Math.min(PREAMBLE_AUTO_TIMEOUT_MS, this.#commandTimeoutMs);
    this.#preambleTimeoutMs = options.preambleTimeoutMs ?? (this.#preamble === 'auto' ? auto : this.#commandTimeoutMs);
  }

  /** The last that the device told; undefined until the first PORT_INIT reply or NOTIFY of lines. */
  get modemLines(): ModemLines | undefined {
    return this.#lines;
  }

  /** The device has answered a command: a connection that ends before was accepted by a busy device. */
  get answered(): boolean {
    return this.#answered;
  }

  /** What another engine needs to go on; undefined before commands may flow and after the end. */
  get state(): HostState | undefined {
    if (!this.#ready || this.#ended !== undefined) return undefined;
    const outstanding = this.#outstanding;
    return {
      pending: [...this.#decoder.pending],
      outstanding: outstanding && [...encodeCommand(outstanding)],
      answered: this.#answered,
      lines: this.#lines,
    };
  }

  /**
   * Instead of `start`: goes on with a connection that another engine began. What that one had still to ask is asked
   * again by whoever wanted it; the reply to its outstanding command is awaited and means nothing any more.
   */
  adopt(state: HostState): HostOutput[] {
    this.#preamble = 'off';
    this.#ready = true;
    this.#answered = state.answered;
    this.#lines = state.lines;
    const outputs: HostOutput[] = [{ type: 'ready' }];
    for (const decoded of this.#decoder.decode(Uint8Array.from(state.pending))) {
      this.#take(decoded, decoded.bytes, outputs);
    }
    const [code, ...rest] = state.outstanding ?? [];
    if (code === undefined) return outputs;
    const command = parseCommand(code, Uint8Array.from(rest.slice(1)));
    this.#jobs.push({
      id: ADOPTED_JOB,
      commands: [command],
      settings: undefined,
      at: 0,
      refused: false,
      left: undefined,
    });
    return [...outputs, { type: 'timer', afterMs: ADOPTED_TIMEOUT_MS }];
  }

  /** Both connections are up. */
  start(): HostOutput[] {
    if (this.#preamble === 'off') return this.#begin([]);
    // Zeroes: a device that does not know the preamble skips 00 where it expects a command.
    return [
      { type: 'write', bytes: new Uint8Array(c.PREAMBLE_BYTES), command: undefined },
      { type: 'timer', afterMs: this.#preambleTimeoutMs },
    ];
  }

  request(id: number, request: LineRequest): HostOutput[] {
    return this.#add(id, commandsOf(request), request.type === 'settings' ? request.settings : undefined);
  }

  /** Asks for the bytes left to transmit; the device may take up to `waitMs` (at most 100) to get to 0. */
  outputQueue(id: number, waitMs: number): HostOutput[] {
    const timeout = Math.max(0, Math.min(Math.trunc(waitMs), MAX_WAIT_MS));
    return this.#add(id, [{ type: 'WAIT_OQUEUE', timeout }], undefined);
  }

  receive(chunk: Uint8Array): HostOutput[] {
    const outputs: HostOutput[] = [];
    if (this.#ended !== undefined) return outputs;
    let bytes = chunk;
    if (!this.#ready && this.#preamble !== 'off') {
      const used = Math.min(this.#preambleLeft, chunk.length);
      this.#preambleLeft -= used;
      if (this.#preambleLeft > 0) return outputs;
      this.#preamble = 'off';
      outputs.push({ type: 'preamble', supported: true }, { type: 'timer', afterMs: undefined });
      this.#begin(outputs);
      bytes = chunk.subarray(used);
    }
    for (const decoded of this.#decoder.decode(bytes)) {
      this.#take(decoded, chunk, outputs);
      if (this.#ended !== undefined) break;
    }
    return outputs;
  }

  /** The timer that was asked for has run out. */
  timeout(): HostOutput[] {
    const outputs: HostOutput[] = [];
    if (this.#ended !== undefined) return outputs;
    if (!this.#ready) {
      if (this.#preamble === 'auto') outputs.push({ type: 'preamble', supported: false });
      return this.#fail('PEER_MUTE', `no answer to the IPv6 preamble within ${this.#preambleTimeoutMs} ms`, outputs);
    }
    const outstanding = this.#outstanding;
    if (outstanding === undefined) return outputs;
    const name = nameOf(codeOf(outstanding));
    if (this.#jobs[0]?.id === ADOPTED_JOB) {
      this.#jobs.shift();
      outputs.push({ type: 'log', level: 'debug', message: `${this.#peer}: no reply to ${name} of before` });
      const next: HostOutput[] = [];
      this.#sendNext(next);
      return [...outputs, ...next];
    }
    return this.#fail('PEER_MUTE', `${name} was not answered within ${this.#commandTimeoutMs} ms`, outputs);
  }

  /** The connection ended, or is being closed: everything that waits fails with this, and so does whatever comes. */
  end(fault: Fault): HostOutput[] {
    if (this.#ended !== undefined) return [];
    this.#ended = fault;
    const failed = this.#jobs.splice(0).map(({ id }): HostOutput => ({ type: 'failed', id, fault }));
    return [{ type: 'timer', afterMs: undefined }, ...failed];
  }

  get #outstanding(): Command | undefined {
    const job = this.#jobs[0];
    return job?.commands[job.at];
  }

  #begin(outputs: HostOutput[]): HostOutput[] {
    this.#ready = true;
    outputs.push({ type: 'ready' });
    this.#sendNext(outputs);
    return outputs;
  }

  #add(id: number, commands: readonly Command[], settings: LineSettings | undefined): HostOutput[] {
    if (this.#ended !== undefined) return [{ type: 'failed', id, fault: this.#ended }];
    if (this.#jobs.length >= MAX_JOBS) {
      const fault = new Fault('PEER_MUTE', `${this.#peer}: ${MAX_JOBS} requests wait for an answer already`);
      return [{ type: 'failed', id, fault }];
    }
    this.#jobs.push({ id, commands, settings, at: -1, refused: false, left: undefined });
    const outputs: HostOutput[] = [];
    if (this.#ready && this.#jobs.length === 1) this.#sendNext(outputs);
    return outputs;
  }

  /** Sends the next command of the first job; a job without one is settled. Stops the timer when nothing waits. */
  #sendNext(outputs: HostOutput[]): void {
    for (;;) {
      const job = this.#jobs[0];
      if (job === undefined) break;
      const command = job.commands[++job.at];
      if (command !== undefined) {
        outputs.push({ type: 'write', bytes: encodeCommand(command), command });
        outputs.push({ type: 'timer', afterMs: this.#commandTimeoutMs });
        return;
      }
      this.#jobs.shift();
      outputs.push({ type: 'settled', id: job.id, left: job.left });
    }
  }

  #take({ frame, bytes }: DecodedFrame, chunk: Uint8Array, outputs: HostOutput[]): void {
    const job = this.#jobs[0];
    const outstanding = this.#outstanding;
    const answers = 'code' in frame && outstanding !== undefined && frame.code === codeOf(outstanding);
    outputs.push({ type: 'received', bytes, frame, answers });
    switch (frame.type) {
      case 'polling': {
        // At once, whatever is queued: an unanswered POLLING costs the connection (3.5).
        const alive: Command = { type: 'ALIVE', token: frame.token };
        outputs.push({ type: 'write', bytes: encodeCommand(alive), command: alive });
        return;
      }
      case 'notify':
        for (const report of reportsOf(frame.mask, frame.msr)) {
          if (report.type === 'lines') this.#lines = report.lines;
          outputs.push({ type: 'report', report });
        }
        return;
      case 'unknown':
      case 'malformed':
        this.#fail('PEER_PROTOCOL', `not a Real COM answer: ${hexBytes(chunk, 16)}`, outputs);
        return;
      default:
        if (!answers || job === undefined) {
          outputs.push({ type: 'log', level: 'debug', message: `unasked: ${describeFrame(frame)}` });
          return;
        }
        this.#answer(job, frame, outputs);
    }
  }

  #answer(job: Job, frame: Frame, outputs: HostOutput[]): void {
    this.#answered = true;
    switch (frame.type) {
      case 'lines':
        this.#setLines(frame, outputs);
        break;
      case 'queue':
        job.left = frame.bytes;
        break;
      case 'refused':
        // The device kept what it had; the rest of these settings would be laid over the wrong ones.
        this.#refuse(job, outputs);
        job.at = job.commands.length;
        break;
      case 'not-ok':
        outputs.push({ type: 'log', level: 'warn', message: `${this.#peer}: ${describeFrame(frame)}` });
        this.#refuse(job, outputs);
        break;
      default:
        break;
    }
    outputs.push({ type: 'timer', afterMs: undefined });
    this.#sendNext(outputs);
  }

  #refuse(job: Job, outputs: HostOutput[]): void {
    if (job.settings === undefined || job.refused) return;
    job.refused = true;
    outputs.push({ type: 'report', report: { type: 'refused', settings: job.settings } });
  }

  #setLines(told: { cts: boolean; dsr: boolean; dcd: boolean }, outputs: HostOutput[]): void {
    const old = this.#lines;
    // The reply has no RI (3.2); what NOTIFY said of it stays.
    const lines: ModemLines = { cts: told.cts, dsr: told.dsr, dcd: told.dcd, ri: old?.ri ?? false };
    this.#lines = lines;
    if (old?.cts === lines.cts && old.dsr === lines.dsr && old.dcd === lines.dcd) return;
    outputs.push({ type: 'report', report: { type: 'lines', lines } });
  }

  #fail(code: FaultCode, message: string, outputs: HostOutput[]): HostOutput[] {
    const fault = new Fault(code, `${this.#peer}: ${message}`);
    outputs.push(...this.end(fault), { type: 'close', fault });
    return outputs;
  }
}

function commandsOf(request: LineRequest): Command[] {
  switch (request.type) {
    case 'settings':
      return settingsCommands(request.settings, request.lines);
    case 'lines':
      return [{ type: 'LINECTRL', dtr: request.lines.dtr, rts: request.lines.rts }];
    case 'break':
      return [{ type: request.on ? 'START_BREAK' : 'STOP_BREAK' }];
    case 'flush':
      return [{ type: 'FLUSH', which: FLUSHED[request.queue] }];
    case 'transmitter':
      return [{ type: request.on ? 'SETXON' : 'SETXOFF' }];
    case 'fifo':
      return [{ type: 'TX_FIFO', bytes: request.bytes }];
    default:
      return request satisfies never;
  }
}

const FLUSHED = { rx: c.ASPP_FLUSH_RX_BUFFER, tx: c.ASPP_FLUSH_TX_BUFFER, both: c.ASPP_FLUSH_ALL_BUFFER } as const;
