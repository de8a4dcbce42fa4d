// Node's TCP sockets as descriptors, so that another process can go on with a connection: what Node has no documented way for.
// Never ends a connection: whoever has another descriptor of it decides that.
import { Socket } from 'node:net';

/** Of net.Socket and net.Server in Node 20 to 24: undocumented, and looked at before it is used. */
interface WithHandle {
  readonly _handle?: { readonly fd?: unknown; reading?: boolean; readStop?(): void } | null;
}

/** undefined: it is closed, or this Node hides it. */
export function socketDescriptor(socket: object): number | undefined {
  const fd = (socket as WithHandle)._handle?.fd;
  return typeof fd === 'number' && fd >= 0 ? fd : undefined;
}

/**
 * Reads no more from the network; returns what Node had read and told nobody. Nothing of `socket` is to be used after it. Within one turn
 * of the event loop no byte comes between the two.
 */
export function stopReading(socket: Socket): Uint8Array[] {
  socket.pause();
  const unread: Uint8Array[] = [];
  for (let chunk: unknown = socket.read(); chunk instanceof Uint8Array; chunk = socket.read()) unread.push(chunk);
  // read() has asked for more.
  const handle = (socket as WithHandle)._handle;
  if (handle?.readStop !== undefined) {
    handle.reading = false;
    handle.readStop();
  }
  return unread;
}

/**
 * A connected socket that does not read yet, as one that a server with pauseOnConnect has accepted; it owns the descriptor.
 * Throws a SystemError for what is no socket.
 * @param highWaterMark bytes that Node reads ahead of its reader
 */
export function adoptSocket(fd: number, highWaterMark: number): Socket {
  return new Socket({ fd, readable: true, writable: true, highWaterMark, pauseOnCreate: true } as ConstructorParameters<
    typeof Socket
  >[0]);
}
