// Both ends of a tty behind raw TCP, in the test: an application whose reads wait in the kernel, and the server that the
// daemon connects to. Compares nothing; waits without looking again and again.
import { closeSync, constants, openSync, read, writeSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { promisify } from 'node:util';

const readSome = promisify(read);

/** Bytes that are others in each round, and at each place. */
export function numbered(length: number, round: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, i) => i + (i >>> 8) * 7 + round * 31));
}

/** An application. A read that waits ends with the tty: close the daemon before it. */
export class Application {
  readonly #fd: number;
  readonly #writer: number;
  readonly #bytes = Buffer.alloc(65536);

  constructor(path: string) {
    this.#fd = openSync(path, constants.O_RDWR | constants.O_NOCTTY);
    this.#writer = openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  }

  /** All of it, or an error: the tty must have room. */
  write(bytes: Uint8Array): void {
    const n = writeSync(this.#writer, bytes);
    if (n < bytes.length) throw new Error(`the tty took ${n} of ${bytes.length} bytes`);
  }

  async read(length: number): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let have = 0; have < length; ) {
      const { bytesRead } = await readSome(this.#fd, this.#bytes, 0, Math.min(length - have, this.#bytes.length), null);
      if (bytesRead === 0) throw new Error(`hung up after ${have} of ${length} bytes`);
      parts.push(Buffer.from(this.#bytes.subarray(0, bytesRead)));
      have += bytesRead;
    }
    return Buffer.concat(parts);
  }

  close(): void {
    closeSync(this.#writer);
    closeSync(this.#fd);
  }
}

/** A server that takes one connection at a time. */
export class FarEnd {
  readonly #server: Server;
  #socket: Socket | undefined;
  #received = Buffer.alloc(0);
  #look = () => {};

  private constructor(server: Server) {
    this.#server = server;
    server.on('connection', (socket) => {
      socket.setNoDelay(true).on('error', () => {});
      socket.on('data', (bytes) => {
        this.#received = Buffer.concat([this.#received, bytes]);
        this.#look();
      });
      this.#socket = socket;
      this.#look();
    });
  }

  static async listen(): Promise<FarEnd> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FarEnd(server);
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async connected(): Promise<void> {
    await this.#until(() => this.#socket !== undefined);
  }

  async read(length: number): Promise<Buffer> {
    await this.#until(() => this.#received.length >= length);
    const bytes = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return bytes;
  }

  /** Resolves when the kernel has all of it. */
  write(bytes: Uint8Array): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#socket?.write(bytes, (error) => (error ? reject(error) : resolve()));
    });
  }

  async close(): Promise<void> {
    this.#socket?.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#look = () => {
        if (!done()) return;
        this.#look = () => {};
        resolve();
      };
      this.#look();
    });
  }
}
