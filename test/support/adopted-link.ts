// A link that goes on with a connection that another one made, as in a process that follows another: its `connect` makes the
// connection by a first link, hands it over as the daemon's files do, and closes the first one's descriptors. Somebody else
// holds both sockets until `release`, as the service manager does.
import type { Link, LinkEvents } from '../../src/link/link.js';
import { RealComLink, type RealComLinkOptions } from '../../src/link/realcom.js';
import { closeFd, dup } from '../../src/native/socket.js';

export class AdoptedLink extends RealComLink implements Link {
  readonly #options: RealComLinkOptions;
  #first: RealComLink | undefined;
  #held: number[] = [];

  constructor(options: RealComLinkOptions) {
    super({ ...options, shared: true });
    this.#options = options;
  }

  override async connect(events: LinkEvents, signal: AbortSignal): Promise<void> {
    // Closed, or adopted, before: as any link refuses it.
    if (this.#first) return super.connect(events, signal);
    const first = new RealComLink(this.#options);
    this.#first = first;
    await first.connect({ report() {}, down() {} }, signal);
    const handover = first.handover;
    if (!handover) throw new Error('there is nothing to hand over');
    const { data, command } = handover;
    this.#held = [dup(data), dup(command)];
    const given = { data: dup(data), command: dup(command), state: JSON.parse(JSON.stringify(handover.state)) };
    await first.close();
    this.adopt(events, given);
  }

  override async close(): Promise<void> {
    await this.#first?.close();
    await super.close();
  }

  /** Whoever else held the sockets lets go. */
  release(): void {
    for (const fd of this.#held.splice(0)) closeFd(fd);
  }
}
