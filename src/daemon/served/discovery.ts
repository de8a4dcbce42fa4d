// UDP 4800 as the configuration wants it: listeners that come and go with a reload, an address that is not there yet and is tried
// again, counters over all of them, and a log that no datagram can fill.
import type { Clock, Timer } from '../../base/clock.js';
import { messageOf } from '../../base/fault.js';
import type { Log } from '../../base/log.js';
import { type ResolvedDiscovery, sameDiscovery } from '../../config/resolved.js';
import type { Family } from '../../observe/prometheus.js';
import type { DsciSockets } from '../../protocol/dsci/responder.js';
import { AccessList } from '../../serve/access-list.js';
import { Discovery, type DiscoveryEvent, newDiscoveryCounts } from '../../serve/discovery.js';
import { type OwnListener, ownSockets, readTcpTables } from '../../serve/tcp-table.js';
import { DeviceIdentity } from './device-identity.js';
import { QuietLog } from './quiet-log.js';

export interface DiscoveryServiceOptions {
  readonly clock: Clock;
  readonly log: Log;
  /** Where the served ports listen at present. */
  readonly listeners: () => readonly OwnListener[];
}

const RETRY_MS = 10_000;
/** The kernel's table is not read for each of many askers. */
const REMEMBER_MS = 1000;
const NONE: DsciSockets = { ipv4: [], ipv6: [] };
const WHY = {
  malformed: 'which is no request',
  unsupported: 'a request that is not answered',
  others: 'a request to another device',
  denied: 'and is not in accessibleIps',
  limited: 'more than are answered in a second',
} as const;

export class DiscoveryService {
  readonly #o: DiscoveryServiceOptions;
  readonly counts = newDiscoveryCounts();
  readonly #open = new Set<Discovery>();
  readonly #retries = new Set<Timer>();
  #config: ResolvedDiscovery | null = null;
  #quiet: QuietLog | undefined;
  #work: Promise<void> = Promise.resolve();
  #sockets: { readonly atMs: number; readonly sockets: DsciSockets } | undefined;

  constructor(options: DiscoveryServiceOptions) {
    this.#o = options;
  }

  /** Resolves when each address has been tried once. Never rejects. One at a time. */
  become(config: ResolvedDiscovery | null): Promise<void> {
    this.#work = this.#work.then(() => this.#become(config));
    return this.#work;
  }

  /** Never rejects. */
  stop(): Promise<void> {
    return this.become(null);
  }

  metrics(): Family[] {
    if (this.#config === null) return [];
    return [
      {
        name: 'ttynp_discovery_datagrams_total',
        help: 'Datagrams on UDP 4800, by what became of them.',
        type: 'counter',
        samples: Object.entries(this.counts).map(([outcome, value]) => ({ labels: { outcome }, value })),
      },
    ];
  }

  async #become(config: ResolvedDiscovery | null): Promise<void> {
    if (sameDiscovery(config, this.#config)) return;
    this.#config = config;
    for (const timer of this.#retries) timer.cancel();
    this.#retries.clear();
    await Promise.all([...this.#open].map((one) => one.close()));
    this.#open.clear();
    this.#quiet?.close();
    this.#quiet = new QuietLog(this.#o.log, this.#o.clock);
    if (config === null) return;
    const identity = new DeviceIdentity({ clock: this.#o.clock, name: config.name ?? undefined });
    await Promise.all(config.listen.map((address) => this.#listen(config, address, identity, false)));
  }

  async #listen(config: ResolvedDiscovery, address: string, identity: DeviceIdentity, isKnown: boolean): Promise<void> {
    const { clock, log } = this.#o;
    const access = new AccessList(config.accessibleIps);
    const one = new Discovery({
      clock,
      address,
      port: config.port,
      admits: (asker) => access.admits(asker),
      device: (asker) => identity.device(address, asker),
      sockets: () => (config.connections ? this.#present() : NONE),
      counts: this.counts,
      event: (event) => this.#happened(event),
    });
    try {
      await one.open();
    } catch (error) {
      // It is not wanted any more: its retry came behind the reload that ended it.
      if (this.#config !== config) return;
      // Told when it comes, not each time that it is found again.
      if (!isKnown) log.log('warn', `discovery: ${messageOf(error)}; it is tried again`, { event: 'discovery' });
      this.#again(() => this.#listen(config, address, identity, true));
      return;
    }
    if (this.#config !== config) return one.close();
    this.#open.add(one);
    log.log('info', `discovery: answers on ${address} UDP port ${one.port}`, { event: 'discovery' });
  }

  #again(listen: () => Promise<void>): void {
    const timer = this.#o.clock.after(RETRY_MS, () => {
      this.#retries.delete(timer);
      this.#work = this.#work.then(listen);
    });
    this.#retries.add(timer);
  }

  #present(): DsciSockets {
    const now = this.#o.clock.now();
    if (this.#sockets === undefined || now - this.#sockets.atMs > REMEMBER_MS) {
      const [ipv4, ipv6] = readTcpTables();
      this.#sockets = { atMs: now, sockets: ownSockets(this.#o.listeners(), ipv4, ipv6) };
    }
    return this.#sockets.sockets;
  }

  #happened(event: DiscoveryEvent): void {
    if (event.type === 'trouble') {
      this.#quiet?.log('discovery: trouble', 'warn', `discovery: ${event.text}`);
      return;
    }
    const kind = `discovery: ${event.type}`;
    this.#quiet?.log(kind, 'warn', `discovery: ${event.peer} sent ${event.bytes} bytes, ${WHY[event.type]}`, {
      event: 'discovery',
      peer: event.peer,
    });
  }
}
