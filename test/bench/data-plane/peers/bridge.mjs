// The C bridge (bridge.c), compiled when it is first needed; with and without packet mode.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { folder, Listeners, Processes, until } from '../rig.mjs';

const SOURCE = fileURLToPath(new URL('../bridge.c', import.meta.url));
let built;

function binary() {
  if (built !== undefined) return built;
  const { path } = folder();
  const output = join(path, 'bridge');
  const run = spawnSync(process.env.CC || 'cc', ['-O2', '-o', output, SOURCE], { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`the C bridge cannot be compiled: ${run.stderr ?? run.error}`);
  built = output;
  return built;
}

const bridge = (name, mode) => ({
  name,
  missing: () => (spawnSync(process.env.CC || 'cc', ['--version']).status === 0 ? undefined : 'no C compiler'),
  async start(count) {
    const { path, remove } = folder();
    const processes = new Processes();
    const listeners = new Listeners(count);
    processes.start(binary(), [mode, path, ...listeners.ports.map(String)]);
    const far = await listeners.accept();
    const paths = far.map((_, i) => join(path, String(i)));
    await until(() => existsSync(paths.at(-1)), 'the bridge');
    return {
      pids: processes.pids,
      paths,
      persistent: true,
      far: async () => far,
      check: () => processes.check(),
      async stop() {
        await processes.stop();
        listeners.close();
        remove();
      },
    };
  },
});

export const plain = bridge('C bridge', 'plain');
export const packet = bridge('C bridge, packet mode', 'packet');
