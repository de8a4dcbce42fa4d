// One host of one port: its command and its data connection, from the first of them until either is lost. It performs
// what the device engine says, in order, on the sockets and on the port.
// Never decides who may connect and survives nothing: a host that comes back is a new client.
// Follows docs/protocol/realcom.md sections 1.4, 3 and 12.
import { isIPv6, type Socket } from 'node:net';
import type { Clock, Timer } from '../base/clock.js';
import { messageOf } from '../base/fault.js';
import { describeCommand, describeFrame } from '../protocol/realcom/describe.js';
import { DeviceEngine, type DeviceOutput } from '../protocol/realcom/device.js';
import type { Frame } from '../protocol/realcom/messages.js';
import type { LineReport, LineRequest, LineSettings } from '../serial/line.js';
import { type AnswerFaults, CommandSender } from './command-sender.js';
import { DataIntake } from './data-intake.js';
import type { KeptRealComClient, Leaving } from './handover.js';
import type { PortTrace } from './port-trace.js';
import type { LineClient, LineShare, SharedLine } from './shared-line.js';

export type SocketKind = 'command' | 'data';

/** What is told of a client, for the log and for tests. */
export type ClientEvent =
  | { readonly type: 'request'; readonly request: LineRequest; readonly refused: boolean }
  | { readonly type: 'note'; readonly text: string }
  /** It sent what its protocol does not have; ignored. */
  | { readonly type: 'malformed'; readonly peer: string }
  /** A frame to the host; undefined: the preamble. */
  | { readonly type: 'frame'; readonly bytes: Uint8Array; readonly frame: Frame | undefined };

/** The data that its commands are about, where they come on connections of others. Bytes. */
export interface DataSide {
  waiting(): number;
  unsent(): number;
  takeAll(): Promise<void>;
  drop(): void;
}

export interface ClientOptions {
  readonly clock: Clock;
  readonly line: SharedLine;
  readonly data?: DataSide;
  readonly trace?: PortTrace | undefined;
  readonly peer: string;
  /** Goes on where another one was, when it has adopted its sockets; see `goOn`. */
  readonly kept?: KeptRealComClient | undefined;
  readonly faults: AnswerFaults;
  readonly notifyDelayMs: number;
  readonly pollingMs: number;
  readonly maxMissedPolls: number;
  /** How long one connection may stay without the other; undefined: for ever, it has commands only. */
  readonly pairTimeoutMs: number | undefined;
  /** TCP keep-alive begins after so long without a sign of the host; 0: never. */
  readonly aliveCheckMs: number;
  refuses(settings: LineSettings): boolean;
  event(event: ClientEvent): void;
  /** At most once: both sockets are being destroyed. */
  ended(reason: string): void;
}

/** As in a trace. */
export const frameText = (frame: Frame | undefined): string =>
  frame === undefined ? 'preamble' : describeFrame(frame);

export class RealComClient implements LineClient {
  readonly peer: string;
  /** Of its first connection, wall clock. */
  readonly sinceMs: number;
  readonly #options: ClientOptions;
  readonly #share: LineShare;
  readonly #engine: DeviceEngine;
  /** What the engine said and is not performed yet, from `#next` on; emptied when all is. */
  #outputs: DeviceOutput[] = [];
  #next = 0;
  readonly #timers: Partial<Record<'engine' | 'notify' | 'poll' | 'pair' | 'queue', Timer>> = {};
  #command: Socket | undefined;
  #sender: CommandSender | undefined;
  #data: Socket | undefined;
  #intake: DataIntake | undefined;
  /** Of a socket that is gone too. */
  #dataPlace = '';
  #commandPlace = '';
  #reports: LineReport[] = [];
  #asked: 'tx' | 'rx' | undefined;
  #askedUntilMs = 0;
  #performing = false;
  /** Of what is performed, a break that waits until all before it has left: the next process begins it. */
  #waitsForBreak = false;
  #stopped = false;
  #ended = false;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.peer = options.peer;
    this.sinceMs = options.kept?.sinceMs ?? options.clock.wallTime();
    this.#share = options.line.join(this);
    this.#share.dropped = options.kept?.dropped ?? 0;
    this.#engine = new DeviceEngine({
      goesOn: options.kept?.conversation,
      settings: this.#share.settings,
      modemLines: this.#share.modemLines,
      preamble: isIPv6(options.peer) && !options.peer.startsWith('::ffff:') ? 'auto' : 'off',
      maxMissedPolls: options.maxMissedPolls,
      heard: ({ command, bytes }) => {
        const { trace } = this.#options;
        if (trace?.on) trace.command('sent', bytes, describeCommand(command), this.#commandPlace);
      },
    });
    if (options.pairTimeoutMs !== undefined)
      this.#arm('pair', options.pairTimeoutMs, () => this.end('its second connection did not come'));
    this.#armPoll();
  }

  has(kind: SocketKind): boolean {
    return (kind === 'command' ? this.#command : this.#data) !== undefined;
  }

  /** Takes no socket any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** A PORT_INIT has been answered. */
  get initialised(): boolean {
    return this.#engine.initialised;
  }

  get intake(): DataIntake | undefined {
    return this.#intake;
  }

  /** Bytes of the line for it that its TCP has not taken yet. */
  get unsent(): number {
    return this.#intake?.unsent ?? 0;
  }

  get hears(): boolean {
    return this.#intake !== undefined && !this.#ended;
  }

  get place(): string {
    return this.#dataPlace;
  }

  /** Bytes of the line that it did not get, because it did not read. */
  get dropped(): number {
    return this.#share.dropped;
  }

  /** Takes a socket that does not read yet. */
  adopt(kind: SocketKind, socket: Socket): void {
    socket.on('end', () => this.end(`the host closed the ${kind} connection`));
    socket.on('error', (error) => this.end(`${kind} connection: ${messageOf(error)}`));
    socket.on('close', () => this.end(`${kind} connection lost`));
    if (this.#options.aliveCheckMs > 0) socket.setKeepAlive(true, this.#options.aliveCheckMs);
    const place = `${this.peer}:${socket.remotePort ?? 0}`;
    if (kind === 'data') {
      this.#data = socket;
      this.#dataPlace = place;
      this.#intake = new DataIntake(socket, this.#share, this.#options.kept?.data?.intake);
    } else {
      this.#command = socket;
      this.#commandPlace = place;
      this.#sender = new CommandSender(socket, this.#options.clock, this.#options.faults);
      socket.on('data', (bytes: Uint8Array) => {
        if (!this.#options.faults.mute) this.#perform(this.#engine.receive(bytes));
      });
      socket.resume();
    }
    if (this.has('command') && this.has('data')) this.#disarm('pair');
  }

  // from the port

  received(bytes: Uint8Array): void {
    this.#intake?.fromPort(bytes);
  }

  writable(): void {
    this.#intake?.portWritable();
  }

  drained(): void {
    this.#lookAtQueue();
  }

  /** Several changes within the delay are one NOTIFY. */
  report(report: LineReport): void {
    this.#reports.push(report);
    if (this.#timers.notify !== undefined) return;
    this.#arm('notify', this.#options.notifyDelayMs, () => {
      this.#perform(this.#engine.report(...this.#reports.splice(0)));
    });
  }

  // hand-over: as of the whole server (port-server.ts)

  /** Begins nothing any more: what its engine says is kept. */
  stop(): void {
    this.#stopped = true;
    this.#command?.pause();
  }

  get idle(): boolean {
    return (
      (!this.#performing || this.#waitsForBreak) && this.unsent === 0 && (this.#command?.writableLength ?? 0) === 0
    );
  }

  get turn(): number {
    return this.#options.line.turn(this.#share);
  }

  handOver(leaving: Leaving): KeptRealComClient {
    const now = this.#options.clock.now();
    const data = this.#data && leaving.leave(this.#data);
    const intake = this.#intake?.handOver(data?.unread ?? new Uint8Array(0));
    this.#ended = true;
    for (const timer of Object.values(this.#timers)) timer.cancel();
    return {
      address: this.peer,
      sinceMs: this.sinceMs,
      dropped: this.dropped,
      data: data && intake && { socket: data.socket, intake },
      command: this.#command && leaving.leave(this.#command),
      conversation: this.#engine.state,
      outputs: this.#outputs.slice(this.#next - (this.#waitsForBreak ? 1 : 0)),
      reports: this.#reports,
      asked: this.#asked && { queue: this.#asked, leftMs: Math.max(0, this.#askedUntilMs - now) },
    };
  }

  /** Its sockets have been adopted, and what others have to write before it has been written. */
  goOn({ command, outputs, reports, asked }: KeptRealComClient): void {
    if (this.#ended) return;
    this.#intake?.portWritable();
    this.#perform([...this.#engine.resume(), ...outputs]);
    for (const report of reports) this.report(report);
    if (asked !== undefined) this.#ask(asked.queue, asked.leftMs);
    if (command !== undefined && command.unread.length > 0) this.#perform(this.#engine.receive(command.unread));
  }

  // hooks

  /** Sends bytes that no engine made. */
  sendRaw(bytes: Uint8Array): void {
    this.#sender?.send(bytes);
  }

  /** reset: RST; end: FIN. Ends this client in any case, as the loss of one socket does. */
  kill(which: SocketKind | 'both', how: 'reset' | 'end'): void {
    const sockets = which === 'both' ? [this.#command, this.#data] : [which === 'command' ? this.#command : this.#data];
    for (const socket of sockets) {
      if (how === 'reset') socket?.resetAndDestroy();
      else socket?.destroy();
    }
    this.end(`killed (${which}, ${how})`);
  }

  end(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#outputs = [];
    this.#next = 0;
    for (const timer of Object.values(this.#timers)) timer.cancel();
    this.#sender?.close();
    this.#intake?.close();
    this.#command?.destroy();
    this.#data?.destroy();
    this.#share.leave();
    this.#options.ended(reason);
  }

  // the engine's outputs

  #perform(outputs: readonly DeviceOutput[]): void {
    for (const output of outputs) this.#outputs.push(output);
    if (this.#performing || this.#stopped) return;
    this.#performAll().catch((error: unknown) => this.end(`port: ${messageOf(error)}`));
  }

  async #performAll(): Promise<void> {
    this.#performing = true;
    for (;;) {
      if (this.#stopped) {
        this.#performing = false;
        return;
      }
      const output = this.#outputs[this.#next++];
      if (output === undefined || this.#ended) break;
      // Only these two wait for something; a chunk full of small commands is not worth a turn for each.
      if (output.type === 'take-data') await (this.#intake ?? this.#options.data)?.takeAll();
      else if (output.type === 'request') await this.#request(output.request);
      else this.#performNow(output);
    }
    this.#outputs = [];
    this.#next = 0;
    this.#performing = false;
  }

  #performNow(output: Exclude<DeviceOutput, { type: 'take-data' | 'request' }>): void {
    switch (output.type) {
      case 'write':
        this.#options.event({ type: 'frame', bytes: output.bytes, frame: output.frame });
        this.#show(output);
        this.#sender?.send(output.bytes);
        return;
      case 'queue':
        this.#ask(output.queue, output.maxMs);
        return;
      case 'timer':
        if (output.afterMs === undefined) this.#disarm('engine');
        else this.#arm('engine', output.afterMs, () => this.#perform(this.#engine.timeout()));
        return;
      case 'note':
        this.#options.event({ type: 'note', text: output.text });
        if (output.malformed) this.#options.event({ type: 'malformed', peer: this.peer });
        return;
      case 'close':
        this.end(output.fault.message);
        return;
      default:
        output satisfies never;
    }
  }

  #show({ bytes, frame }: Extract<DeviceOutput, { type: 'write' }>): void {
    const { trace } = this.#options;
    if (!trace?.on) return;
    trace.command('received', bytes, frameText(frame), this.#commandPlace);
  }

  async #request(request: LineRequest): Promise<void> {
    const uart = this.#share;
    if (request.type === 'flush' && request.queue !== 'rx') (this.#intake ?? this.#options.data)?.drop();
    const refused = request.type === 'settings' && this.#options.refuses(request.settings);
    this.#waitsForBreak = request.type === 'break' && request.on;
    const done = !refused && (await uart.request(request));
    this.#waitsForBreak = false;
    if (this.#ended) return;
    this.#options.event({ type: 'request', request, refused: !done });
    this.#perform(this.#engine.applied({ lines: uart.modemLines, refused: !done }));
  }

  #ask(queue: 'tx' | 'rx', maxMs: number): void {
    this.#asked = queue;
    this.#askedUntilMs = this.#options.clock.now() + maxMs;
    this.#arm('queue', maxMs, () => this.#tellQueue());
    if (maxMs === 0) this.#tellQueue();
    else this.#lookAtQueue();
  }

  #queueOf(queue: 'tx' | 'rx'): number {
    const uart = this.#share;
    const { data } = this.#options;
    if (queue === 'tx') return uart.outputQueue + (this.#intake?.waiting ?? data?.waiting() ?? 0);
    return uart.inputQueue + (this.#intake?.unsent ?? data?.unsent() ?? 0);
  }

  #lookAtQueue(): void {
    if (this.#asked !== undefined && this.#queueOf(this.#asked) === 0) this.#tellQueue();
  }

  #tellQueue(): void {
    const queue = this.#asked;
    if (queue === undefined) return;
    this.#asked = undefined;
    this.#disarm('queue');
    this.#perform(this.#engine.queueIs(this.#queueOf(queue)));
  }

  #armPoll(): void {
    this.#arm('poll', this.#options.pollingMs, () => {
      this.#perform(this.#engine.poll());
      this.#armPoll();
    });
  }

  #arm(name: 'engine' | 'notify' | 'poll' | 'pair' | 'queue', afterMs: number, fn: () => void): void {
    this.#disarm(name);
    this.#timers[name] = this.#options.clock.after(afterMs, () => {
      delete this.#timers[name];
      if (!this.#ended) fn();
    });
  }

  #disarm(name: 'engine' | 'notify' | 'poll' | 'pair' | 'queue'): void {
    this.#timers[name]?.cancel();
    delete this.#timers[name];
  }
}
