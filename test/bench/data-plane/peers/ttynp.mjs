// ttynp: the built daemon with everything on that it has by default. Over raw TCP the generator is the server. Over Real COM
// the generator has the data ports, and a device server of its own the command ports, which every session talks to.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DAEMON, folder, Listeners, Processes, ROOT, until } from '../rig.mjs';

const SIMULATOR = fileURLToPath(new URL('../simulator.mjs', import.meta.url));

/** { protocol, ports: [{ dataPort, commandPort? }], tty?, env? } -> a daemon with these ttys. */
export async function startDaemon(processes, path, { protocol, ports, env = {}, defaults = '' }) {
  const ttys = ports.map(({ dataPort, commandPort }, i) => {
    const command = commandPort === undefined ? '' : `, commandPort: ${commandPort}`;
    return `  ttyNP${i}: { server: far, port: ${i + 1}, dataPort: ${dataPort}${command} }`;
  });
  const config = join(path, 'ttynp.yaml');
  const lines = [
    'version: 1',
    `runtimeDir: ${path}`,
    `linkDir: ${path}`,
    'log: { level: warn }',
    ...(defaults === '' ? [] : [`defaults: ${defaults}`]),
    `servers: { far: { address: 127.0.0.1, protocol: ${protocol} } }`,
    'ttys:',
    ...ttys,
  ];
  writeFileSync(config, `${lines.join('\n')}\n`);
  const began = performance.now();
  const daemon = processes.start(process.execPath, [...DAEMON, '-c', config], {
    env: { ...process.env, ...env },
  });
  const paths = ports.map((_, i) => join(path, `ttyNP${i}`));
  await until(
    () => {
      processes.check();
      return paths.every((p) => existsSync(p));
    },
    'the ttys',
    30_000,
  );
  return { daemon, paths, startMs: performance.now() - began };
}

/** The command ports of a Real COM device server. */
export async function startSimulator(processes, count) {
  const child = processes.start(process.execPath, [SIMULATOR, String(count)]);
  await until(() => {
    processes.check();
    return child.said.includes('\n');
  }, 'the simulator');
  return JSON.parse(child.said);
}

/** Where there is one: its command ports go away and come back with the data ports. */
async function tellSimulator(processes, what) {
  for (const child of processes.children) {
    const before = child.said.length;
    child.kill(what === 'stop' ? 'SIGHUP' : 'SIGUSR2');
    await until(() => child.said.length > before, 'the simulator');
  }
}

const ttynp = (name, protocol, options = {}) => ({
  name,
  reconnects: true,
  missing: () => (existsSync(`${ROOT}dist/daemon.js`) ? undefined : 'not built (npm run build)'),
  async start(count) {
    const { path, remove } = folder();
    const processes = new Processes();
    const others = new Processes();
    const listeners = new Listeners(count);
    let ports = listeners.ports.map((dataPort) => ({ dataPort }));
    if (protocol === 'realcom') {
      const simulated = await startSimulator(others, count);
      ports = ports.map(({ dataPort }, i) => ({ dataPort, commandPort: simulated[i].commandPort }));
    }
    const { daemon, paths, startMs } = await startDaemon(processes, path, { protocol, ports, ...options });
    return {
      pids: [daemon.pid],
      paths,
      startMs,
      // The daemon connects when a tty is opened.
      far: () => listeners.accept(60_000),
      listening: () => listeners.fds,
      async away() {
        listeners.close();
        await tellSimulator(others, 'stop');
      },
      /** The connections, in the order of the ports. */
      async back() {
        await tellSimulator(others, 'start');
        listeners.reopen();
        return listeners.accept(60_000);
      },
      check: () => processes.check(),
      async stop() {
        await processes.stop('SIGINT');
        await others.stop();
        listeners.close();
        remove();
      },
    };
  },
});

export const tcp = ttynp('ttynp, tcp', 'tcp');
export const realcom = ttynp('ttynp, Real COM', 'realcom');
const block = new URL('../block.mjs', import.meta.url).href;
export const blocked = ttynp('ttynp, JavaScript blocked', 'tcp', { env: { NODE_OPTIONS: `--import ${block}` } });
