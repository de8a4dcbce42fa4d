// The contract of served ports against every mode.
import { once } from 'node:events';
import { createServer } from 'node:net';
import { FACTORY } from '../../src/protocol/at/profile.js';
import { escapeData } from '../../src/protocol/telnet/encoder.js';
import { EthernetModemPort } from '../../src/serve/ethernet-modem.js';
import { pairSlave } from '../../src/serve/pair.js';
import { RealComPort } from '../../src/serve/real-com.js';
import { ReverseTelnetPort } from '../../src/serve/reverse-telnet.js';
import { Rfc2217Port } from '../../src/serve/rfc2217.js';
import { TcpClientPort } from '../../src/serve/tcp-client.js';
import { TcpServerPort } from '../../src/serve/tcp-server.js';
import { destinationTo } from '../support/far-server.js';
import { holds } from '../support/leftovers.js';
import { RawPeer } from '../support/raw-peer.js';
import { GREETING } from '../support/rfc2217-raw-client.js';
import { serveContract } from './serve-contract.js';

serveContract({
  name: 'real-com',
  serve: ({ tcpPorts: [dataPort = 0, commandPort = 0], ...parts }) =>
    new RealComPort({ ...parts, dataPort, commandPort }),
  host: async ([dataPort = 0, commandPort = 0]) => {
    const command = await RawPeer.connect(commandPort);
    try {
      const data = await RawPeer.connect(dataPort);
      return { data, all: [command, data] };
    } catch (error) {
      await command.close();
      throw error;
    }
  },
});

serveContract({
  name: 'tcp-server',
  serve: ({ tcpPorts: [port = 0], ...parts }) => new TcpServerPort({ ...parts, port }),
  host: async ([port = 0]) => {
    const data = await RawPeer.connect(port);
    return { data, all: [data] };
  },
});

serveContract({
  name: 'rfc2217',
  serve: ({ tcpPorts: [port = 0], ...parts }) => new Rfc2217Port({ ...parts, port }),
  host: async ([port = 0]) => {
    const data = await RawPeer.connect(port);
    await data.until(() => data.unread.length >= GREETING.length / 2 || data.ended);
    if (data.unread.length >= GREETING.length / 2) {
      await data.take(GREETING.length / 2);
      data.forget();
    }
    return { data, all: [data] };
  },
  onWire: escapeData,
});

serveContract({
  name: 'pair-slave',
  serve: ({ tcpPorts: [port = 0], ...parts }) => pairSlave({ ...parts, port }),
  host: async ([port = 0]) => {
    const data = await RawPeer.connect(port);
    await data.until(() => data.unread.length >= GREETING.length / 2 || data.ended);
    if (data.unread.length >= GREETING.length / 2) {
      await data.take(GREETING.length / 2);
      data.forget();
    }
    return { data, all: [data] };
  },
  onWire: escapeData,
});

/** WILL and DO BINARY: with it bytes are bytes. */
const BINARY = Buffer.from('fffb00fffd00', 'hex');

serveContract({
  name: 'reverse-telnet',
  serve: ({ tcpPorts: [port = 0], ...parts }) => new ReverseTelnetPort({ ...parts, port }),
  host: async ([port = 0]) => {
    const data = await RawPeer.connect(port);
    data.send(BINARY);
    // WILL ECHO, WILL SGA, DO SGA; DO and WILL BINARY.
    const offered = 9 + BINARY.length;
    await data.until(() => data.unread.length >= offered || data.ended);
    if (data.unread.length >= offered) {
      await data.take(offered);
      data.forget();
    }
    return { data, all: [data] };
  },
  onWire: escapeData,
});

/** It answers by itself and says nothing: what the line sees is what the host said. */
const SILENT = { flags: { ...FACTORY.flags, Q: 1, E: 0 }, registers: FACTORY.registers.with(0, 1) };

serveContract({
  name: 'ethernet-modem, which answers by itself',
  serve: ({ tcpPorts: [port = 0], ...parts }) =>
    new EthernetModemPort({ ...parts, port, profiles: { kept: SILENT, keep: async () => true } }),
  host: async ([port = 0]) => {
    const data = await RawPeer.connect(port);
    return { data, all: [data] };
  },
  cannotBeKept: true,
});

/** Hosts of a port that connects by itself: those that it has connected to, by the port where they wait. */
const waitingHosts = new Map<number, RawPeer[]>();

serveContract({
  name: 'tcp-client',
  serve: ({ tcpPorts: [port = 0], ...parts }) => {
    const destinations = [destinationTo(`127.0.0.1:${port}`)];
    return new TcpClientPort({ ...parts, destinations, connectionControl: 'startup' });
  },
  hostsWait: async (ends) => {
    const came: RawPeer[] = [];
    const server = createServer({ noDelay: true }, (socket) => came.push(RawPeer.accepted(socket)));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('it has no port');
    waitingHosts.set(address.port, came);
    ends.push(async () => {
      for (const peer of came) await peer.close();
      await new Promise((resolve) => server.close(resolve));
    });
    return [address.port];
  },
  host: async ([port = 0]) => {
    const came = waitingHosts.get(port) ?? [];
    await holds(() => came.length > 0);
    const data = came.shift();
    if (data === undefined) throw new Error('nobody came');
    return { data, all: [data] };
  },
});
