// The end of a pair that connects: for ever, and by RFC 2217 (pair.ts). Bytes, modem lines and breaks go both ways; line settings are those
// of each end's own configuration, and a difference is told.
import type { Socket } from 'node:net';
import { isIP } from 'node:net';
import type { Timer } from '../base/clock.js';
import { asFault, type Fault, messageOf } from '../base/fault.js';
import { type Destination, destinationText } from '../config/destination.js';
import { Rfc2217Link } from '../link/rfc2217.js';
import { adoptSocket } from '../native/net-socket.js';
import { dup } from '../native/socket.js';
import type { LineReport, LineRequest, OutputLines } from '../serial/line.js';
import { DataIntake } from './data-intake.js';
import { Arriving, type KeptServer, type ServerHandover } from './handover.js';
import { LastWordsOfClients } from './last-words.js';
import { Lookups } from './lookups.js';
import { OwnLines } from './own-lines.js';
import { OwnRequests } from './own-requests.js';
import { settingsText, throughCable } from './pair.js';
import type { PortEvent, PortServer, PortServerOptions, ServedClient } from './port-server.js';
import { type LineShare, SharedLine } from './shared-line.js';

export interface PairMasterOptions extends PortServerOptions {
  readonly destination: Destination;
}

interface Cable {
  readonly link: Rfc2217Link;
  readonly socket: Socket;
  readonly share: LineShare;
  readonly intake: DataIntake;
  readonly sinceMs: number;
}

const FIRST_DELAY_MS = 1000;
const MOST_DELAY_MS = 30_000;
const READ_AHEAD = 4096;
/** A received break has no length: a break of the other end has this one. */
const BREAK_MS = 250;

export class PairMasterPort implements PortServer {
  readonly #o: PairMasterOptions;
  readonly #line: SharedLine;
  readonly #lines: OwnLines;
  readonly #requests: OwnRequests;
  readonly #place: string;
  readonly #stopping = new AbortController();
  /** Hears the line's reports, connected or not. */
  #ear: LineShare | undefined;
  #link: Rfc2217Link | undefined;
  #cable: Cable | undefined;
  readonly #lookups = new Lookups();
  readonly #lastWords = new LastWordsOfClients();
  /** What the far end was asked last, and is asked next where that is something else. */
  #asked: OutputLines | undefined;
  #asking = false;
  #breaks: { here?: Timer; there?: Timer } = {};
  #retry: Timer | undefined;
  #delayMs = 0;
  #told: string | undefined;
  /** The lines are those that an earlier process left. */
  #inherited = false;
  #closed = false;
  #ending: Promise<void> = Promise.resolve();

  constructor(options: PairMasterOptions) {
    this.#o = options;
    this.#place = destinationText(options.destination);
    this.#line = new SharedLine({
      uart: options.uart,
      trace: options.trace,
      ignoreJammedIp: false,
      driverControl: false,
      failed: (fault) => this.#tell({ type: 'failed', fault }),
    });
    this.#lines = new OwnLines(options.uart, (error) => this.#note(`lines: ${messageOf(error)}`));
    this.#requests = new OwnRequests(options.uart, ({ type }, error) => this.#note(`${type}: ${messageOf(error)}`));
  }

  get tcpPorts(): readonly number[] {
    return [];
  }

  get clients(): readonly ServedClient[] {
    if (this.#cable === undefined) return [];
    const { sinceMs, intake, share } = this.#cable;
    const { received, sent } = intake;
    return [{ address: this.#place, sinceMs, received, sent, dropped: share.dropped }];
  }

  get descriptors(): PortServer['descriptors'] {
    return { uart: this.#line.uart.descriptor, listeners: [] };
  }

  async open(kept?: KeptServer): Promise<void> {
    const arriving = kept && new Arriving(kept);
    try {
      await this.#line.open(arriving?.uart);
      this.#ear = this.#line.join({
        place: 'nobody',
        received: () => {},
        report: (report) => this.#saysHere(report),
        writable: () => {},
        drained: () => {},
        unsent: 0,
        hears: false,
      });
      // Over a restart the lines stay as they are until the far end is there, or is not.
      this.#inherited = kept?.state?.server.mode === 'pair-master';
      if (!this.#inherited) await this.#line.uart.request({ type: 'lines', lines: this.#freeLines });
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      arriving?.endRest();
    }
    this.#connectIn(0);
  }

  /** The connection is made anew by the next process: who has half of a telnet command knows it alone. */
  async handOver(): Promise<ServerHandover | undefined> {
    await this.#disconnect();
    this.#line.stopInput();
    const line = this.#line.handOver();
    if (line?.uart.state === undefined) {
      await this.close();
      return undefined;
    }
    const server = { mode: 'pair-master' as const };
    return { uart: line.uart.fd, listeners: [], sockets: [], state: { uart: line.uart.state, server } };
  }

  async close(): Promise<void> {
    await this.#disconnect();
    this.#ear?.leave();
    await this.#line.close();
  }

  async #disconnect(): Promise<void> {
    this.#closed = true;
    this.#stopping.abort(asFault(new Error('the port is closing')));
    this.#retry?.cancel();
    this.#endBreaks();
    this.#cable?.socket.destroy();
    const link = this.#link;
    this.#link = undefined;
    await link?.close();
    await this.#ending;
  }

  get #freeLines(): OutputLines {
    const up = this.#o.linesWhenFree === 'high';
    return { dtr: up, rts: up };
  }

  // the connection

  #connectIn(afterMs: number): void {
    if (this.#closed) return;
    this.#retry = this.#o.clock.after(afterMs, () => {
      void this.#connect();
    });
  }

  async #connect(): Promise<void> {
    const { clock, destination } = this.#o;
    const addresses = async () =>
      isIP(destination.host) !== 0 ? [destination.host] : await this.#lookups.addresses(destination.host);
    const link = new Rfc2217Link({ addresses, dataPort: destination.port, clock });
    this.#link = link;
    try {
      const events = {
        report: (report: LineReport) => this.#saysThere(report),
        down: (fault: Fault) => this.#down(link, fault),
      };
      await link.connect(events, this.#stopping.signal);
      if (this.#closed) return;
      // Throws where no descriptor is left.
      this.#plugIn(link);
      this.#told = undefined;
    } catch (error) {
      await link.close();
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (this.#closed) return;
    const why = messageOf(error);
    if (this.#inherited) this.#lines.set(this.#freeLines);
    this.#inherited = false;
    if (this.#told !== why) this.#note(`${this.#place}: ${why}; it is tried again`);
    this.#told = why;
    this.#delayMs = Math.min(MOST_DELAY_MS, Math.max(FIRST_DELAY_MS, 2 * this.#delayMs));
    this.#connectIn(this.#delayMs);
  }

  #plugIn(link: Rfc2217Link): void {
    const socket = adoptSocket(dup(link.dataFd), READ_AHEAD);
    socket.on('error', () => {}); // 'close' follows
    const share = this.#line.join({
      place: this.#place,
      received: (bytes) => {
        if (!socket.writableEnded) cable.intake.fromPort(bytes);
      },
      report: () => {},
      writable: () => cable.intake.portWritable(),
      drained: () => {},
      hears: true,
      get unsent() {
        return cable.intake.unsent;
      },
    });
    const intake = new DataIntake(socket, share);
    const cable: Cable = { link, socket, share, intake, sinceMs: this.#o.clock.wallTime() };
    this.#cable = cable;
    this.#inherited = false;
    this.#delayMs = 0;
    this.#tell({ type: 'connected', kind: 'data', peer: this.#place, outgoing: true });
    const { uart } = this.#line;
    const lines = throughCable(uart.modemLines);
    this.#asked = lines;
    this.#ask(link, { type: 'settings', settings: uart.settings, lines });
    if (link.modemLines !== undefined) this.#lines.set(throughCable(link.modemLines));
  }

  /** What the far end had said goes to the line still. */
  #down(link: Rfc2217Link, fault: Fault): void {
    const cable = this.#cable;
    this.#cable = undefined;
    this.#link = undefined;
    this.#asked = undefined;
    this.#endBreaks();
    this.#ending = link.close();
    if (cable !== undefined) {
      const { socket, intake, share } = cable;
      socket.once('close', () => this.#lastWords.end(intake, share, !this.#closed));
      if (this.#closed) socket.destroy();
      else socket.end();
      // It gets no more of the line, and holds up nobody who does.
      share.resumeInput();
    }
    if (this.#closed) return;
    this.#tell({ type: 'disconnected', peer: this.#place, reason: fault.message });
    this.#lines.set(this.#freeLines);
    this.#connectIn(FIRST_DELAY_MS);
  }

  // lines and breaks

  #saysHere(report: LineReport): void {
    const link = this.#cable?.link;
    if (link === undefined) return;
    if (report.type === 'lines') this.#askForLines(link);
    if (report.type === 'break') this.#breakThere(link);
  }

  #saysThere(report: LineReport): void {
    switch (report.type) {
      case 'lines':
        this.#lines.set(throughCable(report.lines));
        return;
      case 'break':
        this.#breakHere();
        return;
      case 'refused':
        this.#note(
          `the slave has other line settings than ${settingsText(report.settings)}: make them the same at both ends`,
        );
        return;
      case 'errors':
        return;
      default:
        report satisfies never;
    }
  }

  /** One request at a time: a device that moves its lines all the time has the last state carried over. */
  #askForLines(link: Rfc2217Link): void {
    const wanted = throughCable(this.#line.uart.modemLines);
    if (this.#asking || (wanted.dtr === this.#asked?.dtr && wanted.rts === this.#asked.rts)) return;
    this.#asked = wanted;
    this.#asking = true;
    link
      .request({ type: 'lines', lines: wanted })
      .catch(() => {}) // the connection's end is told by `down`
      .finally(() => {
        this.#asking = false;
        if (this.#cable?.link === link) this.#askForLines(link);
      });
  }

  #breakThere(link: Rfc2217Link): void {
    if (this.#breaks.there !== undefined) return;
    this.#ask(link, { type: 'break', on: true });
    this.#breaks.there = this.#o.clock.after(BREAK_MS, () => {
      delete this.#breaks.there;
      this.#ask(link, { type: 'break', on: false });
    });
  }

  #breakHere(): void {
    if (this.#breaks.here !== undefined || this.#closed) return;
    this.#requests.ask({ type: 'break', on: true });
    this.#breaks.here = this.#o.clock.after(BREAK_MS, () => {
      delete this.#breaks.here;
      this.#requests.ask({ type: 'break', on: false });
    });
  }

  #endBreaks(): void {
    const { here, there } = this.#breaks;
    this.#breaks = {};
    there?.cancel();
    if (here === undefined) return;
    here.cancel();
    this.#requests.ask({ type: 'break', on: false });
  }

  #ask(link: Rfc2217Link, request: LineRequest): void {
    link.request(request).catch(() => {}); // the connection's end is told by `down`
  }

  #note(text: string): void {
    this.#tell({ type: 'note', text });
  }

  #tell(event: PortEvent): void {
    this.#o.event?.(event);
  }
}
