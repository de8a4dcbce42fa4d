// The Link contract against every implementation.
import { Socket } from 'node:net';
import { SystemClock } from '../../src/base/clock.js';
import { MemoryDevice } from '../../src/link/memory.js';
import { RealComLink } from '../../src/link/realcom.js';
import { sameSettings } from '../../src/serial/line.js';
import { AdoptedLink } from '../support/adopted-link.js';
import { RealComPeer } from '../support/realcom-peer.js';
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
