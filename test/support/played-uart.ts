// A port of the built program in a process of its own, on a PTY whose driver is played (uart_driver.c): a file of words that the driver
// maps, and the process that has the port open (uart-child.mjs). For one test file; both begin anew with each test.
import { spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, expect } from 'vitest';
import { Child, eventually } from './e2e.js';
import { SerialLine } from './serial-line.js';

const support = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Of the words in uart_driver.c. */
const WORDS = {
  lines: 0,
  parity: 1,
  frame: 2,
  overrun: 3,
  bufferOverrun: 4,
  brk: 5,
  outputs: 10,
  sets: 11,
  breaks: 12,
  breaksEnded: 13,
  queued: 14,
  drains: 15,
  waits: 16,
  rs485: 17,
  refuses: 18,
  hangs: 19,
  holds: 20,
  held: 21,
  noMiwait: 22,
  breaking: 23,
} as const;
type Word = keyof typeof WORDS;

export class PlayedUart {
  line = new SerialLine();
  #directory = '';
  #driver = '';
  #state = -1;
  #child: Child | undefined;

  constructor() {
    this.line.unplug();
    beforeAll(() => {
      this.#directory = mkdtempSync(join(tmpdir(), 'ttynp-driver-'));
      this.#driver = join(this.#directory, 'uart_driver.so');
      const built = spawnSync('cc', [
        ...['-shared', '-fPIC', '-O1', '-Wall', support('uart_driver.c')],
        ...['-o', this.#driver],
      ]);
      expect(built.status, String(built.stderr)).toBe(0);
    });
    afterAll(() => rmSync(this.#directory, { recursive: true }));
    beforeEach(() => {
      this.line = new SerialLine();
      const file = join(this.#directory, 'state');
      writeFileSync(file, Buffer.alloc(Object.keys(WORDS).length * 4 + 64));
      this.#state = openSync(file, 'r+');
    });
    afterEach(async () => {
      await this.end();
      this.line.unplug();
      closeSync(this.#state);
    });
  }

  get child(): Child {
    if (this.#child === undefined) throw new Error('not started');
    return this.#child;
  }

  start(...more: string[]): void {
    // A sanitizer's library comes first.
    const preload = [process.env.LD_PRELOAD, this.#driver].filter(Boolean).join(' ');
    const env = { LD_PRELOAD: preload, UART_STATE: join(this.#directory, 'state') };
    this.#child = new Child([process.execPath, support('uart-child.mjs'), this.line.path, ...more], { env });
  }

  /** The process closes its port, and ends. */
  async end(): Promise<void> {
    this.child.process.stdin.end();
    const { code, signal } = await this.child.exit(10_000);
    expect({ code, signal }, this.child.stderr).toEqual({ code: 0, signal: null });
  }

  read(word: Word): number {
    const bytes = Buffer.alloc(4);
    readSync(this.#state, bytes, 0, 4, WORDS[word] * 4);
    return bytes.readInt32LE();
  }

  write(word: Word, value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32LE(value | 0);
    writeSync(this.#state, bytes, 0, 4, WORDS[word] * 4);
  }

  /** The device of the line answers nothing. */
  hang(): void {
    this.write('hangs', Number(this.line.path.split('/').at(-1)) + 1);
  }

  get said(): Record<string, unknown>[] {
    const texts = this.child.stdout.split('\n').filter((text) => text !== '');
    return texts.map((text): Record<string, unknown> => JSON.parse(text));
  }

  count(key: string): number {
    return this.said.filter((one) => key in one).length;
  }

  /** Resolves with the next thing told that has this key, `after` those that were told before. */
  async told(key: string, after = 0): Promise<Record<string, unknown>> {
    let found: Record<string, unknown> | undefined;
    await eventually(
      () => `${key}: ${this.child.stdout} ${this.child.stderr}`,
      async () => {
        found = this.said.filter((one) => key in one)[after];
        return found !== undefined;
      },
    );
    return found ?? {};
  }

  call(what: object, key: string): Promise<Record<string, unknown>> {
    const before = this.count(key);
    this.child.process.stdin.write(`${JSON.stringify(what)}\n`);
    return this.told(key, before);
  }

  open(): Promise<Record<string, unknown>> {
    return this.call({ call: 'open' }, 'opened');
  }

  request(request: object): Promise<Record<string, unknown>> {
    return this.call({ call: 'request', request }, 'done');
  }

  /** Asked for, and not waited for; 'done' is told of each. */
  begin(...requests: object[]): Promise<Record<string, unknown>> {
    return this.call({ call: 'begin', requests }, 'begun');
  }
}
