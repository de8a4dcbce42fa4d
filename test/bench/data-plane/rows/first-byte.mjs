// From open() of a tty whose connection does not exist yet to its first byte at the server, each time with a new connection.
// Peers that are always connected have nothing to do at an open; they are there for comparison.
import { closeSync } from 'node:fs';
import { awaitReadable, openTty, sleep, takeOne } from '../rig.mjs';
import { interleaved, median } from '../rounds.mjs';

const TIMES = 5;
const PATIENCE_MS = 5000;
/** Longer than disconnectDelay. */
const APART_MS = 700;

async function once({ tunnel }) {
  const began = performance.now();
  const tty = openTty(tunnel.paths[0]);
  try {
    const net = await takeOne(tunnel, tty, PATIENCE_MS);
    if (!(await awaitReadable(net.fd, PATIENCE_MS))) throw new Error('the first byte did not come');
    return { ms: performance.now() - began, drop: net.drop };
  } finally {
    closeSync(tty);
  }
}

/** socat and ser2net end, or let go of the PTY, when the tty is closed: every round begins with a new one of each. */
async function fresh(peer, times) {
  const tunnel = await peer.start(1);
  try {
    const measured = [];
    for (let i = 0; i < (tunnel.persistent ? 1 : times); i++) {
      const { ms, drop } = await once({ tunnel });
      measured.push(ms);
      // The tunnel is to end the connection: of one that ends by itself it would make another, which the next time would take.
      if (!tunnel.persistent) await sleep(APART_MS);
      drop();
    }
    return { ms: median(measured) };
  } finally {
    await tunnel.stop();
  }
}

export const firstByte = {
  id: 'first-byte',
  async run({ peers, rounds, quick, say }) {
    const present = peers.filter((peer) => peer.missing() === undefined);
    const results = await interleaved(present, rounds, (peer) => {
      say(`open() to first byte: ${peer.name}`);
      return fresh(peer, quick ? 1 : TIMES);
    });
    const metrics = [{ key: 'ms', title: 'ms', digits: 2 }];
    return [{ id: 'first-byte', title: 'open() to the first byte at the server', metrics, results }];
  },
};
