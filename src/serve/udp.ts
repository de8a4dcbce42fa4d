// A serial port over UDP: what the line says goes as datagrams to every destination, and what datagrams bring goes to the line, each
// whole. There is no connection: what is lost is lost, and what the line has no room for is dropped and counted.
// Follows the device servers' UDP mode.
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { isIP } from 'node:net';
import { Fault, messageOf } from '../base/fault.js';
import type { Destination } from '../config/destination.js';
import type { UartEvents } from '../uart/uart.js';
import { Arriving, type KeptServer, type ServerHandover } from './handover.js';
import { LineOutput } from './line-output.js';
import { OwnAddress } from './own-address.js';
import { Packing } from './packing.js';
import type { PortEvent, PortServer, PortServerOptions, ServedClient } from './port-server.js';
import { UdpGroups } from './udp-groups.js';
import { UdpPeers } from './udp-peers.js';
import { type Target, UdpTargets } from './udp-targets.js';

export interface UdpPortOptions extends PortServerOptions {
  /** Where datagrams are heard, and where they are sent from; 0: any free one. */
  readonly port: number;
  readonly destinations: readonly Destination[];
}

/** One datagram, where no packing says otherwise: the buffer of a device server. */
const MOST_BYTES = 1024;
/** For the line. A datagram may be longer than that by itself. */
const MOST_WAITING = 64 * 1024;
/** In the socket, for all targets. */
const MOST_UNSENT = 256 * 1024;
const UP = { dtr: true, rts: true };

export class UdpPort implements PortServer {
  readonly #o: UdpPortOptions;
  readonly #packing: Packing | undefined;
  readonly #output: LineOutput;
  readonly #peers: UdpPeers;
  readonly #targets: UdpTargets;
  readonly #own: OwnAddress;
  #socket: Socket | undefined;
  #groups: UdpGroups | undefined;
  #port: number;
  /** By target, the cause that it was told of. */
  readonly #told = new Map<string, string>();
  /** The line has no room, which was told. */
  #drops = false;
  #closed = false;

  constructor(options: UdpPortOptions) {
    const { address, clock, destinations, packing, port, uart } = options;
    this.#o = options;
    this.#port = port;
    this.#packing = packing && new Packing(packing, clock);
    this.#output = new LineOutput(uart, clock);
    this.#peers = new UdpPeers(clock);
    this.#own = new OwnAddress(address, clock);
    this.#targets = new UdpTargets({
      clock,
      destinations,
      family: isIP(address) === 4 ? 'ipv4' : address === '::' ? 'mapped' : 'ipv6',
      trouble: (text) => this.#note(text),
      added: (target) => this.#groups?.join(target, this.#targets.all),
    });
  }

  get tcpPorts(): readonly number[] {
    return [];
  }

  get udpPorts(): readonly number[] {
    return [this.#port];
  }

  get clients(): readonly ServedClient[] {
    return this.#peers.all;
  }

  get descriptors(): PortServer['descriptors'] {
    return { uart: this.#o.uart.descriptor, listeners: [] };
  }

  async open(kept?: KeptServer): Promise<void> {
    const arriving = kept && new Arriving(kept);
    const { uart } = this.#o;
    this.#packing?.start(
      () => uart.settings,
      (packet) => this.#sendAll(packet),
    );
    const events: UartEvents = {
      received: (bytes) => this.#said(bytes),
      report: () => {}, // UDP has no word for it
      writable: () => this.#output.portWritable(),
      drained: () => this.#output.portDrained(),
      failed: (fault) => this.#tell({ type: 'failed', fault }),
    };
    try {
      await uart.open(events, arriving?.uart);
      // What the device says before the socket is there, and before what the process before had of it, waits.
      uart.pauseInput();
      await uart.request({ type: 'lines', lines: UP });
      await this.#bind();
      // Not waited for: a name server that does not answer holds no other destination up.
      void this.#targets.start();
      const state = kept?.state?.server;
      if (state?.mode === 'udp') {
        this.#output.goOn(state.output);
        this.#packing?.goOn(state.packing);
      }
      uart.resumeInput();
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      arriving?.endRest();
    }
  }

  /** Datagrams that come before the next process listens are lost, as datagrams are. */
  async handOver(): Promise<ServerHandover | undefined> {
    const { uart } = this.#o;
    this.#closed = true;
    uart.pauseInput();
    this.#packing?.pause();
    await this.#endSocket();
    const left = uart.handOver?.();
    const packing = this.#packing?.handOver() ?? new Uint8Array(0);
    const output = this.#output.handOver();
    if (left?.state === undefined) {
      await this.close();
      return undefined;
    }
    const server = { mode: 'udp' as const, packing, output };
    return { uart: left.fd, listeners: [], sockets: [], state: { uart: left.state, server } };
  }

  async close(): Promise<void> {
    this.#packing?.flush();
    this.#closed = true;
    this.#output.close();
    await Promise.all([this.#endSocket(), this.#o.uart.close()]);
  }

  async #endSocket(): Promise<void> {
    this.#targets.close();
    const [socket, groups] = [this.#socket, this.#groups];
    this.#socket = undefined;
    this.#groups = undefined;
    if (socket === undefined) return;
    // What was sent last has not left before the next tick, and a socket that is closed sends nothing.
    await new Promise((resolve) => setImmediate(resolve));
    await Promise.all([groups?.close(), new Promise<void>((resolve) => socket.close(resolve))]);
  }

  async #bind(): Promise<void> {
    const { address } = this.#o;
    const socket = createSocket({ type: isIP(address) === 6 ? 'udp6' : 'udp4' });
    await new Promise<void>((resolve, reject) => {
      socket.once('error', reject);
      socket.bind({ address, port: this.#port, exclusive: true }, () => {
        socket.off('error', reject);
        resolve();
      });
    }).catch((error: unknown) => {
      socket.close();
      throw this.#bindFault(error);
    });
    socket.on('error', (error) => this.#note(`UDP: ${error.message}`));
    socket.on('message', (bytes, from) => this.#heard(bytes, from));
    socket.setBroadcast(true);
    this.#port = socket.address().port;
    this.#socket = socket;
    this.#groups = new UdpGroups({
      socket,
      address,
      port: this.#port,
      heard: (bytes, from) => this.#heard(bytes, from),
      trouble: (text) => this.#note(text),
    });
  }

  #bindFault(error: unknown): Fault {
    const { address, hints } = this.#o;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const where = `cannot listen on ${address} port ${this.#port} (UDP)`;
    if (code === 'EADDRINUSE')
      return new Fault('SYSTEM', `${where}: already in use (${hints?.taken ?? 'see who has it: ss -lunp'})`, {
        cause: error,
      });
    if (code === 'EACCES')
      return new Fault(
        'PERMISSION',
        `${where}: ports below 1024 need root (${hints?.privileged ?? 'choose a higher one'})`,
        {
          cause: error,
        },
      );
    if (code === 'EADDRNOTAVAIL')
      return new Fault('SYSTEM', `${where}: this machine has no such address (see: ip address)`, { cause: error });
    return new Fault('SYSTEM', `${where}: ${messageOf(error)}`, { cause: error });
  }

  // from the line

  #said(bytes: Uint8Array): void {
    if (this.#packing !== undefined) {
      this.#packing.take(bytes);
      return;
    }
    for (let at = 0; at < bytes.length; at += MOST_BYTES) this.#sendAll(bytes.subarray(at, at + MOST_BYTES));
  }

  #sendAll(datagram: Uint8Array): void {
    const { trace } = this.#o;
    const targets = this.#targets.all;
    if (trace?.on) {
      const places = targets.map(({ address, port }) => placeOf(address, port)).join(', ');
      trace.bytes('received', datagram, places === '' ? undefined : places);
    }
    for (const target of targets) this.#send(datagram, target);
  }

  #send(datagram: Uint8Array, { address, port, text }: Target): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    if (socket.getSendQueueSize() > MOST_UNSENT) {
      this.#peers.dropped(address, port, datagram.length);
      return;
    }
    socket.send(datagram, port, address, (error) => {
      if (error === null) {
        this.#told.delete(text);
        this.#peers.sent(address, port, datagram.length);
        return;
      }
      const why = 'code' in error ? String(error.code) : error.message;
      if (this.#closed || this.#told.get(text) === why) return;
      this.#told.set(text, why);
      this.#note(`${text}: not sent (${why})`);
    });
  }

  // from the network

  #heard(bytes: Uint8Array, { address, port }: RemoteInfo): void {
    const { admits, trace } = this.#o;
    if (this.#closed || (port === this.#port && this.#own.is(address))) return;
    if (admits?.(address) === false) {
      this.#tell({ type: 'denied', kind: 'data', peer: address });
      return;
    }
    if (bytes.length === 0) return;
    const waiting = this.#output.waiting;
    const fits = !this.#output.full && (waiting === 0 || waiting + bytes.length <= MOST_WAITING);
    if (this.#peers.heard(address, port, fits ? bytes.length : 0))
      this.#tell({ type: 'connected', kind: 'data', peer: placeOf(address, port) });
    if (!fits) {
      this.#peers.dropped(address, port, bytes.length);
      if (!this.#drops) this.#note(`the line has no room: datagrams are dropped, of ${placeOf(address, port)} first`);
      this.#drops = true;
      return;
    }
    if (waiting === 0) this.#drops = false;
    if (trace?.on) trace.bytes('sent', bytes, placeOf(address, port));
    this.#output.write(bytes);
  }

  #note(text: string): void {
    if (!this.#closed) this.#tell({ type: 'note', text });
  }

  #tell(event: PortEvent): void {
    this.#o.event?.(event);
  }
}

const placeOf = (address: string, port: number) =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
