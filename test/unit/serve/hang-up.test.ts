import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { expect, test } from 'vitest';
import { hangUp } from '../../../src/serve/hang-up.js';
import { endsOfTests } from '../../support/leftovers.js';
import { ManualClock } from '../../support/manual-clock.js';

const ends = endsOfTests();

/** A connection whose far end reads nothing until it is told. */
async function connection(): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ pauseOnConnect: true }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const options = { port: address.port, host: '127.0.0.1', writableHighWaterMark: 64 * 1024 * 1024 };
  const near = connect(options);
  const [far]: Socket[] = await once(server, 'connection');
  if (far === undefined) throw new Error('no connection');
  ends.push(
    () => server.close(),
    () => near.destroy(),
    () => far.destroy(),
  );
  for (const socket of [near, far]) socket.on('error', () => {});
  return { near, far };
}

test('what was written arrives, and the end behind it', async () => {
  const { near, far } = await connection();
  near.write(Buffer.alloc(20_000_000));
  hangUp(near, new ManualClock());
  let got = 0;
  far.on('data', (bytes) => {
    got += bytes.length;
  });
  far.resume();
  await once(far, 'end');
  expect(got).toBe(20_000_000);
});

test('a peer that reads nothing is waited for no longer than a second, however much or little is left', async () => {
  const { near } = await connection();
  const clock = new ManualClock();
  // More than the network takes, and less than makes the stream full.
  near.write(Buffer.alloc(20_000_000));
  expect(near.writableNeedDrain).toBe(false);
  hangUp(near, clock);
  hangUp(near, clock);
  await new Promise((resolve) => setTimeout(resolve, 50));
  clock.advance(999);
  expect(near.destroyed).toBe(false);
  clock.advance(1);
  await once(near, 'close');
  expect(clock.timers).toBe(0);
});

test('one that is closed already is left alone', async () => {
  const { near } = await connection();
  const clock = new ManualClock();
  near.destroy();
  hangUp(near, clock);
  expect(clock.timers).toBe(0);
});
