// The judgement of `doctor` without a tty: backends, permissions, limits, configuration, daemon, servers. Pure: facts in,
// checks out. Follows docs/architecture.md, "Rooms" (tty/).

import type { ServerView } from '../../api/types.js';
import { usbipLack } from './backend-advice.js';
import { type Check, failed, notChecked, ok } from './check.js';
import { daemonCheck } from './local-checks.js';
import type { MachineFacts, ServerProbe } from './machine-facts.js';
import { servedSummary } from './served-checks.js';

/** PTY master, data and command socket, and one to spare while a port reconnects. */
const DESCRIPTORS_PER_TTY = 4;
const DESCRIPTORS_OF_DAEMON = 64;

export function judgeMachine(facts: MachineFacts): Check[] {
  return [
    ...backendChecks(facts),
    ...groupChecks(facts),
    linkDirCheck(facts),
    ...(facts.names === undefined ? [] : [facts.names]),
    runtimeDirCheck(facts),
    ptyCheck(facts),
    descriptorCheck(facts),
    configCheck(facts),
    daemonCheck(facts.daemon),
    ...serverChecks(facts),
    ...facts.served.flatMap(servedSummary),
  ];
}

function backendChecks({ backends, usbipTtys }: MachineFacts): Check[] {
  const { ptmx, vhci, ftdi, cuse, kernel } = backends;
  const pty = ptmx
    ? ok(
        'backend pty',
        'available: bytes, rate, stop bits, flow control; not data bits and parity, modem lines, break, drain of the application',
      )
    : failed(
        'backend pty',
        '/dev/ptmx cannot be opened by this user or is missing',
        'mount devpts: mount -t devpts devpts /dev/pts',
      );
  const offers = (what: string, state: 'loaded' | 'available' | 'absent') =>
    state === 'absent' ? `this kernel (${kernel}) has no ${what}` : `this machine offers it (${what} ${state})`;
  const lack = usbipLack(backends);
  const there = vhci !== 'absent' && ftdi !== 'absent';
  const offered = `${offers('vhci_hcd', vhci)}: backend: usbip, for what a pty cannot carry`;
  const usbip =
    lack === undefined
      ? ok('backend usbip', offered)
      : usbipTtys > 0
        ? failed('backend usbip', `${usbipTtys} ttys have it and wait for their devices`, lack)
        : there
          ? ok('backend usbip', `${offered}; its helper is not enabled`, lack)
          : notChecked('backend usbip', lack);
  const cuses = notChecked('backend cuse', `${offers('/dev/cuse', cuse)}; this version of ttynp does not drive it`);
  return [pty, usbip, cuses];
}

function groupChecks({ groups, isRoot, user }: MachineFacts): Check[] {
  if (isRoot) return [ok('group', 'root may open every tty')];
  if (groups.length === 0) return [notChecked('group', 'no tty names a group in the configuration')];
  return groups.map(({ group, exists, member, ttys }) => {
    if (!exists)
      return failed('group', `there is no group ${group}, which ${ttys} ttys name`, `sudo groupadd --system ${group}`);
    if (member) return ok('group', `${user} is in ${group}, the group of ${ttys} ttys`);
    return failed(
      'group',
      `${user} is not in ${group}, the group of ${ttys} ttys`,
      `sudo usermod -aG ${group} ${user}, then log in again`,
    );
  });
}

function linkDirCheck({ linkDir, runtimeDir, daemon }: MachineFacts): Check {
  const { path, exists, writable } = linkDir;
  if (path === runtimeDir.path)
    return ok('link directory', `the names of the ttys lie in ${path}; /dev needs root or linkDir: /dev`);
  if (!exists)
    return failed('link directory', `${path} does not exist`, 'create it, or correct linkDir in the configuration');
  if (writable) return ok('link directory', `${path} is writable: the names of the ttys can be made there`);
  if (daemon.state !== 'absent')
    return notChecked('link directory', `${path} is not writable for this user, but the daemon runs`);
  return failed(
    'link directory',
    `${path} is not writable for this user`,
    'run ttynpd as root or as a service, or leave out linkDir',
  );
}

function runtimeDirCheck({ runtimeDir, daemon }: MachineFacts): Check {
  const { path, exists, writable } = runtimeDir;
  if (daemon.state !== 'absent') return ok('runtime directory', `${path}, used by the daemon`);
  if (writable) return ok('runtime directory', exists ? `${path} is writable` : `${path} can be created`);
  return failed(
    'runtime directory',
    `${path} ${exists ? 'is not writable' : 'cannot be created'} for this user`,
    'run ttynpd as a service, or set runtimeDir in the configuration',
  );
}

function ptyCheck({ ptyMax, config }: MachineFacts): Check {
  if (ptyMax === undefined) return notChecked('kernel.pty.max', 'cannot be read');
  const { max, used } = ptyMax;
  const text = `${max} pseudo-terminals, ${used} in use, ${config.ttys} ttys configured`;
  // While a tty is replaced it exists twice.
  if (max - used >= config.ttys + 1) return ok('kernel.pty.max', text);
  const enough = 2 ** Math.ceil(Math.log2(used + config.ttys + 64));
  return failed('kernel.pty.max', text, `sudo sysctl kernel.pty.max=${enough}, and the same in /etc/sysctl.d`);
}

function descriptorCheck({ descriptors, config }: MachineFacts): Check {
  if (descriptors === undefined) return notChecked('descriptors', 'the limit cannot be read');
  const { limit, whose } = descriptors;
  const needed = config.ttys * DESCRIPTORS_PER_TTY + config.servedDescriptors + DESCRIPTORS_OF_DAEMON;
  const users = `${config.ttys} ttys${config.serialPorts > 0 ? ` and ${config.serialPorts} serial ports` : ''}`;
  const text = `limit ${Number.isFinite(limit) ? limit : 'none'} (${whose}), ${users} need about ${needed}`;
  if (limit >= needed) return ok('descriptors', text);
  const hint =
    whose === 'daemon'
      ? `LimitNOFILE=${needed} in the unit of ttynpd`
      : `ulimit -n ${needed} before ttynpd, or LimitNOFILE= in its unit`;
  return failed('descriptors', text, hint);
}

function configCheck({ config }: MachineFacts): Check {
  const served = config.serialPorts > 0 ? `, serial ports: ${config.serialPorts}` : '';
  switch (config.state) {
    case 'valid':
      return ok('configuration', `${config.file}: ttys: ${config.ttys}, servers: ${config.servers}${served}`);
    case 'absent':
      return failed('configuration', `${config.file} does not exist`, 'write it, or name another one: --config FILE');
    case 'invalid': {
      const [first = '', ...more] = config.errors;
      const rest = more.length === 0 ? '' : ` (and ${more.length} more)`;
      return failed('configuration', `${first}${rest}`, `see all: ttynp config check --config ${config.file}`);
    }
    default:
      return config.state satisfies never;
  }
}

function serverChecks({ servers, probes, configuredServers }: MachineFacts): Check[] {
  const probeOf = (name: string) => probes.find((probe) => probe.name === name);
  if (servers !== undefined) return servers.map((server) => runningServerCheck(server, probeOf(server.name)));
  return configuredServers.map((server) => {
    const probe = probeOf(server.name);
    if (probe !== undefined) return probeCheck(probe);
    return notChecked(
      `server ${server.name}`,
      `${server.address}: no daemon that knows`,
      'add --probe to connect to it',
    );
  });
}

function runningServerCheck(server: ServerView, probe: ServerProbe | undefined): Check {
  const step = `server ${server.name}`;
  if (server.up > 0) return ok(step, `${server.address}: ${server.up} of ${server.ports} ports connected`);
  if (server.down || server.reason !== null) {
    const text = server.reason?.message ?? `${server.address}: down`;
    return failed(step, text, `see: ttynp doctor TTY with one of its ${server.ports} ttys`);
  }
  if (probe !== undefined) return probeCheck(probe);
  return notChecked(step, `${server.address}: none of its ${server.ports} ttys is open`, 'open one, or add --probe');
}

function probeCheck({ name, place, connect }: ServerProbe): Check {
  const step = `server ${name}`;
  switch (connect.result) {
    case 'connected':
      return ok(step, `${place} accepts connections (${connect.ms.toFixed(1)} ms)`);
    case 'refused':
      return failed(
        step,
        `${place} refuses connections`,
        "set the device's operation mode to Real COM, check the port numbers",
      );
    case 'timeout':
      return failed(
        step,
        `${place} does not answer`,
        'is it switched on, is the address right, does a firewall drop it? try: ping',
      );
    case 'no route':
      return failed(
        step,
        `${place}: ${connect.why}`,
        'is the network interface up, is the address right? see: ip route',
      );
    case 'closed':
      return failed(step, `${place} accepted, then closed`, 'another host uses it');
    case 'error':
      return failed(step, `${place}: ${connect.why}`, 'check the address in the configuration');
    case 'not tried':
      return notChecked(step, `${place}: every port of it is in use`);
    default:
      return connect satisfies never;
  }
}
