// What a configuration opens and connects to, against the tables of guide.ts. Pure: looks at the configuration alone, opens
// nothing, and asks no device; what runs at a device, its own pages tell.
//
//   auditConfig(config) -> Audit

import type { ResolvedConfig, ResolvedTty } from '../../config/resolved.js';
import { destinationsOf } from '../../config/serial-ports.js';
import { rangesText, reachOf } from './address.js';
import { GUIDE_MODES, GUIDE_SERVICES, type GuideRow } from './guide.js';
import { discoveryEndpoints, servedEndpoints, servedMode } from './served.js';
import type { Endpoint, Judged } from './verdict.js';

export type { Endpoint, Verdict } from './verdict.js';

export interface ServiceRow extends GuideRow, Judged {}

export interface Audit {
  readonly endpoints: readonly Endpoint[];
  readonly services: readonly ServiceRow[];
  readonly modes: readonly ServiceRow[];
  /** How many are against the advice: not 0 is exit code 1. */
  readonly against: number;
}

export function auditConfig(config: ResolvedConfig): Audit {
  const endpoints = [
    controlSocket(config),
    ...metrics(config),
    ...servedEndpoints(config),
    ...servers(config),
    ...names(config),
    ...ttys(config),
  ];
  const services = serviceRows(config);
  return { endpoints, services, modes: modeRows(config), against: endpoints.filter(isAgainst).length };
}

const isAgainst = ({ verdict }: Judged) => verdict === 'against';

function controlSocket({ runtimeDir, control }: ResolvedConfig): Endpoint {
  const open = (control.mode & 0o002) !== 0;
  const now = `mode 0${control.mode.toString(8)}`;
  return {
    what: 'control socket',
    direction: 'opens',
    transport: 'unix',
    address: `${runtimeDir}/control.sock`,
    ports: null,
    verdict: open ? 'against' : 'ok',
    now: control.group === null ? now : `${now}, group ${control.group}`,
    why: open
      ? 'every user of this machine may read the traffic of all ports and reload: set control.mode to "0660"'
      : 'no network reaches it; who is not in its group cannot use it',
  };
}

function metrics({ metrics: own }: ResolvedConfig): Endpoint[] {
  if (own === null) return [];
  const { host, port } = own.listen;
  const common = {
    what: 'metrics (HTTP)',
    direction: 'opens',
    transport: 'tcp',
    address: host,
    ports: String(port),
    now: 'listens, without a password and not encrypted',
  } as const;
  switch (reachOf(host)) {
    case 'loopback':
      return [{ ...common, verdict: 'ok', why: 'only this machine reaches it' }];
    case 'private':
      return [{ ...common, verdict: 'note', why: 'admit the collector alone, with accessibleIps and the firewall' }];
    case 'any':
      return [{ ...common, verdict: 'against', why: 'on every network of this machine: name one address' }];
    default:
      return [{ ...common, verdict: 'against', why: 'a public address: listen on 127.0.0.1 and tunnel' }];
  }
}

function servers({ ttys: all }: ResolvedConfig): Endpoint[] {
  const byServer = new Map<string, ResolvedTty[]>();
  for (const tty of all) {
    const key = `${tty.serverName} ${tty.address} ${tty.protocol}`;
    byServer.set(key, [...(byServer.get(key) ?? []), tty]);
  }
  return [...byServer.values()].flatMap((own): Endpoint[] => {
    const [first] = own;
    if (first === undefined) return [];
    const common = {
      direction: 'connects',
      transport: first.protocol === 'udp' ? 'udp' : 'tcp',
      address: first.address,
      ...judgeServer(first.address, PROTOCOLS[first.protocol]),
    } as const;
    const ports = (of: (tty: ResolvedTty) => number | null) =>
      rangesText(own.map(of).filter((number) => number !== null));
    const what = `${first.serverName}: ${PROTOCOLS[first.protocol]}`;
    const local = own.filter(({ localPort }) => localPort > 0).map(({ localPort }) => localPort);
    const heard: Endpoint = { ...common, ...HEARD, what, direction: 'opens', address: 'any', ports: rangesText(local) };
    if (first.protocol !== 'realcom')
      return [{ ...common, what, ports: ports((tty) => tty.dataPort) }, ...(local.length > 0 ? [heard] : [])];
    return [
      { ...common, what: `${first.serverName}: Real COM data`, ports: ports((tty) => tty.dataPort) },
      { ...common, what: `${first.serverName}: Real COM command`, ports: ports((tty) => tty.commandPort) },
    ];
  });
}

/** The kernel drops what others send: see link/udp. Whoever forges that address is heard. */
const HEARD: Judged = {
  verdict: 'note',
  now: 'takes datagrams of this server alone',
  why: 'a sender address can be forged: keep it on a network of its own',
};

const PROTOCOLS = { realcom: 'Real COM', rfc2217: 'RFC 2217', tcp: 'raw TCP', udp: 'UDP' } as const;

function judgeServer(address: string, protocol: string): Judged {
  const now = `not encrypted, no password: ${protocol} has neither`;
  switch (reachOf(address)) {
    case 'loopback':
      return { verdict: 'ok', now, why: 'it does not leave this machine' };
    case 'public':
      return { verdict: 'against', now, why: 'a public address: anyone on the way may read and change it; use a VPN' };
    case 'name':
      return { verdict: 'note', now, why: 'whom the name leads to is up to DNS; keep it on a network of its own' };
    default:
      return { verdict: 'note', now, why: 'keep it on a network of its own; let the firewall admit this host alone' };
  }
}

const hostNames = ({ ttys: all, serialPorts }: ResolvedConfig) => {
  const destinations = serialPorts.flatMap(({ served }) => destinationsOf(served)).map(({ host }) => host);
  const hosts = [...all.map((tty) => tty.address), ...destinations];
  return [...new Set(hosts.filter((host) => reachOf(host) === 'name'))];
};

function names(config: ResolvedConfig): Endpoint[] {
  const asked = hostNames(config);
  if (asked.length === 0) return [];
  return [
    {
      what: 'DNS',
      direction: 'connects',
      transport: 'udp',
      address: "this machine's resolver",
      ports: '53',
      verdict: 'note',
      now: `asks for ${listed(asked)}`,
      why: 'a forged answer leads elsewhere: write the address, or use a resolver that you trust',
    },
  ];
}

/** Who may open what leads to the device belongs to the port as much as its number. */
function ttys({ ttys: all, linkDir }: ResolvedConfig): Endpoint[] {
  const open = all.filter((tty) => (tty.mode & 0o006) !== 0);
  if (open.length === 0) return [];
  return [
    {
      what: 'ttys',
      direction: 'opens',
      transport: 'tty',
      address: linkDir,
      ports: null,
      verdict: 'against',
      now: `every user of this machine may open ${listed(open.map((tty) => tty.name))}`,
      why: 'set mode to "0660" and group to dialout',
    },
  ];
}

const listed = (words: readonly string[]): string =>
  words.length > 3 ? `${words.slice(0, 3).join(', ')} and ${words.length - 3} more` : words.join(', ');

const off = (why: string): Judged => ({ verdict: 'ok', now: 'off', why });

function serviceRows(config: ResolvedConfig): ServiceRow[] {
  const [http] = metrics(config);
  const asked = hostNames(config);
  const found = discoveryEndpoints(config);
  const discovery = found.find(isAgainst) ?? found[0];
  const g = GUIDE_SERVICES;
  return [
    {
      ...g.moxaCommand,
      ...(discovery === undefined
        ? off('ttynp neither sends nor answers it; disable it at the device')
        : { verdict: discovery.verdict, now: 'UDP 4800 answers, TCP is never opened', why: discovery.why }),
    },
    {
      ...g.dns,
      ...(asked.length === 0
        ? off('every server is an address')
        : { verdict: 'note', now: 'asks', why: `for ${listed(asked)}` }),
    },
    { ...g.snmp, ...off('no agent here; disable it at the device') },
    {
      ...g.http,
      ...(http === undefined
        ? off('no web page here, and no metrics over TCP; disable it at the device')
        : { verdict: http.verdict, now: `metrics on ${http.address} port ${http.ports}`, why: http.why }),
    },
    { ...g.https, ...off('no web page here to protect; enable it at the device') },
    { ...g.telnet, ...off('the console is a unix socket; leave it disabled at the device') },
    { ...g.dhcp, ...off("the addresses of this machine are the system's; give the device a static one") },
    { ...g.sntp, ...off("the log has the system's time; use it at the device, whose log has its own") },
    {
      ...g.syslog,
      verdict: 'note',
      now: 'off',
      why: 'the log goes to the journal or a file: have the system forward it; use it at the device',
    },
  ];
}

/** They listen nowhere. */
function pairMasters({ serialPorts }: ResolvedConfig): Judged | undefined {
  const count = serialPorts.filter(({ served }) => served.mode === 'pair-master').length;
  if (count === 0) return undefined;
  const now = `connects: ${count} serial ${count === 1 ? 'port' : 'ports'} of this machine`;
  return { verdict: 'note', now, why: 'not encrypted, no password: keep it within the plant, or tunnel it' };
}

function modeRows(config: ResolvedConfig): ServiceRow[] {
  const { ttys: all } = config;
  const m = GUIDE_MODES;
  const count = new Set(all.map((tty) => `${tty.address} ${tty.serverName}`)).size;
  const unused = off('not in this configuration; a port that nothing uses is disabled at the device');
  const realCom: Judged =
    all.length === 0
      ? unused
      : {
          verdict: servers(config).some(isAgainst) ? 'against' : 'note',
          now: `connects to ${all.length} ports of ${count} ${count === 1 ? 'server' : 'servers'}`,
          why: 'each has a tty; disable the other ports at the device',
        };
  return [
    { ...m.realCom, ...(servedMode(config, 'real-com') ?? realCom) },
    { ...m.rfc2217, ...(servedMode(config, 'rfc2217') ?? unused) },
    { ...m.tcpServer, ...(servedMode(config, 'tcp-server') ?? unused) },
    { ...m.udp, ...(servedMode(config, 'udp') ?? unused) },
    { ...m.pair, ...(servedMode(config, 'pair-slave') ?? pairMasters(config) ?? unused) },
    { ...m.ethernetModem, ...(servedMode(config, 'ethernet-modem') ?? unused) },
    { ...m.reverseTelnet, ...(servedMode(config, 'reverse-telnet') ?? unused) },
  ];
}
