// A process that uses the descriptor store, under the stand-in of the service manager: code is sent to it and its value
// comes back. The code sees what descriptor-store-child.mjs puts in its reach.
import { fileURLToPath } from 'node:url';
import { type ManagerOptions, ServiceManagerStandIn, type StartEnvironment } from './service-manager.js';

const CHILD = fileURLToPath(new URL('descriptor-store-child.mjs', import.meta.url));

export class StoreProcess {
  readonly manager: ServiceManagerStandIn;
  #id = 0;

  private constructor(manager: ServiceManagerStandIn) {
    this.manager = manager;
  }

  static async start(options: ManagerOptions = {}, env: StartEnvironment = {}): Promise<StoreProcess> {
    const manager = await ServiceManagerStandIn.bind([process.execPath, CHILD], options);
    await manager.start(env);
    await manager.ready();
    return new StoreProcess(manager);
  }

  /** The body of an async function; resolves with what it returns, by way of JSON. */
  async run(code: string, timeoutMs?: number): Promise<unknown> {
    this.#id++;
    const id = this.#id;
    await this.manager.tell(`${JSON.stringify({ id, code })}\n`);
    const line = await this.manager.until(code, () => this.#answer(id), timeoutMs);
    if (line.error !== undefined) throw new Error(`${code}: ${line.error}`);
    return line.value;
  }

  async restart(env: StartEnvironment = {}): Promise<number | null> {
    const code = await this.manager.restart(env);
    await this.manager.ready();
    return code;
  }

  async kill9(env: StartEnvironment = {}): Promise<void> {
    await this.manager.kill9(env);
    await this.manager.ready();
  }

  /** What it logged, one line each. */
  get log(): string[] {
    return this.manager.stderr.split('\n').filter((line) => line !== '');
  }

  #answer(id: number): { value?: unknown; error?: string } | undefined {
    const { stdout } = this.manager;
    const start = stdout.indexOf(`{"id":${id},`) >= 0 ? stdout.indexOf(`{"id":${id},`) : stdout.indexOf(`{"id":${id}}`);
    const end = stdout.indexOf('\n', start);
    return start < 0 || end < 0 ? undefined : JSON.parse(stdout.slice(start, end));
  }
}
