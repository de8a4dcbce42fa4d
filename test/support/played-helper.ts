// The root helper and the kernel behind it, as far as a daemon sees them: whoever asks gets a device, whose driver is played
// (ftdi-driver.ts). A device lives until its socket's other end is gone everywhere.
import { chmodSync } from 'node:fs';
import { closeFd, isSystemError } from '../../src/native/socket.js';
import { acceptConnection, awaitReadable, listenUnix, sendNow } from '../../src/native/unix-socket.js';
import { readLine } from '../../src/tty/usbip/line-reader.js';
import { FtdiDriver } from './ftdi-driver.js';

export class PlayedHelper {
  readonly devices: FtdiDriver[] = [];
  /** What it was asked for. */
  readonly requests: string[] = [];
  readonly #listener: number;
  readonly #served: Promise<void>;
  #closed = false;

  constructor(readonly path: string) {
    this.#listener = listenUnix(path, 16);
    chmodSync(path, 0o666);
    this.#served = this.#serve();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#served;
    closeFd(this.#listener);
    for (const device of this.devices) device.close();
  }

  async #serve(): Promise<void> {
    while (!this.#closed) {
      if (!(await awaitReadable(this.#listener, 50))) continue;
      const fd = acceptConnection(this.#listener);
      if (fd !== undefined) await this.#answer(fd);
    }
  }

  async #answer(fd: number): Promise<void> {
    const read = await readLine(fd, { timeoutMs: 1000 });
    const line = typeof read === 'string' ? '' : read.line;
    this.requests.push(line);
    if (line.includes('"interfaces"') && tell(fd, '{"ok":true,"speed":"high"}')) {
      this.devices.push(new FtdiDriver(fd));
      return;
    }
    tell(fd, line.includes('"names"') ? '{"ok":true,"ttys":0}' : '{"ok":true}');
    closeFd(fd);
  }
}

/** False: who asked is gone. */
function tell(fd: number, line: string): boolean {
  try {
    return sendNow(fd, `${line}\n`) > 0;
  } catch (error) {
    if (isSystemError(error) && error.code === 'EPIPE') return false;
    throw error;
  }
}
