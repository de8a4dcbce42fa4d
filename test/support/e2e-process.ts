// A child process of a test: what it says is kept, how it ended is awaited, and it never outlives the test process.
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Run as nobody: root may do everything, which hides what an unprivileged user may not. */
  readonly unprivileged?: boolean;
  /** RLIMIT_NOFILE, the hard one too: Node raises the soft one to it. */
  readonly maxDescriptors?: number;
  /** What runs the program and stays the same process (strace -D), before its own arguments. */
  readonly under?: readonly string[];
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

export class Child {
  readonly process: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly ended: Promise<Ended>;
  stdout = '';
  stderr = '';
  #end: Ended | undefined;

  constructor(argv: readonly string[], options: RunOptions = {}) {
    // The kernel ends the child if the test process dies.
    const command = ['setpriv', '--pdeathsig', 'KILL'];
    if (options.unprivileged && process.getuid?.() === 0)
      command.push('--reuid=65534', '--regid=65534', '--clear-groups');
    if (options.maxDescriptors !== undefined) command.unshift('prlimit', `--nofile=${options.maxDescriptors}`);
    const [program = '', ...rest] = [...command, ...(options.under ?? []), ...argv];
    this.process = spawn(program, rest, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, NOTIFY_SOCKET: '', WATCHDOG_USEC: '', ...options.env },
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    this.process.stdin.on('error', () => {});
    this.process.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.stdout += text;
    });
    this.process.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.stderr += text;
    });
    this.ended = new Promise((resolve, reject) => {
      this.process.once('error', reject);
      this.process.once('close', (code, signal) => {
        this.#end = { code, signal };
        resolve(this.#end);
      });
    });
    this.ended.catch(() => {});
  }

  get pid(): number {
    return this.process.pid ?? 0;
  }

  get end(): Ended | undefined {
    return this.#end;
  }

  signal(signal: NodeJS.Signals): void {
    if (this.#end === undefined) this.process.kill(signal);
  }

  /** Rejects, with what it said, where it has not ended within the time. */
  async exit(timeoutMs = 15_000): Promise<Ended> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        reject(new Error(`pid ${this.pid} runs after ${timeoutMs} ms\n${this.stdout}\n${this.stderr}`));
      }, timeoutMs);
    });
    try {
      return await Promise.race([this.ended, late]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Descriptors that it has open. */
  get descriptors(): number {
    return readdirSync(`/proc/${this.pid}/fd`).length;
  }

  /** Resident memory, bytes. */
  get memory(): number {
    const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${this.pid}/status`, 'utf8'));
    return Number(match?.[1] ?? 0) * 1024;
  }

  get threads(): number {
    return readdirSync(`/proc/${this.pid}/task`).length;
  }
}

/** Runs a program to its end. */
export async function run(
  argv: readonly string[],
  options: RunOptions & { input?: string | Buffer; timeoutMs?: number } = {},
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = new Child(argv, options);
  child.process.stdin.end(options.input ?? '');
  try {
    const { code } = await child.exit(options.timeoutMs ?? 20_000);
    return { code, stdout: child.stdout, stderr: child.stderr };
  } finally {
    child.signal('SIGKILL');
  }
}

/** Polls until `look` gives something true, and returns that; fails by name after `timeoutMs`. */
export async function eventually<T>(
  what: string | (() => string),
  look: () => T | undefined | false | Promise<T | undefined | false>,
  timeoutMs = 10_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found) return found;
    if (performance.now() > deadline)
      throw new Error(`not within ${timeoutMs} ms: ${typeof what === 'string' ? what : what()}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
