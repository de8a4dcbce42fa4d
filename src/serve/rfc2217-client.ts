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
import type { LineOutput } from './line-output.js';
import type { PortTrace } from './port-trace.js';

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
  /** Data between two escapes and the like: written in one piece, since whoever sends a frame wants no gap in it. */
  #run: Uint8Array[] = [];
  /** For the socket: what comes in one turn of the event loop goes in one segment. */
  #out: Uint8Array[] = [];
  #outBytes = 0;
  #flushing: NodeJS.Immediate | undefined;
  /** Why nothing more is taken from the line. */
  readonly #paused = new Set<'jammed' | 'suspended'>();
  /** Told when the client reads again, the last of each kind. */
  readonly #reports = new Map<LineReport['type'], LineReport>();
  #askedToSuspend = false;
  #breaking = false;
  #malformed = 0;
  #received = 0;
  #sent = 0;
  #closing: Timer | undefined;
  #ended = false;

  /** @param socket one that does not read yet */
  constructor(socket: Socket, options: Rfc2217ClientOptions) {
    const { uart, lines, signature, peer, clock } = options;
    this.#socket = socket;
    this.#o = options;
    this.peer = peer;
    this.sinceMs = clock.wallTime();
    this.#engine = new ServerEngine({
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
    this.#perform(this.#engine.start());
    // Last: a socket that has bytes already is read from here on.
    socket.on('readable', () => this.#pull());
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
    if (packets && this.#outBytes > 0) this.#flush();
    this.#send(escapeData(bytes));
    if (packets) this.#flush();
  }

  report(report: LineReport): void {
    if (this.#ended) return;
    if (this.#unread > UNREAD_LIMIT) this.#keep(report);
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
    this.#out = [];
    this.#closing?.cancel();
    clearImmediate(this.#flushing);
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
    return !this.#performing && !this.#o.output.full && this.#unread <= UNREAD_LIMIT;
  }

  #perform(outputs: readonly ServerOutput[]): void {
    for (const output of outputs) this.#outputs.push(output);
    if (this.#performing) return;
    this.#performAll().catch((error: unknown) => this.end(`port: ${messageOf(error)}`));
  }

  async #performAll(): Promise<void> {
    this.#performing = true;
    let waited = false;
    for (;;) {
      const output = this.#outputs[this.#next++];
      if (output?.type !== 'data') this.#endRun();
      if (output === undefined || this.#ended) break;
      if (this.#waits(output)) {
        waited = true;
        await this.#o.output.gone(output.type === 'request' ? 'transmitted' : 'accepted');
        if (this.#ended) break;
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
    const done = await uart.request(request);
    if (this.#ended) return;
    if (request.type === 'break' && done) this.#breaking = request.on;
    event({ type: 'request', request, refused: !done });
    const { settings, outputLines: lines, modemLines } = uart;
    this.#perform(this.#engine.applied(!done, { settings, lines, modemLines }));
  }

  #performNow(output: Exclude<ServerOutput, { type: 'request' }>): void {
    switch (output.type) {
      case 'write':
        this.#send(output.bytes);
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
    return this.#outBytes + this.#socket.writableLength;
  }

  #sendAll(outputs: readonly ServerOutput[]): void {
    for (const output of outputs) if (output.type === 'write') this.#send(output.bytes);
  }

  #send(bytes: Uint8Array): void {
    this.#out.push(bytes);
    this.#outBytes += bytes.length;
    this.#flushing ??= setImmediate(() => this.#flush());
  }

  #flush(): void {
    clearImmediate(this.#flushing);
    this.#flushing = undefined;
    const [first = new Uint8Array(0), ...more] = this.#out;
    const bytes = more.length === 0 ? first : Buffer.concat(this.#out);
    this.#out = [];
    this.#outBytes = 0;
    if (this.#ended || this.#socket.destroyed || this.#socket.writableEnded) return;
    if (!this.#socket.write(bytes)) this.#pause('jammed', true);
    this.#pull();
  }

  /** Its TCP has room again. */
  #reads(): void {
    if (this.#ended) return;
    this.#pause('jammed', false);
    for (const report of [...this.#reports.values()]) {
      this.#reports.delete(report.type);
      this.report(report);
    }
    this.#pull();
  }

  #pause(why: 'jammed' | 'suspended', on: boolean): void {
    if (on) this.#paused.add(why);
    else this.#paused.delete(why);
    if (this.#paused.size > 0) this.#o.uart.pauseInput();
    else this.#o.uart.resumeInput();
  }

  #keep(report: LineReport): void {
    const before = this.#reports.get(report.type);
    if (report.type !== 'errors' || before?.type !== 'errors') {
      this.#reports.set(report.type, report);
      return;
    }
    const { errors } = report;
    this.#reports.set('errors', {
      type: 'errors',
      errors: {
        parity: errors.parity || before.errors.parity,
        framing: errors.framing || before.errors.framing,
        overrun: errors.overrun || before.errors.overrun,
        bufferOverrun: errors.bufferOverrun || before.errors.bufferOverrun,
      },
    });
  }
}
