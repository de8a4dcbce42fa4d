// The server's side of RFC 2217 as a pure machine: bytes and what the line tells in; bytes, data and requests out. No socket,
// no clock. One request at a time: what came behind it waits until it has been applied, data included, so that nothing
// overtakes a change of settings. Follows docs/protocol/rfc2217.md.
import type { LineReport, LineRequest, LineSettings, ModemLines, OutputLines, Queue } from '../../serial/line.js';
import { TELNET_OPTION } from '../telnet/constants.js';
import { type EndpointOutput, type EndpointState, TelnetEndpoint } from '../telnet/endpoint.js';
import { CONTROL, controlSubject, LINE_STATE, MODEM_STATE, PURGE } from './constants.js';
import { type ComPortMessage, decodeComPort, encodeComPort, type Sender } from './messages.js';
import { flowState, lineStateOf, modemStateOf, parityCode, stopCode, withCommand } from './settings.js';

export type ServerOutput =
  | { readonly type: 'write'; readonly bytes: Uint8Array }
  /** For the line. A view of the chunk that was received. */
  | { readonly type: 'data'; readonly bytes: Uint8Array }
  /** To be carried out and answered by `applied`; always the last output, and nothing follows before. */
  | { readonly type: 'request'; readonly request: LineRequest }
  /** COM-PORT is agreed upon. Without it the client is a mere telnet. */
  | { readonly type: 'com-port' }
  /** The client wants no more data for now, or wants it again. */
  | { readonly type: 'suspended'; readonly on: boolean }
  | { readonly type: 'signature'; readonly text: string }
  /** Something that is none of the protocol was ignored. */
  | { readonly type: 'malformed'; readonly what: string };

export interface ServerState {
  readonly settings: LineSettings;
  readonly lines: OutputLines;
  readonly modemLines: ModemLines;
}

export interface ServerOptions extends ServerState {
  readonly signature: string;
  /** Each message as it comes and as it is answered, for traces. */
  readonly passed?: ((from: Sender, message: ComPortMessage) => void) | undefined;
  /** Goes on where another one was; the state above counts for nothing then, and there is nothing to start. */
  readonly goesOn?: ConversationState | undefined;
}

/** Where an engine is in its conversation. Plain values and bytes, so that a later process can go on. */
export interface ConversationState extends ServerState {
  readonly telnet: EndpointState;
  readonly break: boolean;
  readonly agreed: boolean;
  readonly lineMask: number;
  readonly modemMask: number;
  readonly pending: Pending | undefined;
  readonly behind: readonly EndpointOutput[];
}

const { BINARY, ECHO, SGA, COM_PORT: COM } = TELNET_OPTION;
/** RFC 2217: nothing of the line, everything of the modem. */
const LINE_MASK_AT_FIRST = 0;
const MODEM_MASK_AT_FIRST = 0xff;
const DELTAS = MODEM_STATE.DELTA_CTS | MODEM_STATE.DELTA_DSR | MODEM_STATE.DELTA_DCD | MODEM_STATE.RI_TRAILING;

const PURGED: Readonly<Record<number, Queue>> = { [PURGE.RX]: 'rx', [PURGE.TX]: 'tx', [PURGE.BOTH]: 'both' };

interface Pending {
  readonly request: LineRequest;
  /** What its answer is about. */
  readonly message: ComPortMessage;
}

export class ServerEngine {
  readonly #telnet = new TelnetEndpoint({ local: [BINARY, SGA, ECHO, COM], remote: [BINARY, SGA, COM] });
  readonly #signature: string;
  readonly #passed: ServerOptions['passed'];
  #settings: LineSettings;
  #lines: OutputLines;
  #modemLines: ModemLines;
  #break = false;
  #agreed = false;
  #lineMask = LINE_MASK_AT_FIRST;
  #modemMask = MODEM_MASK_AT_FIRST;
  #pending: Pending | undefined;
  /** Bytes behind the request. Whoever reads the connection does not while one is pending, so it is less than a chunk. */
  #behind: EndpointOutput[] = [];
  /** Where in them to go on. */
  #next = 0;

  constructor({ signature, settings, lines, modemLines, passed, goesOn }: ServerOptions) {
    this.#signature = signature;
    this.#passed = passed;
    this.#settings = settings;
    this.#lines = lines;
    this.#modemLines = modemLines;
    if (goesOn !== undefined) this.#resume(goesOn);
  }

  get state(): ConversationState {
    return {
      telnet: this.#telnet.state,
      settings: this.#settings,
      lines: this.#lines,
      modemLines: this.#modemLines,
      break: this.#break,
      agreed: this.#agreed,
      lineMask: this.#lineMask,
      modemMask: this.#modemMask,
      pending: this.#pending,
      behind: this.#behind.slice(this.#next),
    };
  }

  get settings(): LineSettings {
    return this.#settings;
  }

  /** A request waits for `applied`: nothing is to be received. */
  get busy(): boolean {
    return this.#pending !== undefined;
  }

  start(): ServerOutput[] {
    const bytes = [...this.#telnet.want('local', BINARY, SGA, ECHO), ...this.#telnet.want('remote', BINARY, SGA, COM)];
    return [{ type: 'write', bytes: Uint8Array.from(bytes) }];
  }

  receive(chunk: Uint8Array): ServerOutput[] {
    for (const event of this.#telnet.receive(chunk)) this.#behind.push(event);
    return this.#goOn();
  }

  /**
   * The last request has been carried out, or refused: then nothing has changed. `now` is what is in force, which need not
   * be what was asked.
   */
  applied(refused: boolean, now: Partial<ServerState> = {}): ServerOutput[] {
    const pending = this.#pending;
    if (pending === undefined) return [];
    this.#pending = undefined;
    const { request, message } = pending;
    if (!refused) this.#carriedOut(request);
    this.#settings = now.settings ?? this.#settings;
    this.#lines = now.lines ?? this.#lines;
    const told = now.modemLines === undefined ? [] : this.report({ type: 'lines', lines: now.modemLines });
    return [...told, this.#answer(message), ...this.#goOn()];
  }

  /** What the line tells; what the client's masks leave of it. */
  report(report: LineReport): ServerOutput[] {
    switch (report.type) {
      case 'lines': {
        const before = this.#modemLines;
        this.#modemLines = report.lines;
        const state = modemStateOf(report.lines, before) & this.#modemMask;
        // A ring that begins has no delta of its own.
        const ring = report.lines.ri && !before.ri ? MODEM_STATE.RI : 0;
        return (state & (DELTAS | ring)) === 0 ? [] : this.#notify({ name: 'NOTIFY-MODEMSTATE', value: state });
      }
      case 'errors':
        return this.#lineState(lineStateOf(report.errors));
      case 'break':
        return this.#lineState(LINE_STATE.BREAK);
      case 'refused':
        return [];
      default:
        return report satisfies never;
    }
  }

  /** What the line sends has no room: the client is asked for no more data, or for it again. */
  holdInput(on: boolean): ServerOutput[] {
    return this.#agreed ? [this.#write({ name: on ? 'FLOWCONTROL-SUSPEND' : 'FLOWCONTROL-RESUME' })] : [];
  }

  #resume(before: ConversationState): void {
    this.#telnet.goOn(before.telnet);
    this.#settings = before.settings;
    this.#lines = before.lines;
    this.#modemLines = before.modemLines;
    this.#break = before.break;
    this.#agreed = before.agreed;
    this.#lineMask = before.lineMask;
    this.#modemMask = before.modemMask;
    this.#pending = before.pending;
    this.#behind = [...before.behind];
  }

  #goOn(): ServerOutput[] {
    const outputs: ServerOutput[] = [];
    while (this.#pending === undefined) {
      const event = this.#behind[this.#next++];
      if (event === undefined) {
        this.#behind = [];
        this.#next = 0;
        break;
      }
      outputs.push(...this.#take(event));
    }
    return outputs;
  }

  #take(event: EndpointOutput): ServerOutput[] {
    switch (event.type) {
      case 'data':
      case 'write':
        return [event];
      case 'option':
        return event.option === COM ? this.#comPort(event.on) : [];
      case 'command':
        return [];
      case 'malformed':
        return [{ type: 'malformed', what: 'a subnegotiation that is none' }];
      case 'subnegotiation': {
        const message = event.option === COM ? decodeComPort(event.body, 'client') : undefined;
        if (message !== undefined) return this.#command(message);
        return [{ type: 'malformed', what: 'a message that RFC 2217 does not have' }];
      }
      default:
        return event satisfies never;
    }
  }

  #comPort(on: boolean): ServerOutput[] {
    const before = this.#agreed;
    this.#agreed = on || this.#telnet.isOn('local', COM) || this.#telnet.isOn('remote', COM);
    if (!this.#agreed || before) return [];
    // Clients wait for changes, and ask nobody how the lines are at first.
    const lines: ComPortMessage = { name: 'NOTIFY-MODEMSTATE', value: modemStateOf(this.#modemLines) };
    return [{ type: 'com-port' }, ...this.#notify(lines)];
  }

  #command(message: ComPortMessage): ServerOutput[] {
    this.#passed?.('client', message);
    switch (message.name) {
      case 'SIGNATURE':
        return message.text === '' ? [this.#answer(message)] : [{ type: 'signature', text: message.text }];
      case 'FLOWCONTROL-SUSPEND':
      case 'FLOWCONTROL-RESUME':
        return [{ type: 'suspended', on: message.name === 'FLOWCONTROL-SUSPEND' }];
      case 'NOTIFY-MODEMSTATE':
        return this.#notify({ name: 'NOTIFY-MODEMSTATE', value: modemStateOf(this.#modemLines) });
      case 'NOTIFY-LINESTATE':
        return this.#notify({ name: 'NOTIFY-LINESTATE', value: 0 });
      case 'SET-LINESTATE-MASK':
        this.#lineMask = message.value;
        return [this.#answer(message)];
      case 'SET-MODEMSTATE-MASK':
        this.#modemMask = message.value;
        return [this.#answer(message)];
      default: {
        const request = this.#requestOf(message);
        if (request === undefined) return [this.#answer(message)];
        this.#pending = { request, message };
        return [{ type: 'request', request }];
      }
    }
  }

  /** undefined: a query, or a value that does not exist: answered by what is in force. */
  #requestOf(message: Extract<ComPortMessage, { value: number }>): LineRequest | undefined {
    const { name, value } = message;
    if (name === 'PURGE-DATA') {
      const queue = PURGED[value];
      return queue === undefined ? undefined : { type: 'flush', queue };
    }
    if (name === 'SET-CONTROL') {
      const subject = controlSubject(value);
      if (value === CONTROL.ASK_BREAK || value === CONTROL.ASK_DTR || value === CONTROL.ASK_RTS) return undefined;
      if (subject === 'break') return { type: 'break', on: value === CONTROL.BREAK_ON };
      if (subject === 'dtr') return { type: 'lines', lines: { ...this.#lines, dtr: value === CONTROL.DTR_ON } };
      if (subject === 'rts') return { type: 'lines', lines: { ...this.#lines, rts: value === CONTROL.RTS_ON } };
    }
    if (value === 0) return undefined;
    const settings = withCommand(this.#settings, message);
    return settings === undefined ? undefined : { type: 'settings', settings, lines: this.#lines };
  }

  #carriedOut(request: LineRequest): void {
    if (request.type === 'settings') this.#settings = request.settings;
    if (request.type === 'lines') this.#lines = request.lines;
    if (request.type === 'break') this.#break = request.on;
  }

  /** With the value in force, whatever was asked. */
  #answer(message: ComPortMessage): ServerOutput {
    const { baudRate, dataBits, parity, stopBits } = this.#settings;
    switch (message.name) {
      case 'SIGNATURE':
        return this.#write({ name: 'SIGNATURE', text: this.#signature });
      case 'SET-BAUDRATE':
        return this.#write({ name: message.name, value: baudRate });
      case 'SET-DATASIZE':
        return this.#write({ name: message.name, value: dataBits });
      case 'SET-PARITY':
        return this.#write({ name: message.name, value: parityCode(parity) });
      case 'SET-STOPSIZE':
        return this.#write({ name: message.name, value: stopCode(stopBits) });
      case 'SET-CONTROL':
        return this.#write({ name: message.name, value: this.#control(message.value) });
      default:
        return this.#write(message);
    }
  }

  #control(asked: number): number {
    const { outbound, inbound } = flowState(this.#settings.flowControl);
    switch (controlSubject(asked)) {
      case 'flow':
        return outbound;
      case 'inbound flow':
        return inbound;
      case 'break':
        return this.#break ? CONTROL.BREAK_ON : CONTROL.BREAK_OFF;
      case 'dtr':
        return this.#lines.dtr ? CONTROL.DTR_ON : CONTROL.DTR_OFF;
      case 'rts':
        return this.#lines.rts ? CONTROL.RTS_ON : CONTROL.RTS_OFF;
      default:
        return asked;
    }
  }

  #lineState(state: number): ServerOutput[] {
    const told = state & this.#lineMask;
    return told === 0 ? [] : this.#notify({ name: 'NOTIFY-LINESTATE', value: told });
  }

  #notify(message: ComPortMessage): ServerOutput[] {
    return this.#agreed ? [this.#write(message)] : [];
  }

  #write(message: ComPortMessage): ServerOutput {
    this.#passed?.('server', message);
    return { type: 'write', bytes: encodeComPort(message, 'server') };
  }
}
