// The entries of `serialPorts:` with every option filled in, and what two of them may not share: a device, a TCP port of an
// address. Pure; asks the system nothing. Numbering of TCP ports follows serial/port-numbers and the vendor's 4000+n.
import { applyFormat } from '../serial/format.js';
import { NO_FLOW_CONTROL } from '../serial/line.js';
import { portNumbers } from '../serial/port-numbers.js';
import { checkAccess } from './access.js';
import { type AddressRange, narrowedBy } from './address-range.js';
import { canonicalAddress } from './check.js';
import type { Problems } from './problems.js';
import type { ResolvedSerialPort, ServedMode } from './resolved.js';
import type { ConfigValue } from './schema.js';
import type { SerialPortValue } from './serial-port-schema.js';
import type { ConfigFile } from './yaml-file.js';

const DEFAULT_TCP_PORT = 4000;
const ALIVE_CHECK_MS = 7 * 60_000;

/** Which keys mean something in some modes only. */
const KEYS_OF_MODES: Partial<Record<keyof SerialPortValue, readonly ServedMode['mode'][]>> = {
  dataPort: ['real-com'],
  commandPort: ['real-com', 'tcp-server'],
  tcpPort: ['rfc2217', 'tcp-server'],
  maxConnection: ['real-com', 'tcp-server'],
  maxConnectionPerIp: ['real-com', 'tcp-server'],
  ignoreJammedIp: ['real-com', 'tcp-server'],
  allowDriverControl: ['real-com', 'tcp-server'],
  inactivityTime: ['tcp-server'],
};

export function resolveSerialPorts(main: ConfigFile<ConfigValue>, problems: Problems): ResolvedSerialPort[] {
  const value = main.value;
  const ports = Object.entries(value?.serialPorts ?? {}).map(([key, entry]) =>
    resolvePort(Number(key), entry, value?.accessibleIps ?? [], main, problems),
  );
  checkShared(ports, value?.metrics?.listen, main, problems);
  return ports;
}

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
    report(key, `belongs to mode ${modes.join(' or ')}, not to ${mode}`);
  }
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
    packing: value.packing ?? null,
    connectionGoesDown: value.connectionGoesDown ?? (mode === 'tcp-server' ? 'high' : 'low'),
    source: { file: main.file, line: main.lineOf(path) },
  };
}

function servedMode(port: number, mode: ServedMode['mode'], value: SerialPortValue): ServedMode {
  const numbers = portNumbers(port);
  const maxConnection = value.maxConnection ?? 1;
  const maxPerAddress = value.maxConnectionPerIp ?? maxConnection;
  const shared = { maxConnection, maxPerAddress, ignoreJammedIp: value.ignoreJammedIp ?? false };
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
      return { mode, tcpPort: value.tcpPort ?? DEFAULT_TCP_PORT + port };
    case 'tcp-server': {
      const allowDriverControl = value.allowDriverControl ?? false;
      return {
        mode,
        tcpPort: value.tcpPort ?? DEFAULT_TCP_PORT + port,
        commandPort: allowDriverControl ? (value.commandPort ?? numbers.commandPort) : null,
        ...shared,
        allowDriverControl,
        inactivityTimeMs: value.inactivityTime ?? 0,
      };
    }
    default:
      return mode satisfies never;
  }
}

/** The TCP ports of a mode, by the key that changes them. */
export function tcpPortsOf(served: ServedMode): readonly (readonly [key: string, port: number])[] {
  switch (served.mode) {
    case 'disabled':
      return [];
    case 'real-com':
      return [
        ['dataPort', served.dataPort],
        ['commandPort', served.commandPort],
      ];
    case 'rfc2217':
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

/** How many file descriptors a port may need: device and waker, and for each TCP port its listener, its clients and one to spare. */
export function descriptorsOf(served: ServedMode): number {
  const listeners = tcpPortsOf(served).length;
  const clients = 'maxConnection' in served ? served.maxConnection : 1;
  return listeners === 0 ? 0 : 2 + listeners * (clients + 2);
}

/** What a listener needs, which is somebody's already. */
interface Taken {
  readonly listen: string;
  readonly port: number;
  readonly whose: string;
}

function checkShared(
  ports: readonly ResolvedSerialPort[],
  metrics: { readonly host: string; readonly port: number } | undefined,
  main: ConfigFile<ConfigValue>,
  problems: Problems,
): void {
  const devices = new Map<string, number>();
  const taken: Taken[] = metrics ? [{ listen: metrics.host, port: metrics.port, whose: 'the metrics' }] : [];
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
  }
}

/** An address of all interfaces meets every other; that of IPv6 takes IPv4 too. */
function meet(a: string, b: string): boolean {
  const [one, two] = [canonicalAddress(a), canonicalAddress(b)];
  const anywhere = ['0.0.0.0', '[::]'];
  return one === two || anywhere.includes(one) || anywhere.includes(two);
}
