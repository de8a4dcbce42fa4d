// A TCP server of a test that keeps what it gets, for ports that connect by themselves.
import { once } from 'node:events';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { type Destination, parseDestination } from '../../src/config/destination.js';

export interface FarOptions {
  readonly address?: string;
  readonly port?: number;
  /** It reads nothing. */
  readonly deaf?: boolean;
  /** It does not end its side because the other one ended theirs. */
  readonly allowHalfOpen?: boolean;
}

export class FarServer {
  readonly sockets: Socket[] = [];
  readonly peers: string[] = [];
  text = '';
  /** Connections that are over. */
  ended = 0;
  port = 0;
  #server: Server | undefined;

  static async listen(ends: (() => unknown)[], options: FarOptions = {}): Promise<FarServer> {
    const far = new FarServer();
    const { address = '127.0.0.1', port = 0, deaf = false, allowHalfOpen = false } = options;
    const server = createServer({ allowHalfOpen }, (socket) => far.#accepted(socket, deaf));
    server.listen(port, address);
    await once(server, 'listening');
    far.#server = server;
    far.port = (server.address() as AddressInfo).port;
    ends.push(() => far.close());
    return far;
  }

  get socket(): Socket {
    const last = this.sockets.at(-1);
    if (last === undefined) throw new Error('nobody has connected');
    return last;
  }

  /** What the last connection says, from here on. */
  read(): void {
    this.socket.on('data', (bytes) => (this.text += bytes.toString('latin1')));
    this.socket.resume();
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    for (const socket of this.sockets) socket.destroy();
    if (server !== undefined) await new Promise((resolve) => server.close(resolve));
  }

  #accepted(socket: Socket, deaf: boolean): void {
    this.sockets.push(socket);
    this.peers.push(`${socket.remoteAddress}:${socket.remotePort}`);
    socket.on('error', () => {});
    socket.on('close', () => this.ended++);
    if (deaf) socket.pause();
    else this.read();
  }
}

export function destinationTo(text: string, more: Partial<Destination> = {}): Destination {
  const parsed = parseDestination(text);
  if (parsed === undefined) throw new Error(`${text} is no destination`);
  return { ...parsed, ...more };
}
