// ser2net: one process with a pseudo-terminal for each port. It accepts the connection, which this process makes, and opens
// the PTY then. No chardelay, and the largest buffers that it has.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectAll, folder, Listeners, Processes, until } from '../rig.mjs';

const PROGRAM = '/usr/sbin/ser2net';

/** Free ones a moment ago. */
function tcpPorts(count) {
  const listeners = new Listeners(count);
  const { ports } = listeners;
  listeners.close();
  return ports;
}

const connection = (i, port, path) => `connection: &c${i}
  accepter: tcp(nodelay=true,readbuf=65536),127.0.0.1,${port}
  connector: pty(link=${path},raw,readbuf=65536)
  options:
    chardelay: false
    dev-to-net-bufsize: 65536
    net-to-dev-bufsize: 65536
`;

export const ser2net = {
  name: 'ser2net',
  missing: () => (existsSync(PROGRAM) ? undefined : 'not installed (apt-get install ser2net)'),
  async start(count) {
    const { path, remove } = folder();
    const processes = new Processes();
    const ports = tcpPorts(count);
    const paths = ports.map((_, i) => join(path, String(i)));
    const config = join(path, 'ser2net.yaml');
    writeFileSync(config, ports.map((port, i) => connection(i, port, paths[i])).join(''));
    processes.start(PROGRAM, ['-n', '-d', '-c', config, '-P', join(path, 'pid')]);
    const far = await connectAll(ports);
    await until(() => paths.every((p) => existsSync(p)), 'ser2net');
    return {
      pids: processes.pids,
      paths,
      persistent: true,
      far: async () => far,
      check: () => processes.check(),
      async stop() {
        await processes.stop();
        remove();
      },
    };
  },
};
