// One served port as a client of the control API sees it. Reads, never changes.
import type { SerialPortView } from '../../api/types.js';
import type { Fault } from '../../base/fault.js';
import { rangeText } from '../../config/address-range.js';
import { destinationText } from '../../config/destination.js';
import type { ResolvedSerialPort } from '../../config/resolved.js';
import { destinationsOf } from '../../config/serial-ports.js';
import type { PortServer } from '../../serve/port-server.js';
import type { LineMeter } from '../../uart/metered.js';
import type { Uart } from '../../uart/uart.js';
import { settingsView } from '../port-view.js';

export interface Counts {
  connects: number;
  busy: number;
  denied: number;
  malformed: number;
}

export interface ServedParts {
  readonly config: ResolvedSerialPort;
  readonly state: SerialPortView['state'];
  readonly since: string;
  readonly problem: { readonly fault: Fault; readonly at: string } | undefined;
  readonly server: PortServer | undefined;
  readonly uart: Uart | undefined;
  readonly meter: LineMeter;
  readonly counts: Counts;
  /** Of the clock. */
  readonly nowMs: number;
}

export const portText = ({ port, device }: ResolvedSerialPort): string => `serial port ${port} (${device})`;

export function serialPortView(parts: ServedParts): SerialPortView {
  const { config, state, since, problem, server, uart, meter, counts, nowMs } = parts;
  const age = (lastMs: number | undefined) => (lastMs === undefined ? null : Math.max(0, Math.round(nowMs - lastMs)));
  return {
    port: config.port,
    device: config.device,
    mode: config.served.mode,
    state,
    since,
    reason: problem === undefined ? null : { code: problem.fault.code, message: problem.fault.message, at: problem.at },
    listen: config.listen,
    tcpPorts: [...(server?.tcpPorts ?? [])],
    udpPorts: [...(server?.udpPorts ?? [])],
    destinations: destinationsOf(config.served).map(destinationText),
    accessibleIps: config.accessibleIps.map((list) => list.map(rangeText)),
    clients: (server?.clients ?? []).map(({ sinceMs, ...client }) => ({
      ...client,
      since: new Date(sinceMs).toISOString(),
    })),
    settings: settingsView(uart?.settings ?? config.settings),
    lines:
      uart === undefined
        ? { dtr: false, rts: false, cts: null, dsr: null, dcd: null, ri: null }
        : { ...uart.outputLines, ...uart.modemLines },
    lineErrors: { parity: meter.parity, framing: meter.framing, overrun: meter.overrun, breaks: meter.breaks },
    transmitted: { bytes: meter.transmitted, lastByteAgeMs: age(meter.lastTransmittedMs) },
    received: { bytes: meter.received, lastByteAgeMs: age(meter.lastReceivedMs) },
    connects: counts.connects,
    refused: { busy: counts.busy, denied: counts.denied },
    malformed: counts.malformed,
    arbitrated: server?.arbitrated ?? null,
  };
}
