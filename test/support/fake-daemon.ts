// A daemon with ports that a test sets by hand, for what speaks to a daemon: control server, client, commands.
import type { DaemonControl } from '../../src/api/daemon.js';
import type {
  PortView,
  ReloadResult,
  SerialPortView,
  StatusView,
  TraceRecord,
  UsbipResult,
  WatchEvent,
} from '../../src/api/types.js';

export function portView(name: string, change: Partial<PortView> = {}): PortView {
  const direction = { bytes: 0, lastByteAgeMs: null, parkedBytes: 0, stalls: 0 };
  const settings = { format: '9600,8N1', flowControl: 'none' };
  return {
    name,
    path: `/run/ttynp/${name}`,
    devicePath: '/dev/pts/7',
    aliases: [],
    state: 'up',
    since: '2026-01-31T12:00:00.000Z',
    reason: null,
    open: true,
    server: 'boiler-house',
    port: 1,
    protocol: 'realcom',
    address: '192.168.127.254',
    dataPort: 950,
    commandPort: 966,
    peer: '192.168.127.254:950',
    backend: 'pty',
    backendChoice: { by: 'configuration', at: null, why: null },
    limits: ['parity comes from the configuration'],
    asked: settings,
    acknowledged: settings,
    refused: null,
    lines: { dtr: true, rts: true, cts: true, dsr: null, dcd: false, ri: false },
    lineErrors: { parity: 0, framing: 0, overrun: 0, breaks: 0 },
    sent: { ...direction, bytes: 412, lastByteAgeMs: 1200 },
    received: direction,
    drops: { offline: 0, held: 0, flushed: 0, closing: 0, linkLost: 0, unread: 0, stale: 0, suspected: 0 },
    connects: 1,
    commandRoundTripMs: 1.25,
    warnings: [],
    lastError: null,
    policy: { connect: 'on-open', onLinkLoss: 'keep', offlineData: 'discard', offlineOpen: 'succeed' },
    ...change,
  };
}

export class FakeDaemon implements DaemonControl {
  readonly views = new Map<string, PortView>();
  reloadResult: ReloadResult = { ok: true, added: [], removed: [], changed: [], unchanged: 1, errors: [] };
  reloads = 0;
  /** Who asked for the last one. */
  asker: Parameters<DaemonControl['reload']>[1];
  suspended: boolean | undefined;
  /** Whose backend the last reload was asked to choose again. */
  chosen: string[] = [];
  readonly watchers = new Set<(event: WatchEvent) => void>();
  readonly tracers = new Map<(record: TraceRecord) => void, string>();

  constructor(...views: PortView[]) {
    for (const view of views) this.views.set(view.name, view);
  }

  status(): StatusView {
    const ports = this.ports();
    return {
      apiVersion: 1,
      version: '0.1.0',
      pid: process.pid,
      startedAt: '2026-01-31T12:00:00.000Z',
      configFile: '/etc/ttynp/ttynp.yaml',
      runtimeDir: '/run/ttynp',
      ports: ports.length,
      up: ports.filter((p) => p.state === 'up').length,
      open: ports.filter((p) => p.open).length,
      failed: ports.filter((p) => p.state === 'failed').length,
      withoutDevice: 0,
      servers: [
        {
          name: 'boiler-house',
          address: '192.168.127.254',
          protocol: 'realcom',
          ports: 16,
          up: 1,
          down: false,
          reason: null,
        },
      ],
      pumpHeartbeatAgeMs: 3,
      lastReload: null,
    };
  }

  ports(): PortView[] {
    return [...this.views.values()];
  }

  serial: SerialPortView[] = [];

  serialPorts(): SerialPortView[] {
    return this.serial;
  }

  metrics(): string {
    return `ttynp_ports ${this.views.size}\n`;
  }

  port(name: string): PortView | undefined {
    return this.views.get(name) ?? this.ports().find((p) => p.aliases.includes(name));
  }

  async reload(
    choose: (tty: string) => boolean = () => false,
    asker: Parameters<DaemonControl['reload']>[1] = {},
  ): Promise<ReloadResult> {
    this.reloads++;
    this.asker = asker;
    this.chosen = this.ports().flatMap(({ name }) => (choose(name) ? [name] : []));
    return this.reloadResult;
  }

  usbip(action: 'suspend' | 'resume'): UsbipResult {
    this.suspended = action === 'suspend';
    return { adapters: 2 };
  }

  watch(listener: (event: WatchEvent) => void): () => void {
    this.watchers.add(listener);
    return () => this.watchers.delete(listener);
  }

  trace(name: string, listener: (record: TraceRecord) => void): () => void {
    this.tracers.set(listener, name);
    return () => this.tracers.delete(listener);
  }

  traceSerialPort(port: number, listener: (record: TraceRecord) => void): () => void {
    return this.trace(`serial port ${port}`, listener);
  }

  set(view: PortView): void {
    this.views.set(view.name, view);
    this.emit({ type: 'port', port: view });
  }

  emit(event: WatchEvent): void {
    for (const watcher of this.watchers) watcher(event);
  }

  traced(record: TraceRecord): void {
    for (const tracer of this.tracers.keys()) tracer(record);
  }
}

export function serialPortView(port: number): SerialPortView {
  return {
    port,
    device: `/dev/ttyS${port - 1}`,
    mode: 'tcp-server',
    state: 'up',
    since: '2026-01-31T12:00:00.000Z',
    reason: null,
    listen: '127.0.0.1',
    tcpPorts: [4000 + port],
    accessibleIps: [],
    clients: [],
    settings: { format: '9600,8N1', flowControl: 'none' },
    lines: { dtr: true, rts: true, cts: true, dsr: true, dcd: true, ri: false },
    lineErrors: { parity: 0, framing: 0, overrun: 0, breaks: 0 },
    transmitted: { bytes: 0, lastByteAgeMs: null },
    received: { bytes: 0, lastByteAgeMs: null },
    connects: 0,
    refused: { busy: 0, denied: 0 },
    malformed: 0,
    arbitrated: null,
    udpPorts: [],
    destinations: [],
  };
}
