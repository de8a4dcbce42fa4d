// The built daemon under a service manager that keeps its descriptors, before the simulator in the test process: restarts
// as an application at the tty and a device at the far end of the wire see them.
import { readFileSync } from 'node:fs';
import { afterEach } from 'vitest';
import { DAEMON, eventually, Whole, type WholeOptions } from './e2e.js';
import { App } from './rig.js';
import { type ManagerOptions, ServiceManagerStandIn } from './service-manager.js';

/** Of the connections to a local port: the other ends' ports (proc(5), /proc/net/tcp). */
function established(port: number): number[] {
  const connections = readFileSync('/proc/net/tcp', 'latin1').matchAll(
    /^ *\d+: [0-9A-F]{8}:([0-9A-F]{4}) [0-9A-F]{8}:([0-9A-F]{4}) 01 /gm,
  );
  return [...connections].flatMap(([, local = '', remote = '']) =>
    Number.parseInt(local, 16) === port ? [Number.parseInt(remote, 16)] : [],
  );
}

export class Managed {
  private constructor(
    readonly whole: Whole,
    readonly manager: ServiceManagerStandIn,
  ) {}

  static async start(options: WholeOptions = {}, managerOptions: ManagerOptions = {}): Promise<Managed> {
    const whole = await Whole.start({ ...options, idle: true });
    const command = [process.execPath, DAEMON, '-c', whole.configFile];
    if (options.daemon?.unprivileged) command.unshift('setpriv', '--reuid=65534', '--regid=65534', '--clear-groups');
    const manager = await ServiceManagerStandIn.bind(command, managerOptions).catch(async (error: unknown) => {
      await whole.close();
      throw error;
    });
    const managed = new Managed(whole, manager);
    try {
      await manager.start();
      await manager.ready();
      return managed;
    } catch (error) {
      await managed.close();
      throw error;
    }
  }

  /** SIGTERM, the end, a start; resolves with the exit code once the new daemon is ready. */
  async restart(): Promise<number | null> {
    const code = await this.manager.restart();
    await this.manager.ready();
    return code;
  }

  /** SIGTERM; resolves when it has ended. `again` starts the next one. */
  async handOver(): Promise<number | null> {
    const before = this.manager.count('exited');
    await this.manager.signal('SIGTERM');
    await this.manager.until('it has ended', () => this.manager.count('exited') > before);
    return this.manager.events.findLast(({ event }) => event === 'exited')?.code ?? null;
  }

  async again(): Promise<void> {
    await this.manager.start();
    await this.manager.ready();
  }

  async kill9(): Promise<void> {
    await this.manager.kill9();
    await this.manager.ready();
  }

  /** The TCP ports of our ends of both connections, as the kernel tells: another connection has others. */
  peer(n = 1): string | undefined {
    const { dataPort, commandPort } = this.whole.simulator.port(n);
    // Other tests' sockets come and go while the table is read, and shift what is read of it.
    for (let look = 0; look < 3; look++) {
      const ends = [dataPort, commandPort].map((port) => established(port));
      if (ends.every((end) => end.length === 1)) return ends.flat().join(' ');
    }
    return undefined;
  }

  async connected(n = 1): Promise<string> {
    return eventually(
      () => `port ${n} is connected\n${this.manager.stderr}`,
      () => this.whole.simulator.port(n).up && this.peer(n),
    );
  }

  async close(): Promise<void> {
    await this.manager.close();
    await this.whole.close();
  }
}

/** For a file of tests: what they start and open ends with each of them, the last first. */
export function managedTests() {
  const cleanups: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
  });
  const managed = async (...options: Parameters<typeof Managed.start>): Promise<Managed> => {
    const m = await Managed.start(...options);
    cleanups.push(() => m.close());
    return m;
  };
  const open = (m: Managed, tty = 'ttyNP0'): App => {
    const app = new App(m.whole.path(tty));
    cleanups.push(() => app.close());
    return app;
  };
  return { cleanups, managed, open };
}
