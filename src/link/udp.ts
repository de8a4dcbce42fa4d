// One port of a device server over UDP: what the application writes goes as datagrams, what they bring it reads. There is no connection, so
// that nothing tells whether anybody is there. The pump works on streams: a socketpair, and datagrams beyond it.
// Follows the device servers' UDP mode.
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { isIPv6, Socket } from 'node:net';
import { Fault } from '../base/fault.js';
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
    const { addresses, dataPort } = this.#options;
    const found = typeof addresses === 'function' ? await abortable(addresses(), signal) : addresses;
    const [address] = found;
    if (address === undefined) throw new Fault('NAME_UNRESOLVED', 'no address to send to');
    const udp = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
    this.#udp = udp;
    // A connected socket takes datagrams of that peer alone. That nobody is there (ICMP) is no end: somebody may come.
    udp.on('error', () => {});
    const connected = new Promise<void>((resolve, reject) => {
      udp.once('error', reject);
      udp.connect(dataPort, address, () => {
        udp.off('error', reject);
        resolve();
      });
    });
    await abortable(connected, signal);
    this.#join(udp);
    this.#peer = place(address, dataPort);
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
        udp.send(bytes.subarray(at, at + MOST_BYTES), () => {
          if (far.isPaused() && udp.getSendQueueSize() < MOST_WAITING) far.resume();
        });
      }
      if (udp.getSendQueueSize() >= MOST_WAITING) far.pause();
    });
    udp.on('message', (bytes) => {
      if (bytes.length > 0 && far.writableLength < MOST_WAITING) far.write(bytes);
    });
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
