// The judgement of one serial port of this machine that the daemon offers: its device first, then who reaches it and what came
// of that. Pure: facts in, checks out. Follows docs/serial-ports.md.
import type { SerialPortView } from '../../api/types.js';
import { haveCommon, parseAddressRange, rangeText } from '../../config/address-range.js';
import { reachOf } from '../audit/address.js';
import { judgeListener } from '../audit/served.js';
import { nameOfId } from './accounts.js';
import { type Check, failed, notChecked, ok } from './check.js';
import { daemonCheck } from './local-checks.js';
import type { ServedEntry, ServedFacts } from './served-facts.js';
import { useChecks } from './served-use-checks.js';

export function judgeServed(facts: ServedFacts): Check[] {
  const { view, entry } = facts;
  const checks = [daemonCheck(facts.daemon), offeredCheck(facts)];
  if ((view ?? entry)?.mode === 'disabled') return checks;
  return [
    ...checks,
    deviceCheck(facts),
    permissionCheck(facts),
    holderCheck(facts),
    settingsCheck(facts),
    listenerCheck(facts),
    reachCheck(facts),
    ...useChecks(view, facts.later),
  ];
}

export function servedTitle({ port, view, entry }: ServedFacts): string {
  return `serial port ${port}: ${(view ?? entry)?.device ?? '?'}`;
}

/** On the page of the machine: one line where all is well, else one for each thing that is not, or that has advice. */
export function servedSummary(facts: ServedFacts): Check[] {
  const step = `serial port ${facts.port}`;
  const own = judgeServed(facts).slice(1);
  const told = own.filter(({ result, hint }) => result === 'failed' || hint !== null);
  const [offered] = own;
  const lines = told.map((check) => ({ ...check, step, text: `${check.step}: ${check.text}` }));
  if (offered === undefined || lines.some(({ result }) => result === 'failed')) return lines;
  const good = { ...offered, step };
  return told.includes(offered) ? lines : [good, ...lines];
}

function offeredCheck({ daemon, view, entry, port }: ServedFacts): Check {
  const step = 'offered';
  if (daemon.state !== 'running') return notChecked(step, 'known to a running daemon only');
  if (view === undefined)
    return failed(step, `the configuration file has serial port ${port}, the daemon has not`, 'ttynp reload');
  const { device, mode, state, since, listen, clients } = view;
  if (entry !== undefined && (entry.device !== device || entry.mode !== mode || entry.listen !== listen))
    return failed(
      step,
      `${device}, ${mode} on ${listen}; the configuration file says ${entry.device}, ${entry.mode} on ${entry.listen}`,
      'ttynp reload',
    );
  if (state === 'disabled') return ok(step, `${device}: disabled, nobody is served`);
  if (state === 'waiting') return notChecked(step, `${device}: ${mode}, waits since ${since}`);
  const number = `${clients.length} ${clients.length === 1 ? 'client' : 'clients'}`;
  return ok(step, `${device}: ${mode}${onText(view)}, up since ${since}, ${number}`);
}

function isNoPort({ code, message }: NonNullable<SerialPortView['reason']>): boolean {
  return code === 'CONFIG_INVALID' && message.endsWith('is no serial port');
}

const NUMBERED = /^\/dev\/tty(?:USB|ACM)\d+$/;

function deviceCheck({ link, view, entry, stable }: ServedFacts): Check {
  const step = 'device';
  const device = (view ?? entry)?.device ?? '';
  const chain = link.chain.join(' -> ');
  switch (link.end) {
    case 'nothing':
    case 'broken':
      return failed(step, `${device} is not there`, 'plug it in, or correct device; see: ls -l /dev/serial/by-id');
    case 'forbidden':
      return notChecked(step, `${chain}: this user may not look there`, 'run with sudo');
    case 'other':
      return failed(step, `${chain} is no serial port`, 'correct device in the configuration');
    case 'character device':
      break;
    default:
      link.end satisfies never;
  }
  const { reason } = view ?? { reason: null };
  if (reason !== null && isNoPort(reason)) return failed(step, reason.message, 'correct device in the configuration');
  if (reason !== null && !isListening(reason) && ['TTY_GONE', 'SYSTEM', 'NO_DESCRIPTORS'].includes(reason.code))
    return failed(step, `${reason.message} (at ${reason.at})`, 'it is tried again by itself; if it stays, see: dmesg');
  const advice =
    stable === undefined
      ? 'its number may change: name it by a path below /dev/serial/by-id'
      : `its number may change: device: ${stable}`;
  return ok(step, chain, NUMBERED.test(device) ? advice : null);
}

function permissionCheck({ access, rights, view }: ServedFacts): Check {
  const step = 'permission';
  if (access === undefined) return notChecked(step, 'there is no device to open');
  const modes = `${access.owner}:${access.group} ${(access.mode & 0o7777).toString(8).padStart(4, '0')}`;
  if (view?.state === 'up') return ok(step, `the daemon has it open (${modes})`);
  if (rights === undefined) return notChecked(step, `the user of the daemon has to read and write it (${modes})`);
  const shift = rights.uid === access.uid ? 6 : rights.gids.includes(access.gid) ? 3 : 0;
  const user = nameOfId('passwd', rights.uid);
  if (!rights.anyFile && ((access.mode >> shift) & 0o6) !== 0o6) {
    const joins = (access.mode & 0o060) === 0o060 && access.group !== 'root' && shift === 0;
    const hint = joins
      ? `SupplementaryGroups=${access.group} in the unit (systemctl edit ttynpd), or join it; then restart ttynpd`
      : 'a udev rule that gives it a group and mode 0660: see ttynpd(8)';
    return failed(step, `${user}, as whom the daemon runs, may not read and write it (${modes})`, hint);
  }
  if (view?.reason?.code === 'PERMISSION' && !isListening(view.reason)) {
    const hint = 'DeviceAllow= of the unit does not name this kind of device: see ttynpd(8)';
    return failed(step, `${view.reason.message}, though its mode allows it (${modes})`, hint);
  }
  return ok(step, `${user}, as whom the daemon runs, may read and write it (${modes})`);
}

function holderCheck({ daemon, access, holders, lockFiles, kernelLocks, view }: ServedFacts): Check {
  const step = 'holder';
  if (access === undefined || holders === undefined) return notChecked(step, 'there is no device to hold');
  // Half the machine may have /dev/null open.
  if (view?.reason && isNoPort(view.reason)) return notChecked(step, 'it is no serial port');
  // Whoever has it may be the daemon itself, whose pid is not known then.
  if (daemon.state === 'unreachable') return notChecked(step, 'the daemon cannot be asked', 'run with sudo');
  const program = (name: string | undefined, pid: number | undefined) =>
    name === undefined ? `pid ${pid ?? 'unknown'}` : `${name} (pid ${pid ?? 'unknown'})`;
  const list = holders.holders.map(({ name, pid }) => program(name, pid)).join(', ');
  if (list !== '') {
    const what = view?.state === 'up' ? `${list} has it open too: where it reads, each gets a part` : `${list} has it`;
    return failed(step, what, `close ${holders.holders[0]?.name ?? 'that program'}; a getty: systemctl disable --now`);
  }
  const lock = lockFiles.find(({ alive }) => alive);
  if (lock !== undefined)
    return failed(step, `${lock.path} is held by ${program(lock.command, lock.pid)}`, 'close that program');
  const [kernel] = kernelLocks;
  if (kernel !== undefined)
    return failed(step, `${kernel.kind} lock by ${program(kernel.command, kernel.pid)}`, 'close that program');
  if (view?.reason?.code === 'TTY_BUSY')
    return failed(
      step,
      view.reason.message,
      holders.complete ? 'close that program, or offer the device once' : 'run with sudo to see who has it',
    );
  if (view?.state === 'up') return ok(step, holders.complete ? 'only the daemon' : 'the daemon, no other process seen');
  return holders.complete
    ? ok(step, 'no process has it open')
    : notChecked(step, 'no process of this user', 'run with sudo to see all');
}

function settingsCheck({ view }: ServedFacts): Check {
  const step = 'settings';
  if (view === undefined) return notChecked(step, 'known to a running daemon only');
  const { settings, reason, state } = view;
  const text = `${settings.format}, flow control ${settings.flowControl}`;
  if (state === 'up') return ok(step, `${text}, as its driver has them`);
  if (reason?.code === 'CONFIG_INVALID' && !isNoPort(reason)) {
    const hint = 'set format, flowControl or rs485 of the port to what its driver has, then: ttynp reload';
    return failed(step, `${reason.message} (${text})`, hint);
  }
  return notChecked(step, `${text}: seen when the device is opened`);
}

/** Where it listens, and where it goes. */
function onText({ listen, tcpPorts, udpPorts, destinations }: SerialPortView): string {
  const ports = [...tcpPorts, ...udpPorts.map((port) => `${port} (UDP)`)].join(' and ');
  const to = destinations.length > 0 ? ` to ${destinations.join(', ')}` : '';
  return `${ports === '' ? '' : ` on ${listen} port ${ports}`}${to}`;
}

const LOW_HINT = 'give the service CAP_NET_BIND_SERVICE (ttynpd(8) has the drop-in), or choose higher ports';

function listenerCheck({ view, entry, rights, firstFreePort }: ServedFacts): Check {
  const step = 'listener';
  const low = (entry?.tcpPorts ?? []).filter((port) => port < firstFreePort);
  if (view?.tcpPorts.length === 0 && entry?.tcpPorts.length === 0 && view.state === 'up')
    return ok(step, view.udpPorts.length > 0 ? `open:${onText(view)}` : 'none: it connects by itself');
  const lowHint = low.length > 0 && rights?.lowPorts !== true ? LOW_HINT : null;
  const wanted = entry === undefined ? '' : `${entry.listen} port ${entry.tcpPorts.join(' and ')}`;
  if (view === undefined) return notChecked(step, wanted === '' ? 'no daemon' : `${wanted}: no daemon`, lowHint);
  const { reason, listen, tcpPorts, state } = view;
  if (reason !== null && isListening(reason)) {
    const [, text = reason.message, hint] = /^(.*?) \((.+)\)$/.exec(reason.message) ?? [];
    return failed(step, text, hint ?? 'correct listen in the configuration');
  }
  if (state !== 'up') return notChecked(step, `${wanted || listen}: opened when the device is there`, lowHint);
  const is = `${listen} port ${tcpPorts.join(' and ')}`;
  if (entry !== undefined && entry.tcpPorts.join() !== tcpPorts.join())
    return failed(step, `open: ${is}; the configuration file says ${wanted}`, 'ttynp reload');
  return ok(step, `open: ${is}`);
}

/** The daemon's word for a TCP port that it cannot have: the device was opened before. */
function isListening(reason: NonNullable<SerialPortView['reason']>): boolean {
  return reason.message.startsWith('cannot listen on');
}

/** Whoever connects to an address of the loop has one, too. */
const LOOP = ['127.0.0.0/8', '::1'].flatMap((text) => parseAddressRange(text) ?? []);
const REACH_HINT = 'listen: 0.0.0.0 or an address that these hosts reach; or add 127.0.0.1 to accessibleIps';

function reachCheck({ view, entry }: ServedFacts): Check {
  const step = 'who may connect';
  const port = view ?? entry;
  if (port === undefined) return notChecked(step, 'not known');
  const { verdict, why } = judgeListener(port);
  const lists = listsOf(view, entry);
  const texts = lists.map((list) => list.map(rangeText).join(' ')).join(', and of these: ');
  const who = texts === '' ? port.listen : `${port.listen}, from ${texts}`;
  if (reachOf(port.listen) === 'loopback' && lists.some((list) => !haveCommon(list, LOOP)))
    return failed(step, `${who}: nobody, for only this machine reaches ${port.listen}`, REACH_HINT);
  if (verdict !== 'against') return ok(step, `${who}: ${why}`);
  return ok(
    step,
    `WARNING: ${who}: ${why}`,
    'accessibleIps: [HOST or NETWORK], or listen: 127.0.0.1; see: ttynp audit',
  );
}

function listsOf(view: SerialPortView | undefined, entry: ServedEntry | undefined) {
  if (view === undefined) return entry?.accessibleIps ?? [];
  return view.accessibleIps.map((list) => list.flatMap((text) => parseAddressRange(text) ?? []));
}
