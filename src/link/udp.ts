// One port of a device server over UDP: what the application writes goes as datagrams, what they bring it reads. There is no connection, so
// that nothing tells whether anybody is there. The pump works on streams: a socketpair, and datagrams beyond it.
// Follows the device servers' UDP mode.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { isIPv6, Socket } from 'node:net';
import { Fault, messageOf } from '../base/fault.js';
import { type Log, silentLog } from '../base/log.js';
import { closeFd, discardInput, inputQueue, socketPair } from '../native/socket.js';
import type { LineRequest } from '../serial/line.js';
import { abortable } from './abortable.js';
import { place } from './dial.js';
import { LinkLife } from './life.js';
import type { Link, LinkEvents, LinkHandover } from './link.js';
import { TCP_CAPABILITIES } from './tcp.js';

export interface UdpLinkOptions {
  /** Numeric addresses (IPv6 may carry %scope), of which the first is sent to, or what finds them at each connect. */
  readonly addresses: readonly string[] | (() => Promise<readonly string[]>);
  readonly dataPort: number;
  /** The port of this machine, for a device server that sends to addresses it was given; 0: any free one. */
  readonly localPort?: number;
  readonly log?: Log;
}

/** One datagram: the buffer of a device server, and never more than a network carries in one piece. */
const MOST_BYTES = 1024;
/** Either way, in this process: towards the application what is more is dropped, as UDP drops. */
const MOST_WAITING = 64 * 1024;

export class UdpLink implements Link {
  readonly capabilities = TCP_CAPABILITIES;
  readonly modemLines = undefined;
  readonly lastRoundTripMs = undefined;
  readonly handover = undefined;
  traced = false;

  readonly #options: UdpLinkOptions;
  readonly #life = new LinkLife();
  #peer: string | undefined;
  #near = -1;
  #farFd = -1;
  #far: Socket | undefined;
  #udp: UdpSocket | undefined;
  /** The trouble that was told of; over when the peer is heard. */
  #told: string | undefined;
  /** Told once: who does not read once may do so often. */
  #drops = false;

  constructor(options: UdpLinkOptions) {
    this.#options = options;
  }

  get peer(): string | undefined {
    return this.#peer;
  }

  get dataFd(): number {
    return this.#near;
  }

  get unsent(): number {
    if (this.#far === undefined || this.#far.destroyed) return 0;
    return inputQueue(this.#farFd) + (this.#udp?.getSendQueueSize() ?? 0);
  }

  connect(_events: LinkEvents, signal: AbortSignal): Promise<void> {
    return this.#life.connect(
      signal,
      (aborted) => this.#establish(aborted),
      () => this.#release(),
    );
  }

  adopt(_events: LinkEvents, { data, command }: LinkHandover): void {
    this.#life.begin('up');
    this.#life.lose();
    for (const fd of [data, command]) if (fd !== undefined) closeFd(fd);
    throw new Fault('NOT_SUPPORTED', 'a socket of UDP is not handed over');
  }

  async request({ type }: LineRequest): Promise<void> {
    throw this.#refusal(type);
  }

  async outputQueue(): Promise<number> {
    throw this.#refusal('drain');
  }

  discardInput(): number {
    return this.#near < 0 ? 0 : discardInput(this.#near);
  }

  close(): Promise<void> {
    return this.#life.close(() => this.#release());
  }

  #refusal(what: string): Fault {
    if (!this.#life.isUp) return new Fault('CANCELED', 'the link is not connected');
    return new Fault('NOT_SUPPORTED', `${this.#peer}: UDP has no way to ask for ${what}`);
  }

  async #establish(signal: AbortSignal): Promise<void> {
    const { addresses, dataPort, localPort = 0 } = this.#options;
    const found = typeof addresses === 'function' ? await abortable(addresses(), signal) : addresses;
    const [address] = found;
    if (address === undefined) throw new Fault('NAME_UNRESOLVED', 'no address to send to');
    const udp = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    this.#udp = udp;
    // That nobody is there (ICMP) is no end: somebody may come.
    udp.on('error', (error) => this.#trouble(error));
    if (localPort !== 0) await abortable(bound(udp, localPort), signal);
    // A connected socket takes datagrams of that peer alone.
    await abortable(connected(udp, dataPort, address), signal);
    this.#peer = place(address, dataPort);
    this.#join(udp);
  }

  #join(udp: UdpSocket): void {
    const [near, farFd] = socketPair();
    this.#near = near;
    this.#farFd = farFd;
    const far = new Socket({ fd: farFd, readable: true, writable: true });
    this.#far = far;
    far.on('error', () => {}); // the pump's end was closed, by us
    far.on('data', (bytes) => {
      for (let at = 0; at < bytes.length; at += MOST_BYTES) {
        udp.send(bytes.subarray(at, at + MOST_BYTES), (error) => {
          if (error !== null) this.#trouble(error);
          if (far.isPaused() && udp.getSendQueueSize() < MOST_WAITING) far.resume();
        });
      }
      if (udp.getSendQueueSize() >= MOST_WAITING) far.pause();
    });
    const { address, port } = udp.remoteAddress();
    udp.on('message', (bytes, from) => {
      // What came between bind and connect may be of anybody.
      if (from.port !== port || from.address !== address) return;
      this.#told = undefined;
      if (far.writableLength < MOST_WAITING) {
        if (bytes.length > 0) far.write(bytes);
      } else if (!this.#drops) {
        this.#drops = true;
        this.#warn('the application does not read: datagrams are dropped');
      }
    });
  }

  #trouble(error: Error): void {
    const why = 'code' in error ? String(error.code) : error.message;
    if (this.#told === why || this.#peer === undefined || this.#udp === undefined) return;
    this.#told = why;
    const text = why === 'ECONNREFUSED' ? 'nobody listens there' : messageOf(error);
    this.#warn(`${text}; what is written is lost meanwhile`);
  }

  #warn(text: string): void {
    (this.#options.log ?? silentLog).log('warn', `${this.#peer} (UDP): ${text}`);
  }

  async #release(): Promise<void> {
    const [near, far, udp] = [this.#near, this.#far, this.#udp];
    this.#near = -1;
    this.#far = undefined;
    this.#udp = undefined;
    if (near >= 0) closeFd(near);
    const gone: Promise<unknown>[] = [];
    if (far !== undefined) gone.push(new Promise((resolve) => far.once('close', resolve)));
    far?.destroy();
    if (udp !== undefined) gone.push(new Promise<void>((resolve) => udp.close(() => resolve())));
    await Promise.all(gone);
  }
}

async function bound(udp: UdpSocket, port: number): Promise<void> {
  try {
    await settled(udp, (done) => udp.bind({ port, exclusive: true }, done));
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const text = code === 'EADDRINUSE' ? 'is in use (see who has it: ss -lunp)' : messageOf(error);
    throw new Fault('SYSTEM', `localPort ${port} (UDP) ${text}`, { cause: error });
  }
}

const connected = (udp: UdpSocket, port: number, address: string): Promise<void> =>
  settled(udp, (done) => udp.connect(port, address, done));

/** Node tells a failure as an event, or calls back with it. */
function settled(udp: UdpSocket, start: (done: (error?: Error | null) => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    udp.once('error', reject);
    start((error) => {
      udp.off('error', reject);
      if (error instanceof Error) reject(error);
      else resolve();
    });
  });
}
