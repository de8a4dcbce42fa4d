// socat: one process for each port, as its users run it.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { folder, Listeners, Processes, until } from '../rig.mjs';

export const socat = {
  name: 'socat',
  missing: () => (spawnSync('socat', ['-V']).status === 0 ? undefined : 'not installed (apt-get install socat)'),
  async start(count) {
    const { path, remove } = folder();
    const processes = new Processes();
    const listeners = new Listeners(count);
    const paths = listeners.ports.map((_, i) => join(path, String(i)));
    for (const [i, port] of listeners.ports.entries()) {
      const stdio = 'ignore';
      processes.start('socat', ['-b65536', `PTY,rawer,link=${paths[i]}`, `TCP:127.0.0.1:${port},nodelay`], { stdio });
    }
    const far = await listeners.accept();
    await until(() => paths.every((p) => existsSync(p)), 'socat');
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
};
