// What the running daemon knows, or why it cannot be asked. Never starts or disturbs one.
import { DaemonClient } from '../../api/client.js';
import { isFault } from '../../base/fault.js';
import { findSocket } from '../socket.js';
import type { Asked } from './machine-survey.js';

const PATIENCE_MS = 3000;

/** A wrong configuration is a check of its own, and no reason not to look for a daemon. */
export function socketPath(args: { readonly socket: string | undefined; readonly config: string | undefined }): string {
  try {
    return findSocket(args);
  } catch (error) {
    if (!isFault(error)) throw error;
    return findSocket({ socket: args.socket, config: undefined });
  }
}

export async function askDaemon(socket: string): Promise<Asked> {
  const client = new DaemonClient(socket, PATIENCE_MS);
  try {
    const status = await client.status();
    const ports = await client.ports();
    return { daemon: { state: 'running', pid: status.pid, version: status.version }, status, ports };
  } catch (error) {
    if (!isFault(error)) throw error;
    const nothing = { status: undefined, ports: [] };
    if (error.code === 'NO_DAEMON') return { daemon: { state: 'absent', socket }, ...nothing };
    const permission = error.code === 'PERMISSION';
    return { daemon: { state: 'unreachable', socket, why: error.message, permission }, ...nothing };
  }
}
