// systemd's part of a restart, for tests: a service manager with a descriptor store that starts, ends and restarts a command.
// What it does and does not do as systemd 252 is in service_manager.py. close() ends every process that it started.
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Child, eventually } from './e2e-process.js';

const PROGRAM = fileURLToPath(new URL('service_manager.py', import.meta.url));

/** undefined: not in the environment; $PID becomes the command's process id. */
export type StartEnvironment = Readonly<Record<string, string | undefined>>;

export interface ManagerEvent {
  readonly event: string;
  /** 'notify' and 'rejected': what was sent. */
  readonly lines?: readonly string[];
  readonly fds?: number;
  readonly name?: string;
  readonly names?: readonly string[];
  readonly pid?: number;
  readonly code?: number;
  readonly stream?: string;
  readonly text?: string;
}

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

export interface ManagerOptions {
  /** FileDescriptorStoreMax; 2048 unless told otherwise. */
  readonly limit?: number;
  /** For every start. */
  readonly env?: StartEnvironment;
}

export class ServiceManagerStandIn {
  /** Everything that happened, but for the command's output. */
  readonly events: ManagerEvent[] = [];
  /** What the command wrote since the first start. */
  stdout = '';
  stderr = '';
  readonly #dir: string;
  readonly #child: Child;
  readonly #env: StartEnvironment;
  readonly #pending = new Map<number, (answer: Answer) => void>();
  #rest = '';
  #last = 0;

  private constructor(command: readonly string[], options: ManagerOptions) {
    this.#dir = mkdtempSync(join(tmpdir(), 'ttynp-manager-'));
    // The command may be somebody else's process.
    chmodSync(this.#dir, 0o755);
    this.#env = options.env ?? {};
    const path = join(this.#dir, 'notify');
    this.#child = new Child(['/usr/bin/python3', PROGRAM, path, String(options.limit ?? 2048), ...command]);
    this.#child.process.stdout.on('data', (text: string) => this.#read(text));
  }

  /** Binds the socket; starts nothing yet. */
  static async bind(command: readonly string[], options: ManagerOptions = {}): Promise<ServiceManagerStandIn> {
    const manager = new ServiceManagerStandIn(command, options);
    await manager.until('the notify socket is bound', () => manager.count('bound') > 0);
    return manager;
  }

  /** Resolves with the process id, as soon as it exists; see ready(). */
  async start(env: StartEnvironment = {}): Promise<number> {
    return Number(await this.#ask('start', { env: this.#environment(env) }));
  }

  /** The process that runs now has said READY=1. */
  ready(timeoutMs?: number): Promise<unknown> {
    const isReady = () => {
      const started = this.events.findLastIndex(({ event }) => event === 'started');
      const since = this.events.slice(started);
      if (since.some(({ event }) => event === 'exited')) throw new Error(`it ended before READY=1\n${this.stderr}`);
      return started >= 0 && since.some(({ event, lines }) => event === 'notify' && lines?.includes('READY=1'));
    };
    return this.until('READY=1', isReady, timeoutMs);
  }

  signal(name: NodeJS.Signals): Promise<unknown> {
    return this.#ask('signal', { name });
  }

  /** The exit code of the last process, or minus the number of the signal that ended it; null: none has run. */
  async waitExit(): Promise<number | null> {
    return asCode(await this.#ask('wait-exit'));
  }

  /** SIGTERM, the end, a start. Resolves with the exit code of the old process when the new one exists. */
  async restart(env: StartEnvironment = {}): Promise<number | null> {
    const value = await this.#ask('restart', { env: this.#environment(env) });
    return typeof value === 'object' && value !== null && 'code' in value ? asCode(value.code) : null;
  }

  /** SIGKILL and at once a start; resolves with the new process id. */
  async kill9(env: StartEnvironment = {}): Promise<number> {
    return Number(await this.#ask('kill9', { env: this.#environment(env) }));
  }

  /** SIGINT, the end, and the store is given up: `systemctl stop`. */
  async stop(): Promise<number | null> {
    return asCode(await this.#ask('stop'));
  }

  /** The manager writes its store down and reads it again, which turns the order. */
  daemonReload(): Promise<unknown> {
    return this.#ask('daemon-reload');
  }

  /** The names of what is stored, the newest first. */
  async store(): Promise<string[]> {
    const names = await this.#ask('store');
    return Array.isArray(names) ? names.map(String) : [];
  }

  /** Writes to the command's standard input. */
  tell(text: string): Promise<unknown> {
    return this.#ask('tell', { text });
  }

  /** From now on it is busy: what it is sent waits in the socket's queue. */
  pause(): Promise<unknown> {
    return this.#ask('pause');
  }

  resume(): Promise<unknown> {
    return this.#ask('resume');
  }

  /** How often this has happened. */
  count(event: string): number {
    return this.events.filter((e) => e.event === event).length;
  }

  /** The lines of every message so far, joined by a blank. */
  get messages(): string[] {
    return this.events.flatMap(({ event, lines }) => (event === 'notify' ? [(lines ?? []).join(' ')] : []));
  }

  until<T>(what: string, look: () => T | undefined | false, timeoutMs?: number): Promise<T> {
    return eventually(
      () => `${what}\n${this.stdout.slice(-2000)}\n${this.stderr}\n${this.#child.stderr}`,
      look,
      timeoutMs,
    );
  }

  /** Kills what runs, closes the store, removes the socket. */
  async close(): Promise<void> {
    this.#child.process.stdin.end();
    await this.#child.exit();
    rmSync(this.#dir, { recursive: true });
  }

  #environment(env: StartEnvironment): Record<string, string | null> {
    const merged = Object.entries({ ...this.#env, ...env });
    return Object.fromEntries(merged.map(([name, value]) => [name, value ?? null]));
  }

  async #ask(what: string, more: Record<string, unknown> = {}): Promise<unknown> {
    this.#last++;
    const id = this.#last;
    const answered = new Promise<Answer>((resolve) => this.#pending.set(id, resolve));
    const ended = this.#child.ended.then((): Answer => ({ id, error: `it is gone\n${this.#child.stderr}` }));
    this.#child.process.stdin.write(`${JSON.stringify({ id, do: what, ...more })}\n`);
    const { value, error } = await Promise.race([answered, ended]);
    if (error !== undefined) throw new Error(`${what}: ${error}`);
    return value;
  }

  #read(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const said: Answer | ManagerEvent = JSON.parse(line);
      if ('id' in said) {
        this.#pending.get(said.id)?.(said);
        this.#pending.delete(said.id);
      } else if (said.event === 'output') {
        if (said.stream === 'stdout') this.stdout += said.text ?? '';
        else this.stderr += said.text ?? '';
      } else {
        this.events.push(said);
      }
    }
  }
}

function asCode(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
