// One TCP listener that can be closed and opened again on the same port, and whose accepted sockets do not read yet.
// Never keeps a socket: whoever is told of it owns it.
import { lookup } from 'node:dns/promises';
import { createServer, isIP, type Server, type Socket } from 'node:net';
import { Fault } from '../base/fault.js';
import { socketDescriptor } from '../native/net-socket.js';
import { dup, endConnection, isSystemError, listenTcp } from '../native/socket.js';

const BACKLOG = 511;

export interface ListenerOptions {
  readonly address: string;
  /** 0: any free one; `port` tells which, and it stays the same when the listener is opened again. */
  readonly port: number;
  /** Bytes that node reads ahead of its reader, beyond the one read that passes this mark. */
  readonly highWaterMark: number;
  /** SO_RCVBUF of the accepted sockets, bytes (the kernel doubles it); 0: the kernel's own, which grows to megabytes. */
  readonly receiveBuffer: number;
  /** What the operator may do about a port that cannot be had; default: the options of `ttynp simulate`. */
  readonly hints?: ListenHints | undefined;
  accepted(socket: Socket): void;
}

export interface ListenHints {
  readonly taken: string;
  /** A port below 1024. */
  readonly privileged: string;
}

const OPTION_HINTS: ListenHints = {
  taken: 'choose another with --data-port and --command-port, or see who has it: ss -ltnp',
  privileged: 'choose higher ones: --data-port 4001 --command-port 5001',
};

export class Listener {
  readonly #options: ListenerOptions;
  #server: Server | undefined;
  #port: number;

  constructor(options: ListenerOptions) {
    this.#options = options;
    this.#port = options.port;
  }

  /** The real port once it listened. */
  get port(): number {
    return this.#port;
  }

  get listening(): boolean {
    return this.#server !== undefined;
  }

  /** undefined while it does not listen. */
  get descriptor(): number | undefined {
    return this.#server && socketDescriptor(this.#server);
  }

  /**
   * Rejects with a Fault that names address and port, and with a hint where there is one.
   * @param kept a descriptor that listens already; it is this one's from now on
   */
  async open(kept?: number): Promise<void> {
    if (this.#server !== undefined) return;
    const { address, highWaterMark, accepted } = this.#options;
    const server = createServer({ pauseOnConnect: true, noDelay: true, highWaterMark });
    server.on('connection', (socket) => {
      // A connection that was waiting when the listener closed still comes out of it.
      if (this.#server === server) accepted(socket);
      else socket.destroy();
    });
    this.#server = server;
    try {
      await listening(server, kept ?? (await this.#listeningFd()));
    } catch (error) {
      this.#server = undefined;
      throw listenFault(error, address, this.#port, this.#options.hints ?? OPTION_HINTS);
    }
    const bound = server.address();
    if (bound !== null && typeof bound === 'object') this.#port = bound.port;
    // accept() may fail when descriptors run out; the connection then waits in the kernel or is dropped there.
    server.on('error', () => {});
  }

  /** Node cannot set SO_RCVBUF before listen(2), and TCP fixes the window's scale when the connection is made. */
  async #listeningFd(): Promise<number> {
    const { address, receiveBuffer } = this.#options;
    const host = isIP(address) !== 0 ? address : (await lookup(address)).address;
    const listen = (port: number) => listenTcp({ host, port, backlog: BACKLOG, receiveBuffer });
    return this.#port === 0 ? listenAnywhere(listen) : listen(this.#port);
  }

  /**
   * Accepts no more, and goes on to listen: who connects waits in the kernel. Returns the descriptor, which is the caller's;
   * undefined where it does not listen.
   */
  leave(): number | undefined {
    const fd = this.descriptor;
    const kept = fd === undefined ? undefined : dup(fd);
    this.#server?.unref();
    this.#server?.close();
    this.#server = undefined;
    return kept;
  }

  /** New connections are refused when it resolves. Accepted ones live on. */
  close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return Promise.resolve();
    this.#server = undefined;
    // Whoever keeps it for a next process has another descriptor.
    const fd = socketDescriptor(server);
    if (fd !== undefined) endConnection(fd);
    // close() would wait for the accepted sockets to end; the listening descriptor itself is closed at once.
    server.unref();
    server.close();
    return new Promise((resolve) => setImmediate(resolve));
  }
}

/** Ports below those that the kernel gives to whoever asks for any (ip_local_port_range), a share for each process. */
const LOWEST = 10_000;
const SHARES = 22;
const SHARE = 1000;
let tried = 0;

/**
 * Any free port, and the next one each time: a listener that is closed for a while finds its port free again, whatever else
 * this machine opens meanwhile.
 */
function listenAnywhere(listen: (port: number) => number): number {
  for (let attempt = 0; attempt < SHARE; attempt++) {
    try {
      return listen(LOWEST + (process.pid % SHARES) * SHARE + (tried++ % SHARE));
    } catch (error) {
      if (!isSystemError(error) || error.code !== 'EADDRINUSE') throw error;
    }
  }
  return listen(0);
}

function listening(server: Server, fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ fd, backlog: BACKLOG }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

function listenFault(error: unknown, address: string, port: number, hints: ListenHints): Fault {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const where = `${address} port ${port}`;
  switch (code) {
    case 'EADDRINUSE':
      return new Fault('SYSTEM', `cannot listen on ${where}: already in use (${hints.taken})`, { cause: error });
    case 'EACCES':
      return new Fault('PERMISSION', `cannot listen on ${where}: ports below 1024 need root (${hints.privileged})`, {
        cause: error,
      });
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new Fault('NAME_UNRESOLVED', `cannot listen on ${where}: no such name`, { cause: error });
    case 'EADDRNOTAVAIL':
      return new Fault('SYSTEM', `cannot listen on ${where}: this machine has no such address (see: ip address)`, {
        cause: error,
      });
    default:
      return new Fault(
        'SYSTEM',
        `cannot listen on ${where}: ${error instanceof Error ? error.message : String(error)}`,
        { cause: error },
      );
  }
}
