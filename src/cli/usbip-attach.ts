// `ttynp usbip-attach`, for the service and not for people: root plugs the daemon's virtual serial adapters into the kernel.
// Listens on the socket that systemd passes, and ends when nobody asks; else on one that it makes itself, until it is stopped.
// See docs/usbip-helper.md.
import { chmodSync, chownSync, lstatSync, rmSync } from 'node:fs';
import type { CommandModule } from 'yargs';
import { SystemClock } from '../base/clock.js';
import { Fault } from '../base/fault.js';
import { userId } from '../config/accounts.js';
import { closeFd, isSystemError } from '../native/socket.js';
import { connectUnix, listenUnix } from '../native/unix-socket.js';
import { DEFAULT_SOCKET } from '../tty/usbip/attach-line.js';
import type { CommandIo } from './io.js';
import type { GlobalArguments } from './socket.js';
import { AttachHelper } from './usbip/attach-helper.js';

/** sd_listen_fds(3). */
const FIRST_PASSED = 3;
const IDLE_MS = 30_000;
const BACKLOG = 64;

type AttachArguments = GlobalArguments & { readonly user: string; readonly path: string };

export const usbipAttachCommand = (io: CommandIo): CommandModule<GlobalArguments, AttachArguments> => ({
  command: 'usbip-attach',
  describe: false,
  builder: (yargs) =>
    yargs
      .option('user', { type: 'string', default: 'ttynp', describe: 'Whose requests are taken' })
      .option('path', { type: 'string', default: DEFAULT_SOCKET, describe: 'Where it listens, without systemd' }),
  handler: async ({ user, path }) => {
    const uid = userId(user, 'usbip-attach');
    const passed = passedSocket(process.env, process.pid);
    const listener = passed ?? listenAt(path, uid);
    const { signal, dispose } = io.interrupted();
    try {
      const helper = new AttachHelper({ uid, clock: new SystemClock(), log: (line) => io.err(`${line}\n`) });
      await helper.serve(listener, signal, passed === undefined ? undefined : IDLE_MS);
    } finally {
      dispose();
      closeFd(listener);
      if (passed === undefined) rmSync(path, { force: true });
    }
  },
});

/** The descriptor of the listening socket that a service manager passed; undefined: it did not. */
export function passedSocket(
  environment: { readonly LISTEN_FDS?: string | undefined; readonly LISTEN_PID?: string | undefined },
  pid: number,
): number | undefined {
  if (environment.LISTEN_PID !== String(pid)) return undefined;
  if (environment.LISTEN_FDS !== '1') throw new Fault('SYSTEM', 'the service manager has to pass exactly one socket');
  return FIRST_PASSED;
}

function listenAt(path: string, uid: number): number {
  removeStale(path);
  const before = process.umask(0o177);
  try {
    const fd = listenUnix(path, BACKLOG);
    chownSync(path, uid, -1);
    chmodSync(path, 0o600);
    return fd;
  } catch (error) {
    if (isSystemError(error) && (error.code === 'EACCES' || error.code === 'EPERM')) {
      throw new Fault('PERMISSION', `${path}: usbip-attach has to run as root`, { cause: error });
    }
    if (isSystemError(error) && error.code === 'EADDRINUSE') {
      throw new Fault('LINK_PATH_TAKEN', `${path}: is there already and no socket: remove it or choose another --path`);
    }
    throw error;
  } finally {
    process.umask(before);
  }
}

/** A socket that nobody listens on any more. */
function removeStale(path: string): void {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return;
  try {
    closeFd(connectUnix(path));
  } catch (error) {
    if (!isSystemError(error) || error.code !== 'ECONNREFUSED') throw error;
    rmSync(path);
    return;
  }
  throw new Fault('ALREADY_RUNNING', `${path}: a usbip helper listens there already`);
}
