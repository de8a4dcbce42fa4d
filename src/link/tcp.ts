// One port of a device server over raw TCP: a connection that carries the line's bytes and nothing else. What an application
// sets stays with it; the port is set up at the device. It sees neither the data nor the connection's end: who has joined
// `dataFd` does.
import { type Clock, sleep } from '../base/clock.js';
import { Fault } from '../base/fault.js';
import { closeFd, discardInput, endConnection, isEstablished, outputQueue } from '../native/socket.js';
import type { LineRequest } from '../serial/line.js';
import { abortable } from './abortable.js';
import { dialSingle, place } from './dial.js';
import { endFault } from './errno.js';
import { LinkLife } from './life.js';
import type { Link, LinkCapabilities, LinkEvents, LinkHandover } from './link.js';

export interface TcpLinkOptions {
  /** Numeric addresses (IPv6 may carry %scope) in the order to try them, or what finds them at each connect. */
  readonly addresses: readonly string[] | (() => Promise<readonly string[]>);
  readonly dataPort: number;
  readonly clock: Clock;
  /** For each address. */
  readonly connectTimeoutMs?: number;
  /** Another process holds the descriptor too: closing it ends no connection, so the end is told by shutdown(2). */
  readonly shared?: boolean;
}

export const TCP_CAPABILITIES: LinkCapabilities = {
  settings: false,
  outputLines: false,
  modemLines: false,
  lineErrors: false,
  breaks: false,
  flush: false,
  drain: false,
  transmitter: false,
  fifo: false,
};

const CONNECT_TIMEOUT_MS = 5000;
/**
 * A server whose port is taken accepts, and closes at once. Its end comes a round trip after the connect, and the connect
 * took one: so long, and a moment for the server, is waited before the connection counts.
 */
const BUSY_MOMENT_MS = 20;
const BUSY_LIMIT_MS = 500;

export class TcpLink implements Link {
  readonly capabilities = TCP_CAPABILITIES;
  readonly modemLines = undefined;
  readonly lastRoundTripMs = undefined;
  traced = false;

  readonly #options: TcpLinkOptions;
  readonly #life = new LinkLife();
  #peer: string | undefined;
  #dataFd = -1;

  constructor(options: TcpLinkOptions) {
    this.#options = options;
  }

  get peer(): string | undefined {
    return this.#peer;
  }

  get dataFd(): number {
    return this.#dataFd;
  }

  get unsent(): number {
    return this.#dataFd < 0 ? 0 : outputQueue(this.#dataFd);
  }

  get handover(): LinkHandover | undefined {
    return this.#life.isUp ? { data: this.#dataFd, state: { peer: this.#peer } } : undefined;
  }

  connect(_events: LinkEvents, signal: AbortSignal): Promise<void> {
    return this.#life.connect(
      signal,
      (aborted) => this.#establish(aborted),
      () => this.#release(),
    );
  }

  adopt(_events: LinkEvents, { data, command, state }: LinkHandover): void {
    this.#life.begin('up');
    const peer = peerOf(state);
    if (peer === undefined || command !== undefined) {
      this.#life.lose();
      for (const fd of [data, command]) if (fd !== undefined) closeFd(fd);
      throw new Fault('SYSTEM', 'what was handed over is no connection of raw TCP');
    }
    this.#peer = peer;
    this.#dataFd = data;
  }

  async request({ type }: LineRequest): Promise<void> {
    throw this.#refusal(type);
  }

  async outputQueue(): Promise<number> {
    throw this.#refusal('drain');
  }

  discardInput(): number {
    return this.#dataFd < 0 ? 0 : discardInput(this.#dataFd);
  }

  close(): Promise<void> {
    return this.#life.close(() => this.#release());
  }

  #refusal(what: string): Fault {
    if (!this.#life.isUp) return new Fault('CANCELED', 'the link is not connected');
    return new Fault('NOT_SUPPORTED', `${this.#peer}: raw TCP has no way to ask for ${what}`);
  }

  async #establish(signal: AbortSignal): Promise<void> {
    const { addresses, clock, dataPort, connectTimeoutMs = CONNECT_TIMEOUT_MS } = this.#options;
    const found = typeof addresses === 'function' ? await abortable(addresses(), signal) : addresses;
    const before = clock.now();
    const { address, fd } = await dialSingle(found, dataPort, connectTimeoutMs, signal);
    this.#dataFd = fd;
    const peer = place(address, dataPort);
    const moment = Math.min(BUSY_LIMIT_MS, 2 * (clock.now() - before) + BUSY_MOMENT_MS);
    await abortable(sleep(clock, moment, signal), signal);
    if (!isEstablished(fd)) throw endFault(undefined, peer, false);
    this.#peer = peer;
  }

  async #release(): Promise<void> {
    const fd = this.#dataFd;
    this.#dataFd = -1;
    if (fd < 0) return;
    if (this.#options.shared) endConnection(fd);
    closeFd(fd);
  }
}

/** Of what a link of ours handed over; undefined where it is nothing of the kind. */
function peerOf(state: unknown): string | undefined {
  if (typeof state !== 'object' || state === null || !('peer' in state)) return undefined;
  return typeof state.peer === 'string' ? state.peer : undefined;
}
