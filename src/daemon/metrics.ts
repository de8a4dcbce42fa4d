// What the daemon tells Prometheus of itself, its servers and its ports, from the views that a client of the API gets, and
// the counts that only metrics show. Pure; every name is in the README's table.
import type { DropsView, PortState, PortView, StatusView } from '../api/types.js';
import type { Family, HistogramView, Labels, Sample } from '../observe/prometheus.js';

/** What of a port no view shows. */
export interface PortCounts {
  /** By code of the fault. */
  readonly reconnects: ReadonlyMap<string, number>;
  readonly connectFailures: ReadonlyMap<string, number>;
  readonly roundTrips: HistogramView;
}

export interface PortMetrics {
  readonly view: PortView;
  /** undefined: the port could not be made. */
  readonly counts: PortCounts | undefined;
}

export interface ProcessMetrics {
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly cpuSeconds: number;
}

const STATES: readonly PortState[] = ['idle', 'connecting', 'up', 'waiting', 'closing', 'failed'];

/** As labels: Prometheus writes words with underscores. */
const DROP_CAUSES: Readonly<Record<keyof DropsView, string>> = {
  offline: 'offline',
  held: 'held',
  flushed: 'flushed',
  closing: 'closing',
  linkLost: 'link_lost',
  unread: 'unread',
  stale: 'stale',
  suspected: 'suspected',
};

export function daemonMetrics(status: StatusView, ports: readonly PortMetrics[], own: ProcessMetrics): Family[] {
  const views = ports.map(({ view }) => view);
  return [
    ...daemonFamilies(status, own),
    ...serverFamilies(status),
    ...connectionFamilies(ports),
    ...byteFamilies(views),
    ...lineFamilies(views),
  ];
}

function daemonFamilies(status: StatusView, own: ProcessMetrics): Family[] {
  const { lastReload } = status;
  const reloads = lastReload === null ? [] : [{ value: bit(lastReload.ok) }];
  return [
    gauge('ttynp_build_info', 'The version that runs; the value is 1.', [
      { labels: { version: status.version }, value: 1 },
    ]),
    gauge(
      'ttynp_pump_heartbeat_age_seconds',
      'For how long the pump thread has not turned though it was asked to; over 5 it is stuck.',
      [{ value: status.pumpHeartbeatAgeMs / 1000 }],
    ),
    gauge('ttynp_config_last_reload_successful', 'Whether the last reload was accepted; absent before it.', reloads),
    gauge('ttynp_ports', 'Ports of the configuration.', [{ value: status.ports }]),
    gauge('process_start_time_seconds', 'Start of the daemon, since the epoch.', [
      { value: Date.parse(status.startedAt) / 1000 },
    ]),
    gauge('process_resident_memory_bytes', 'Resident memory.', [{ value: own.residentBytes }]),
    gauge('ttynp_heap_used_bytes', 'JavaScript heap in use.', [{ value: own.heapBytes }]),
    counter('process_cpu_seconds_total', 'CPU time, user and system.', [{ value: own.cpuSeconds }]),
  ];
}

function serverFamilies({ servers }: StatusView): Family[] {
  const of = (value: (server: StatusView['servers'][number]) => number): Sample[] =>
    servers.map((server) => ({ labels: { server: server.name }, value: value(server) }));
  return [
    gauge(
      'ttynp_server_down',
      '1 from the first failure with no port connected, until a port is.',
      of((s) => bit(s.down)),
    ),
    gauge(
      'ttynp_server_ports',
      'Ports of the device server that the configuration names.',
      of((s) => s.ports),
    ),
    gauge(
      'ttynp_server_connected_ports',
      'Of them, those that are connected.',
      of((s) => s.up),
    ),
  ];
}

function connectionFamilies(ports: readonly PortMetrics[]): Family[] {
  const views = ports.map(({ view }) => view);
  const byCause = (counts: (port: PortCounts) => ReadonlyMap<string, number>): Sample[] =>
    ports.flatMap(({ view, counts: own }) =>
      own === undefined
        ? []
        : [...counts(own)].map(([code, value]) => ({ labels: { ...port(view), cause: code.toLowerCase() }, value })),
    );
  return [
    gauge(
      'ttynp_port_state',
      '1 for the state that the port is in.',
      views.flatMap((view) =>
        STATES.map((state) => ({ labels: { ...port(view), state }, value: bit(view.state === state) })),
      ),
    ),
    gauge(
      'ttynp_port_open',
      '1 while an application has the tty open.',
      each(views, (view) => bit(view.open)),
    ),
    counter(
      'ttynp_port_connects_total',
      'Connections made and initialised.',
      each(views, (view) => view.connects),
    ),
    counter(
      'ttynp_port_reconnects_total',
      'Connections made again, by why the one before was lost.',
      byCause((counts) => counts.reconnects),
    ),
    counter(
      'ttynp_port_connect_failures_total',
      'Attempts to connect that failed, by cause.',
      byCause((counts) => counts.connectFailures),
    ),
    {
      name: 'ttynp_command_round_trip_seconds',
      help: "From a command to the device's answer.",
      type: 'histogram',
      samples: ports.flatMap(({ view, counts }) =>
        counts === undefined ? [] : [{ labels: port(view), histogram: counts.roundTrips }],
      ),
    },
  ];
}

function byteFamilies(views: readonly PortView[]): Family[] {
  const bothWays = (value: (view: PortView['sent']) => number): Sample[] =>
    views.flatMap((view) =>
      (['sent', 'received'] as const).map((direction) => ({
        labels: { ...port(view), direction },
        value: value(view[direction]),
      })),
    );
  return [
    counter(
      'ttynp_port_sent_bytes_total',
      "Bytes that the device's TCP took.",
      each(views, (view) => view.sent.bytes),
    ),
    counter(
      'ttynp_port_received_bytes_total',
      'Bytes taken from the device.',
      each(views, (view) => view.received.bytes),
    ),
    gauge(
      'ttynp_port_parked_bytes',
      'Bytes taken from one side that the other has no room for yet.',
      bothWays((way) => way.parkedBytes),
    ),
    counter(
      'ttynp_port_stalls_total',
      'Times that one side had no room.',
      bothWays((way) => way.stalls),
    ),
    counter(
      'ttynp_port_dropped_bytes_total',
      'Bytes dropped, by cause.',
      views.flatMap((view) =>
        (Object.keys(DROP_CAUSES) as (keyof DropsView)[]).map((cause) => ({
          labels: { ...port(view), cause: DROP_CAUSES[cause] },
          value: view.drops[cause],
        })),
      ),
    ),
  ];
}

function lineFamilies(views: readonly PortView[]): Family[] {
  const errors = views.flatMap((view) => {
    const { parity, framing, overrun, breaks } = view.lineErrors;
    return Object.entries({ parity, framing, overrun, break: breaks }).map(([kind, value]) => ({
      labels: { ...port(view), kind },
      value,
    }));
  });
  const lines = views.flatMap((view) =>
    Object.entries(view.lines).flatMap(([name, on]) =>
      on === null ? [] : [{ labels: { ...port(view), line: name }, value: bit(on) }],
    ),
  );
  return [
    counter('ttynp_port_line_errors_total', 'What the device reported of the line, by kind.', errors),
    gauge('ttynp_port_modem_line', '1 where the line is on; absent where the device has not told.', lines),
  ];
}

const port = (view: PortView): Labels => ({ tty: view.name, server: view.server });

const each = (views: readonly PortView[], value: (view: PortView) => number): Sample[] =>
  views.map((view) => ({ labels: port(view), value: value(view) }));

const gauge = (name: string, help: string, samples: Sample[]): Family => ({ name, help, type: 'gauge', samples });
const counter = (name: string, help: string, samples: Sample[]): Family => ({ name, help, type: 'counter', samples });
const bit = (on: boolean): number => (on ? 1 : 0);
