// Our own RFC 2217 server on loopback, on a simulated line whose far end is here: what left the line byte for byte with its
// settings, what the clients asked, and a device that sends, drops lines, makes errors, or hangs.
import { readdirSync } from 'node:fs';
import { Duplex } from 'node:stream';
import { SystemClock } from '../../src/base/clock.js';
import type { LineRequest } from '../../src/serial/line.js';
import type { PortEvent } from '../../src/serve/port-server.js';
import { type Rfc2217Options, Rfc2217Port } from '../../src/serve/rfc2217.js';
import { LoopbackUart } from '../../src/uart/loopback.js';
import { LineRecorder } from './line-recorder.js';
import { RawPeer } from './raw-peer.js';

/** A port whose driver may hang: no request returns before it is over. */
class HangingUart extends LoopbackUart {
  /** As they were written. */
  readonly writes: Buffer[] = [];
  #over: Promise<void> | undefined;
  #end: (() => void) | undefined;

  hang(): void {
    this.#over = new Promise((resolve) => {
      this.#end = resolve;
    });
  }

  goOn(): void {
    this.#end?.();
    this.#over = undefined;
  }

  override write(bytes: Uint8Array): number {
    this.writes.push(Buffer.from(bytes));
    return super.write(bytes);
  }

  override async request(request: LineRequest): Promise<boolean> {
    await this.#over;
    return super.request(request);
  }
}

export interface ServedOptions extends Partial<Rfc2217Options> {
  /** The line takes its time; default: none. */
  readonly paced?: boolean;
  /** A loop plug; default: what leaves does not come back. */
  readonly echo?: boolean;
}

export class Rfc2217Served {
  readonly wire = new LineRecorder();
  readonly events: PortEvent[] = [];
  readonly uart: HangingUart;
  readonly server: Rfc2217Port;
  /** The device's end of the line: what leaves the port is read from it. */
  readonly line: Duplex;

  private constructor({ paced = false, echo = false, ...options }: ServedOptions) {
    const clock = options.clock ?? new SystemClock();
    this.line = new Duplex({
      read() {},
      write: (bytes: Buffer, _encoding, done) => {
        this.uart.inject(bytes);
        done();
      },
    });
    const observer: LineRecorder = this.wire;
    const recorded = observer.transmitted.bind(observer);
    observer.transmitted = (bytes, settings, atMs) => {
      recorded(bytes, settings, atMs);
      this.line.push(Buffer.from(bytes));
    };
    this.uart = new HangingUart({ clock: new SystemClock(), observer, echo, unpaced: !paced });
    this.uart.forceLines({ cts: true, dsr: true, dcd: true, ri: false });
    this.server = new Rfc2217Port({
      clock,
      address: '127.0.0.1',
      port: 0,
      uart: this.uart,
      event: (event) => this.events.push(event),
      ...options,
    });
  }

  static async open(options: ServedOptions = {}): Promise<Rfc2217Served> {
    const served = new Rfc2217Served(options);
    await served.server.open();
    return served;
  }

  get port(): number {
    return this.server.tcpPorts[0] ?? 0;
  }

  /** What the clients asked of the port, one for each command. */
  get commands(): LineRequest[] {
    return this.events.flatMap((event) => (event.type === 'request' ? [event.request] : []));
  }

  count(type: PortEvent['type']): number {
    return this.events.filter((event) => event.type === type).length;
  }

  get notes(): string[] {
    return this.events.flatMap((event) => (event.type === 'note' ? [event.text] : []));
  }
}

const descriptors = () => readdirSync('/proc/self/fd').length;

/**
 * Connections that end as soon as the server has said something or closed them, five at a time, some of them within a
 * command; returns how many had the port. Nothing of them is open afterwards.
 */
export async function openAndDrop(port: Rfc2217Served, count: number): Promise<number> {
  const before = descriptors();
  let had = 0;
  for (let left = count; left > 0; left -= 5) {
    const peers = await Promise.all(Array.from({ length: 5 }, () => RawPeer.connect(port.port)));
    await Promise.all(
      peers.map(async (peer, i) => {
        await peer.until(() => peer.ended || peer.unread.length > 0);
        if ((left + i) % 3 === 0) peer.send('ff fb 2c ff fa 2c 01');
        await peer.close((left + i) % 2 === 0 ? 'reset' : 'end');
      }),
    );
    had += port.count('connected');
    port.events.splice(0);
    port.wire.records.splice(0);
    port.uart.writes.splice(0);
  }
  while (port.server.clients.length > 0 || descriptors() > before) await new Promise((go) => setTimeout(go, 1));
  return had;
}
