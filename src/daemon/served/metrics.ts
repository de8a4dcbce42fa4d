// What the daemon tells Prometheus of the serial ports of this machine that it offers, from the views that a client of the
// API gets. Pure; every name is in the README's table.
import type { SerialPortView } from '../../api/types.js';
import type { Family, Labels, Sample } from '../../observe/prometheus.js';

export function servedMetrics(views: readonly SerialPortView[]): Family[] {
  if (views.length === 0) return [];
  const port = (view: SerialPortView): Labels => ({ port: String(view.port), mode: view.mode });
  const each = (value: (view: SerialPortView) => number): Sample[] =>
    views.map((view) => ({ labels: port(view), value: value(view) }));
  const kinds = (name: string, values: (view: SerialPortView) => Readonly<Record<string, number>>): Sample[] =>
    views.flatMap((view) =>
      Object.entries(values(view)).map(([kind, value]) => ({ labels: { ...port(view), [name]: kind }, value })),
    );
  return [
    {
      name: 'ttynp_serial_port_up',
      help: '1 while the device is there and clients can connect.',
      type: 'gauge',
      samples: each((view) => (view.state === 'up' ? 1 : 0)),
    },
    {
      name: 'ttynp_serial_port_clients',
      help: 'Clients that are connected.',
      type: 'gauge',
      samples: each((view) => view.clients.length),
    },
    {
      name: 'ttynp_serial_port_bytes_total',
      help: 'Bytes on the line, by direction.',
      type: 'counter',
      samples: kinds('direction', ({ transmitted, received }) => ({
        transmitted: transmitted.bytes,
        received: received.bytes,
      })),
    },
    {
      name: 'ttynp_serial_port_line_errors_total',
      help: 'Line errors and breaks that the driver told of, by kind.',
      type: 'counter',
      samples: kinds('kind', ({ lineErrors: { breaks, ...errors } }) => ({ ...errors, break: breaks })),
    },
    {
      name: 'ttynp_serial_port_connections_total',
      help: 'TCP connections, by what became of them.',
      type: 'counter',
      samples: kinds('outcome', ({ connects, refused }) => ({ taken: connects, ...refused })),
    },
    {
      name: 'ttynp_serial_port_malformed_total',
      help: 'What clients sent that their protocol does not have; it was ignored.',
      type: 'counter',
      samples: each((view) => view.malformed),
    },
  ];
}
