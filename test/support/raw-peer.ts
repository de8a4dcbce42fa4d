// A TCP peer of a test that sends bytes and waits for bytes, and knows no protocol. What arrives is kept in the
// segments that the kernel gave, so that a test can see whether a frame was cut.
import { connect, type Socket } from 'node:net';

export const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex');

export class RawPeer {
  readonly segments: Buffer[] = [];
  #taken = 0;
  #ended = false;
  readonly #waiting = new Set<() => void>();

  private constructor(readonly socket: Socket) {
    socket.on('data', (bytes) => {
      this.segments.push(bytes);
      this.#look();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#ended = true;
      this.#look();
    });
  }

  /** Rejects where the connection is refused. */
  static connect(port: number, host = '127.0.0.1'): Promise<RawPeer> {
    return new Promise((resolve, reject) => {
      const socket = connect({ port, host, noDelay: true });
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new RawPeer(socket));
      });
    });
  }

  /** One that a server of the test has accepted. */
  static accepted(socket: Socket): RawPeer {
    return new RawPeer(socket);
  }

  /** All that arrived, what was taken included. */
  get received(): Buffer {
    return Buffer.concat(this.segments);
  }

  /** Arrived and not taken. */
  get unread(): Buffer {
    return this.received.subarray(this.#taken);
  }

  get ended(): boolean {
    return this.#ended;
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === 'string' ? hex(bytes) : bytes);
  }

  /** Takes the next `count` bytes, waiting for them. Rejects when the connection ends before. */
  async take(count: number): Promise<Buffer> {
    await this.until(() => this.unread.length >= count || this.#ended);
    if (this.unread.length < count) throw new Error(`ended with ${this.unread.length} of ${count} bytes`);
    const bytes = this.unread.subarray(0, count);
    this.#taken += count;
    return bytes;
  }

  /** What has been taken never arrived: `received` begins with what comes next. */
  forget(): void {
    const unread = this.unread;
    this.segments.splice(0, this.segments.length, ...(unread.length > 0 ? [unread] : []));
    this.#taken = 0;
  }

  /** Sends a command and takes an answer of as many bytes as `answer` has; returns it as hex. */
  async ask(command: string, answerBytes: number): Promise<string> {
    this.send(command);
    return (await this.take(answerBytes)).toString('hex');
  }

  /** Resolves as soon as `done` is true; looked at whenever something arrives and at the end. */
  until(done: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!done()) return;
        this.#waiting.delete(look);
        resolve();
      };
      this.#waiting.add(look);
      look();
    });
  }

  /** Resolves when the connection is gone. */
  end(): Promise<void> {
    return this.until(() => this.#ended);
  }

  close(how: 'end' | 'reset' = 'end'): Promise<void> {
    if (how === 'reset') this.socket.resetAndDestroy();
    else this.socket.destroy();
    return this.end();
  }

  #look(): void {
    for (const look of [...this.#waiting]) look();
  }
}
