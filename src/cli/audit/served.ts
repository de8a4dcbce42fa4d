// The serial ports of this machine that a configuration offers, judged as network listeners. Pure.
import type { Destination } from '../../config/destination.js';
import type { ResolvedConfig, ResolvedSerialPort } from '../../config/resolved.js';
import { destinationsOf, tcpPortsOf, udpPortsOf } from '../../config/serial-ports.js';
import { rangesText, reachOf } from './address.js';
import type { Endpoint, Judged } from './verdict.js';

/** A served port, of a configuration or of a running daemon. */
interface Reachable {
  readonly listen: string;
  readonly accessibleIps: readonly (readonly unknown[])[];
}

export function servedEndpoints(config: ResolvedConfig): Endpoint[] {
  return [...listeningEndpoints(config), ...connectingEndpoints(config), ...discoveryEndpoints(config)];
}

/** Where a served port goes by itself. */
function connectingEndpoints({ serialPorts }: ResolvedConfig): Endpoint[] {
  return serialPorts.flatMap(({ port, served }) =>
    destinationsOf(served).map(
      (destination): Endpoint => ({
        what: `serial port ${port}: ${served.mode}`,
        direction: 'connects',
        transport: served.mode === 'udp' ? 'udp' : 'tcp',
        address: hostText(destination),
        ports: String(destination.port),
        verdict: 'note',
        now: served.mode === 'udp' ? 'sends, not encrypted' : 'connects, without a password and not encrypted',
        why: 'keep it within the plant, or tunnel it',
      }),
    ),
  );
}

const hostText = ({ host, lastHost }: Destination) => (lastHost === null ? host : `${host}-${lastHost}`);

function listeningEndpoints({ serialPorts }: ResolvedConfig): Endpoint[] {
  return serialPorts.flatMap((port): Endpoint[] => {
    const what = `serial port ${port.port}: ${port.served.mode}`;
    const listeners = [
      { transport: 'tcp', ports: tcpPortsOf(port.served) },
      { transport: 'udp', ports: udpPortsOf(port.served) },
    ] as const;
    return listeners
      .filter(({ ports }) => ports.length > 0)
      .map(({ transport, ports }) => ({
        what,
        direction: 'opens',
        transport,
        address: port.listen,
        ports: rangesText(ports.map(([, number]) => number)),
        ...judgeListener(port),
      }));
  });
}

/** UDP 4800. */
export function discoveryEndpoints({ discovery }: ResolvedConfig): Endpoint[] {
  if (discovery === null) return [];
  const { listen, port, accessibleIps } = discovery;
  return listen.map((address) => ({
    what: 'discovery (DSCI)',
    direction: 'opens',
    transport: 'udp',
    address,
    ports: String(port),
    ...judgeDiscovery(address, accessibleIps.length > 0),
  }));
}

function judgeDiscovery(listen: string, isNarrowed: boolean): Judged {
  const now = 'answers, and changes nothing';
  const reach = reachOf(listen);
  if (reach === 'loopback') return { verdict: 'ok', now, why: 'only this machine reaches it' };
  if (reach === 'public') return { verdict: 'against', now, why: 'a public address: forged requests make it answer' };
  if (isNarrowed) return { verdict: 'note', now, why: "only for the vendor's drivers, which would drop idle ports" };
  return { verdict: 'against', now, why: 'everybody is told what is connected: say who with accessibleIps' };
}

export function judgeListener({ listen, accessibleIps }: Reachable): Judged {
  const now = 'listens, without a password and not encrypted';
  const reach = reachOf(listen);
  if (reach === 'loopback') return { verdict: 'ok', now, why: 'only this machine reaches it' };
  if (reach === 'public') return { verdict: 'against', now, why: 'a public address: listen on 127.0.0.1 and tunnel' };
  if (accessibleIps.length > 0)
    return { verdict: 'note', now, why: 'accessibleIps admits some hosts; so should the firewall' };
  return { verdict: 'against', now, why: 'everybody who reaches it may use the port: say who with accessibleIps' };
}

/** The row of a mode that this machine offers; undefined where it does not. The worst of its ports stands for all. */
export function servedMode(config: ResolvedConfig, mode: ResolvedSerialPort['served']['mode']): Judged | undefined {
  const own = config.serialPorts.filter(({ served }) => served.mode === mode).map(judgeListener);
  const worst = ['against', 'note', 'ok'].map((verdict) => own.find((one) => one.verdict === verdict)).find(Boolean);
  return (
    worst && { ...worst, now: `offered: ${own.length} serial ${own.length === 1 ? 'port' : 'ports'} of this machine` }
  );
}
