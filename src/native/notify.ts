// Messages to the service manager (sd_notify(3)): one datagram to $NOTIFY_SOCKET. Does nothing where there is none.
// And a datagram of any bytes to any unix socket. None of them waits, but the two whose names begin with await.
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

/**
 * Waits, without turning the event loop, until the socket's receiver has room for a datagram; false when the time is over.
 * Throws a SystemError where nobody receives.
 */
export function awaitDatagramRoom(path: string, timeoutMs: number): boolean {
  return binding.awaitDatagramRoom(path, Math.max(0, Math.ceil(timeoutMs)));
}

/**
 * Sends BARRIER=1. Returns a descriptor, which the caller closes: awaitEnd() on it waits until the manager has handled
 * everything that was sent before. Throws a SystemError, EAGAIN where the manager is slow.
 */
export function beginBarrier(path: string): number {
  return binding.beginBarrier(path);
}

/** Waits, without turning the event loop, until nobody holds the other end of this pipe; false when the time is over. */
export function awaitEnd(fd: number, timeoutMs: number): boolean {
  return binding.awaitEnd(fd, Math.max(0, Math.ceil(timeoutMs)));
}
