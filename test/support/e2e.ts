// The whole: the built daemon as a child process in a private folder, and the simulator in the test process with its
// hooks, so that a test acts as an application at the tty and looks at the far end of the wire.
import { chmodSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DaemonClient } from '../../src/api/client.js';
import type { PortView } from '../../src/api/types.js';
import { runSimulator, type SimulatorHandle, type SimulatorOptions } from '../../src/serve/simulator.js';
import { Child, eventually, type RunOptions, run } from './e2e-process.js';
import { freePorts } from './free-ports.js';
import { LineRecorder } from './line-recorder.js';

export { Child, eventually, run } from './e2e-process.js';

export const CLI = fileURLToPath(new URL('../../dist/cli.js', import.meta.url));
export const DAEMON = fileURLToPath(new URL('../../dist/daemon.js', import.meta.url));

type Options = Readonly<Record<string, unknown>>;

export interface WholeOptions {
  /** Ports of the simulator and ttys of the daemon, ttyNP0 and so on; default 1. */
  readonly ports?: number;
  readonly simulator?: SimulatorOptions;
  /** What every tty says in the configuration. */
  readonly tty?: Options;
  /** What single ttys say. */
  readonly ttys?: Readonly<Record<string, Options>>;
  readonly servers?: Readonly<Record<string, Options>>;
  /** Laid over the top level of the configuration. */
  readonly config?: Options;
  readonly daemon?: RunOptions;
  /** Do not start the daemon. */
  readonly idle?: boolean;
}

/** The program that a user starts as `ttynpd -c FILE`. */
export function startDaemon(file: string, options: RunOptions = {}): Child {
  return new Child([process.execPath, DAEMON, '-c', file], options);
}

/** `ttynp ...`, run to its end. */
export function cli(argv: readonly string[], options: RunOptions & { timeoutMs?: number } = {}) {
  return run([process.execPath, CLI, ...argv], options);
}

export class Whole {
  readonly recorders: LineRecorder[] = [];
  readonly client: DaemonClient;
  #daemon: Child | undefined;
  #simulator: SimulatorHandle | undefined;
  #config: Options = {};

  private constructor(
    readonly dir: string,
    readonly options: WholeOptions,
  ) {
    this.client = new DaemonClient(this.socketPath);
  }

  static async start(options: WholeOptions = {}): Promise<Whole> {
    const whole = new Whole(mkdtempSync(join(tmpdir(), 'ttynp-e2e-')), options);
    try {
      await whole.#begin();
      return whole;
    } catch (error) {
      await whole.close();
      throw error;
    }
  }

  async #begin(): Promise<void> {
    const { ports = 1, simulator } = this.options;
    // The simulator is in this process; a daemon as nobody has to get at the folder.
    if (this.options.daemon?.unprivileged) chmodSync(this.dir, 0o777);
    // One that is switched off finds its TCP ports again.
    const [dataPort = 0, commandPort = 0] = ports === 1 ? await freePorts(2) : [];
    this.#simulator = await runSimulator({
      ports,
      dataPort,
      commandPort,
      observer: (n) => {
        const recorder = new LineRecorder();
        this.recorders[n - 1] = recorder;
        return recorder;
      },
      ...simulator,
    });
    this.configure();
    if (!this.options.idle) await this.startDaemon();
  }

  get simulator(): SimulatorHandle {
    if (!this.#simulator) throw new Error('no simulator');
    return this.#simulator;
  }

  get daemon(): Child {
    if (!this.#daemon) throw new Error('no daemon');
    return this.#daemon;
  }

  get configFile(): string {
    return join(this.dir, 'ttynp.yaml');
  }

  get socketPath(): string {
    return join(this.dir, 'control.sock');
  }

  path(tty = 'ttyNP0'): string {
    return join(this.dir, tty);
  }

  /** What left the line of serial port `n`. */
  recorder(n = 1): LineRecorder {
    const recorder = this.recorders[n - 1];
    if (!recorder) throw new Error(`no port ${n}`);
    return recorder;
  }

  /** A tty's entry in the configuration: behind serial port `n` of the simulator. */
  entry(n: number, more: Options = {}): Options {
    const { dataPort, commandPort } = this.simulator.port(n);
    return { server: 'simulator', port: n, dataPort, commandPort, ...this.options.tty, ...more };
  }

  /** Writes the configuration file. JSON is YAML. `ttys` replaces all of them. */
  configure(more: Options = {}): void {
    const { ports = 1, ttys = {}, servers = {}, config = {} } = this.options;
    const all: Record<string, Options> = {};
    for (let n = 1; n <= ports; n++) all[`ttyNP${n - 1}`] = this.entry(n, ttys[`ttyNP${n - 1}`]);
    for (const [name, tty] of Object.entries(ttys)) all[name] ??= { ...this.options.tty, ...tty };
    this.#config = {
      version: 1,
      runtimeDir: this.dir,
      linkDir: this.dir,
      servers: { simulator: { address: '127.0.0.1' }, ...servers },
      ttys: all,
      ...config,
      ...more,
    };
    writeFileSync(this.configFile, JSON.stringify(this.#config, null, 2));
  }

  /** Resolves when it answers and all links are made. */
  async startDaemon(): Promise<Child> {
    const daemon = startDaemon(this.configFile, this.options.daemon);
    this.#daemon = daemon;
    await eventually(
      () => `the daemon answers\n${daemon.stderr}`,
      async () => {
        if (daemon.end) throw new Error(`the daemon ended with ${JSON.stringify(daemon.end)}\n${daemon.stderr}`);
        if (!existsSync(this.socketPath)) return false;
        return this.client.status().then(
          ({ pid }) => pid === daemon.pid,
          () => false,
        );
      },
    );
    return daemon;
  }

  port(tty = 'ttyNP0'): Promise<PortView> {
    return this.client.port(tty);
  }

  /** Waits until a port's view is as `is` wants it. */
  async portIs(what: string, is: (view: PortView) => boolean, tty = 'ttyNP0', timeoutMs = 10_000): Promise<PortView> {
    let view = await this.port(tty);
    await eventually(
      () => `${tty} ${what}: ${JSON.stringify(view)}\n${this.daemon.stderr}`,
      async () => {
        view = await this.port(tty);
        return is(view);
      },
      timeoutMs,
    );
    return view;
  }

  /** SIGTERM; returns the exit code and how long it took. */
  async stopDaemon(): Promise<{ code: number | null; signal: NodeJS.Signals | null; ms: number }> {
    const began = performance.now();
    this.daemon.signal('SIGTERM');
    const end = await this.daemon.exit(10_000);
    return { ...end, ms: performance.now() - began };
  }

  /** Ends all. Fails where the daemon did not end cleanly, or something was left behind. */
  async close(): Promise<void> {
    const problems: string[] = [];
    const daemon = this.#daemon;
    try {
      if (daemon && !daemon.end) {
        const { code, signal } = await this.stopDaemon();
        if (code !== 0) problems.push(`the daemon ended with ${code ?? signal}\n${daemon.stderr}`);
      }
      if (daemon?.end?.code === 0) {
        const left = readdirSync(this.dir).filter((name) => name.startsWith('tty') && name !== 'ttynp.yaml');
        if (left.length > 0) problems.push(`left behind: ${left.join(' ')}`);
        if (existsSync(this.socketPath)) problems.push('the control socket was left behind');
      }
    } finally {
      daemon?.signal('SIGKILL');
      await daemon?.ended;
      await this.#simulator?.close();
      rmSync(this.dir, { recursive: true, force: true });
    }
    if (problems.length > 0) throw new Error(problems.join('\n'));
  }
}
