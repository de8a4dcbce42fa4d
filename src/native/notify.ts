// Messages to the service manager (sd_notify(3)): one datagram to $NOTIFY_SOCKET. Does nothing where there is none.
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
