// Which daemon a command means: the options that every command has, and the control socket that they lead to.
// Opens nothing but the configuration.
import { lstatSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { DaemonClient } from '../api/client.js';
import type { PortView } from '../api/types.js';
import { Fault, isFault } from '../base/fault.js';
import { DEFAULT_CONFIG_FILE, loadConfig, systemEnvironment } from '../config/load.js';
import { defaultRuntimeDir } from '../config/resolve.js';

export interface GlobalArguments {
  readonly socket: string | undefined;
  readonly config: string | undefined;
  readonly debug: boolean;
}

export const SOCKET_NAME = 'control.sock';

export function clientOf(args: GlobalArguments): DaemonClient {
  return new DaemonClient(findSocket(args));
}

/**
 * --socket; else what the configuration says; else the defaults of a daemon of root's and of one's own, the first that is
 * there. A configuration that was named and is wrong is an error; the default one may be unreadable, or wrong meanwhile.
 */
export function findSocket(args: Pick<GlobalArguments, 'socket' | 'config'>): string {
  if (args.socket !== undefined) return args.socket;
  const own = systemEnvironment();
  const root = { ...own, uid: 0 };
  let directories = [root, own].map(defaultRuntimeDir);
  try {
    const file = args.config ?? DEFAULT_CONFIG_FILE;
    directories = [root, own].map((environment) => loadConfig(file, environment).config.runtimeDir);
  } catch (error) {
    if (args.config !== undefined || !isFault(error)) throw error;
  }
  const sockets = [...new Set(directories)].map((directory) => join(directory, SOCKET_NAME));
  return sockets.find(isThere) ?? sockets[0] ?? SOCKET_NAME;
}

function isThere(path: string): boolean {
  try {
    return lstatSync(path).isSocket();
  } catch (error) {
    // A directory that may not be entered: dialling says it better.
    return error instanceof Error && 'code' in error && error.code === 'EACCES';
  }
}

/** A tty by name, alias or path: of its link, of an alias of it, or of the device behind it. */
export async function findPort(client: DaemonClient, given: string): Promise<PortView> {
  if (!given.includes('/')) return client.port(given);
  const ports = await client.ports();
  const real = realPath(given);
  const found =
    ports.find((p) => p.path === given || p.devicePath === given) ?? ports.find((p) => realPath(p.devicePath) === real);
  if (found === undefined) throw new Fault('NO_SUCH_TTY', `${given} is no tty of this daemon (ttynp ports lists them)`);
  return found;
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
