// The driver of a UART, played (uart_driver.c), for a daemon: every port that it has open has the same lines.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** Words of its state, by their place. */
const PLACES = { lines: 0, sets: 11, breaks: 12, ended: 13, queued: 14, hangs: 19 } as const;
type Word = keyof typeof PLACES;

export class PlayedDriver {
  readonly #directory = mkdtempSync(join(tmpdir(), 'ttynp-driver-'));
  readonly #file = join(this.#directory, 'state');
  readonly #library = join(this.#directory, 'driver.so');
  readonly #fd: number;
  readonly #word = Buffer.alloc(4);

  constructor() {
    const source = fileURLToPath(new URL('uart_driver.c', import.meta.url));
    const built = spawnSync('cc', ['-shared', '-fPIC', '-O1', source, '-o', this.#library]);
    if (built.status !== 0) throw new Error(`cc: ${built.stderr}`);
    this.#fd = openSync(this.#file, 'w+');
    writeSync(this.#fd, Buffer.alloc(4096));
  }

  /** Of the daemon. */
  get env(): Readonly<Record<string, string>> {
    return { LD_PRELOAD: this.#library, UART_STATE: this.#file };
  }

  get(name: Word): number {
    readSync(this.#fd, this.#word, 0, 4, 4 * PLACES[name]);
    return this.#word.readInt32LE();
  }

  /** The device of the line answers nothing; undefined: all do. */
  hang(line: { readonly path: string } | undefined): void {
    this.set('hangs', line === undefined ? 0 : Number(line.path.split('/').at(-1)) + 1);
  }

  set(name: Word, value: number): void {
    this.#word.writeInt32LE(value);
    writeSync(this.#fd, this.#word, 0, 4, 4 * PLACES[name]);
  }

  /** To be called when the daemon has ended. */
  close(): void {
    closeSync(this.#fd);
    rmSync(this.#directory, { recursive: true });
  }
}
