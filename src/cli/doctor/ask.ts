// What the running daemon knows, or why it cannot be asked. Never starts or disturbs one.
import { DaemonClient } from '../../api/client.js';
import type { SerialPortView } from '../../api/types.js';
import type { Clock } from '../../base/clock.js';
import { isFault } from '../../base/fault.js';
import { findSocket } from '../socket.js';
import type { Asked } from './facts.js';

const PATIENCE_MS = 3000;
const LATER_MS = 1000;

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
    const serial = await client.serialPorts();
    return { daemon: { state: 'running', pid: status.pid, version: status.version }, status, ports, serial };
  } catch (error) {
    if (!isFault(error)) throw error;
    const nothing = { status: undefined, ports: [], serial: [] };
    if (error.code === 'NO_DAEMON') return { daemon: { state: 'absent', socket }, ...nothing };
    const permission = error.code === 'PERMISSION';
    return { daemon: { state: 'unreachable', socket, why: error.message, permission }, ...nothing };
  }
}

/** Whether line errors rise shows the second look. Without line errors there is none, and nobody waits. */
export async function askLater(
  socket: string,
  first: readonly SerialPortView[],
  clock: Clock,
): Promise<SerialPortView[]> {
  if (!first.some(({ lineErrors: { parity, framing, overrun } }) => parity + framing + overrun > 0)) return [];
  await new Promise<void>((done) => clock.after(LATER_MS, done));
  try {
    return await new DaemonClient(socket, PATIENCE_MS).serialPorts();
  } catch (error) {
    if (!isFault(error)) throw error;
    return []; // it ended meanwhile
  }
}
