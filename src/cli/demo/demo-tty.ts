// A serial program as small as it can be: opens a tty, sets the rate, writes and reads. Plays the application in the demo,
// from outside of the daemon, as any other program does.
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { isSystemError } from '../../native/socket.js';
import { getTermios, setTermios } from '../../native/termios.js';

export class DemoTty {
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(4096);

  constructor(path: string) {
    this.#fd = openSync(path, constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK);
  }

  setRate(baudRate: number): void {
    setTermios(this.#fd, { ...getTermios(this.#fd), inputSpeed: baudRate, outputSpeed: baudRate });
  }

  write(bytes: Uint8Array): void {
    writeSync(this.#fd, bytes);
  }

  /** Waits for as many bytes; rejects after `timeoutMs` with what came. */
  async read(bytes: number, timeoutMs: number): Promise<Buffer> {
    const deadline = performance.now() + timeoutMs;
    const parts: Buffer[] = [];
    let have = 0;
    while (have < bytes) {
      const part = this.#take();
      parts.push(part);
      have += part.length;
      if (performance.now() > deadline) throw new Error(`${have} of ${bytes} bytes came back within ${timeoutMs} ms`);
      if (part.length === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    return Buffer.concat(parts);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #take(): Buffer {
    try {
      return Buffer.from(this.#buffer.subarray(0, readSync(this.#fd, this.#buffer)));
    } catch (error) {
      if (isSystemError(error) && error.code === 'EAGAIN') return Buffer.alloc(0);
      throw error;
    }
  }
}
