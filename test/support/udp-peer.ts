// The far end of a link over UDP: a socket of its own that sends to one address and takes what comes from anywhere. As a stream, so
// that tests of streams can have it.
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { Duplex } from 'node:stream';

export class UdpPeer {
  readonly #socket: Socket;
  readonly data: Duplex;

  private constructor(socket: Socket, host: string, to: number) {
    this.#socket = socket;
    this.data = new Duplex({
      read() {},
      write: (bytes, _encoding, done) => socket.send(bytes, to, host, done),
    });
    socket.on('message', (bytes) => this.data.push(bytes));
  }

  /** @param to the port there that it sends to, @param port its own; 0: any */
  static async listen(host: string, to: number, port = 0): Promise<UdpPeer> {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.bind(port, host);
    await once(socket, 'listening');
    return new UdpPeer(socket, host, to);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  async close(): Promise<void> {
    this.data.destroy();
    await new Promise<void>((resolve) => this.#socket.close(() => resolve()));
  }
}
