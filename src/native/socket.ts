// TCP sockets as descriptors: for the pump, which wants a connected socket that nobody has read from.
// Never resolves names, never retries; errors are SystemErrors whose `code` the caller maps.
import { binding, isSystemError, type RawSocketOptions, type SocketAddress, type SystemError } from './binding.js';
import { Pump, type PumpChannel } from './pump.js';

export { isSystemError, type SocketAddress, type SystemError } from './binding.js';

export interface KeepAlive {
  /** Seconds of silence before the first probe, between probes, and probes without answer before the end. */
  readonly idle: number;
  readonly interval: number;
  readonly count: number;
}

export interface SocketOptions {
  readonly noDelay?: boolean | undefined;
  readonly keepAlive?: KeepAlive | undefined;
  /** Never on a data socket: it ends a living peer that holds its window shut. */
  readonly userTimeoutMs?: number | undefined;
  readonly sendBuffer?: number | undefined;
  readonly receiveBuffer?: number | undefined;
  readonly notSentLowat?: number | undefined;
}

export interface ConnectOptions extends SocketOptions {
  /** Numeric: 192.0.2.1, 2001:db8::1, fe80::1%eth1 */
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

function rawOptions(o: SocketOptions): RawSocketOptions {
  return {
    noDelay: o.noDelay === true ? 1 : 0,
    keepAliveIdle: o.keepAlive?.idle ?? 0,
    keepAliveInterval: o.keepAlive?.interval ?? 0,
    keepAliveCount: o.keepAlive?.count ?? 0,
    userTimeoutMs: o.userTimeoutMs ?? 0,
    sendBuffer: o.sendBuffer ?? 0,
    receiveBuffer: o.receiveBuffer ?? 0,
    notSentLowat: o.notSentLowat ?? 0,
  };
}

function systemError(code: string, errno: number, syscall: string): SystemError {
  return Object.assign(new Error(`${syscall}: ${code}`), { code, errno, syscall });
}

/** The pump that watches connecting sockets; it lives while any connects. */
const connecting: { pump: Pump | undefined; sockets: number } = { pump: undefined, sockets: 0 };

function borrowPump(): Pump {
  connecting.pump ??= new Pump();
  connecting.sockets++;
  return connecting.pump;
}

function returnPump(): void {
  connecting.sockets--;
  if (connecting.sockets > 0) return;
  connecting.pump?.close();
  connecting.pump = undefined;
}

/**
 * Resolves with a connected, non-blocking socket, which the caller owns. Rejects with a SystemError: what connect(2)
 * says, ETIMEDOUT after `timeoutMs`, ECANCELED when the signal aborts. Leaves no descriptor behind then.
 */
export function connectTcp(options: ConnectOptions): Promise<number> {
  return new Promise((resolve, reject) => {
    if (options.signal?.aborted === true) throw systemError('ECANCELED', 125, 'connect');
    const { fd, watch } = beginConnect(options, () => {
      const errno = binding.socketError(fd);
      end(errno === 0 ? undefined : systemError(binding.errnoName(errno), errno, 'connect'));
    });
    const end = (error: SystemError | undefined) => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      watch.close();
      returnPump();
      if (error === undefined) return resolve(fd);
      binding.closeFd(fd);
      reject(error);
    };
    const onAbort = () => end(systemError('ECANCELED', 125, 'connect'));
    const timer = setTimeout(() => end(systemError('ETIMEDOUT', 110, 'connect')), options.timeoutMs);
    options.signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** Each step may lack a descriptor; then nothing of the steps before is left. */
function beginConnect(options: ConnectOptions, ready: () => void): { fd: number; watch: PumpChannel } {
  const pump = borrowPump();
  let fd = -1;
  try {
    fd = binding.beginConnect(options.host, options.port, rawOptions(options));
    return { fd, watch: pump.watchConnect(fd, ready) };
  } catch (error) {
    returnPump();
    if (fd >= 0) binding.closeFd(fd);
    throw error;
  }
}

/**
 * A listening socket for `net.Server.listen({ fd })`, whose accepted sockets have this receive buffer from their first
 * segment on. Port 0: see localAddress. The server that it is given to closes it.
 */
export function listenTcp(options: { host: string; port: number; backlog?: number; receiveBuffer?: number }): number {
  return binding.beginListen(options.host, options.port, options.backlog ?? 128, options.receiveBuffer ?? 0);
}

export function setSocketOptions(fd: number, options: SocketOptions): void {
  binding.setSocketOptions(fd, rawOptions(options));
}

/** Before listen: accepted sockets inherit it. */
export function setReceiveBuffer(fd: number, bytes: number): void {
  binding.setSocketOptions(fd, { receiveBuffer: bytes });
}

/** Two ends of a unix stream, non-blocking. */
export function socketPair(): [number, number] {
  return binding.socketPair();
}

/** Bytes that the peer has not taken (SIOCOUTQ). On a unix socket the kernel's overhead is counted too, until it is 0. */
export function outputQueue(fd: number): number {
  return binding.outputQueue(fd);
}

/** Bytes that have arrived and were not read (FIONREAD). */
export function inputQueue(fd: number): number {
  return binding.inputQueue(fd);
}

/** Of TCP: neither end has ended it, as far as the kernel knows. Reads nothing. */
export function isEstablished(fd: number): boolean {
  return binding.isEstablished(fd) === 1;
}

/** Reads and throws away what has arrived; returns how many bytes. An end or an error is left for the next reader. */
export function discardInput(fd: number): number {
  return binding.discardInput(fd);
}

/** SO_ERROR: the pending errno's name, and undefined where there is none. Reading clears it. */
export function socketError(fd: number): string | undefined {
  const errno = binding.socketError(fd);
  return errno === 0 ? undefined : binding.errnoName(errno);
}

/** "ECONNRESET" for Channel.netErrno. */
export function errnoName(errno: number): string {
  return binding.errnoName(errno);
}

export function localAddress(fd: number): SocketAddress {
  return binding.localAddress(fd);
}

export function peerAddress(fd: number): SocketAddress {
  return binding.peerAddress(fd);
}

export function closeFd(fd: number): void {
  binding.closeFd(fd);
}

/** A second descriptor of the same open file, close-on-exec. */
export function dup(fd: number): number {
  return binding.dupFd(fd);
}

const HOW = { read: 0, write: 1, both: 2 } as const;

export function shutdownFd(fd: number, how: keyof typeof HOW): void {
  binding.shutdownFd(fd, HOW[how]);
}

/** Tells the peer the end, also where another process holds the descriptor too. An end that came before is none to tell. */
export function endConnection(fd: number): void {
  try {
    shutdownFd(fd, 'both');
  } catch (error) {
    if (!isSystemError(error) || error.code !== 'ENOTCONN') throw error;
  }
}

/** The close of this socket becomes a reset. */
export function setLinger0(fd: number): void {
  binding.setLinger0(fd);
}
