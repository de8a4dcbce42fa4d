// Unix stream sockets as descriptors: for a connection that is handed on to the kernel, and for knowing who is at its other
// end. Never reads: what is behind a descriptor is its owner's. Errors are SystemErrors.
import { binding, type PeerCredentials } from './binding.js';

export type { PeerCredentials } from './binding.js';

/** A connected, non-blocking socket, the caller's. EAGAIN: too many wait to be accepted there. */
export function connectUnix(path: string): number {
  return binding.connectUnix(path);
}

/** A listening socket, the caller's; the file is made by the umask. EADDRINUSE where there is a file already. */
export function listenUnix(path: string, backlog: number): number {
  return binding.listenUnix(path, backlog);
}

/** A connection that waits to be accepted, non-blocking and the caller's; undefined where none does. Never waits. */
export function acceptConnection(fd: number): number | undefined {
  const accepted = binding.acceptConnection(fd);
  return accepted === -1 ? undefined : accepted;
}

/** Who connected, as the kernel saw it then (SO_PEERCRED); of a user unknown in our user namespace: 65534. */
export function peerCredentials(fd: number): PeerCredentials {
  return binding.peerCredentials(fd);
}

/** At most 2 KiB in one send(2) that never waits; returns how many bytes went. */
export function sendNow(fd: number, text: string): number {
  return binding.sendNow(fd, text);
}

/**
 * Whether there is something to read, or an end, or to accept, before the time is over. Occupies a thread of libuv's pool:
 * for one descriptor of a process, not for many. The descriptor has to stay open meanwhile.
 */
export function awaitReadable(fd: number, timeoutMs: number): Promise<boolean> {
  return binding.awaitReadable(fd, timeoutMs);
}
