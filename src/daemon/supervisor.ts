// All ports of one configuration, wanted against running. A reload checks everything first, then replaces only the ports
// that changed; an unchanged port is not touched, and an invalid file disturbs nothing.
import type { DaemonControl } from '../api/daemon.js';
import {
  API_VERSION,
  type ChoiceView,
  type PortView,
  type ReloadResult,
  type SerialPortView,
  type StatusView,
  type TraceRecord,
  type UsbipResult,
  type WatchEvent,
} from '../api/types.js';
import type { Clock, Timer } from '../base/clock.js';
import type { Fault } from '../base/fault.js';
import type { Log } from '../base/log.js';
import { type ResolvedConfig, type ResolvedTty, sameTty } from '../config/resolved.js';
import type { Link } from '../link/link.js';
import { formatMetrics } from '../observe/prometheus.js';
import type { Tty } from '../tty/tty.js';
import type { AdoptedTty, PortKeepers } from './handover/port-keepers.js';
import { type Asker, lockOut } from './lock-out.js';
import { daemonMetrics } from './metrics.js';
import { Port } from './port.js';
import { isWithoutDevice, serverView } from './port-view.js';
import type { RunningServer } from './running-server.js';
import type { DiscoveryService } from './served/discovery.js';
import { servedMetrics } from './served/metrics.js';
import type { ServedPorts } from './served/served-ports.js';

export type LoadResult = { readonly config: ResolvedConfig } | { readonly errors: readonly string[] };

export interface SupervisorOptions {
  readonly version: string;
  readonly configFile: string;
  readonly clock: Clock;
  readonly log: Log;
  /** Reads the configuration again. Never rejects for a bad file. */
  readonly load: () => LoadResult;
  /** Gives every tty a backend. Never rejects. */
  readonly choose: (config: ResolvedConfig, again: (tty: string) => boolean) => Promise<ResolvedConfig>;
  readonly choice: (tty: string) => ChoiceView;
  /** Why a tty that was made cannot be opened yet. */
  readonly missing: (tty: string) => string | undefined;
  /** @param adopted what an earlier process left of it */
  readonly makeTty: (config: ResolvedConfig, tty: ResolvedTty, log: Log, adopted: AdoptedTty['tty'] | undefined) => Tty;
  readonly ttyPath: (config: ResolvedConfig, tty: ResolvedTty) => string;
  readonly usbip: (action: 'suspend' | 'resume') => number;
  readonly makeLink: (tty: ResolvedTty, server: RunningServer, log: Log) => Link;
  readonly makeServer: (name: string, address: string) => RunningServer;
  readonly faulted: (server: string, tty: string, fault: Fault, serverDown: boolean) => void;
  readonly recovered: (server: string, tty: string) => void;
  /** A tty could not be made; not tried again before the next reload. */
  readonly unmade: (server: string, tty: string, fault: Fault) => void;
  /** CLOCK_MONOTONIC milliseconds. */
  readonly monotonicMs: () => number;
  readonly keepers: PortKeepers;
  /** This machine's serial ports. */
  readonly served: ServedPorts;
  /** UDP 4800. */
  readonly discovery: DiscoveryService;
  readonly pumpUnansweredMs: () => number;
}

/** How long a changed or removed port may take to transmit what its application wrote. */
const RELOAD_DRAIN_MS = 3000;
/** How long a client of a serial port may take to read what it was sent, before it is disconnected. */
const SERVED_LEAVE_MS = 1000;
/** Changes of one port within this time are one event for those who watch. */
const WATCH_MS = 100;

export class Supervisor implements DaemonControl {
  readonly #o: SupervisorOptions;
  readonly #ports = new Map<string, Port>();
  readonly #servers = new Map<string, RunningServer>();
  readonly #watchers = new Set<(event: WatchEvent) => void>();
  readonly #changed = new Set<Port>();
  readonly #startedAt: string;
  #config: ResolvedConfig;
  #lastReload: StatusView['lastReload'] = null;
  #watchTimer: Timer | undefined;
  #reloading: Promise<ReloadResult> | undefined;

  /** @param config with a backend for every tty */
  constructor(options: SupervisorOptions, config: ResolvedConfig) {
    this.#o = options;
    this.#config = config;
    this.#startedAt = new Date(options.clock.wallTime()).toISOString();
  }

  get config(): ResolvedConfig {
    return this.#config;
  }

  /**
   * Makes all ports. When it returns every link exists, or its port says why not; it resolves when each port that is offered has been
   * tried once, and those that are not any more have been ended. Never rejects.
   */
  start(): Promise<unknown> {
    for (const tty of this.#config.ttys) this.#add(tty);
    const { serialPorts, discovery } = this.#config;
    return Promise.all([this.#o.served.become(serialPorts), this.#o.discovery.become(discovery)]);
  }

  /**
   * Ends the ports that a next process would not find, cleanly, and leaves the others as they are. Returns how many those are.
   * @param freeze called before the last record of them is left
   */
  async handOver(drainMs: number, freeze: () => void): Promise<number> {
    this.#watchers.clear();
    this.#watchTimer?.cancel();
    const kept: Port[] = [];
    const ending: Promise<void>[] = [this.#o.served.handOver(SERVED_LEAVE_MS), this.#o.discovery.stop()];
    for (const port of this.#ports.values()) {
      const stays = this.#o.keepers.isKept(port.name);
      if (stays) kept.push(port);
      ending.push(stays ? port.sendRest(drainMs) : port.stop(drainMs));
    }
    await Promise.all(ending);
    freeze();
    for (const port of kept) port.keep();
    return kept.length;
  }

  /** Closes all ports cleanly; each may take `drainMs` to transmit. Never rejects. */
  async stop(drainMs: number): Promise<void> {
    this.#watchers.clear();
    this.#watchTimer?.cancel();
    const served = [this.#o.served.stop(), this.#o.discovery.stop()];
    await Promise.all([...served, ...[...this.#ports.values()].map((port) => port.stop(drainMs))]);
    this.#ports.clear();
  }

  status(): StatusView {
    const views = this.ports();
    return {
      apiVersion: API_VERSION,
      version: this.#o.version,
      pid: process.pid,
      startedAt: this.#startedAt,
      configFile: this.#o.configFile,
      runtimeDir: this.#config.runtimeDir,
      ports: views.length,
      up: views.filter((view) => view.state === 'up' && view.peer !== null).length,
      open: views.filter((view) => view.open).length,
      failed: views.filter((view) => view.state === 'failed').length,
      withoutDevice: views.filter(isWithoutDevice).length,
      servers: this.#config.servers.map((server) =>
        serverView(
          server.name,
          server.address,
          server.protocol,
          views.filter((view) => view.server === server.name),
          this.#servers.get(server.name)?.gate.down ?? false,
        ),
      ),
      pumpHeartbeatAgeMs: Math.round(this.#o.pumpUnansweredMs()),
      lastReload: this.#lastReload,
    };
  }

  ports(): PortView[] {
    const now = this.#o.monotonicMs();
    // In the order of the configuration, also after a reload.
    return this.#config.ttys.flatMap(({ name }) => this.#ports.get(name)?.view(now) ?? []);
  }

  serialPorts(): SerialPortView[] {
    return this.#o.served.views();
  }

  port(name: string): PortView | undefined {
    return this.#find(name)?.view(this.#o.monotonicMs());
  }

  metrics(): string {
    const now = this.#o.monotonicMs();
    const ports = this.#config.ttys.flatMap(({ name }) => this.#ports.get(name)?.metrics(now) ?? []);
    const { rss, heapUsed } = process.memoryUsage();
    const { user, system } = process.cpuUsage();
    const own = { residentBytes: rss, heapBytes: heapUsed, cpuSeconds: (user + system) / 1e6 };
    const served = [...servedMetrics(this.serialPorts()), ...this.#o.discovery.metrics()];
    return formatMetrics([...daemonMetrics(this.status(), ports, own), ...served]);
  }

  trace(name: string, listener: (record: TraceRecord) => void): () => void {
    return this.#find(name)?.trace(listener) ?? (() => {});
  }

  traceSerialPort(port: number, listener: (record: TraceRecord) => void): () => void {
    return this.#o.served.trace(port, listener);
  }

  usbip(action: 'suspend' | 'resume'): UsbipResult {
    return { adapters: this.#o.usbip(action) };
  }

  watch(listener: (event: WatchEvent) => void): () => void {
    for (const port of this.ports()) listener({ type: 'port', port });
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  }

  /** What keeps an application from opening it has changed. */
  nameChanged(tty: string): void {
    const port = this.#ports.get(tty);
    if (port) this.#portChanged(port);
  }

  /** One reload at a time; who asks meanwhile gets the result of a fresh one after it. */
  async reload(choose: (tty: string) => boolean = () => false, asker: Asker = {}): Promise<ReloadResult> {
    while (this.#reloading) await this.#reloading;
    this.#reloading = this.#reload(choose, asker);
    try {
      return await this.#reloading;
    } finally {
      this.#reloading = undefined;
    }
  }

  async #reload(choose: (tty: string) => boolean, asker: Asker): Promise<ReloadResult> {
    const loaded = this.#o.load();
    const result: ReloadResult = { ok: true, added: [], removed: [], changed: [], unchanged: 0, errors: [] };
    if ('errors' in loaded) {
      result.ok = false;
      result.errors = [...loaded.errors];
      this.#reloaded(
        result,
        `${this.#o.configFile}: ${loaded.errors.length} errors, nothing changed: ${loaded.errors[0] ?? ''}`,
      );
      return result;
    }
    const { config } = loaded;
    const moved = config.runtimeDir !== this.#config.runtimeDir || config.linkDir !== this.#config.linkDir;
    const why = moved
      ? 'runtimeDir and linkDir cannot change while the daemon runs: restart it'
      : lockOut(this.#config, config, asker);
    if (why !== undefined) {
      result.ok = false;
      result.errors = [why];
      this.#reloaded(result, why);
      return result;
    }
    if (!sameOwnSettings(config, this.#config))
      this.#o.log.log('warn', 'reload: what control, log, metrics and usbip say takes effect at the next start', {
        event: 'reload',
      });
    await this.#become(await this.#o.choose(config, choose), result);
    this.#reloaded(
      result,
      `${result.added.length} added, ${result.removed.length} removed, ${result.changed.length} changed, ${result.unchanged} unchanged`,
    );
    return result;
  }

  async #become(config: ResolvedConfig, result: ReloadResult): Promise<void> {
    const wanted = new Map(config.ttys.map((tty) => [tty.name, tty]));
    const leaving: Promise<void>[] = [];
    for (const [name, port] of [...this.#ports]) {
      const tty = wanted.get(name);
      // A port that could not be made is tried again by a reload.
      if (tty && sameTty(tty, port.config) && !port.fault) {
        result.unchanged++;
        continue;
      }
      (tty ? result.changed : result.removed).push(name);
      this.#ports.delete(name);
      this.#changed.delete(port);
      leaving.push(port.stop(RELOAD_DRAIN_MS));
    }
    await Promise.all(leaving);
    await this.#o.served.become(config.serialPorts, result);
    await this.#o.discovery.become(config.discovery);
    this.#config = config;
    for (const name of result.removed) this.#tell({ type: 'removed', name });
    for (const tty of config.ttys) {
      if (this.#ports.has(tty.name)) continue;
      if (!result.changed.includes(tty.name)) result.added.push(tty.name);
      this.#add(tty);
    }
    const used = new Set(config.ttys.map((tty) => tty.serverName));
    for (const name of [...this.#servers.keys()]) if (!used.has(name)) this.#servers.delete(name);
  }

  #reloaded(result: ReloadResult, message: string): void {
    this.#lastReload = { at: new Date(this.#o.clock.wallTime()).toISOString(), ok: result.ok, message };
    this.#o.log.log(result.ok ? 'info' : 'error', `reload: ${message}`, {
      event: result.ok ? 'config-changed' : 'config-refused',
    });
    this.#tell({ type: 'reload', result });
  }

  #add(tty: ResolvedTty): void {
    const server = this.#server(tty);
    const log = this.#o.log.child({ tty: tty.name, server: tty.serverName });
    const config = this.#config;
    const adopted = this.#o.keepers.adopt(tty.name, tty.backend === 'usbip', tty.commandPort === null);
    const port = new Port({
      config: tty,
      path: this.#o.ttyPath(config, tty),
      choice: () => this.#o.choice(tty.name),
      missing: () => this.#o.missing(tty.name),
      makeTty: () => this.#o.makeTty(config, tty, log, adopted?.tty),
      adopted: adopted?.port,
      keeper: this.#o.keepers.connection(tty.name, targetText(tty)),
      makeLink: () => this.#o.makeLink(tty, server, log),
      ticket: server.gate.enter(),
      clock: this.#o.clock,
      log,
      changed: (changed) => this.#portChanged(changed),
      faulted: (_, fault) => this.#o.faulted(tty.serverName, tty.name, fault, server.gate.down),
      recovered: () => this.#o.recovered(tty.serverName, tty.name),
    });
    this.#ports.set(tty.name, port);
    if (port.fault) this.#o.unmade(tty.serverName, tty.name, port.fault);
    port.start();
    this.#portChanged(port);
  }

  #server(tty: ResolvedTty): RunningServer {
    let server = this.#servers.get(tty.serverName);
    // A changed address is another server: its ports have changed with it.
    if (!server || server.address !== tty.address) {
      server = this.#o.makeServer(tty.serverName, tty.address);
      this.#servers.set(tty.serverName, server);
    }
    return server;
  }

  #find(name: string): Port | undefined {
    const port = this.#ports.get(name);
    if (port) return port;
    for (const other of this.#ports.values()) if (other.config.aliases.includes(name)) return other;
    return undefined;
  }

  #portChanged(port: Port): void {
    // A port that is being taken away changes too: nobody looks at it any more.
    if (this.#watchers.size === 0 || this.#ports.get(port.name) !== port) return;
    this.#changed.add(port);
    this.#watchTimer ??= this.#o.clock.after(WATCH_MS, () => {
      this.#watchTimer = undefined;
      const now = this.#o.monotonicMs();
      for (const changed of this.#changed) {
        if (this.#ports.get(changed.name) === changed) this.#tell({ type: 'port', port: changed.view(now) });
      }
      this.#changed.clear();
    });
  }

  #tell(event: WatchEvent): void {
    for (const watcher of this.#watchers) watcher(event);
  }
}

/** Of the daemon, not of a port. */
function sameOwnSettings(a: ResolvedConfig, b: ResolvedConfig): boolean {
  return (
    JSON.stringify([a.control, a.log, a.metrics?.listen, a.usbip]) ===
    JSON.stringify([b.control, b.log, b.metrics?.listen, b.usbip])
  );
}

/** Whose connection it is, over a restart too. */
function targetText({ protocol, address, dataPort, commandPort }: ResolvedTty): string {
  return `${address} ${dataPort} ${commandPort ?? protocol}`;
}
