// Messages to the service manager (sd_notify(3)): one datagram to $NOTIFY_SOCKET. Does nothing where there is none.
// And a datagram of any bytes to any unix socket. Neither ever waits.
import { binding } from './binding.js';

export interface NotifyEnvironment {
  readonly NOTIFY_SOCKET?: string | undefined;
}

/**
 * Sends e.g. 'READY=1\nSTATUS=16 ports', with descriptors for FDSTORE=1. Returns whether there was a socket to send to.
 * Throws a SystemError when the datagram could not be sent.
 */
export function notify(
  state: string,
  fds: readonly number[] = [],
  environment: NotifyEnvironment = process.env,
): boolean {
  const path = environment.NOTIFY_SOCKET;
  if (path === undefined || path === '') return false;
  binding.notify(path, state, [...fds]);
  return true;
}

/**
 * Sends one datagram to a unix socket by its path. Throws a SystemError where it was not taken: EAGAIN where the receiver
 * is slow, ENOENT and ECONNREFUSED where there is none, EMSGSIZE where it is too long.
 */
export function sendDatagram(path: string, bytes: Uint8Array): void {
  binding.sendDatagram(path, bytes);
}
