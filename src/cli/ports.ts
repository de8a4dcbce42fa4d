// `ttynp ports`: one line per tty, and one per serial port of this machine that is offered.
import type { CommandModule } from 'yargs';
import type { PortView, SerialPortView } from '../api/types.js';
import type { CommandIo } from './io.js';
import { clientOf, type GlobalArguments } from './socket.js';
import { bytesText, type Cell, painter, STATE_COLOURS, table } from './text.js';

type Arguments = GlobalArguments & { readonly json: boolean; readonly serial: boolean };

export const portsCommand = (io: CommandIo): CommandModule<GlobalArguments, Arguments> => ({
  command: 'ports',
  describe: 'List the ttys, and the serial ports of this machine that are offered',
  builder: (yargs) =>
    yargs
      .option('json', { type: 'boolean', default: false, describe: 'Print JSON: of the ttys, or with --serial' })
      .option('serial', { type: 'boolean', default: false, describe: "Only this machine's serial ports" }),
  handler: async (args) => {
    const client = clientOf(args);
    if (args.json) {
      io.out(`${JSON.stringify(args.serial ? await client.serialPorts() : await client.ports(), null, 2)}\n`);
      return;
    }
    const serial = await client.serialPorts();
    if (args.serial) {
      io.out(serialPortsText(serial, io));
      return;
    }
    const ports = await client.ports();
    if (serial.length === 0) io.out(portsText(ports, io));
    else io.out(`${ports.length > 0 ? `${portsText(ports, io)}\n` : ''}${serialPortsText(serial, io)}`);
  },
});

const SERIAL_COLOURS = { up: 'green', waiting: 'yellow', disabled: 'dim' } as const;

export function serialPortsText(ports: readonly SerialPortView[], io: Pick<CommandIo, 'columns' | 'colour'>): string {
  if (ports.length === 0) return 'no serial ports are offered\n';
  const head = ['PORT', 'DEVICE', 'STATE', 'MODE', 'LISTEN', 'SETTINGS', 'LINES', 'SENT', 'RECEIVED', 'CLIENTS'];
  return table(head, ports.map(serialRow), painter(io.colour), io.columns);
}

function serialRow(port: SerialPortView): Cell[] {
  const { settings } = port;
  const flow = settings.flowControl === 'none' ? '' : ` ${settings.flowControl}`;
  const on = Object.entries(port.lines).flatMap(([name, is]) => (is === true ? [name] : []));
  return [
    { text: String(port.port), right: true },
    { text: port.device },
    { text: port.state, colour: SERIAL_COLOURS[port.state] },
    { text: port.mode },
    { text: placesText(port) },
    { text: `${settings.format}${flow}` },
    { text: on.join(' ') || '-' },
    { text: bytesText(port.transmitted.bytes), right: true },
    { text: bytesText(port.received.bytes), right: true },
    port.reason === null ? { text: clientsText(port) } : { text: port.reason.message, colour: 'red' },
  ];
}

/** Where it listens, and where it goes. */
function placesText({ listen, tcpPorts, udpPorts, destinations }: SerialPortView): string {
  const own = tcpPorts.length > 0 ? [`${listen}:${tcpPorts.join('+')}`] : [];
  const datagrams = udpPorts.map((port) => `${listen}:${port}/udp`);
  return [...own, ...datagrams, ...destinations.map((one) => `-> ${one}`)].join(' ') || '-';
}

function clientsText({ clients, refused, malformed }: SerialPortView): string {
  const own = clients.map(({ address, dropped }) =>
    dropped > 0 ? `${address} (${bytesText(dropped)} bytes dropped)` : address,
  );
  const denied = refused.denied > 0 ? [`${refused.denied} refused`] : [];
  const strange = malformed > 0 ? [`${malformed} malformed`] : [];
  return [...own, ...denied, ...strange].join(', ') || '-';
}

export function portsText(ports: readonly PortView[], io: Pick<CommandIo, 'columns' | 'colour'>): string {
  if (ports.length === 0) return 'no ttys are configured\n';
  const head = ['TTY', 'STATE', 'OPEN', 'SERVER', 'SETTINGS', 'SENT', 'RECEIVED', 'NOTE'];
  return table(head, ports.map(row), painter(io.colour), io.columns);
}

function row(port: PortView): Cell[] {
  return [
    { text: port.name },
    { text: port.state, colour: STATE_COLOURS[port.state] },
    { text: port.open ? 'yes' : '-' },
    { text: `${port.server}/${port.port}` },
    { text: (port.acknowledged ?? port.asked).format },
    { text: bytesText(port.sent.bytes), right: true },
    { text: bytesText(port.received.bytes), right: true },
    { text: note(port), colour: port.reason === null ? 'yellow' : 'red' },
  ];
}

/** The one thing about it that its user should know first. */
function note(port: PortView): string {
  if (port.reason !== null) return port.reason.message;
  if (port.refused !== null) return `refused ${port.refused.format}`;
  if (port.warnings[0] !== undefined) return port.warnings[0];
  const dropped = Object.values(port.drops).reduce((sum, n) => sum + n, 0);
  return dropped > 0 ? `${bytesText(dropped)} bytes dropped` : '';
}
