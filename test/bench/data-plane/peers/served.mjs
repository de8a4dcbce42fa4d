// ttynp at both ends: a tty of one daemon, and a second daemon that serves a serial port, which is a PTY whose other end the
// generator has. What each protocol adds is visible beside raw TCP. The CPU is that of both daemons.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DAEMON, folder, isListening, Listeners, load, Processes, until } from '../rig.mjs';
import { startDaemon } from './ttynp.mjs';

const freePorts = (count) => {
  const listeners = new Listeners(count);
  const { ports } = listeners;
  listeners.close();
  return ports;
};

const MODES = {
  realcom: (data, command) => `mode: real-com, dataPort: ${data}, commandPort: ${command}`,
  rfc2217: (data) => `mode: rfc2217, tcpPort: ${data}`,
  tcp: (data) => `mode: tcp-server, tcpPort: ${data}`,
};

async function startServer(processes, path, device, mode, port) {
  const config = join(path, 'serve.yaml');
  const runtime = join(path, 'serve');
  writeFileSync(
    config,
    `version: 1\nruntimeDir: ${runtime}\nlog: { level: warn }\nserialPorts: { 1: { device: ${device}, ${mode} } }\n`,
  );
  const daemon = processes.start(process.execPath, [...DAEMON, '-c', config]);
  await until(() => {
    processes.check();
    return isListening(port);
  }, 'the served port');
  return daemon;
}

const served = (name, protocol) => ({
  name,
  mostPorts: 1,
  missing: () => undefined,
  async start() {
    const { path, remove } = folder();
    const processes = new Processes();
    const { fd, path: slave } = load.barePty();
    const [dataPort, commandPort] = freePorts(2);
    const server = await startServer(processes, path, slave, MODES[protocol](dataPort, commandPort), dataPort);
    const ports = [protocol === 'realcom' ? { dataPort, commandPort } : { dataPort }];
    const { daemon, paths } = await startDaemon(processes, path, { protocol, ports });
    return {
      pids: [daemon.pid, server.pid],
      paths,
      far: async () => [fd],
      check: () => processes.check(),
      async stop() {
        await processes.stop('SIGINT');
        remove();
      },
    };
  },
});

export const servedTcp = served('ttynp to ttynp, tcp', 'tcp');
export const servedRealcom = served('ttynp to ttynp, Real COM', 'realcom');
export const servedRfc2217 = served('ttynp to ttynp, RFC 2217', 'rfc2217');
