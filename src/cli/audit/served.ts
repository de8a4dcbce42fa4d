// The serial ports of this machine that a configuration offers, judged as network listeners. Pure.
import type { ResolvedConfig, ResolvedSerialPort } from '../../config/resolved.js';
import { tcpPortsOf } from '../../config/serial-ports.js';
import { rangesText, reachOf } from './address.js';
import type { Endpoint, Judged } from './verdict.js';

/** A served port, of a configuration or of a running daemon. */
interface Reachable {
  readonly listen: string;
  readonly accessibleIps: readonly (readonly unknown[])[];
}

export function servedEndpoints(config: ResolvedConfig): Endpoint[] {
  return [...tcpEndpoints(config), ...discoveryEndpoints(config)];
}

function tcpEndpoints({ serialPorts }: ResolvedConfig): Endpoint[] {
  return serialPorts.flatMap((port): Endpoint[] => {
    const ports = tcpPortsOf(port.served).map(([, number]) => number);
    if (ports.length === 0) return [];
    const what = `serial port ${port.port}: ${port.served.mode}`;
    return [
      {
        what,
        direction: 'opens',
        transport: 'tcp',
        address: port.listen,
        ports: rangesText(ports),
        ...judgeListener(port),
      },
    ];
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
