// For a file of tests of our RFC 2217 server: what they serve and dial ends with each of them, the last first.
import { afterEach } from 'vitest';
import { eventually } from '../contract/link-contract.js';
import { RawPeer } from './raw-peer.js';
import { agreedClient } from './rfc2217-raw-client.js';
import { Rfc2217Served, type ServedOptions } from './rfc2217-served.js';

export function rfc2217ServedTests() {
  const ends: (() => unknown)[] = [];
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end();
  });
  return {
    ends,
    until: (done: () => boolean) => eventually(() => (done() ? true : undefined)),
    served: async (options: ServedOptions = {}) => {
      const port = await Rfc2217Served.open(options);
      ends.push(() => port.server.close());
      return port;
    },
    dial: async (port: Rfc2217Served) => {
      const peer = await RawPeer.connect(port.port);
      ends.push(() => peer.close());
      return peer;
    },
    /** One that has agreed upon COM-PORT. */
    client: async (port: Rfc2217Served) => {
      const agreed = await agreedClient(port.port);
      ends.push(() => agreed.peer.close());
      return agreed;
    },
  };
}
