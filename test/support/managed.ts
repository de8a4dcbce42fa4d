// The built daemon under a service manager that keeps its descriptors, before the simulator in the test process: restarts
// as an application at the tty and a device at the far end of the wire see them.
import { DAEMON, eventually, Whole, type WholeOptions } from './e2e.js';
import { type ManagerOptions, ServiceManagerStandIn } from './service-manager.js';

export class Managed {
  private constructor(
    readonly whole: Whole,
    readonly manager: ServiceManagerStandIn,
  ) {}

  static async start(options: WholeOptions = {}, managerOptions: ManagerOptions = {}): Promise<Managed> {
    const whole = await Whole.start({ ...options, idle: true });
    const command = [process.execPath, DAEMON, '-c', whole.configFile];
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
    await this.manager.signal('SIGTERM');
    return this.manager.waitExit();
  }

  async again(): Promise<void> {
    await this.manager.start();
    await this.manager.ready();
  }

  async kill9(): Promise<void> {
    await this.manager.kill9();
    await this.manager.ready();
  }

  /** The remote end of the data connection, as the device has it: another connection is another port. */
  peer(n = 1): string | undefined {
    return this.whole.simulator.port(n).peer;
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
