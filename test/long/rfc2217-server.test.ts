// Ten thousand connections to an RFC 2217 server that are opened and dropped: neither memory nor descriptors stay.
import { expect, test } from 'vitest';
import { RawPeer } from '../support/raw-peer.js';
import { openAndDrop, Rfc2217Served } from '../support/rfc2217-served.js';

test('ten thousand connections, opened and dropped', async () => {
  const port = await Rfc2217Served.open({ busyHoldMs: 0 });
  try {
    await openAndDrop(port, 1000);
    const before = process.memoryUsage().rss;
    await openAndDrop(port, 10_000);
    const grown = process.memoryUsage().rss - before;
    expect(grown).toBeLessThan(60 * 1024 * 1024);
    const peer = await RawPeer.connect(port.port);
    peer.send(Buffer.from('alive'));
    await port.wire.until(() => port.wire.bytes.toString() === 'alive');
    await peer.close();
  } finally {
    await port.server.close();
  }
});
