// 256 open ports whose server goes away, and comes back after a minute on the same TCP ports: from its listen() until every port
// has carried bytes both ways again. Of ttynp alone: the others end, or never connect again.
import { readSync, writeSync } from 'node:fs';
import { load, MS, sleep, sockets, until } from '../rig.mjs';
import { withPeers } from '../rounds.mjs';

const PORTS = 256;
const WORD = 'again?';
const ASK_AGAIN_MS = 100;

function read(fd) {
  const bytes = Buffer.alloc(4096);
  try {
    return bytes.subarray(0, readSync(fd, bytes)).toString('latin1');
  } catch (error) {
    if (error.code === 'EAGAIN') return '';
    throw error;
  }
}

/** Asks again, as an application does: what is written while there is no connection is dropped. Then the word has to arrive. */
function carries(heard) {
  if (!(performance.now() - heard.askedAt < ASK_AGAIN_MS)) {
    writeSync(heard.from, WORD);
    heard.askedAt = performance.now();
  }
  heard.text += read(heard.to);
  return heard.text.includes(WORD);
}

async function measure({ tunnel, ends }, awayMs) {
  const { near, far } = ends;
  await load.measureDuplex({ a: near, b: far, messageBytes: 64, intervalNs: 100 * MS, durationNs: 300 * MS });
  const began = performance.now();
  for (const fd of far) sockets.closeFd(fd);
  ends.far = [];
  await tunnel.away();
  await sleep(awayMs - (performance.now() - began));
  const back = performance.now();
  ends.far = await tunnel.back();
  const accepted = performance.now();
  const waiting = near.flatMap((tty, i) => {
    const net = ends.far[i];
    return [
      { from: tty, to: net, text: '' },
      { from: net, to: tty, text: '' },
    ];
  });
  await until(
    () => {
      for (const heard of waiting) heard.done ||= carries(heard);
      return waiting.every((heard) => heard.done);
    },
    'bytes both ways on every port',
    60_000,
  );
  return { seconds: (performance.now() - back) / 1000, connected: (accepted - back) / 1000 };
}

export const outage = {
  id: 'outage',
  async run({ peers, quick, say }) {
    const awayMs = quick ? 10_000 : 60_000;
    const results = new Map();
    for (const peer of peers.filter((p) => p.reconnects)) {
      say(`${peer.name}: the server is away for ${awayMs / 1000} s`);
      await withPeers([peer], PORTS, say, async ([variant]) => {
        if (variant === undefined) return;
        const { seconds, connected } = await measure(variant, awayMs);
        results.set(peer.name, { seconds: [seconds], connected: [connected] });
      });
    }
    const metrics = [
      { key: 'connected', title: 'connected s', digits: 2 },
      { key: 'seconds', title: 'bytes both ways s', digits: 2 },
    ];
    const title = `256 ports usable again, from listen() after an outage of ${awayMs / 1000} s`;
    return [{ id: 'outage', title, metrics, results }];
  },
};
