// One client of one port by RFC 2217: its telnet connection, on which data and commands come in turn. What is said is
// protocol/rfc2217/server.ts; here it is performed, in order, on the socket and on the port.
// Never keeps more than it has to: a client is not read while the line is behind, or while it reads none of its answers.
// Follows docs/protocol/rfc2217.md section 5.
import type { Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.js';
import { messageOf } from '../base/fault.js';
import { describeComPort } from '../protocol/rfc2217/describe.js';
import { type ComPortMessage, encodeComPort, type Sender } from '../protocol/rfc2217/messages.js';
import { ServerEngine, type ServerOutput } from '../protocol/rfc2217/server.js';
import { escapeData } from '../protocol/telnet/encoder.js';
import type { LineReport, LineRequest, OutputLines } from '../serial/line.js';
import type { Uart } from '../uart/uart.js';
import type { KeptRfc2217Client, Leaving } from './handover.js';
import type { LineOutput } from './line-output.js';
import type { PortTrace } from './port-trace.js';
import { TurnWriter } from './turn-writer.js';
import { UntoldReports } from './untold-reports.js';

export type Rfc2217ClientEvent =
  | { readonly type: 'request'; readonly request: LineRequest; readonly refused: boolean }
  | { readonly type: 'note'; readonly text: string }
  | { readonly type: 'malformed'; readonly peer: string };

export interface Rfc2217ClientOptions {
  readonly clock: Clock;
  readonly uart: Uart;
  readonly output: LineOutput;
  /** As they are, or are about to be. */
  readonly lines: OutputLines;
  readonly signature: string;
  /** What comes from the port is a packet each time: no two in one segment. */
  readonly packets: boolean;
  readonly peer: string;
  /** Its address and port. */
  readonly place: string;
  /** Goes on where another one was; see `goOn`. */
  readonly kept?: KeptRfc2217Client | undefined;
  readonly trace: PortTrace | undefined;
  event(event: Rfc2217ClientEvent): void;
  /** At most once: the socket is gone, or being destroyed. */
  ended(reason: string): void;
}

/** Answers and notifications that a client does not read, bytes: it is not read either then, and told of no more. */
const UNREAD_LIMIT = 64 * 1024;
/** Bytes for the line that wait here: the client is asked to suspend, so that its commands get through; and to resume. */
const SUSPEND_BYTES = 16 * 1024;
const RESUME_BYTES = 4 * 1024;
/** What a client said before it closed is carried out for so long. */
const LAST_WORDS_MS = 10_000;

export class Rfc2217Client {
  readonly peer: string;
  /** Wall clock. */
  readonly sinceMs: number;
  readonly #socket: Socket;
  readonly #o: Rfc2217ClientOptions;
  readonly #engine: ServerEngine;
  /** What the engine said and is not performed yet, from `#next` on; emptied when all is. */
  #outputs: ServerOutput[] = [];
  #next = 0;
  #performing = false;
  /** Of what is performed, a break that waits until all before it has left: the next process begins it. */
  #waitsForBreak = false;
  /** Data between two escapes and the like: written in one piece, since whoever sends a frame wants no gap in it. */
  #run: Uint8Array[] = [];
  readonly #turn = new TurnWriter((bytes) => this.#toSocket(bytes));
  /** Why nothing more is taken from the line. */
  readonly #paused = new Set<'jammed' | 'suspended'>();
  /** Until the client reads again. */
  readonly #untold = new UntoldReports();
  #askedToSuspend = false;
  #breaking = false;
  #malformed = 0;
  #received = 0;
  #sent = 0;
  #closing: Timer | undefined;
  #stopped = false;
  #ended = false;

  /** @param socket one that does not read yet */
  constructor(socket: Socket, options: Rfc2217ClientOptions) {
    const { uart, lines, signature, peer, clock, kept } = options;
    this.#socket = socket;
    this.#o = options;
    this.peer = peer;
    this.sinceMs = kept?.sinceMs ?? clock.wallTime();
    this.#received = kept?.received ?? 0;
    this.#sent = kept?.sent ?? 0;
    this.#breaking = kept?.breaking ?? false;
    this.#askedToSuspend = kept?.askedToSuspend ?? false;
    this.#engine = new ServerEngine({
      goesOn: kept?.conversation,
      signature,
      settings: uart.settings,
      lines,
      modemLines: uart.modemLines,
      passed: (from, message) => this.#show(from, message),
    });
    let reason: string | undefined;
    socket.on('error', (error) => {
      reason = messageOf(error);
    });
    socket.on('close', () => this.#gone(reason));
    socket.on('drain', () => this.#reads());
    if (kept !== undefined) return;
    this.#perform(this.#engine.start());
    this.#read();
  }

  /** Last: a socket that has bytes already is read from here on. */
  #read(): void {
    this.#socket.on('readable', () => this.#pull());
  }

  // hand-over: as of the whole server (port-server.ts)

  /** Begins nothing any more: what its engine says is kept. */
  stop(): void {
    this.#stopped = true;
    this.#turn.flush();
  }

  get idle(): boolean {
    return this.#ended || ((!this.#performing || this.#waitsForBreak) && this.#unread === 0);
  }

  /** undefined: it is gone. */
  handOver(leaving: Leaving): KeptRfc2217Client | undefined {
    if (this.#ended) return undefined;
    this.#ended = true;
    this.#closing?.cancel();
    const left = leaving.leave(this.#socket);
    return (
      left && {
        ...left,
        address: this.peer,
        sinceMs: this.sinceMs,
        dropped: 0,
        conversation: this.#engine.state,
        outputs: this.#outputs.slice(this.#next - (this.#waitsForBreak ? 1 : 0)),
        reports: this.#untold.take(),
        suspended: this.#paused.has('suspended'),
        askedToSuspend: this.#askedToSuspend,
        breaking: this.#breaking,
        received: this.#received,
        sent: this.#sent,
      }
    );
  }

  goOn({ suspended, outputs, reports, unread }: KeptRfc2217Client): void {
    if (suspended) this.#pause('suspended', true);
    for (const report of reports) this.report(report);
    if (unread.length > 0) this.#socket.unshift(unread);
    this.#read();
    this.#perform(outputs);
  }

  get place(): string {
    return this.#o.place;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** Data without what telnet adds: taken from the client, and given to its TCP. */
  get received(): number {
    return this.#received;
  }

  get sent(): number {
    return this.#sent;
  }

  // from the port

  fromPort(bytes: Uint8Array): void {
    if (this.#ended) return;
    this.#sent += bytes.length;
    const { packets } = this.#o;
    if (packets) this.#turn.flush();
    this.#turn.add(escapeData(bytes));
    if (packets) this.#turn.flush();
  }

  report(report: LineReport): void {
    if (this.#ended) return;
    if (this.#unread > UNREAD_LIMIT) this.#untold.add(report);
    else this.#sendAll(this.#engine.report(report));
  }

  /** The port has room again. */
  portWritable(): void {
    if (this.#askedToSuspend && this.#o.output.waiting < RESUME_BYTES) this.#askToSuspend(false);
    this.#pull();
  }

  end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#outputs = [];
    this.#next = 0;
    this.#turn.drop();
    this.#closing?.cancel();
    this.#socket.destroy();
    this.#paused.clear();
    this.#o.uart.resumeInput();
    this.#o.ended(reason);
  }

  /** @param failure undefined: the client closed the connection in good order */
  #gone(failure: string | undefined): void {
    if (failure === undefined && this.#performing && !this.#ended) {
      this.#closing = this.#o.clock.after(LAST_WORDS_MS, () => this.end('it closed the connection'));
    } else this.end(failure ?? 'it closed the connection');
  }

  // from the network

  #pull(): void {
    while (!this.#ended && this.#mayRead()) {
      const chunk: unknown = this.#socket.read();
      if (!(chunk instanceof Uint8Array)) return;
      this.#perform(this.#engine.receive(chunk));
    }
  }

  #mayRead(): boolean {
    return !this.#performing && !this.#stopped && !this.#o.output.full && this.#unread <= UNREAD_LIMIT;
  }

  #perform(outputs: readonly ServerOutput[]): void {
    for (const output of outputs) this.#outputs.push(output);
    if (this.#performing || this.#stopped) return;
    this.#performAll().catch((error: unknown) => this.end(`port: ${messageOf(error)}`));
  }

  async #performAll(): Promise<void> {
    this.#performing = true;
    let waited = false;
    for (;;) {
      const output = this.#stopped ? undefined : this.#outputs[this.#next++];
      if (output?.type !== 'data') this.#endRun();
      if (this.#stopped) {
        this.#performing = false;
        return;
      }
      if (output === undefined || this.#ended) break;
      if (this.#waits(output)) {
        waited = true;
        await this.#o.output.gone(output.type === 'request' ? 'transmitted' : 'accepted');
        if (this.#ended) break;
        if (this.#stopped) {
          // It has not waited long enough.
          this.#next--;
          continue;
        }
      }
      if (output.type === 'request') {
        waited = true;
        await this.#request(output.request);
      } else this.#performNow(output);
    }
    this.#outputs = [];
    this.#next = 0;
    this.#performing = false;
    if (this.#closing !== undefined) this.end('it closed the connection');
    if (waited) this.#pull();
  }

  /**
   * Whether it has to wait for the data before it. What is to be purged does not; nor does what comes during a break, which
   * holds the data up itself.
   */
  #waits(output: ServerOutput): boolean {
    const { output: line, uart } = this.#o;
    if (this.#breaking) return false;
    if (output.type === 'write') return line.waiting > 0;
    if (output.type !== 'request' || output.request.type === 'flush') return false;
    return line.waiting + uart.outputQueue > 0;
  }

  async #request(request: LineRequest): Promise<void> {
    const { uart, output, event } = this.#o;
    if (request.type === 'flush' && request.queue !== 'rx') output.drop();
    this.#waitsForBreak = request.type === 'break' && request.on;
    const done = await uart.request(request);
    this.#waitsForBreak = false;
    if (this.#ended) return;
    if (request.type === 'break' && done) this.#breaking = request.on;
    event({ type: 'request', request, refused: !done });
    const { settings, outputLines: lines, modemLines } = uart;
    this.#perform(this.#engine.applied(!done, { settings, lines, modemLines }));
  }

  #performNow(output: Exclude<ServerOutput, { type: 'request' }>): void {
    switch (output.type) {
      case 'write':
        this.#turn.add(output.bytes);
        return;
      case 'data':
        this.#received += output.bytes.length;
        this.#run.push(output.bytes);
        return;
      case 'suspended':
        this.#pause('suspended', output.on);
        return;
      case 'malformed':
        // Counted, and told once: a client that talks nonsense fills no log.
        if (this.#malformed++ === 0)
          this.#o.event({ type: 'note', text: `${this.peer} sent ${output.what}; ignored, as all of the kind` });
        this.#o.event({ type: 'malformed', peer: this.peer });
        return;
      case 'com-port':
        if (this.#o.trace?.on) this.#o.trace.event(`${this.#o.place} speaks RFC 2217`);
        return;
      case 'signature':
        return;
      default:
        output satisfies never;
    }
  }

  #show(from: Sender, message: ComPortMessage): void {
    const { trace, place } = this.#o;
    if (!trace?.on) return;
    const direction = from === 'client' ? 'sent' : 'received';
    trace.command(direction, encodeComPort(message, from), describeComPort(message), place);
  }

  #endRun(): void {
    const [first, ...more] = this.#run;
    if (first === undefined) return;
    const bytes = more.length === 0 ? first : Buffer.concat(this.#run);
    this.#run = [];
    const { trace, place } = this.#o;
    if (trace?.on) trace.bytes('sent', bytes, place);
    this.#o.output.write(bytes);
    if (this.#o.output.waiting > SUSPEND_BYTES && !this.#askedToSuspend) this.#askToSuspend(true);
  }

  #askToSuspend(on: boolean): void {
    const asked = this.#engine.holdInput(on);
    if (asked.length > 0) this.#askedToSuspend = on;
    this.#sendAll(asked);
  }

  // to the network

  get #unread(): number {
    return this.#turn.waiting + this.#socket.writableLength;
  }

  #sendAll(outputs: readonly ServerOutput[]): void {
    for (const output of outputs) if (output.type === 'write') this.#turn.add(output.bytes);
  }

  #toSocket(bytes: Uint8Array): void {
    if (this.#ended || this.#socket.destroyed || this.#socket.writableEnded) return;
    if (!this.#socket.write(bytes)) this.#pause('jammed', true);
    // The kernel may have taken all of it: no 'drain' follows then.
    this.#catchUp();
  }

  /** Its TCP has room again. */
  #reads(): void {
    if (this.#ended) return;
    this.#pause('jammed', false);
    this.#catchUp();
  }

  #catchUp(): void {
    if (this.#unread <= UNREAD_LIMIT) for (const report of this.#untold.take()) this.report(report);
    this.#pull();
  }

  #pause(why: 'jammed' | 'suspended', on: boolean): void {
    if (on) this.#paused.add(why);
    else this.#paused.delete(why);
    if (this.#paused.size > 0 || this.#stopped) this.#o.uart.pauseInput();
    else this.#o.uart.resumeInput();
  }
}
