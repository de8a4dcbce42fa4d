// The Link contract against every implementation.
import { Socket } from 'node:net';
import { SystemClock } from '../../src/base/clock.js';
import { MemoryDevice } from '../../src/link/memory.js';
import { RealComLink } from '../../src/link/realcom.js';
import { Rfc2217Link } from '../../src/link/rfc2217.js';
import { TcpLink } from '../../src/link/tcp.js';
import { UdpLink } from '../../src/link/udp.js';
import { sameSettings } from '../../src/serial/line.js';
import { AdoptedLink, AdoptedTcpLink } from '../support/adopted-link.js';
import { freePort } from '../support/free-ports.js';
import { RealComPeer } from '../support/realcom-peer.js';
import { putTogether, Rfc2217Peer } from '../support/rfc2217-peer.js';
import { Rfc2217Served } from '../support/rfc2217-served.js';
import { UdpPeer } from '../support/udp-peer.js';
import { eventually, linkContract } from './link-contract.js';

const clock = new SystemClock();

linkContract({
  name: 'memory',
  async device() {
    const device = new MemoryDevice(clock);
    let data: Socket | undefined;
    return {
      link: () => device.link(),
      requests: device.requests,
      refuse: (settings) => {
        device.script.refuses = (asked) => sameSettings(asked, settings);
      },
      leave: (bytes) => {
        device.script.left = () => bytes;
      },
      mute: () => {
        device.script.mute = true;
      },
      report: (report) => device.report(report),
      drop: () => device.drop(),
      data: async () => {
        data ??= new Socket({ fd: device.takeDataFd() });
        return data;
      },
      ended: () => eventually(() => (device.connected ? undefined : true)).then(() => {}),
      close: async () => {
        data?.destroy();
      },
    };
  },
});

for (const [host, kind] of [
  ['127.0.0.1', 'made'],
  ['::1', 'made'],
  ['127.0.0.1', 'adopted'],
  ['::1', 'adopted'],
] as const) {
  linkContract({
    name: `realcom over ${host}, ${kind},`,
    async device() {
      const adopted: AdoptedLink[] = [];
      const peer = await RealComPeer.listen({ host, preamble: host === '::1' ? 'auto' : 'off' });
      return {
        link: () => {
          const { dataPort, commandPort } = peer;
          const options = { addresses: [host], dataPort, commandPort, clock };
          if (kind === 'made') return new RealComLink(options);
          const link = new AdoptedLink(options);
          adopted.push(link);
          return link;
        },
        requests: peer.requests,
        refuse: (settings) => {
          peer.refuses = (asked) => sameSettings(asked, settings);
        },
        leave: (bytes) => {
          peer.left = () => bytes;
        },
        mute: () => {
          peer.mute = true;
        },
        report: (report) => peer.report(report),
        drop: () => peer.drop(),
        data: () => eventually(() => peer.dataSocket),
        ended: () =>
          eventually(() => (peer.order.includes('-data') && peer.order.includes('-command') ? true : undefined)).then(
            () => {},
          ),
        close: () => {
          for (const link of adopted) link.release();
          return peer.close();
        },
      };
    },
  });
}

for (const host of ['127.0.0.1', '::1']) {
  linkContract({
    name: `rfc2217 over ${host}`,
    errors: { parity: true, framing: true, overrun: false, bufferOverrun: false },
    async device() {
      const peer = await Rfc2217Peer.listen({ host });
      return {
        link: () => new Rfc2217Link({ addresses: [host], dataPort: peer.port, clock }),
        get requests() {
          return peer.requests;
        },
        refuse: (settings) => {
          peer.refuses = (asked) => sameSettings(asked, settings);
        },
        leave: () => {},
        mute: () => {
          peer.mute = true;
        },
        report: (report) => peer.report(report),
        drop: () => peer.drop(),
        data: () => eventually(() => peer.line),
        ended: () => eventually(() => (peer.order.includes('-') ? true : undefined)).then(() => {}),
        close: () => peer.close(),
      };
    },
  });

  for (const kind of ['made', 'adopted']) {
    linkContract({
      name: `tcp over ${host}, ${kind},`,
      async device() {
        const adopted: AdoptedTcpLink[] = [];
        const peer = await Rfc2217Peer.listen({ host, script: () => {} });
        return {
          link: () => {
            const options = { addresses: [host], dataPort: peer.port, clock };
            if (kind === 'made') return new TcpLink(options);
            const link = new AdoptedTcpLink(options);
            adopted.push(link);
            return link;
          },
          requests: [],
          refuse: () => {},
          leave: () => {},
          mute: () => {},
          report: () => {},
          drop: () => peer.drop(),
          data: () => eventually(() => peer.socket),
          ended: () => {
            peer.socket?.resume();
            return eventually(() => (peer.order.includes('-') ? true : undefined)).then(() => {});
          },
          close: () => {
            for (const link of adopted) link.release();
            return peer.close();
          },
        };
      },
    });
  }
}

for (const host of ['127.0.0.1', '::1']) {
  linkContract({
    name: `udp over ${host}`,
    connectionless: true,
    async device() {
      const localPort = await freePort();
      const peer = await UdpPeer.listen(host, localPort);
      let dropped: Promise<void> | undefined;
      const drop = () => {
        dropped ??= peer.close();
        return dropped;
      };
      return {
        link: () => new UdpLink({ addresses: [host], dataPort: peer.port, localPort }),
        requests: [],
        refuse: () => {},
        leave: () => {},
        mute: () => {},
        report: () => {},
        drop: () => void drop(),
        data: async () => peer.data,
        // What is seen of its end is that its port is free.
        ended: async () => {
          const next = await UdpPeer.listen(host, peer.port, localPort);
          await next.close();
        },
        close: drop,
      };
    },
  });
}

linkContract({
  name: 'rfc2217 at our own server',
  errors: { parity: true, framing: true, overrun: false, bufferOverrun: false },
  async device() {
    const served = await Rfc2217Served.open();
    const { uart, server } = served;
    return {
      link: () => new Rfc2217Link({ addresses: ['127.0.0.1'], dataPort: served.port, clock }),
      get requests() {
        return putTogether(served.commands);
      },
      refuse: (settings) => {
        uart.refuse = (asked) => sameSettings(asked, settings);
      },
      leave: () => {},
      mute: () => {
        uart.hang();
      },
      report: (report) => {
        if (report.type === 'lines') uart.forceLines(report.lines);
        else if (report.type === 'errors') uart.injectErrors(report.errors);
        else if (report.type === 'break') uart.injectBreak();
      },
      drop: () => void server.close(),
      data: async () => served.line,
      ended: async () => {
        uart.goOn();
        await eventually(() => (server.clients.length === 0 ? true : undefined));
      },
      close: () => server.close(),
    };
  },
});
