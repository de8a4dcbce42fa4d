// One TCP listener that can be closed and opened again on the same port, and whose accepted sockets do not read yet.
// Never keeps a socket: whoever is told of it owns it.
import { createServer, type Server, type Socket } from 'node:net';
import { Fault } from '../base/fault.js';

export interface ListenerOptions {
  readonly address: string;
  /** 0: any free one; `port` tells which, and it stays the same when the listener is opened again. */
  readonly port: number;
  /** Bytes that node reads ahead of its reader, beyond the one read that passes this mark. */
  readonly highWaterMark: number;
  accepted(socket: Socket): void;
}

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

  /** Rejects with a Fault that names address and port, and with a hint where there is one. */
  open(): Promise<void> {
    if (this.#server !== undefined) return Promise.resolve();
    const { address, highWaterMark, accepted } = this.#options;
    const server = createServer({ pauseOnConnect: true, noDelay: true, highWaterMark });
    server.on('connection', (socket) => {
      // A connection that was waiting when the listener closed still comes out of it.
      if (this.#server === server) accepted(socket);
      else socket.destroy();
    });
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', (error) => {
        this.#server = undefined;
        reject(listenFault(error, address, this.#port));
      });
      server.listen({ host: address, port: this.#port, backlog: 511 }, () => {
        const bound = server.address();
        if (bound !== null && typeof bound === 'object') this.#port = bound.port;
        server.removeAllListeners('error');
        // accept() may fail when descriptors run out; the connection then waits in the kernel or is dropped there.
        server.on('error', () => {});
        resolve();
      });
    });
  }

  /** New connections are refused when it resolves. Accepted ones live on. */
  close(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return Promise.resolve();
    this.#server = undefined;
    // close() would wait for the accepted sockets to end; the listening descriptor itself is closed at once.
    server.unref();
    server.close();
    return new Promise((resolve) => setImmediate(resolve));
  }
}

function listenFault(error: unknown, address: string, port: number): Fault {
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  const where = `${address} port ${port}`;
  switch (code) {
    case 'EADDRINUSE':
      return new Fault(
        'SYSTEM',
        `cannot listen on ${where}: already in use (choose another with --data-port and --command-port, or see who has it: ss -ltnp)`,
        { cause: error },
      );
    case 'EACCES':
      return new Fault(
        'PERMISSION',
        `cannot listen on ${where}: ports below 1024 need root (choose higher ones: --data-port 4001 --command-port 5001)`,
        { cause: error },
      );
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
