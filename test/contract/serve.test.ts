// The contract of served ports against every mode.
import { escapeData } from '../../src/protocol/telnet/encoder.js';
import { RealComPort } from '../../src/serve/real-com.js';
import { Rfc2217Port } from '../../src/serve/rfc2217.js';
import { TcpServerPort } from '../../src/serve/tcp-server.js';
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
