// Links that go on with a connection that another one made, as in a process that follows another: their `connect` makes the
// connection by a first link, hands it over as the daemon's files do, and closes the first one's descriptors. Somebody else
// holds the sockets until `release`, as the service manager does.
import type { Link, LinkEvents, LinkHandover } from '../../src/link/link.js';
import { RealComLink, type RealComLinkOptions } from '../../src/link/realcom.js';
import { TcpLink, type TcpLinkOptions } from '../../src/link/tcp.js';
import { closeFd, dup } from '../../src/native/socket.js';

/** What somebody else holds, and what the next process gets. */
class Passage {
  #first: Link | undefined;
  #held: number[] = [];

  /** undefined: it went through before. */
  async through(first: Link, signal: AbortSignal): Promise<LinkHandover | undefined> {
    if (this.#first) return undefined;
    this.#first = first;
    await first.connect({ report() {}, down() {} }, signal);
    const { handover } = first;
    if (!handover) throw new Error('there is nothing to hand over');
    const { data, command } = handover;
    this.#held = [data, ...(command === undefined ? [] : [command])].map(dup);
    const given = {
      data: dup(data),
      command: command === undefined ? undefined : dup(command),
      state: JSON.parse(JSON.stringify(handover.state)),
    };
    await first.close();
    return given;
  }

  async close(): Promise<void> {
    await this.#first?.close();
  }

  release(): void {
    for (const fd of this.#held.splice(0)) closeFd(fd);
  }
}

export class AdoptedLink extends RealComLink implements Link {
  readonly #passage = new Passage();
  readonly #first: () => Link;

  constructor(options: RealComLinkOptions) {
    super({ ...options, shared: true });
    this.#first = () => new RealComLink(options);
  }

  override async connect(events: LinkEvents, signal: AbortSignal): Promise<void> {
    const given = await this.#passage.through(this.#first(), signal);
    // Closed, or adopted, before: as any link refuses it.
    if (!given) return super.connect(events, signal);
    this.adopt(events, given);
  }

  override async close(): Promise<void> {
    await this.#passage.close();
    await super.close();
  }

  /** Whoever else held the sockets lets go. */
  release(): void {
    this.#passage.release();
  }
}

export class AdoptedTcpLink extends TcpLink implements Link {
  readonly #passage = new Passage();
  readonly #first: () => Link;

  constructor(options: TcpLinkOptions) {
    super({ ...options, shared: true });
    this.#first = () => new TcpLink(options);
  }

  override async connect(events: LinkEvents, signal: AbortSignal): Promise<void> {
    const given = await this.#passage.through(this.#first(), signal);
    if (!given) return super.connect(events, signal);
    this.adopt(events, given);
  }

  override async close(): Promise<void> {
    await this.#passage.close();
    await super.close();
  }

  release(): void {
    this.#passage.release();
  }
}
