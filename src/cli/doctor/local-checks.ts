// The near half of `doctor TTY`: daemon, link, permission, locks, holder. Pure judgement of facts; looks at nothing
// itself.
import { backendCheck } from './backend-advice.js';
import { type Check, failed, notChecked, ok } from './check.js';
import type { DaemonFacts, PortFacts } from './facts.js';
import { nameCheck } from './names.js';

export function localChecks(facts: PortFacts): Check[] {
  return [
    daemonCheck(facts.daemon),
    ...backendChecks(facts),
    linkCheck(facts),
    ...nameChecks(facts),
    accessCheck(facts),
    lockFileCheck(facts),
    kernelLockCheck(facts),
    exclusiveCheck(facts),
    holderCheck(facts),
  ];
}

export function daemonCheck(daemon: DaemonFacts): Check {
  switch (daemon.state) {
    case 'running':
      return ok('daemon', `running, pid ${daemon.pid}, version ${daemon.version}`);
    case 'absent':
      return failed(
        'daemon',
        `not running (nothing answers at ${daemon.socket})`,
        'start it: systemctl start ttynpd, or ttynpd -c FILE',
      );
    case 'unreachable':
      return failed(
        'daemon',
        daemon.why,
        daemon.permission
          ? 'run with sudo, or join the group of the control socket'
          : 'look at its log: journalctl -u ttynpd',
      );
    default:
      return daemon satisfies never;
  }
}

function backendChecks({ view, backends }: PortFacts): Check[] {
  return view === undefined ? [] : [backendCheck(view, backends)];
}

function nameChecks({ view, nameOwner }: PortFacts): Check[] {
  return view === undefined || nameOwner === undefined ? [] : [nameCheck(view, nameOwner)];
}

function linkCheck({ link, view, target, daemon }: PortFacts): Check {
  // Never "remove it" here: what lies there may be a real serial port's node.
  if (view?.devicePath === '')
    return failed('link', view.reason?.message ?? 'the tty could not be made', 'then: ttynp reload');
  if (view?.reason?.code === 'TTY_WAITING')
    return failed('link', view.reason.message, 'see the checks named backend and name');
  const chain = link.chain.join(' -> ');
  const start =
    daemon.state === 'running' ? 'ask for its log: journalctl -u ttynpd' : 'the daemon makes it: start ttynpd';
  switch (link.end) {
    case 'nothing':
      return failed('link', `${target.path} does not exist`, start);
    case 'broken':
      return failed('link', `${chain}: leads nowhere, left by a daemon that is gone`, `${start}; it replaces the link`);
    case 'forbidden':
      return failed(
        'link',
        `${chain}: this user may not look there`,
        'run with sudo, or correct the permission of the directory',
      );
    case 'other':
      return failed(
        'link',
        `${chain} is no character device`,
        'stop what writes there, remove the file, then: ttynp reload',
      );
    case 'character device':
      break;
    default:
      link.end satisfies never;
  }
  const leadsTo = link.chain.at(-1);
  if (view === undefined)
    return notChecked('link', `${chain}; without the daemon it is not known whether that is its device`);
  if (leadsTo !== view.devicePath) {
    return failed(
      'link',
      `${chain}, but the daemon serves ${view.devicePath}`,
      `remove ${target.path}, then: ttynp reload`,
    );
  }
  return ok('link', chain);
}

function accessCheck({ access, target }: PortFacts): Check {
  if (access === undefined) return notChecked('permission', 'there is no device to open');
  const rights = `${access.owner}:${access.group} ${(access.mode & 0o7777).toString(8).padStart(4, '0')}`;
  if (access.readable && access.writable) return ok('permission', `${access.user} may read and write it (${rights})`);
  const missing = access.readable ? 'write' : access.writable ? 'read' : 'read or write';
  // Nobody is told to join the group of root.
  const groupMay = (access.mode & 0o060) === 0o060 && access.group !== 'root';
  const hint =
    groupMay && !access.inGroup
      ? `join the group: sudo usermod -aG ${access.group} ${access.user}, then log in again`
      : `set group and mode of ${target.name} in the configuration, e.g. group: dialout, mode: "0660"`;
  return failed('permission', `${access.user} may not ${missing} it (${rights})`, hint);
}

function lockFileCheck({ lockFiles }: PortFacts): Check {
  if (lockFiles.length === 0) return ok('lock files', 'no UUCP lock file');
  const living = lockFiles.find((lock) => lock.alive);
  if (living !== undefined) {
    const who = living.command === undefined ? `pid ${living.pid}` : `${living.command} (pid ${living.pid})`;
    return failed('lock files', `${living.path} is held by ${who}`, `close ${living.command ?? 'that program'}`);
  }
  const [stale] = lockFiles;
  const path = stale?.path ?? '';
  if (stale?.pid === undefined) {
    return failed('lock files', `${path} does not tell who made it`, `if no program uses the port: sudo rm ${path}`);
  }
  return failed('lock files', `${path} is of pid ${stale.pid}, which is gone`, `sudo rm ${path}`);
}

function kernelLockCheck({ kernelLocks, access }: PortFacts): Check {
  if (access === undefined) return notChecked('flock', 'there is no device to lock');
  const [lock] = kernelLocks;
  if (lock === undefined) return ok('flock', 'no process has locked the device');
  const who = lock.command === undefined ? `pid ${lock.pid}` : `${lock.command} (pid ${lock.pid})`;
  return failed(
    'flock',
    `${lock.kind} lock by ${who}: programs that lock the port refuse it`,
    `close ${lock.command ?? 'that program'}`,
  );
}

/** TIOCEXCL shows only in an open that fails, and an open that succeeds makes a connection to the device. */
function exclusiveCheck({ access }: PortFacts): Check {
  if (access === undefined) return notChecked('TIOCEXCL', 'there is no device');
  return notChecked(
    'TIOCEXCL',
    'can be seen only by opening the tty, which would connect: "Device or resource busy" means it is set',
  );
}

function holderCheck({ holders, view }: PortFacts): Check {
  if (holders === undefined) return notChecked('holder', 'there is no device to hold');
  if (holders.holders.length > 0) {
    const list = holders.holders.map((h) => `${h.name} (pid ${h.pid})`).join(', ');
    // A parent and its child count as two, so more than one is no failure.
    return ok(
      'holder',
      list,
      holders.holders.length > 1 ? 'where two programs read, each gets a part of what arrives' : null,
    );
  }
  if (view?.open === true && !holders.complete) {
    return notChecked('holder', 'a process has it open, not visible to this user', 'run with sudo');
  }
  if (!holders.complete && view === undefined)
    return notChecked('holder', 'no process of this user', 'run with sudo to see all');
  return ok('holder', 'no process has it open');
}
