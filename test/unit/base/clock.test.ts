// The clock that the programs run by: when it calls, and what has the right to be first.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { SystemClock } from '../../../src/base/clock.js';
import { endsOfTests, stall } from '../../support/leftovers.js';

const clock = new SystemClock();
const ends = endsOfTests();

test('never early', async () => {
  const began = clock.now();
  await new Promise<void>((resolve) => clock.after(30, resolve));
  expect(clock.now() - began).toBeGreaterThanOrEqual(29);
});

test('after a stall what came meanwhile is heard before anybody gives up waiting for it', async () => {
  const server = createServer();
  ends.push(() => server.close());
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const address = server.address();
  const accepted = once(server, 'connection');
  const socket = connect(typeof address === 'object' && address !== null ? address.port : 0, '127.0.0.1');
  ends.push(() => socket.destroy());
  const [far] = await accepted;
  await once(socket, 'connect');
  const order: string[] = [];
  socket.on('data', (bytes) => order.push(String(bytes)));
  const all = new Promise<void>((resolve) => {
    for (const ms of [10, 20, 30]) clock.after(ms, () => order.push(`after ${ms}`));
    clock.after(20, () => order.push('cancelled')).cancel();
    const last = clock.after(40, () => order.push('cancelled by another'));
    clock.after(35, () => last.cancel());
    clock.after(200, resolve);
  });
  far.write('came');
  stall(100);
  await all;
  expect(order).toEqual(['came', 'after 10', 'after 20', 'after 30']);
});
