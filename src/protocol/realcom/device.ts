// The device role of a Real COM command connection: bytes in, things to do out. No IO, no clock, no serial port of its own.
// Follows docs/protocol/realcom.md sections 3.1 (rules for a device), 11.1 and 12.
//
// How the owner of the sockets uses it. Each call returns outputs, to be performed strictly in order:
//
//   let outputs = engine.receive(bytes);            // also timeout(), poll(), report()
//   while (outputs.length > 0) {
//     let next: DeviceOutput[] = [];
//     for (const o of outputs) switch (o.type) {
//       case 'write':     one socket.write of exactly these bytes: never join two frames, never cut one
//       case 'take-data': read everything that already is in the data socket (non-blocking) into the transmit queue
//       case 'request':   apply it to the line, then   next = engine.applied({ lines, refused? })
//       case 'queue':     when that queue is empty, or at the latest after maxMs, next = engine.queueIs(bytes left)
//       case 'timer':     call timeout() after that many ms; replaces the running timer; undefined stops it
//       case 'note':      something worth a log line; nothing to do
//       case 'close':     close both sockets; nothing follows
//     }
//     outputs = next;
//   }
//
// 'request' and 'queue' are always the last output of a list: the engine works on nothing else until it is answered
// (at once or later; a request may be asynchronous), except that ALIVE counts at any time. While a 'queue' with
// maxMs > 0 is unanswered another command may come; then 'queue' is given out again with maxMs 0, and means: answer now.
// Answering once is enough; an answer that nobody waits for is ignored and returns [].
// The owner calls poll() every 20 to 60 s, report() on every change of the modem lines (coalesced, >= 5 ms), and on the
// end of either socket closes the other, ends a break and drops DTR and RTS.
import { Fault } from '../../base/fault.js';
import {
  DEFAULT_SETTINGS,
  type LineReport,
  type LineRequest,
  type LineSettings,
  type ModemLines,
  type OutputLines,
} from '../../serial/line.js';
import { CommandDecoder } from './command-decoder.js';
import * as c from './constants.js';
import { describeCommand } from './describe.js';
import { planOf } from './device-plan.js';
import { DevicePreamble, type PreambleMode, type PreambleState } from './device-preamble.js';
import { codeOf, encodeFrame } from './encoder.js';
import type { Command, DecodedCommand, Frame } from './messages.js';
import { errorMaskOf, msrOf } from './settings.js';

export type DeviceOutput =
  | { readonly type: 'write'; readonly bytes: Uint8Array; readonly frame: Frame | undefined }
  | { readonly type: 'take-data' }
  | { readonly type: 'request'; readonly request: LineRequest }
  | { readonly type: 'queue'; readonly queue: 'tx' | 'rx'; readonly maxMs: number }
  | { readonly type: 'timer'; readonly afterMs: number | undefined }
  /** malformed: the host sent what the protocol does not have. */
  | { readonly type: 'note'; readonly text: string; readonly malformed?: true }
  | { readonly type: 'close'; readonly fault: Fault };

/** What came of a request. */
export interface Applied {
  /** The modem lines after it. */
  readonly lines: ModemLines;
  /** The line kept what it had. Only settings can be refused. */
  readonly refused?: boolean;
}

export interface DeviceOptions {
  /** What the line has before the first PORT_INIT. */
  readonly settings?: LineSettings;
  readonly outputs?: OutputLines;
  readonly modemLines?: ModemLines;
  /**
   * The vendor's hosts send 16 bytes first over IPv6 and want 16 back. `auto` looks whether the first bytes are commands;
   * use `auto` for IPv6 peers and `off` for IPv4 ones.
   */
  readonly preamble?: PreambleMode;
  /** POLLINGs without any sign of life after which the connection is closed; 0: never. */
  readonly maxMissedPolls?: number;
  /** Each command as it comes, for traces; before anything is done about it. */
  readonly heard?: (command: DecodedCommand) => void;
  /** Goes on where another one was, which had answered everything else; what is said above counts for nothing then. */
  readonly goesOn?: ConversationState | undefined;
}

/** Where an engine is in its conversation. Plain values and bytes, so that a later process can go on. */
export interface ConversationState {
  /** Of a command. */
  readonly begun: Uint8Array;
  readonly preamble: PreambleState;
  readonly waiting: Waiting | undefined;
  readonly commands: readonly Command[];
  readonly settings: LineSettings;
  readonly outputs: OutputLines;
  readonly lines: ModemLines;
  readonly initialised: boolean;
  readonly notifies: boolean;
  readonly token: number;
  readonly missedPolls: number;
  readonly timerRuns: boolean;
}

const ALL_LOW: ModemLines = { cts: false, dsr: false, dcd: false, ri: false };
/** A payload that takes longer will not come: its length byte was wrong (11.1 no. 9). */
const PAYLOAD_TIMEOUT_MS = 1000;
/** What a refused SETBAUD and the like are answered: anything but OK; the vendor's driver then fails the call (3.1). */
const NOT_OK = 0x5245; // 'E' 'R'
/** A host has one command outstanding, a recovery burst has five. */
const MAX_WAITING_COMMANDS = 512;

type Waiting =
  | { readonly for: 'request'; readonly code: number; readonly request: LineRequest }
  | { readonly for: 'queue'; readonly code: number; readonly queue: 'tx' | 'rx'; urged: boolean };

export class DeviceEngine {
  readonly #decoder: CommandDecoder;
  readonly #maxMissedPolls: number;
  readonly #heard: ((command: DecodedCommand) => void) | undefined;
  readonly #preamble: DevicePreamble;
  #waiting: Waiting | undefined;
  #commands: Command[] = [];
  #next = 0; // of #commands; taken ones are removed many at a time, so that a chunk full of them is not quadratic
  #settings: LineSettings;
  #outputs: OutputLines;
  #lines: ModemLines;
  #initialised = false;
  #notifies = true;
  #token = 0;
  #missedPolls = 0;
  #timerRuns = false;
  #closed = false;

  constructor(options: DeviceOptions = {}) {
    this.#settings = options.settings ?? DEFAULT_SETTINGS;
    this.#outputs = options.outputs ?? { dtr: false, rts: false };
    this.#lines = options.modemLines ?? ALL_LOW;
    this.#maxMissedPolls = options.maxMissedPolls ?? 3;
    this.#heard = options.heard;
    const { goesOn } = options;
    this.#decoder = new CommandDecoder(goesOn?.begun);
    this.#preamble = new DevicePreamble(
      goesOn?.preamble ?? { mode: options.preamble ?? 'off', bytes: new Uint8Array(0) },
    );
    if (goesOn === undefined) return;
    this.#waiting = goesOn.waiting;
    this.#commands = [...goesOn.commands];
    this.#settings = goesOn.settings;
    this.#outputs = goesOn.outputs;
    this.#lines = goesOn.lines;
    this.#initialised = goesOn.initialised;
    this.#notifies = goesOn.notifies;
    this.#token = goesOn.token;
    this.#missedPolls = goesOn.missedPolls;
    this.#timerRuns = goesOn.timerRuns;
  }

  get state(): ConversationState {
    return {
      begun: this.#decoder.begun,
      preamble: this.#preamble.state,
      waiting: this.#waiting && { ...this.#waiting },
      commands: this.#commands.slice(this.#next),
      settings: this.#settings,
      outputs: this.#outputs,
      lines: this.#lines,
      initialised: this.#initialised,
      notifies: this.#notifies,
      token: this.#token,
      missedPolls: this.#missedPolls,
      timerRuns: this.#timerRuns,
    };
  }

  /** A PORT_INIT has been answered. */
  get initialised(): boolean {
    return this.#initialised;
  }

  /** What the host has set, and was told that it has. */
  get settings(): LineSettings {
    return this.#settings;
  }

  get outputLines(): OutputLines {
    return this.#outputs;
  }

  /** POLLINGs since the last sign of life. */
  get missedPolls(): number {
    return this.#missedPolls;
  }

  /** To be performed first, where it goes on. What the other one gave out and nobody performed is its owner's to keep. */
  resume(): DeviceOutput[] {
    return this.#timerRuns ? [{ type: 'timer', afterMs: PAYLOAD_TIMEOUT_MS }] : [];
  }

  receive(chunk: Uint8Array): DeviceOutput[] {
    if (this.#closed) return [];
    const outputs: DeviceOutput[] = [];
    const { commands, echo } = this.#preamble.take(chunk);
    if (echo !== undefined) outputs.push({ type: 'write', bytes: echo, frame: undefined });
    const late = this.#backlog > 0;
    this.#accept(this.#decoder.decode(commands), outputs);
    if (late && this.#backlog > MAX_WAITING_COMMANDS) {
      return this.#close('PEER_PROTOCOL', 'the host sends commands faster than they can be answered', outputs);
    }
    this.#work(outputs);
    this.#setTimer(outputs, true);
    return outputs;
  }

  /** The timer that was asked for has run out. */
  timeout(): DeviceOutput[] {
    if (this.#closed) return [];
    const outputs: DeviceOutput[] = [];
    this.#timerRuns = false;
    if (!this.#preamble.over) this.#accept(this.#decoder.decode(this.#preamble.expire()), outputs);
    else if (this.#decoder.pending) {
      outputs.push({ type: 'note', text: 'a command was cut short; taken with one payload byte', malformed: true });
      this.#accept(this.#decoder.expire(), outputs);
    }
    this.#work(outputs);
    this.#setTimer(outputs, false);
    return outputs;
  }

  /** Answers 'request'. */
  applied(outcome: Applied): DeviceOutput[] {
    const waiting = this.#waiting;
    if (this.#closed || waiting?.for !== 'request') return [];
    this.#waiting = undefined;
    this.#lines = outcome.lines;
    const outputs: DeviceOutput[] = [];
    this.#keep(waiting.request, outcome.refused === true);
    this.#answer(waiting.code, outcome.refused === true, outputs);
    this.#work(outputs);
    return outputs;
  }

  /** Answers 'queue': bytes that are still there. */
  queueIs(bytes: number): DeviceOutput[] {
    const waiting = this.#waiting;
    if (this.#closed || waiting?.for !== 'queue') return [];
    this.#waiting = undefined;
    const outputs: DeviceOutput[] = [];
    write({ type: 'queue', code: waiting.code, bytes }, outputs);
    this.#work(outputs);
    return outputs;
  }

  /** What the line tells. Told to the host as NOTIFY, once a PORT_INIT has been answered. */
  report(...reports: LineReport[]): DeviceOutput[] {
    if (this.#closed) return [];
    let mask = 0;
    for (const report of reports) {
      if (report.type === 'lines') {
        this.#lines = report.lines;
        mask |= c.NOTIFY_MSR_CHG;
      } else if (report.type === 'errors') mask |= errorMaskOf(report.errors);
      else if (report.type === 'break') mask |= c.NOTIFY_BREAK;
    }
    const outputs: DeviceOutput[] = [];
    if (mask !== 0 && this.#initialised && this.#notifies) {
      write({ type: 'notify', mask, msr: msrOf(this.#lines), extra: 0 }, outputs);
    }
    return outputs;
  }

  /** Time to ask whether the host is alive. Asks only after PORT_INIT; closes after too many questions without answer. */
  poll(): DeviceOutput[] {
    if (this.#closed || !this.#initialised) return [];
    const outputs: DeviceOutput[] = [];
    if (this.#maxMissedPolls > 0 && this.#missedPolls >= this.#maxMissedPolls) {
      return this.#close('PEER_MUTE', `the host left ${this.#missedPolls} POLLINGs unanswered`, outputs);
    }
    this.#missedPolls++;
    this.#token = (this.#token + 1) & 0xff;
    write({ type: 'polling', token: this.#token }, outputs);
    return outputs;
  }

  #accept(decoded: readonly DecodedCommand[], outputs: DeviceOutput[]): void {
    for (const one of decoded) {
      const { command } = one;
      this.#heard?.(one);
      this.#missedPolls = 0; // any command is a sign of life
      if (command.type !== 'ALIVE') this.#commands.push(command);
    }
    const waiting = this.#waiting;
    if (this.#backlog > 0 && waiting?.for === 'queue' && !waiting.urged) {
      waiting.urged = true;
      outputs.push({ type: 'queue', queue: waiting.queue, maxMs: 0 });
    }
  }

  get #backlog(): number {
    return this.#commands.length - this.#next;
  }

  #work(outputs: DeviceOutput[]): void {
    while (this.#waiting === undefined && this.#next < this.#commands.length) {
      const command = this.#commands[this.#next++];
      if (command !== undefined) this.#begin(command, outputs);
    }
    if (this.#next === this.#commands.length || this.#next > MAX_WAITING_COMMANDS) {
      this.#commands.splice(0, this.#next);
      this.#next = 0;
    }
  }

  #begin(command: Command, outputs: DeviceOutput[]): void {
    const code = codeOf(command);
    const state = { settings: this.#settings, outputs: this.#outputs, lines: this.#lines };
    let plan = planOf(command, state);
    if (plan.type === 'refuse') {
      outputs.push({ type: 'note', text: `${describeCommand(command)}: no such setting` });
      // To the first PORT_INIT the answer is never a refusal; the line then keeps what it has.
      if (command.type === 'PORT_INIT' && !this.#initialised) {
        plan = {
          type: 'request',
          request: { type: 'settings', settings: state.settings, lines: dtrRts(command.init) },
        };
      }
    }
    if (command.type === 'other') this.#beginOther(command, outputs);
    switch (plan.type) {
      case 'request':
        // What must not overtake data waits for what the data socket already holds.
        this.#waiting = { for: 'request', code, request: plan.request };
        outputs.push({ type: 'take-data' }, { type: 'request', request: plan.request });
        break;
      case 'queue': {
        const maxMs = this.#backlog > 0 ? 0 : plan.maxMs;
        this.#waiting = { for: 'queue', code, queue: plan.queue, urged: maxMs === 0 };
        if (plan.queue === 'tx') outputs.push({ type: 'take-data' });
        outputs.push({ type: 'queue', queue: plan.queue, maxMs });
        break;
      }
      case 'answer':
        write(plan.frame, outputs);
        break;
      case 'refuse':
        this.#answer(code, true, outputs);
        break;
      case 'nothing':
        break;
      default:
        plan satisfies never;
    }
  }

  #beginOther(command: Extract<Command, { type: 'other' }>, outputs: DeviceOutput[]): void {
    if (command.code === c.ASPP_CMD_START_NOTIFY) this.#notifies = true;
    else if (command.code === c.ASPP_CMD_STOP_NOTIFY) this.#notifies = false;
    else outputs.push({ type: 'note', text: `unknown or malformed: ${describeCommand(command)}`, malformed: true });
  }

  #keep(request: LineRequest, refused: boolean): void {
    if (request.type === 'lines' || request.type === 'settings') this.#outputs = request.lines;
    if (request.type === 'settings' && !refused) this.#settings = request.settings;
  }

  #answer(code: number, refused: boolean, outputs: DeviceOutput[]): void {
    if (code === c.ASPP_CMD_PORT_INIT) {
      // FF FF FF to a first PORT_INIT crashes the vendor's kernel driver (3.2).
      const mayRefuse = refused && this.#initialised;
      this.#initialised = true;
      write(mayRefuse ? { type: 'refused', code } : { type: 'lines', code, ...this.#lines }, outputs);
    } else write(refused ? { type: 'not-ok', code, word: NOT_OK } : { type: 'ok', code }, outputs);
  }

  /** One timer: for a payload, or a preamble, that does not end. New bytes start it anew. */
  #setTimer(outputs: DeviceOutput[], fresh: boolean): void {
    const needed = this.#decoder.pending || this.#preamble.begun;
    if (needed && (fresh || !this.#timerRuns)) insertTimer(outputs, PAYLOAD_TIMEOUT_MS);
    else if (!needed && this.#timerRuns) insertTimer(outputs, undefined);
    this.#timerRuns = needed;
  }

  #close(code: 'PEER_PROTOCOL' | 'PEER_MUTE', message: string, outputs: DeviceOutput[]): DeviceOutput[] {
    this.#closed = true;
    this.#commands = [];
    this.#next = 0;
    outputs.push({ type: 'timer', afterMs: undefined }, { type: 'close', fault: new Fault(code, message) });
    return outputs;
  }
}

function write(frame: Frame, outputs: DeviceOutput[]): void {
  outputs.push({ type: 'write', bytes: encodeFrame(frame), frame });
}

/** First, since a list ends with what the engine waits for. */
function insertTimer(outputs: DeviceOutput[], afterMs: number | undefined): void {
  outputs.unshift({ type: 'timer', afterMs });
}

function dtrRts(lines: OutputLines): OutputLines {
  return { dtr: lines.dtr, rts: lines.rts };
}
