// A connected command socket on the event loop: bytes in through one preallocated buffer, bytes out with backpressure.
// Knows nothing of the protocol. Owns its descriptor from the constructor on.
import { type OnReadOpts, Socket, type SocketConstructorOpts } from 'node:net';
import { endConnection } from '../native/socket.js';

export interface CommandSocketEvents {
  /** Valid only during the call: the buffer is used again. */
  bytes(chunk: Uint8Array): void;
  /** The peer ended it, or an error did. At most once, never after `close`. */
  ended(error: Error | undefined): void;
}

const READ_BUFFER_BYTES = 1024;

export class CommandSocket {
  readonly #socket: Socket;
  readonly #closed: Promise<void>;
  #events: CommandSocketEvents | undefined;
  readonly #tellEnd: () => void;
  #blocked = false;

  /** @param shared another process holds the descriptor too: see RealComLinkOptions.shared */
  constructor(fd: number, shared: boolean, events: CommandSocketEvents) {
    this.#events = events;
    this.#tellEnd = () => {
      // Once it is destroyed the number may be another file's.
      if (shared && !this.#socket.destroyed) endConnection(fd);
    };
    const buffer = Buffer.alloc(READ_BUFFER_BYTES);
    // The types know `onread` only for connect(); the constructor takes it too.
    const options: SocketConstructorOpts & { onread: OnReadOpts } = {
      fd,
      onread: {
        buffer,
        // A peer that asks (POLLING) and does not read its answers is not read from either: no queue grows.
        callback: (length) => {
          this.#events?.bytes(buffer.subarray(0, length));
          return !this.#blocked;
        },
      },
    };
    this.#socket = new Socket(options);
    let failure: Error | undefined;
    this.#socket.on('error', (error) => {
      failure = error;
    });
    this.#socket.on('end', () => {
      this.#tellEnd();
      this.#socket.destroy();
    });
    this.#socket.on('drain', () => {
      this.#blocked = false;
      this.#socket.resume();
    });
    this.#closed = new Promise((resolve) => {
      this.#socket.on('close', () => {
        const told = this.#events;
        this.#events = undefined;
        told?.ended(failure);
        resolve();
      });
    });
  }

  /** Bytes wait for room: the peer would get them from this process only. */
  get unsent(): boolean {
    return this.#socket.writableLength > 0;
  }

  write(bytes: Uint8Array): void {
    if (!this.#socket.write(bytes)) this.#blocked = true;
  }

  /** Idempotent; the descriptor is gone when it resolves. Nothing is told any more. */
  close(): Promise<void> {
    this.#events = undefined;
    this.#tellEnd();
    this.#socket.destroy();
    return this.#closed;
  }
}
