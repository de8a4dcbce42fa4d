// One configured serial port of this machine, offered on the network: its device and its server. Where either cannot be had
// the port waits and tries again, so that an adapter that is plugged in again is found by its path.
// While the device is away nobody can connect: bytes for it would go nowhere.
import type { SerialPortView } from '../../api/types.js';
import type { Clock, Timer } from '../../base/clock.js';
import { asFault, type Fault, isFault, messageOf } from '../../base/fault.js';
import type { Log } from '../../base/log.js';
import type { ResolvedSerialPort } from '../../config/resolved.js';
import type { ServerHandover } from '../../serve/handover.js';
import type { PortEvent, PortServer } from '../../serve/port-server.js';
import type { PortTrace } from '../../serve/port-trace.js';
import { MeteredUart, newMeter } from '../../uart/metered.js';
import type { Uart } from '../../uart/uart.js';
import type { KeptPort, ServedKeeper } from '../handover/served-keepers.js';
import { QuietLog } from './quiet-log.js';
import { type Counts, portText, serialPortView } from './serial-port-view.js';
import type { ServedTrace } from './served-trace.js';
import { meterAfter, type Tally, tallyNow, tallyOf } from './tally.js';

export interface ServedPortOptions {
  readonly config: ResolvedSerialPort;
  readonly clock: Clock;
  readonly log: Log;
  readonly trace: ServedTrace;
  /** What an earlier process left of it. */
  readonly kept: KeptPort | undefined;
  readonly keeper: ServedKeeper | undefined;
  /** A closed one, each time. */
  readonly makeUart: (config: ResolvedSerialPort) => Uart;
  /** undefined where the mode is disabled. */
  readonly makeServer: (
    config: ResolvedSerialPort,
    uart: Uart,
    event: (event: PortEvent) => void,
    trace: PortTrace,
  ) => PortServer | undefined;
}

/** An adapter that was plugged in is there within a second; what an operator has to mend is not worth more. */
const UNPLUGGED_RETRY_MS = 1000;
const RETRY_MS = 5000;

export class ServedPort {
  readonly config: ResolvedSerialPort;
  readonly #o: ServedPortOptions;
  readonly #quiet: QuietLog;
  readonly #meter = newMeter();
  readonly #counts: Counts = { connects: 0, busy: 0, denied: 0, malformed: 0 };
  #state: SerialPortView['state'] = 'waiting';
  #since: string;
  #fault: { readonly fault: Fault; readonly at: string } | undefined;
  #server: PortServer | undefined;
  /** The device went while its server was being opened. */
  #lostEarly: Fault | undefined;
  #uart: Uart | undefined;
  #retry: Timer | undefined;
  #work: Promise<void> = Promise.resolve();
  #stopped = false;
  #kept: KeptPort | undefined;
  #tally: Tally | undefined;

  constructor(options: ServedPortOptions) {
    this.#o = options;
    this.config = options.config;
    this.#quiet = new QuietLog(options.log, options.clock);
    this.#since = this.#now();
    this.#kept = options.kept;
    this.#tally = tallyOf(options.kept?.about);
    if (this.#tally !== undefined) {
      Object.assign(this.#counts, this.#tally.counts);
      Object.assign(this.#meter, meterAfter(this.#tally, options.clock));
    }
  }

  /** Resolves when it has been tried once; what comes later comes later. Never rejects. */
  start(): Promise<void> {
    if (this.config.served.mode === 'disabled') {
      this.#become('disabled');
      return Promise.resolve();
    }
    this.#work = this.#open();
    return this.#work;
  }

  /** Never rejects. The TCP ports and the device are free when it resolves. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#retry?.cancel();
    await this.#work;
    await this.#close(this.#server);
    if (this.#o.trace.on) this.#o.trace.event('the port is not offered any more, or not so');
    this.#quiet.close();
  }

  /** Leaves it to the next process, clients and all. False: it has been stopped instead. Never rejects. */
  async handOver(atMostMs: number): Promise<boolean> {
    const { keeper, clock } = this.#o;
    await this.#work;
    const server = this.#server;
    if (keeper === undefined || server === undefined) {
      await this.stop();
      return false;
    }
    this.#stopped = true;
    let handover: ServerHandover | undefined;
    try {
      handover = await server.handOver(atMostMs);
    } catch (error) {
      // No descriptor for a copy, say. What it has ends with this process.
      this.#o.log.log('warn', `${portText(this.config)}: it cannot be handed over: ${messageOf(error)}`);
    }
    if (handover === undefined) {
      keeper.closed();
      return false;
    }
    const about: Tally = tallyNow(this.#meter, this.#counts, this.#since, clock);
    return keeper.leave(handover, about);
  }

  async #close(server: PortServer | undefined): Promise<void> {
    await server?.close();
    this.#o.keeper?.closed();
  }

  view(): SerialPortView {
    const { clock } = this.#o;
    return serialPortView({
      config: this.config,
      state: this.#state,
      since: this.#since,
      problem: this.#fault,
      server: this.#server,
      uart: this.#uart,
      meter: this.#meter,
      counts: this.#counts,
      nowMs: clock.now(),
    });
  }

  async #open(): Promise<void> {
    const { config, clock, log, trace, makeUart, makeServer } = this.#o;
    const uart = new MeteredUart(makeUart(config), this.#meter, clock, trace);
    const server = makeServer(config, uart, (event) => this.#happened(server, event), trace);
    if (server === undefined) return;
    this.#lostEarly = undefined;
    const kept = this.#kept;
    this.#kept = undefined;
    try {
      await server.open(kept);
    } catch (error) {
      this.#o.keeper?.closed();
      // No fault of the port: what was kept is of another shape than this version's.
      if (kept === undefined || isFault(error)) return this.#failed(asFault(error));
      log.log('warn', `${portText(config)}: what was kept of it is of no use, it begins anew: ${messageOf(error)}`);
      return this.#open();
    }
    if (this.#lostEarly !== undefined) {
      await this.#close(server);
      this.#failed(this.#lostEarly);
      return;
    }
    this.#server = server;
    this.#uart = uart;
    this.#fault = undefined;
    this.#become('up');
    if (this.#tally !== undefined) this.#since = this.#tally.since;
    this.#tally = undefined;
    this.#o.keeper?.opened(server.descriptors);
    const again = server.clients.length > 0 ? `, and goes on with ${clientsText(server.clients.length)}` : '';
    this.#o.log.log('info', `${portText(config)}: ${offeredText(config, server)}${again}`, { event: 'served' });
  }

  #happened(server: PortServer | undefined, event: PortEvent): void {
    const { config, log, trace } = this.#o;
    if (trace.on) trace.happened(event);
    const port = portText(config);
    switch (event.type) {
      case 'connected':
        this.#counts.connects++;
        this.#quiet.log(
          `${port}: connections`,
          'info',
          `${port}: ${event.kind} connection ${event.outgoing ? 'to' : 'from'} ${event.peer}`,
          {
            event: 'connect',
            peer: event.peer,
          },
        );
        return;
      case 'disconnected':
        this.#quiet.log(`${port}: ends of connections`, 'info', `${port}: ${event.peer} left: ${event.reason}`, {
          event: 'disconnect',
          peer: event.peer,
        });
        return;
      case 'busy':
        this.#counts.busy++;
        this.#quiet.log(`${port}: hosts too many`, 'warn', `${port}: ${event.peer} tried, and the port is in use`);
        return;
      case 'denied':
        this.#counts.denied++;
        this.#quiet.log(`${port}: hosts refused`, 'warn', `${port}: ${event.peer} is not in accessibleIps`);
        return;
      case 'failed':
        if (this.#server === undefined) this.#lostEarly = event.fault;
        else if (this.#server === server && !this.#stopped) this.#work = this.#lost(event.fault);
        return;
      case 'malformed':
        this.#counts.malformed++;
        return;
      case 'request':
        log.log('debug', `${port}: ${event.request.type}${event.refused ? ' refused' : ''}`);
        return;
      case 'note':
        this.#quiet.log(`${port}: notes`, 'info', `${port}: ${event.text}`);
        return;
      case 'frame':
      case 'waits':
        return;
      default:
        event satisfies never;
    }
  }

  /** The device is gone: its clients are disconnected, which is what they can be told. */
  async #lost(fault: Fault): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    this.#uart = undefined;
    await this.#close(server);
    this.#failed(fault);
  }

  #failed(fault: Fault): void {
    const { clock, config, log } = this.#o;
    if (this.#stopped) return;
    // Each cause is told when it comes, not each time that it is found again.
    if (this.#fault?.fault.message !== fault.message) {
      this.#fault = { fault, at: this.#now() };
      log.log('warn', `${portText(config)}: ${fault.message}; it is tried again`, { event: 'serial-port' });
    }
    this.#become('waiting');
    this.#retry = clock.after(fault.code === 'TTY_GONE' ? UNPLUGGED_RETRY_MS : RETRY_MS, () => {
      this.#work = this.#open();
    });
  }

  #become(state: SerialPortView['state']): void {
    if (this.#state === state) return;
    this.#state = state;
    const { trace } = this.#o;
    if (trace.on) trace.event(state === 'waiting' ? `waiting: ${this.#fault?.fault.message ?? ''}` : state);
    this.#since = this.#now();
  }

  #now(): string {
    return new Date(this.#o.clock.wallTime()).toISOString();
  }
}

function offeredText({ listen, served }: ResolvedSerialPort, { tcpPorts, udpPorts = [] }: PortServer): string {
  const ports = [...tcpPorts, ...udpPorts.map((port) => `${port} (UDP)`)];
  return ports.length === 0 ? `up, as ${served.mode}` : `offered on ${listen} port ${ports.join(' and ')}`;
}

const clientsText = (count: number) => (count === 1 ? 'its client' : `its ${count} clients`);
