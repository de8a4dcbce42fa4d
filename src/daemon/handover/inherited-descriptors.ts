// The descriptors that the service manager passed at start (sd_listen_fds(3)), by their names in its store. Takes the
// variables out of the environment, so that no child believes they are meant for it. Judges no descriptor by its kind.
import { fstatSync, readlinkSync } from 'node:fs';
import type { Log } from '../../base/log.js';
import { setCloseOnExec } from '../../native/descriptor.js';
import { closeFd } from '../../native/socket.js';

/** SD_LISTEN_FDS_START */
const FIRST = 3;
/** What sd_listen_fds_with_names(3) calls a descriptor where no names were given. */
const UNNAMED = 'unknown';

export type Environment = Record<string, string | undefined>;

export interface Inherited {
  readonly name: string;
  readonly fd: number;
}

export type Listen =
  | { readonly names: readonly string[] }
  /** `count` descriptors are ours, but which is which cannot be told. */
  | { readonly fault: string; readonly count: number; readonly names: readonly string[] };

const NOTHING: Listen = { names: [] };

/** What the variables say; pure. Without LISTEN_FDS nothing was passed, which is no fault. */
export function readListen(environment: Environment, pid: number): Listen {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = environment;
  if (LISTEN_FDS === undefined && LISTEN_PID === undefined) return NOTHING;
  const unusable = (fault: string): Listen => ({ fault, count: 0, names: [] });
  if (LISTEN_PID === undefined || !/^\d+$/.test(LISTEN_PID)) return unusable(`LISTEN_PID is ${shown(LISTEN_PID)}`);
  if (Number(LISTEN_PID) !== pid) return unusable(`LISTEN_PID is ${LISTEN_PID}, this process is ${pid}`);
  if (LISTEN_FDS === undefined || !/^\d{1,6}$/.test(LISTEN_FDS)) return unusable(`LISTEN_FDS is ${shown(LISTEN_FDS)}`);
  const count = Number(LISTEN_FDS);
  if (count === 0) return NOTHING;
  if (LISTEN_FDNAMES === undefined) return { names: Array<string>(count).fill(UNNAMED) };
  const names = LISTEN_FDNAMES.split(':');
  if (names.length === count) return { names };
  return { fault: `LISTEN_FDS is ${count} and LISTEN_FDNAMES has ${names.length}`, count, names };
}

function shown(value: string | undefined): string {
  return value === undefined ? 'missing' : JSON.stringify(value.slice(0, 40));
}

/**
 * Node opens its own descriptors after exec, and so above those that were passed. A number that nobody has, or that is
 * Node's own, therefore shows that fewer were passed: the first of Node's is an epoll instance, which no store has.
 */
function isPassed(fd: number): boolean {
  try {
    fstatSync(fd);
    return !readlinkSync(`/proc/self/fd/${fd}`).startsWith('anon_inode:');
  } catch {
    return false;
  }
}

export interface Taken {
  readonly inherited: readonly Inherited[];
  /** Names in the store whose descriptors were closed, because which is which cannot be told. */
  readonly unusable: readonly string[];
}

/** Call once, early: what a later descriptor took for a number cannot be told from what was passed. */
export function takeInherited(environment: Environment, pid: number, log: Log): Taken {
  const listen = readListen(environment, pid);
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete environment[name];
  const refused = (fault: string, unusable: readonly string[] = []): Taken => {
    log.log('warn', `no descriptor of the service manager's is taken over: ${fault}`);
    return { inherited: [], unusable };
  };
  const count = 'fault' in listen ? listen.count : listen.names.length;
  if (count === 0) return 'fault' in listen ? refused(listen.fault) : { inherited: [], unusable: [] };
  const fds = Array.from({ length: count }, (_, i) => FIRST + i);
  const missing = fds.find((fd) => !isPassed(fd));
  if (missing !== undefined) return refused(`LISTEN_FDS is ${count}, but ${missing} is not the manager's`);
  for (const fd of fds) setCloseOnExec(fd);
  if ('fault' in listen) {
    for (const fd of fds) closeFd(fd);
    return refused(listen.fault, listen.names);
  }
  return { inherited: listen.names.map((name, i) => ({ name, fd: FIRST + i })), unusable: [] };
}
