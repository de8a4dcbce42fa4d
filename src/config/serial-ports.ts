// The entries of `serialPorts:` with every option filled in, and what two of them may not share: a device, a TCP port of an
// address. Pure; asks the system nothing. Numbering of TCP ports follows serial/port-numbers and the vendor's 4000+n.
import { applyFormat } from '../serial/format.js';
import { NO_FLOW_CONTROL } from '../serial/line.js';
import { portNumbers } from '../serial/port-numbers.js';
import { checkAccess } from './access.js';
import { type AddressRange, narrowedBy } from './address-range.js';
import { canonicalAddress } from './check.js';
import { addressesOf, type Destination, destinationText, isMulticast, MAX_RANGE } from './destination.js';
import type { Problems } from './problems.js';
import type { Arbitration, ResolvedSerialPort, ResolvedTty, ServedMode } from './resolved.js';
import type { ConfigValue } from './schema.js';
import type { SerialPortValue } from './serial-port-schema.js';
import { type ConfigFile, valueAt } from './yaml-file.js';

/** UDP, of the vendor's hosts. */
export const DISCOVERY_PORT = 4800;
const DEFAULT_TCP_PORT = 4000;
const ALIVE_CHECK_MS = 7 * 60_000;

/** Which keys mean something in some modes only. */
const KEYS_OF_MODES: Partial<Record<keyof SerialPortValue, readonly ServedMode['mode'][]>> = {
  dataPort: ['real-com'],
  commandPort: ['real-com', 'tcp-server'],
  tcpPort: ['rfc2217', 'tcp-server', 'pair-slave', 'ethernet-modem', 'reverse-telnet'],
  udpPort: ['udp'],
  destinations: ['tcp-client', 'udp', 'pair-master'],
  connectionControl: ['tcp-client'],
  mapCrLf: ['reverse-telnet'],
  arbitrate: ['real-com', 'tcp-server'],
  responseTimeout: ['real-com', 'tcp-server'],
  lateAnswers: ['real-com', 'tcp-server'],
  accessibleIps: ['real-com', 'rfc2217', 'tcp-server', 'udp', 'pair-slave', 'ethernet-modem', 'reverse-telnet'],
  packing: ['real-com', 'rfc2217', 'tcp-server', 'tcp-client', 'udp'],
  maxConnection: ['real-com', 'tcp-server'],
  maxConnectionPerIp: ['real-com', 'tcp-server'],
  ignoreJammedIp: ['real-com', 'tcp-server', 'tcp-client'],
  allowDriverControl: ['real-com', 'tcp-server'],
  inactivityTime: ['tcp-server', 'tcp-client', 'reverse-telnet'],
};

export function resolveSerialPorts(
  main: ConfigFile<ConfigValue>,
  ttys: readonly ResolvedTty[],
  problems: Problems,
): ResolvedSerialPort[] {
  const value = main.value;
  const ports = Object.entries(value?.serialPorts ?? {}).map(([key, entry]) =>
    resolvePort(Number(key), entry, value?.accessibleIps ?? [], main, problems),
  );
  checkShared(ports, takenBy(value, ttys), main, problems);
  return ports;
}

const eitherOf = (all: readonly string[]) =>
  [all.slice(0, -1).join(', '), ...all.slice(-1)].filter(Boolean).join(' or ');

function resolvePort(
  port: number,
  value: SerialPortValue,
  everywhere: readonly AddressRange[],
  main: ConfigFile<ConfigValue>,
  problems: Problems,
): ResolvedSerialPort {
  const path = ['serialPorts', String(port)];
  const mode = value.mode ?? 'real-com';
  const report = (key: string, text: string) =>
    problems.add(main.file, main.lineOf([...path, key]), [...path, key], text);
  for (const [key, modes] of Object.entries(KEYS_OF_MODES)) {
    if (Reflect.get(value, key) === undefined || modes.includes(mode) || mode === 'disabled') continue;
    report(key, `belongs to mode ${eitherOf(modes)}, not to ${mode}`);
  }
  checkConnecting(mode, value, valueAt(main.raw, [...path, 'destinations']) !== undefined, report);
  const force = value.packing?.forceTransmit ?? 0;
  const inactivity = value.inactivityTime ?? 0;
  if (force !== 'modbus-rtu' && inactivity > 0 && inactivity <= force)
    report('inactivityTime', `must be longer than forceTransmit (${force} ms), or the last bytes are lost`);
  if (mode === 'tcp-server' && value.commandPort !== undefined && value.allowDriverControl !== true)
    report('commandPort', 'needs allowDriverControl: on');
  if (value.maxConnectionPerIp !== undefined && value.maxConnectionPerIp > (value.maxConnection ?? 1))
    report('maxConnectionPerIp', `is more than maxConnection (${value.maxConnection ?? 1})`);
  if (mode !== 'disabled') checkAccess(main, path, value.accessibleIps, problems);
  const rtsCts = value.flowControl === 'rts-cts';
  const xonXoff = value.flowControl === 'xon-xoff';
  return {
    port,
    device: value.device,
    served: servedMode(port, mode, value),
    listen: value.listen ?? '127.0.0.1',
    accessibleIps: narrowedBy(everywhere, value.accessibleIps ?? []),
    aliveCheckMs: value.aliveCheck ?? ALIVE_CHECK_MS,
    settings: {
      ...applyFormat(value.format ?? {}),
      flowControl: { ...NO_FLOW_CONTROL, rtsCts, xonXoffIn: xonXoff, xonXoffOut: xonXoff },
    },
    rs485: value.rs485 ?? false,
    turnaroundDelayMs: value.turnaroundDelay ?? 0,
    echoSuppression: value.echoSuppression ?? false,
    packing: value.packing ?? null,
    connectionGoesDown: value.connectionGoesDown ?? (mode === 'tcp-server' ? 'high' : 'low'),
    source: { file: main.file, line: main.lineOf(path) },
  };
}

function servedMode(port: number, mode: ServedMode['mode'], value: SerialPortValue): ServedMode {
  const numbers = portNumbers(port);
  const maxConnection = value.maxConnection ?? 1;
  const maxPerAddress = value.maxConnectionPerIp ?? maxConnection;
  const ignoreJammedIp = value.ignoreJammedIp ?? false;
  const shared = { maxConnection, maxPerAddress, ignoreJammedIp, arbitration: arbitrationOf(value) };
  const tcpPort = value.tcpPort ?? DEFAULT_TCP_PORT + port;
  const inactivityTimeMs = value.inactivityTime ?? 0;
  const destinations = value.destinations ?? [];
  switch (mode) {
    case 'disabled':
      return { mode };
    case 'real-com':
      return {
        mode,
        dataPort: value.dataPort ?? numbers.dataPort,
        commandPort: value.commandPort ?? numbers.commandPort,
        ...shared,
        allowDriverControl: value.allowDriverControl ?? maxConnection === 1,
      };
    case 'rfc2217':
    case 'pair-slave':
    case 'ethernet-modem':
      return { mode, tcpPort };
    case 'tcp-client': {
      const connectionControl = value.connectionControl ?? 'startup';
      return { mode, destinations, connectionControl, inactivityTimeMs, ignoreJammedIp };
    }
    case 'udp':
      return { mode, udpPort: value.udpPort ?? DEFAULT_TCP_PORT + port, destinations };
    case 'pair-master':
      return { mode, destination: destinations[0] ?? NOWHERE };
    case 'reverse-telnet':
      return { mode, tcpPort, inactivityTimeMs, mapCrLf: value.mapCrLf ?? 'cr-lf' };
    case 'tcp-server': {
      const allowDriverControl = value.allowDriverControl ?? false;
      return {
        mode,
        tcpPort,
        commandPort: allowDriverControl ? (value.commandPort ?? numbers.commandPort) : null,
        ...shared,
        allowDriverControl,
        inactivityTimeMs,
      };
    }
    default:
      return mode satisfies never;
  }
}

const NOWHERE: Destination = { host: '', lastHost: null, port: 0, localPort: 0 };
const RESPONSE_TIMEOUT_MS = 1000;

function arbitrationOf(value: SerialPortValue): Arbitration | null {
  if (value.arbitrate !== 'request-response') return null;
  const { responseTimeout = RESPONSE_TIMEOUT_MS, lateAnswers = 'discard' } = value;
  return { responseTimeoutMs: responseTimeout, lateAnswers };
}

/** Of modes that connect by themselves, or send to where they are told. */
function checkConnecting(
  mode: ServedMode['mode'],
  { destinations, connectionControl, inactivityTime, arbitrate, responseTimeout, lateAnswers }: SerialPortValue,
  hasDestinations: boolean,
  report: (key: string, text: string) => void,
): void {
  const connects = mode === 'tcp-client' || mode === 'udp' || mode === 'pair-master';
  if (connects && !hasDestinations) report('destinations', `is missing: mode ${mode} needs to know where to`);
  if (mode === 'pair-master' && (destinations?.length ?? 0) > 1)
    report('destinations', 'must be one: that of the slave');
  for (const destination of mode === 'disabled' ? [] : (destinations ?? [])) {
    const text = destinationText(destination);
    if (mode === 'udp' && addressesOf(destination) > MAX_RANGE)
      report('destinations', `${text} has ${addressesOf(destination)} addresses, and ${MAX_RANGE} are the most`);
    if (mode === 'udp' && destination.localPort !== 0) report('destinations', `${text}: udp is sent from udpPort`);
    if (mode !== 'udp' && destination.lastHost !== null) report('destinations', `${text}: only udp has ranges`);
    if (mode !== 'udp' && isMulticast(destination.host)) report('destinations', `${text}: only udp has multicast`);
  }
  const byInactivity = connectionControl === 'any-character/inactivity-time';
  if (mode === 'tcp-client' && (inactivityTime ?? 0) > 0 && !byInactivity)
    report('inactivityTime', 'needs connectionControl: any-character/inactivity-time');
  if (mode === 'tcp-client' && byInactivity && (inactivityTime ?? 0) === 0)
    report('connectionControl', 'any-character/inactivity-time needs an inactivityTime');
  if (arbitrate === 'request-response') return;
  if (responseTimeout !== undefined) report('responseTimeout', 'needs arbitrate: request-response');
  if (lateAnswers !== undefined) report('lateAnswers', 'needs arbitrate: request-response');
}

/** The TCP ports of a mode, by the key that changes them. */
export function tcpPortsOf(served: ServedMode): readonly (readonly [key: string, port: number])[] {
  switch (served.mode) {
    case 'disabled':
    case 'tcp-client':
    case 'udp':
    case 'pair-master':
      return [];
    case 'real-com':
      return [
        ['dataPort', served.dataPort],
        ['commandPort', served.commandPort],
      ];
    case 'rfc2217':
    case 'pair-slave':
    case 'ethernet-modem':
    case 'reverse-telnet':
      return [['tcpPort', served.tcpPort]];
    case 'tcp-server':
      return [
        ['tcpPort', served.tcpPort],
        ...(served.commandPort === null ? [] : [['commandPort', served.commandPort] as const]),
      ];
    default:
      return served satisfies never;
  }
}

/** The UDP ports of a mode, by the key that changes them. */
export function udpPortsOf(served: ServedMode): readonly (readonly [key: string, port: number])[] {
  return served.mode === 'udp' ? [['udpPort', served.udpPort]] : [];
}

/** Where a mode connects or sends to. */
export function destinationsOf(served: ServedMode): readonly Destination[] {
  if ('destinations' in served) return served.destinations;
  return served.mode === 'pair-master' ? [served.destination] : [];
}

/** How many file descriptors a port may need: device and waker, and for each TCP port its listener, its clients and one to spare. */
export function descriptorsOf(served: ServedMode): number {
  if (served.mode === 'disabled') return 0;
  // A connection that is ending may still be there when the next begins.
  const own = 2 + 2 * destinationsOf(served).length;
  const clients = 'maxConnection' in served ? served.maxConnection : 1;
  return own + tcpPortsOf(served).length * (clients + 2);
}

/** What a listener needs, which is somebody's already. */
interface Taken {
  readonly listen: string;
  readonly port: number;
  readonly whose: string;
}

/** What the rest of the configuration has. */
function takenBy(value: ConfigValue | undefined, ttys: readonly ResolvedTty[]): Record<'tcp' | 'udp', Taken[]> {
  const metrics = value?.metrics?.listen;
  const { listen = [], port = DISCOVERY_PORT } = value?.discovery ?? {};
  return {
    tcp: metrics ? [{ listen: metrics.host, port: metrics.port, whose: 'the metrics' }] : [],
    udp: [
      ...listen.map((address) => ({ listen: address, port, whose: 'discovery' })),
      ...ttys.flatMap(({ name, localPort }) =>
        localPort === 0 ? [] : [{ listen: '::', port: localPort, whose: `${name} (localPort)` }],
      ),
    ],
  };
}

function checkShared(
  ports: readonly ResolvedSerialPort[],
  { tcp: taken, udp: takenUdp }: ReturnType<typeof takenBy>,
  main: ConfigFile<ConfigValue>,
  problems: Problems,
): void {
  const devices = new Map<string, number>();
  for (const { port, device, served, listen } of ports) {
    const report = (key: string, text: string) => {
      const path = ['serialPorts', String(port), key];
      problems.add(main.file, main.lineOf(path), path, text);
    };
    if (served.mode === 'disabled') continue;
    const other = devices.get(device);
    if (other !== undefined) report('device', `${device} is serial port ${other} already`);
    else devices.set(device, port);
    for (const [key, number] of tcpPortsOf(served)) {
      const whose = taken.find((one) => one.port === number && meet(one.listen, listen))?.whose;
      if (whose !== undefined) report(key, `TCP port ${number} on ${listen} is that of ${whose} already`);
      taken.push({ listen, port: number, whose: `serial port ${port} (${key})` });
    }
    for (const [key, number] of udpPortsOf(served)) {
      const whose = takenUdp.find((one) => one.port === number && meet(one.listen, listen))?.whose;
      if (whose !== undefined) report(key, `UDP port ${number} on ${listen} is that of ${whose} already`);
      takenUdp.push({ listen, port: number, whose: `serial port ${port} (${key})` });
    }
  }
}

/** An address of all interfaces meets every other; that of IPv6 takes IPv4 too. */
function meet(a: string, b: string): boolean {
  const [one, two] = [canonicalAddress(a), canonicalAddress(b)];
  const anywhere = ['0.0.0.0', '[::]'];
  return one === two || anywhere.includes(one) || anywhere.includes(two);
}
