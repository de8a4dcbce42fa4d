// Every mode with an IPv6 peer, and with netcat, socat and telnet as the other end: what they send reaches the device, what it says
// reaches them. Netcat is the OpenBSD one, which serves and calls, by TCP and by UDP.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import { parseDestination } from '../../src/config/destination.js';
import { FACTORY } from '../../src/protocol/at/profile.js';
import { EthernetModemPort } from '../../src/serve/ethernet-modem.js';
import { pairSlave } from '../../src/serve/pair.js';
import { PairMasterPort } from '../../src/serve/pair-master.js';
import type { PortServer, PortServerOptions } from '../../src/serve/port-server.js';
import { ReverseTelnetPort } from '../../src/serve/reverse-telnet.js';
import { Rfc2217Port } from '../../src/serve/rfc2217.js';
import { TcpClientPort } from '../../src/serve/tcp-client.js';
import { TcpServerPort } from '../../src/serve/tcp-server.js';
import { UdpPort } from '../../src/serve/udp.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import { freePort } from '../support/free-ports.js';
import { endsOfTests, holds as until } from '../support/leftovers.js';
import { RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const ends = endsOfTests();
const clock = new SystemClock();

/** It answers by itself and says nothing. */
const SILENT = { flags: { ...FACTORY.flags, Q: 1, E: 0 }, registers: FACTORY.registers.with(0, 1) };

async function serve(make: (parts: Pick<PortServerOptions, 'clock' | 'uart'>) => PortServer) {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const uart = new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
  const server = make({ clock, uart });
  ends.push(() => server.close());
  await server.open();
  return { line, server };
}

function to(text: string) {
  const parsed = parseDestination(text);
  if (parsed === undefined) throw new Error(`${text} is no destination`);
  return parsed;
}

type Listening = (parts: Pick<PortServerOptions, 'clock' | 'uart'> & { address: string; port: number }) => PortServer;

const LISTENING: readonly [string, Listening][] = [
  ['tcp-server', (parts) => new TcpServerPort(parts)],
  ['rfc2217', (parts) => new Rfc2217Port(parts)],
  ['pair-slave', (parts) => pairSlave(parts)],
  ['reverse-telnet', (parts) => new ReverseTelnetPort(parts)],
  [
    'ethernet-modem',
    (parts) => new EthernetModemPort({ ...parts, profiles: { kept: SILENT, keep: async () => true } }),
  ],
];

describe('over IPv6', () => {
  test.each(LISTENING)('%s', async (_, make) => {
    const { line, server } = await serve((parts) => make({ ...parts, address: '::1', port: 0 }));
    const peer = await RawPeer.connect(server.tcpPorts[0] ?? 0, '::1');
    ends.push(() => peer.close());
    peer.send(Buffer.from('question'));
    await until(() => line.received.toString().endsWith('question'));
    line.send('answer');
    await until(() => peer.received.toString().endsWith('answer'));
    expect(server.clients[0]?.address).toBe('::1');
  });

  test('a pair', async () => {
    const far = await serve((parts) => pairSlave({ ...parts, address: '::1', port: 0 }));
    const destination = to(`[::1]:${far.server.tcpPorts[0]}`);
    const near = await serve((parts) => new PairMasterPort({ ...parts, address: '::1', destination }));
    await until(() => near.server.clients.length === 1);
    near.line.send('there');
    await until(() => far.line.received.toString() === 'there');
    far.line.send('and back');
    await until(() => near.line.received.toString() === 'and back');
  });
});

/** A program that talks to a port, as somebody at a terminal would start it. */
function program(command: string, ...args: string[]) {
  const child: ChildProcess = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  ends.push(async () => {
    const gone = once(child, 'close');
    child.kill();
    if (child.exitCode === null && child.signalCode === null) await gone;
  });
  let heard = '';
  child.stdout?.on('data', (bytes) => {
    heard += bytes.toString('latin1');
  });
  return { say: (text: string) => child.stdin?.write(text), heard: () => heard };
}

const PROGRAMS: Readonly<Record<string, { call: (port: number) => string[]; missing: string | false }>> = {
  netcat: {
    call: (port) => ['nc', '127.0.0.1', String(port)],
    missing: spawnSync('nc', ['-h']).error !== undefined && 'netcat-openbsd is not installed',
  },
  socat: {
    call: (port) => ['socat', '-', `TCP:127.0.0.1:${port}`],
    missing: spawnSync('socat', ['-V']).error !== undefined && 'socat is not installed',
  },
  // It wants a terminal, and says when it is connected.
  telnet: {
    call: (port) => ['script', '-qec', `telnet 127.0.0.1 ${port}`, '/dev/null'],
    missing: spawnSync('telnet', ['--version']).error !== undefined && 'inetutils-telnet is not installed',
  },
};

async function talks({ say, heard }: ReturnType<typeof program>, line: SerialLine): Promise<void> {
  say('question\n');
  await until(() => line.received.toString('latin1').includes('question'));
  line.send('answer');
  await until(() => heard().includes('answer'));
}

for (const [name, { call, missing }] of Object.entries(PROGRAMS)) {
  describe.skipIf(missing)(name, () => {
    test.each(LISTENING)('calls %s', async (_, make) => {
      const { line, server } = await serve((parts) => make({ ...parts, address: '127.0.0.1', port: 0 }));
      const [command = '', ...args] = call(server.tcpPorts[0] ?? 0);
      const peer = program(command, ...args);
      await until(() => server.clients.length === 1);
      if (name === 'telnet') await until(() => peer.heard().includes('Connected'));
      await talks(peer, line);
    });
  });
}

const called: readonly [string, (port: number) => string[]][] = [
  ['netcat', (port) => ['nc', '-l', '127.0.0.1', String(port)]],
  ['socat', (port) => ['socat', '-', `TCP-LISTEN:${port},bind=127.0.0.1`]],
];
for (const [name, call] of called) {
  test.skipIf(PROGRAMS[name]?.missing)(`${name} is called by tcp-client`, async () => {
    const port = await freePort();
    const [command = '', ...args] = call(port);
    const peer = program(command, ...args);
    const options = {
      address: '127.0.0.1',
      destinations: [to(`127.0.0.1:${port}`)],
      connectionControl: 'startup',
    } as const;
    const { line } = await serve((parts) => new TcpClientPort({ ...parts, ...options }));
    await talks(peer, line);
  });
}

const byUdp: readonly [string, string, (from: number, to: number) => string[]][] = [
  ['netcat', '127.0.0.1', (from, to) => ['nc', '-u', '-s', '127.0.0.1', '-p', String(from), '127.0.0.1', String(to)]],
  ['socat', '127.0.0.1', (from, to) => ['socat', '-', `UDP:127.0.0.1:${to},sourceport=${from}`]],
  ['socat', '::1', (from, to) => ['socat', '-', `UDP6:[::1]:${to},sourceport=${from}`]],
];
for (const [name, address, call] of byUdp) {
  test.skipIf(PROGRAMS[name]?.missing)(`${name} by UDP at ${address}`, async () => {
    const from = await freePort();
    const destination = address.includes(':') ? `[${address}]:${from}` : `${address}:${from}`;
    const { line, server } = await serve(
      (parts) => new UdpPort({ ...parts, address, port: 0, destinations: [to(destination)] }),
    );
    const [command = '', ...args] = call(from, server.udpPorts?.[0] ?? 0);
    await talks(program(command, ...args), line);
  });
}
