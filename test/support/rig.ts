// The driver and a device server in one process, without the daemon around them: a PTY, a session, a Real COM link and
// the simulator with its hooks. Tests open the PTY as an application does, and look at what the device got.
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { SystemClock } from '../../src/base/clock.js';
import type { Fault } from '../../src/base/fault.js';
import { type Log, silentLog } from '../../src/base/log.js';
import type { PortPolicy } from '../../src/driver/policy.js';
import { ServerGate } from '../../src/driver/server-gate.js';
import { Session } from '../../src/driver/session.js';
import { RealComLink } from '../../src/link/realcom.js';
import { Pump } from '../../src/native/pump.js';
import { getTermios, setTermios } from '../../src/native/termios.js';
import { DEFAULT_SETTINGS, type LineSettings } from '../../src/serial/line.js';
import { TERMIOS } from '../../src/serial/termios.js';
import { runSimulator, type SimulatorHandle, type SimulatorOptions } from '../../src/serve/simulator.js';
import { DeviceLink } from '../../src/tty/device-link.js';
import { PtyTty } from '../../src/tty/pty.js';

export const POLICY: PortPolicy = {
  connect: 'on-open',
  connectTimeoutMs: 10_000,
  closingWaitMs: 30_000,
  disconnectDelayMs: 500,
  onLinkLoss: 'keep',
  offlineData: 'discard',
  holdTimeMs: 2000,
  offlineOpen: 'succeed',
  lines: { dtr: true, rts: true },
  fifoBytes: 16,
};

export interface Rig {
  readonly dir: string;
  readonly path: string;
  readonly simulator: SimulatorHandle;
  readonly session: Session;
  readonly tty: PtyTty;
  readonly pump: Pump;
  readonly faults: Fault[];
  readonly lines: string[];
  open(flags?: number): App;
  close(): Promise<void>;
}

export interface RigOptions {
  readonly policy?: Partial<PortPolicy>;
  readonly simulator?: SimulatorOptions;
  readonly settings?: Partial<LineSettings>;
  /** Do not begin to accept connections. */
  readonly deaf?: boolean;
  /** Of the PTY. */
  readonly mode?: number;
  /** Another device server than the rig's own. */
  readonly device?: { readonly address: string; readonly dataPort: number; readonly commandPort: number };
  /** What the session gets for its output when the rig is closed. */
  readonly stopMs?: number;
}

/** An application that has the tty open, non-blocking. */
export class App {
  readonly fd: number;
  #open = true;

  constructor(path: string, flags = constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK) {
    this.fd = openSync(path, flags);
  }

  write(bytes: Uint8Array | string): number {
    const buffer = typeof bytes === 'string' ? Buffer.from(bytes) : bytes;
    try {
      return writeSync(this.fd, buffer);
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return 0;
      throw error;
    }
  }

  /** What is there now; undefined at end of file or hang-up. */
  read(max = 65536): Buffer | undefined {
    const buffer = Buffer.alloc(max);
    try {
      const n = readSync(this.fd, buffer);
      return n === 0 ? undefined : buffer.subarray(0, n);
    } catch (error) {
      if (error instanceof Error && 'code' in error) {
        if (error.code === 'EAGAIN') return Buffer.alloc(0);
        if (error.code === 'EIO') return undefined;
      }
      throw error;
    }
  }

  /** Waits for `bytes` bytes. */
  async readExactly(bytes: number, timeoutMs = 10_000): Promise<Buffer> {
    const parts: Buffer[] = [];
    let have = 0;
    await until(`${bytes} bytes, have ${have}`, timeoutMs, () => {
      const part = this.read();
      if (part === undefined) throw new Error(`hang-up after ${have} of ${bytes} bytes`);
      have += part.length;
      parts.push(part);
      return have >= bytes;
    });
    return Buffer.concat(parts);
  }

  /** tcsetattr(TCSANOW) of the rate and whatever else is given. */
  set(change: { baudRate?: number; cflag?: (flags: number) => number; lflag?: (flags: number) => number }): void {
    const before = getTermios(this.fd);
    const rate = change.baudRate ?? before.outputSpeed;
    setTermios(this.fd, {
      ...before,
      inputSpeed: rate,
      outputSpeed: rate,
      cflag: change.cflag ? change.cflag(before.cflag) : before.cflag,
      lflag: change.lflag ? change.lflag(before.lflag) : before.lflag,
    });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.fd);
  }
}

export { TERMIOS };

/** Polls until `done` says true; fails by name after `timeoutMs`. */
export async function until(what: string, timeoutMs: number, done: () => boolean): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    if (done()) return;
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

interface PortParts {
  readonly dir: string;
  readonly name: string;
  readonly n: number;
  readonly simulator: SimulatorHandle;
  readonly pump: Pump;
  readonly gate: ServerGate;
  readonly clock: SystemClock;
  readonly faults: Fault[];
  readonly lines: string[];
}

function makePort(parts: PortParts, options: RigOptions): { tty: PtyTty; session: Session } {
  const { dir, name, simulator, pump, gate, clock, faults, lines } = parts;
  const log: Log = { log: (level, message) => lines.push(`${level}: ${message}`), child: () => log };
  const settings = { ...DEFAULT_SETTINGS, ...options.settings };
  const link = new DeviceLink({ runtimeDir: dir, linkDir: dir, name, aliases: [], report: (m) => lines.push(m) });
  const tty = new PtyTty({ name, link, pump, settings, mode: options.mode ?? 0o600, log });
  const { dataPort, commandPort } = options.device ?? simulator.port(parts.n);
  const addresses = [options.device?.address ?? '127.0.0.1'];
  const session = new Session({
    tty,
    policy: { ...POLICY, ...options.policy },
    ticket: gate.enter(),
    makeLink: () => new RealComLink({ addresses, dataPort, commandPort, clock, log: silentLog }),
    clock,
    log,
    changed: () => {},
    faulted: (fault) => faults.push(fault),
    recovered: () => {},
  });
  session.start();
  return { tty, session };
}

export async function startRig(options: RigOptions = {}): Promise<Rig> {
  const dir = mkdtempSync(join(tmpdir(), 'ttynp-rig-'));
  const simulator = await runSimulator({ ports: 1, dataPort: 0, commandPort: 0, ...options.simulator });
  if (options.deaf) await simulator.port(1).pauseAccepting();
  const clock = new SystemClock();
  const pump = new Pump();
  const faults: Fault[] = [];
  const lines: string[] = [];
  const gate = new ServerGate({ clock, random: Math.random });
  const parts = { dir, name: 'ttyNP0', n: 1, simulator, pump, gate, clock, faults, lines };
  const { tty, session } = makePort(parts, options);
  const apps: App[] = [];
  return {
    dir,
    path: tty.path,
    simulator,
    session,
    tty,
    pump,
    faults,
    lines,
    open(flags) {
      const app = new App(tty.path, flags);
      apps.push(app);
      return app;
    },
    async close() {
      for (const app of apps) app.close();
      await session.stop(options.stopMs ?? 1000);
      pump.close();
      await simulator.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Many ports of one device server, behind one gate. */
export interface Fleet {
  readonly simulator: SimulatorHandle;
  readonly pump: Pump;
  readonly sessions: readonly Session[];
  close(): Promise<void>;
}

export async function startFleet(ports: number, options: RigOptions = {}): Promise<Fleet> {
  const dir = mkdtempSync(join(tmpdir(), 'ttynp-fleet-'));
  const simulator = await runSimulator({ ports, dataPort: 0, commandPort: 0, ...options.simulator });
  const clock = new SystemClock();
  const pump = new Pump();
  const gate = new ServerGate({ clock, random: Math.random });
  const sessions = Array.from({ length: ports }, (_, i) => {
    const parts = { dir, name: `ttyNP${i}`, n: i + 1, simulator, pump, gate, clock, faults: [], lines: [] };
    return makePort(parts, options).session;
  });
  return {
    simulator,
    pump,
    sessions,
    async close() {
      await Promise.all(sessions.map((session) => session.stop(options.stopMs ?? 1000)));
      pump.close();
      await simulator.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
