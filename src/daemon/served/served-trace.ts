// What a running `trace serial:N` is told of a served port: TraceFan with words for what happens at the port and on its line.
// Costs nothing while no trace runs: whoever tells it something asks `on` first.
import type { SerialPortView, TraceRecord } from '../../api/types.js';
import type { Clock } from '../../base/clock.js';
import { formatSettings } from '../../serial/format.js';
import type { LineReport, LineRequest, ModemLines } from '../../serial/line.js';
import type { PortEvent } from '../../serve/port-server.js';
import type { PortTrace } from '../../serve/port-trace.js';
import { describeRequest } from '../../serve/request-text.js';
import type { LineWatch } from '../../uart/metered.js';
import { TraceFan } from '../trace-fan.js';

export class ServedTrace extends TraceFan implements PortTrace, LineWatch {
  constructor(clock: Clock) {
    super(clock, () => {});
  }

  /** What is said to who begins to look on. */
  stateOf(view: SerialPortView): TraceRecord {
    const { port, device, mode, state, reason, clients, settings } = view;
    const why = reason === null ? '' : `: ${reason.message}`;
    const who = clients.length === 0 ? 'no client' : clients.map(({ address }) => address).join(', ');
    const text = `serial port ${port} (${device}), ${mode}, ${state}${why}, ${settings.format}, ${who}`;
    return { type: 'event', atUs: Math.round(this.clock.wallTime() * 1000), text };
  }

  happened(event: PortEvent): void {
    const text = eventText(event);
    if (text !== undefined) this.event(text);
  }

  requested(request: LineRequest, done: boolean): void {
    this.event(`line: ${describeRequest(request)}${done ? '' : ' refused'}`);
  }

  reported(report: LineReport): void {
    this.event(`line told: ${reportText(report)}`);
  }
}

/** undefined: it is shown otherwise. */
function eventText(event: PortEvent): string | undefined {
  switch (event.type) {
    case 'connected':
      return `${event.kind} connection from ${event.peer}`;
    case 'disconnected':
      return `${event.peer} left: ${event.reason}`;
    case 'waits':
      return `${event.peer} waits for its place (${event.kind})`;
    case 'busy':
      return `${event.peer} tried, and the port is in use`;
    case 'denied':
      return `${event.peer} is not in accessibleIps`;
    case 'failed':
      return event.fault.message;
    case 'malformed':
      return `${event.peer} sent what its protocol does not have; ignored`;
    case 'note':
      return event.text;
    // By its name where it came, and by what the line made of it.
    case 'request':
    case 'frame':
      return undefined;
    default:
      return event satisfies never;
  }
}

function reportText(report: LineReport): string {
  switch (report.type) {
    case 'lines':
      return linesText(report.lines);
    case 'errors':
      return `${namesOf(report.errors).join(', ')} error`;
    case 'break':
      return 'break';
    case 'refused':
      return `refused ${formatSettings(report.settings)}`;
    default:
      return report satisfies never;
  }
}

const linesText = (lines: ModemLines): string =>
  Object.entries(lines)
    .map(([name, on]) => `${name} ${on ? 'on' : 'off'}`)
    .join(' ');

const namesOf = (flags: object): string[] => Object.entries(flags).flatMap(([name, on]) => (on ? [name] : []));
