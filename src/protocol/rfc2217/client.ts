// The client's side of RFC 2217 as a pure machine: requests and bytes in; bytes, answers, reports and a timer out. No socket,
// no clock. Data and commands share one connection, so a command is carried out after the data sent before it, and its
// answer comes after the data that the server sent before. Follows docs/protocol/rfc2217.md.
import { Fault } from '../../base/fault.js';
import type { LogLevel } from '../../base/log.js';
import type { FlowControl, LineReport, LineRequest, LineSettings, ModemLines } from '../../serial/line.js';
import { TELNET_OPTION } from '../telnet/constants.js';
import { type EndpointOutput, TelnetEndpoint } from '../telnet/endpoint.js';
import { controlSubject, LINE_STATE, MODEM_STATE } from './constants.js';
import { type Asked, agrees, BARRIER, commandsOf, type Expected, expectedOf, MODEM_POLL } from './expectation.js';
import { type ComPortMessage, decodeComPort, encodeComPort } from './messages.js';
import { lineReports, modemLinesOf } from './settings.js';

export type ClientOutput =
  | { readonly type: 'write'; readonly bytes: Uint8Array; readonly messages: readonly ComPortMessage[] }
  /** From the line. A view of the chunk that was received: valid as long as that is. */
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  /** Replaces the timer set before; undefined: none. */
  | { readonly type: 'timer'; readonly afterMs: number | undefined }
  /** Agreed upon, and the server answers: requests may come. */
  | { readonly type: 'ready' }
  | { readonly type: 'received'; readonly message: ComPortMessage }
  /** `answered`: false where the server has not said so yet; it carries it out in its turn all the same. */
  | { readonly type: 'settled'; readonly id: number; readonly answered: boolean }
  | { readonly type: 'failed'; readonly id: number; readonly fault: Fault }
  | { readonly type: 'report'; readonly report: LineReport }
  /** The server wants no more data for now, or wants it again. Commands may go on. */
  | { readonly type: 'suspended'; readonly on: boolean }
  | { readonly type: 'log'; readonly level: LogLevel; readonly message: string }
  | { readonly type: 'close'; readonly fault: Fault };

export interface ClientOptions {
  /** For messages: "192.168.1.5:4001". */
  readonly peer: string;
  readonly commandTimeoutMs?: number;
  readonly negotiationTimeoutMs?: number;
}

const COMMAND_TIMEOUT_MS = 10_000;
const NEGOTIATION_TIMEOUT_MS = 5_000;
/** What is held up behind data is waited for no longer than this. */
const HELD_MS = 3_000;
/** Messages without their answer. */
const MAX_EXPECTED = 1024;

const { BINARY, ECHO, SGA, COM_PORT: COM } = TELNET_OPTION;
const WANTED_LINE_STATE = LINE_STATE.OVERRUN | LINE_STATE.PARITY | LINE_STATE.FRAMING | LINE_STATE.BREAK;
const ALL_MODEM_STATE = 0xff;

export class ClientEngine {
  readonly #o: ClientOptions;
  readonly #telnet = new TelnetEndpoint({ local: [BINARY, SGA, COM], remote: [BINARY, SGA, ECHO, COM] });
  #phase: 'new' | 'negotiating' | 'checking' | 'ready' | 'ended' = 'new';
  #expected: Expected[] = [];
  #flow: FlowControl | undefined;
  #modemLines: ModemLines | undefined;
  #reported: ModemLines | undefined;
  #dataSent = 0;
  /** Of these bytes the server has answered what came after. */
  #dataAnswered = 0;
  #waitedMs = 0;
  #inputHeld = false;
  #suspended = false;
  #saidHeld = false;
  #malformed = 0;

  constructor(options: ClientOptions) {
    this.#o = options;
  }

  get modemLines(): ModemLines | undefined {
    return this.#modemLines;
  }

  /** The server has said something in telnet: it is no mere listener. */
  get answered(): boolean {
    return this.#phase !== 'new' && this.#phase !== 'negotiating';
  }

  start(): ClientOutput[] {
    this.#phase = 'negotiating';
    const bytes = Uint8Array.of(
      ...this.#telnet.want('local', BINARY, SGA, COM),
      ...this.#telnet.want('remote', BINARY, SGA, COM),
    );
    const afterMs = this.#o.negotiationTimeoutMs ?? NEGOTIATION_TIMEOUT_MS;
    return [
      { type: 'write', bytes, messages: [] },
      { type: 'timer', afterMs },
    ];
  }

  receive(chunk: Uint8Array): ClientOutput[] {
    return this.#telnet.receive(chunk).flatMap((event) => (this.#phase === 'ended' ? [] : this.#take(event)));
  }

  request(id: number, request: LineRequest): ClientOutput[] {
    const messages = commandsOf(request, this.#flow);
    if (messages === undefined) {
      const fault = new Fault('NOT_SUPPORTED', `${this.#o.peer}: RFC 2217 has no way to ask for ${request.type}`);
      return [{ type: 'failed', id, fault }];
    }
    const settings = request.type === 'settings' ? request.settings : undefined;
    this.#flow = settings?.flowControl ?? this.#flow;
    return this.#ask(messages, id, settings);
  }

  /** Data went to the server. */
  sent(bytes: number): void {
    this.#dataSent += bytes;
  }

  /** What the server sends has no room here: it is asked to send no data until told otherwise. */
  holdInput(on: boolean): ClientOutput[] {
    if (this.#inputHeld === on || this.#phase !== 'ready') return [];
    this.#inputHeld = on;
    return [this.#write([{ name: on ? 'FLOWCONTROL-SUSPEND' : 'FLOWCONTROL-RESUME' }])];
  }

  /** The time asked for by the last `timer` is over. */
  timeout(): ClientOutput[] {
    const { peer, commandTimeoutMs = COMMAND_TIMEOUT_MS, negotiationTimeoutMs = NEGOTIATION_TIMEOUT_MS } = this.#o;
    switch (this.#phase) {
      case 'negotiating':
        return this.#close('PEER_MUTE', `no answer to the RFC 2217 negotiation within ${negotiationTimeoutMs} ms`);
      case 'checking':
        return this.#close(
          'PEER_MUTE',
          `RFC 2217 agreed, but no command was answered within ${negotiationTimeoutMs} ms`,
        );
      case 'ready': {
        const [oldest] = this.#open();
        if (oldest === undefined) return [];
        if (this.#isHeld(oldest)) return this.#goOn(peer);
        this.#waitedMs += this.#stage;
        if (this.#waitedMs < commandTimeoutMs) return [{ type: 'timer', afterMs: commandTimeoutMs - this.#waitedMs }];
        return this.#close('PEER_MUTE', `a command was not answered within ${commandTimeoutMs} ms`);
      }
      default:
        return [];
    }
  }

  /** Everything that waits has failed; nothing follows. */
  end(fault: Fault): ClientOutput[] {
    const waiting = this.#open();
    this.#phase = 'ended';
    this.#expected = [];
    return [
      ...waiting.flatMap(({ id }): ClientOutput[] => (id === undefined ? [] : [{ type: 'failed', id, fault }])),
      { type: 'timer', afterMs: undefined },
    ];
  }

  #take(event: EndpointOutput): ClientOutput[] {
    switch (event.type) {
      case 'data':
        return [event];
      case 'write':
        return [{ ...event, messages: [] }];
      case 'option':
        return event.option === COM ? this.#comPort(event.on) : [];
      case 'command':
        return [];
      case 'malformed':
        return this.#strange('a subnegotiation that is none');
      case 'subnegotiation': {
        if (event.option !== COM) return [];
        const message = decodeComPort(event.body, 'server');
        return message === undefined ? this.#strange('a message that RFC 2217 does not have') : this.#receive(message);
      }
      default:
        return event satisfies never;
    }
  }

  /** Counted, and logged once: a peer that talks nonsense fills no log. */
  #strange(what: string): ClientOutput[] {
    if (this.#malformed++ > 0) return [];
    return [{ type: 'log', level: 'warn', message: `${this.#o.peer}: sent ${what}; ignored` }];
  }

  #comPort(on: boolean): ClientOutput[] {
    const agreed = this.#telnet.isOn('local', COM) || this.#telnet.isOn('remote', COM);
    if (!on) {
      if (agreed || !(this.#refusedBy('local') && this.#refusedBy('remote'))) return [];
      return this.#close('PEER_PROTOCOL', 'no RFC 2217 server: it refuses the COM-PORT option');
    }
    if (this.#phase !== 'negotiating') return [];
    this.#phase = 'checking';
    const masks: ComPortMessage[] = [
      { name: 'SET-LINESTATE-MASK', value: WANTED_LINE_STATE },
      { name: 'SET-MODEMSTATE-MASK', value: ALL_MODEM_STATE },
      MODEM_POLL,
    ];
    return this.#ask(masks, undefined, undefined);
  }

  #refusedBy(side: 'local' | 'remote'): boolean {
    return !this.#telnet.isOn(side, COM) && !this.#telnet.isPending(side, COM);
  }

  #receive(message: ComPortMessage): ClientOutput[] {
    const told: ClientOutput = { type: 'received', message };
    switch (message.name) {
      case 'NOTIFY-MODEMSTATE':
        return [told, ...this.#modemState(message.value ?? 0)];
      case 'NOTIFY-LINESTATE':
        if (this.#phase !== 'ready') return [told];
        return [told, ...lineReports(message.value ?? 0).map((report): ClientOutput => ({ type: 'report', report }))];
      case 'FLOWCONTROL-SUSPEND':
      case 'FLOWCONTROL-RESUME':
        this.#suspended = message.name === 'FLOWCONTROL-SUSPEND';
        return [told, { type: 'suspended', on: this.#suspended }];
      case 'SIGNATURE':
        // It asks for ours, or tells its own.
        return message.text === '' ? [told, this.#write([{ name: 'SIGNATURE', text: 'ttynp' }])] : [told];
      default:
        return [told, ...this.#answer(message)];
    }
  }

  #answer(message: Extract<ComPortMessage, { value: number }>): ClientOutput[] {
    const subject = message.name === 'SET-CONTROL' ? controlSubject(message.value) : undefined;
    const at = this.#expected.findIndex((one) => one.name === message.name && one.subject === subject);
    // Told of its own accord: somebody else changed the port.
    const found = this.#expected[at];
    if (found === undefined) return [];
    const { asked, barrier, want } = found;
    if (want !== undefined && !agrees(message, want)) asked.refused = true;
    // A server that answers this one answers no more of those before it.
    this.#expected.splice(barrier ? 0 : at, barrier ? at + 1 : 1);
    return barrier ? this.#done(asked) : [];
  }

  #done(asked: Asked): ClientOutput[] {
    this.#dataAnswered = Math.max(this.#dataAnswered, asked.dataBefore);
    if (this.#phase === 'checking') {
      this.#phase = 'ready';
      return [...this.#binaryNote(), { type: 'timer', afterMs: undefined }, { type: 'ready' }];
    }
    const { settings, refused, settled, id } = asked;
    asked.settled = true;
    const outputs: ClientOutput[] = [];
    if (settings !== undefined && refused) outputs.push({ type: 'report', report: { type: 'refused', settings } });
    if (settings !== undefined) outputs.push(...this.#tellLines());
    if (id !== undefined && !settled) outputs.push({ type: 'settled', id, answered: true });
    outputs.push(this.#open().length > 0 ? this.#startTimer() : { type: 'timer', afterMs: undefined });
    return outputs;
  }

  #binaryNote(): ClientOutput[] {
    if (this.#telnet.isOn('local', BINARY) && this.#telnet.isOn('remote', BINARY)) return [];
    const message = `${this.#o.peer}: refuses binary transmission: it may change CR and bytes above 127`;
    return [{ type: 'log', level: 'warn', message }];
  }

  #modemState(state: number): ClientOutput[] {
    const before = this.#modemLines;
    const lines = modemLinesOf(state);
    this.#modemLines = lines;
    if (this.#phase !== 'ready') return [];
    // A ring that began and ended between two notifications.
    const rang = (state & MODEM_STATE.RI_TRAILING) !== 0 && !lines.ri && before?.ri === false;
    const ring: ClientOutput[] = rang
      ? [{ type: 'report', report: { type: 'lines', lines: { ...lines, ri: true } } }]
      : [];
    if (rang) this.#reported = undefined;
    return [...ring, ...this.#tellLines()];
  }

  #tellLines(): ClientOutput[] {
    const lines = this.#modemLines;
    if (lines === undefined || (this.#reported !== undefined && sameLines(lines, this.#reported))) return [];
    this.#reported = lines;
    return [{ type: 'report', report: { type: 'lines', lines } }];
  }

  /** All in one write: one segment. */
  #ask(
    messages: readonly ComPortMessage[],
    id: number | undefined,
    settings: LineSettings | undefined,
  ): ClientOutput[] {
    const asked: Asked = { id, settings, dataBefore: this.#dataSent, refused: false, settled: false };
    const first = this.#open().length === 0;
    for (const message of messages) if (message !== MODEM_POLL) this.#expected.push(expectedOf(message, asked));
    this.#expected.push({ ...expectedOf(BARRIER, asked), barrier: true });
    if (this.#expected.length > MAX_EXPECTED) {
      return this.#close('PEER_MUTE', `${MAX_EXPECTED} commands were not answered`);
    }
    const written = this.#write([...messages, BARRIER]);
    return first && this.#phase === 'ready' ? [written, this.#startTimer()] : [written];
  }

  #write(messages: readonly ComPortMessage[]): ClientOutput {
    const parts = messages.map((message) => encodeComPort(message, 'client'));
    return { type: 'write', bytes: Uint8Array.from(parts.flatMap((part) => [...part])), messages };
  }

  /** Asked and neither answered nor given up, oldest first. */
  #open(): Asked[] {
    return this.#expected.flatMap(({ barrier, asked }) => (barrier && !asked.settled ? [asked] : []));
  }

  get #stage(): number {
    return this.#waitedMs > 0
      ? (this.#o.commandTimeoutMs ?? COMMAND_TIMEOUT_MS) - this.#waitedMs
      : Math.min(HELD_MS, this.#o.commandTimeoutMs ?? COMMAND_TIMEOUT_MS);
  }

  #startTimer(): ClientOutput {
    this.#waitedMs = 0;
    return { type: 'timer', afterMs: this.#stage };
  }

  /**
   * Whether the server may be unable to answer though it lives: it takes no command as long as it can get rid of no data
   * (CTS, XOFF), and its answer waits behind data for which there is no room here.
   */
  #isHeld(oldest: Asked): boolean {
    return oldest.dataBefore > this.#dataAnswered || this.#inputHeld || this.#suspended;
  }

  /** Order needs no answer here: what follows is carried out after it anyway. */
  #goOn(peer: string): ClientOutput[] {
    const outputs: ClientOutput[] = [];
    if (!this.#saidHeld) {
      const message = `${peer}: a command waits behind data that is held up; going on without its answer`;
      outputs.push({ type: 'log', level: 'warn', message });
    }
    this.#saidHeld = true;
    for (const asked of this.#open()) {
      asked.settled = true;
      if (asked.id !== undefined) outputs.push({ type: 'settled', id: asked.id, answered: false });
    }
    return outputs;
  }

  #close(code: 'PEER_MUTE' | 'PEER_PROTOCOL', what: string): ClientOutput[] {
    const fault = new Fault(code, `${this.#o.peer}: ${what}`);
    return [...this.end(fault), { type: 'close', fault }];
  }
}

function sameLines(a: ModemLines, b: ModemLines): boolean {
  return a.cts === b.cts && a.dsr === b.dsr && a.dcd === b.dcd && a.ri === b.ri;
}
