// A serial port as a modem whose telephone network is TCP: the terminal dials an address by AT commands, and whoever connects rings.
// The modem itself is protocol/at; here are its sockets, its line and its time. Bytes of the other end are not read while the terminal
// has commands, so that its window shuts. Follows the device servers' Ethernet Modem mode.
import type { Socket } from 'node:net';
import type { Timer } from '../base/clock.js';
import { messageOf } from '../base/fault.js';
import { destinationText } from '../config/destination.js';
import { socketDescriptor } from '../native/net-socket.js';
import { isEstablished } from '../native/socket.js';
import type { ModemEffect } from '../protocol/at/effects.js';
import { Modem } from '../protocol/at/modem.js';
import type { Profile } from '../protocol/at/profile.js';
import type { LineReport, ModemLines } from '../serial/line.js';
import { ClientGate } from './client-gate.js';
import { DataIntake, type IntakeLine } from './data-intake.js';
import { Dialling, destinationOf } from './dialling.js';
import type { EthernetModemOptions } from './ethernet-modem-options.js';
import { Arriving, type KeptServer, type ServerHandover, soon } from './handover.js';
import { LineOutput } from './line-output.js';
import { Lookups } from './lookups.js';
import { OwnLines } from './own-lines.js';
import type { PortEvent, PortServer, ServedClient } from './port-server.js';
import { type LineShare, SharedLine } from './shared-line.js';

interface Call {
  readonly socket: Socket;
  readonly address: string;
  readonly place: string;
  readonly sinceMs: number;
  readonly intake: DataIntake;
}

const DEFAULT_ALIVE_MS = 7 * 60_000;
const CONNECT_TIMEOUT_MS = 30_000;
/** For NO CARRIER to leave a line that does not stand. */
const LAST_WORDS_MS = 250;
const NOBODY = 'the modem';

export class EthernetModemPort implements PortServer {
  readonly #o: EthernetModemOptions;
  readonly #line: SharedLine;
  readonly #lines: OwnLines;
  readonly #gate: ClientGate;
  readonly #modem: Modem;
  readonly #output: LineOutput;
  /** Towards the line, for the other end. */
  readonly #path: IntakeLine = {
    write: (bytes) => (this.#isDataWay ? (this.#share?.write(bytes) ?? 0) : 0),
    pauseInput: () => this.#networkFull(true),
    resumeInput: () => this.#networkFull(false),
  };
  #share: LineShare | undefined;
  /** Of the terminal, not taken by the modem yet. */
  #untaken: Uint8Array = new Uint8Array(0);
  #isNetworkFull = false;
  /** Not answered yet, and not read. */
  #caller: { readonly socket: Socket; readonly address: string } | undefined;
  readonly #lookups = new Lookups();
  #dialling: Dialling | undefined;
  #call: Call | undefined;
  #timer: Timer | undefined;
  #isCarrierShown: boolean | undefined;
  #hasDtr = false;
  #kept: Profile | undefined;
  #closed = false;

  constructor(options: EthernetModemOptions) {
    const { clock, uart, trace } = options;
    this.#o = options;
    this.#kept = options.profiles?.kept;
    this.#modem = new Modem({
      identity: options.identity ?? ['Ethernet modem', '000', 'OK'],
      baudRate: () => uart.settings.baudRate,
      isDestination: (text) => destinationOf(text) !== undefined,
      stored: () => this.#kept,
    });
    this.#line = new SharedLine({
      uart,
      trace,
      ignoreJammedIp: false,
      driverControl: true,
      failed: (fault) => this.#tell({ type: 'failed', fault }),
    });
    this.#lines = new OwnLines(options.uart, (error) =>
      this.#tell({ type: 'note', text: `lines: ${messageOf(error)}` }),
    );
    this.#output = new LineOutput({ write: (bytes) => this.#share?.write(bytes) ?? 0, outputQueue: 0 }, clock);
    this.#gate = new ClientGate({
      clock,
      address: options.address,
      port: options.port,
      maxConnection: 1,
      aliveCheckMs: options.aliveCheckMs ?? DEFAULT_ALIVE_MS,
      busyHoldMs: options.busyHoldMs ?? 0,
      admits: options.admits,
      hints: options.hints,
      admitted: (socket, address) => this.#called(socket, address),
      refused: (type, peer) => this.#tell({ type, kind: 'data', peer }),
      waits: (peer) => this.#tell({ type: 'waits', kind: 'data', peer }),
    });
  }

  get tcpPorts(): readonly number[] {
    return [this.#gate.port];
  }

  get clients(): readonly ServedClient[] {
    if (this.#call === undefined) return [];
    const { address, sinceMs, intake } = this.#call;
    return [{ address, sinceMs, received: intake.received, sent: intake.sent, dropped: 0 }];
  }

  get descriptors(): PortServer['descriptors'] {
    const listener = this.#gate.descriptor;
    return { uart: this.#line.uart.descriptor, listeners: listener === undefined ? [] : [listener] };
  }

  async open(kept?: KeptServer): Promise<void> {
    const arriving = kept && new Arriving(kept);
    const { uart } = this.#line;
    try {
      await this.#line.open(arriving?.uart);
      this.#share = this.#join();
      this.#hasDtr = hasDtr(uart.modemLines);
      this.#showCarrier();
      await this.#gate.open(arriving?.listener(0));
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      arriving?.endRest();
    }
  }

  /** A call cannot be kept: the next process begins on the hook. */
  async handOver(): Promise<ServerHandover | undefined> {
    await this.close();
    return undefined;
  }

  async close(): Promise<void> {
    const last = this.#closed ? [] : [...this.#modem.failed(), ...this.#modem.carrierLost()];
    this.#perform(last);
    this.#closed = true;
    this.#timer?.cancel();
    this.#giveUpDialling();
    this.#call?.socket.destroy();
    this.#call?.intake.close();
    this.#caller?.socket.destroy();
    const gateClosed = this.#gate.close();
    // What has not left yet is lost with the port.
    const isSaid = () => this.#output.waiting + this.#line.uart.outputQueue === 0;
    if (last.length > 0) await soon(this.#o.clock, LAST_WORDS_MS, isSaid);
    this.#output.close();
    await Promise.all([gateClosed, this.#line.close()]);
  }

  #join(): LineShare {
    const port = this;
    return this.#line.join({
      get place() {
        return port.#call?.place ?? NOBODY;
      },
      get unsent() {
        return port.#call?.intake.unsent ?? 0;
      },
      received: (bytes) => {
        this.#untaken = this.#untaken.length === 0 ? bytes : Buffer.concat([this.#untaken, bytes]);
        this.#work();
      },
      report: (report) => this.#reported(report),
      writable: () => {
        this.#output.portWritable();
        this.#work();
      },
      drained: () => {},
      hears: true,
    });
  }

  /** The modem gets what it takes of the terminal's bytes: no more while its answers, or the other end, have no room. */
  #work(): void {
    while (this.#untaken.length > 0 && !this.#closed && !this.#output.full && !this.#isNetworkFull) {
      this.#perform(this.#modem.tick(this.#now));
      const { taken, effects } = this.#modem.take(this.#untaken, this.#now);
      this.#untaken = this.#untaken.subarray(taken);
      this.#perform(effects);
      if (taken === 0) break;
    }
    this.#settle();
  }

  #step(effects: readonly ModemEffect[]): void {
    this.#perform(effects);
    this.#work();
  }

  /** What follows from the state that it is in now. */
  #settle(): void {
    if (this.#closed) return;
    this.#timer?.cancel();
    const until = this.#modem.deadlineMs;
    this.#timer = until === undefined ? undefined : this.#o.clock.after(until - this.#now, () => this.#time());
    this.#showCarrier();
    this.#flow();
    if (this.#isDataWay) this.#call?.intake.portWritable();
  }

  #time(): void {
    const { socket } = this.#caller ?? {};
    const fd = socket && socketDescriptor(socket);
    // It is not read, so that its end is not told.
    if (fd !== undefined && !isEstablished(fd)) this.#callerLeft();
    this.#step(this.#modem.tick(this.#now));
  }

  #perform(effects: readonly ModemEffect[]): void {
    for (const effect of effects) this.#do(effect);
  }

  #do(effect: ModemEffect): void {
    switch (effect.type) {
      case 'say':
        this.#output.write(Buffer.from(effect.text, 'latin1'));
        return;
      case 'data':
        this.#call?.intake.fromPort(effect.bytes);
        return;
      case 'dial':
        this.#dial(effect.to);
        return;
      case 'give-up-dialling':
        this.#giveUpDialling();
        return;
      case 'answer':
        this.#answer();
        return;
      case 'refuse-caller':
        this.#tell({ type: 'note', text: `${this.#caller?.address ?? 'somebody'} rang, and was not answered` });
        this.#caller?.socket.destroy();
        this.#caller = undefined;
        return;
      case 'hang-up':
        this.#ended('the terminal hung up');
        return;
      case 'save':
        void this.#save(effect.profile);
        return;
      default:
        effect satisfies never;
    }
  }

  // calls

  #called(socket: Socket, address: string): void {
    // Nor is it where the terminal has not been told of earlier ones.
    const isHeard = !this.#output.full;
    const isFree = isHeard && this.#call === undefined && this.#dialling === undefined && this.#caller === undefined;
    const called = isFree ? this.#modem.called(this.#now) : undefined;
    if (called?.taken !== true) {
      this.#tell({ type: 'busy', kind: 'data', peer: address });
      socket.destroy();
      return;
    }
    this.#caller = { socket, address };
    socket.on('close', () => {
      if (this.#caller?.socket === socket) this.#callerLeft();
    });
    this.#step(called.effects);
  }

  #callerLeft(): void {
    this.#caller?.socket.destroy();
    this.#caller = undefined;
    this.#modem.callerLeft();
    this.#settle();
  }

  #answer(): void {
    const { socket, address } = this.#caller ?? {};
    this.#caller = undefined;
    if (socket === undefined || address === undefined) return;
    this.#connected(socket, address, `${address}:${socket.remotePort ?? 0}`, false);
  }

  #dial(to: string): void {
    const destination = destinationOf(to);
    if (destination === undefined) return;
    const { clock, connectTimeoutMs = CONNECT_TIMEOUT_MS, aliveCheckMs = DEFAULT_ALIVE_MS } = this.#o;
    const place = destinationText(destination);
    this.#dialling = new Dialling({
      clock,
      destination,
      connectTimeoutMs,
      lookups: this.#lookups,
      connected: (socket) => {
        this.#dialling = undefined;
        if (aliveCheckMs > 0) socket.setKeepAlive(true, aliveCheckMs);
        this.#connected(socket, place, place, true);
        this.#step(this.#modem.dialled(this.#now));
      },
      failed: (why) => {
        this.#dialling = undefined;
        this.#tell({ type: 'note', text: `${place}: ${why}` });
        this.#step(this.#modem.failed());
      },
    });
  }

  #giveUpDialling(): void {
    this.#dialling?.giveUp();
    this.#dialling = undefined;
  }

  #connected(socket: Socket, address: string, place: string, outgoing: boolean): void {
    let reason = 'it closed the connection';
    socket.on('error', (error) => {
      reason = messageOf(error);
    });
    socket.on('close', () => {
      if (this.#call !== call || this.#closed) return;
      const lost = () => {
        if (this.#call !== call) return;
        this.#ended(reason);
        this.#step(this.#modem.carrierLost());
      };
      // What it had sent before comes first.
      if (socket.errored || intake.waiting === 0) lost();
      else intake.finish(lost);
    });
    const intake = new DataIntake(socket, this.#path);
    const call: Call = { socket, address, place, sinceMs: this.#o.clock.wallTime(), intake };
    this.#call = call;
    this.#tell({ type: 'connected', kind: 'data', peer: place, ...(outgoing ? { outgoing } : {}) });
  }

  #ended(reason: string): void {
    const call = this.#call;
    if (call === undefined) return;
    this.#call = undefined;
    call.intake.close();
    call.socket.destroy();
    this.#tell({ type: 'disconnected', peer: call.place, reason });
  }

  // the line

  get #isDataWay(): boolean {
    return this.#modem.state === 'online' && this.#output.waiting === 0;
  }

  #networkFull(isFull: boolean): void {
    const was = this.#isNetworkFull;
    this.#isNetworkFull = isFull;
    if (was && !isFull && !this.#closed) queueMicrotask(() => this.#work());
    this.#flow();
  }

  #flow(): void {
    if (this.#closed) return;
    if (this.#untaken.length > 0 || this.#output.full || this.#isNetworkFull) this.#share?.pauseInput();
    else this.#share?.resumeInput();
  }

  #reported(report: LineReport): void {
    if (report.type !== 'lines') return;
    const had = this.#hasDtr;
    this.#hasDtr = hasDtr(report.lines);
    if (had && !this.#hasDtr) this.#step(this.#modem.dtrDropped(this.#now));
  }

  /** RTS stays up: commands come at any time. */
  #showCarrier(): void {
    const { carrier } = this.#modem;
    if (this.#isCarrierShown === carrier) return;
    this.#isCarrierShown = carrier;
    this.#lines.set({ dtr: carrier, rts: true });
  }

  async #save(profile: Profile): Promise<void> {
    const isSaved = (await this.#o.profiles?.keep(profile)) ?? true;
    if (isSaved) this.#kept = profile;
    if (!this.#closed) this.#step(this.#modem.saved(isSaved, this.#now));
  }

  get #now(): number {
    return this.#o.clock.now();
  }

  #tell(event: PortEvent): void {
    this.#o.event?.(event);
  }
}

/** The terminal's DTR, at the other end of a null modem cable. */
const hasDtr = ({ dsr, dcd }: ModemLines): boolean => dsr || dcd;
