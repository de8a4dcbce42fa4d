// A dialer that is told this and that, with a clock that the test turns and real servers.
import { expect, test } from 'vitest';
import { Dialer } from '../../src/serve/dialer.js';
import { Lookups } from '../../src/serve/lookups.js';
import { destinationTo, type FarOptions, FarServer } from '../support/far-server.js';
import { endsOfTests, holds, sleep } from '../support/leftovers.js';
import { ManualClock, settle } from '../support/manual-clock.js';

const ends = endsOfTests();
const listen = (options: FarOptions = {}) => FarServer.listen(ends, options);

function rig(place: string, lookups?: Lookups) {
  const clock = new ManualClock();
  const told: string[] = [];
  const dialer = new Dialer({
    clock,
    destination: destinationTo(place),
    random: () => 0,
    ...(lookups === undefined ? {} : { lookups }),
    connected: (socket) => socket.destroy(),
    trouble: (text) => told.push(text),
  });
  ends.push(() => dialer.want(false));
  return { clock, dialer, told };
}

test('wanted and not wanted two hundred times in a moment is one try, and a second later another', async () => {
  const far = await listen();
  const { clock, dialer } = rig(`127.0.0.1:${far.port}`);
  const restless = async () => {
    for (let i = 0; i < 200; i++) {
      dialer.want(true);
      clock.advance(0);
      await settle();
      dialer.want(false);
    }
  };
  await restless();
  await holds(() => far.sockets.length > 0);
  await sleep(50);
  expect(far.sockets.length).toBe(1);
  clock.advance(999);
  await restless();
  await sleep(50);
  expect(far.sockets.length).toBe(1);
  clock.advance(1);
  await restless();
  await holds(() => far.sockets.length === 2);
});

test('not wanted any more, in the middle of a try: no timer is left', () => {
  const { clock, dialer } = rig('192.0.2.1:9');
  dialer.want(true);
  clock.advance(0);
  expect(clock.timers).toBe(1);
  dialer.want(false);
  expect(clock.timers).toBe(0);
});

test('a name server that takes longer than a connection may', async () => {
  const far = await listen();
  const waiting: (() => void)[] = [];
  const lookups = new Lookups((_, __, answered) => {
    waiting.push(() => answered(null, [{ address: '127.0.0.1', family: 4 }]));
  });
  const { clock, dialer, told } = rig(`plc.example:${far.port}`, lookups);
  dialer.want(true);
  clock.advance(0);
  clock.advance(20_000);
  expect([waiting.length, told]).toEqual([1, []]);
  waiting[0]?.();
  await holds(() => far.sockets.length === 1);
  expect(told).toEqual([]);
});

test('a name that nobody answers for is told as that, and asked for once', async () => {
  let asked = 0;
  const { clock, dialer, told } = rig('plc.example:7', new Lookups(() => asked++));
  dialer.want(true);
  for (let i = 0; i < 300; i++) {
    clock.advance(1000);
    await settle();
  }
  expect([asked, told]).toEqual([1, ['plc.example:7: no name server answers; it is tried again']]);
});

test('of a name with several addresses none of which answers, the reason is that of the first', async () => {
  const both = [
    { address: '127.0.0.1', family: 4 },
    { address: '127.0.0.2', family: 4 },
  ];
  const { clock, dialer, told } = rig('plc.example:1', new Lookups((_, __, answered) => answered(null, both)));
  dialer.want(true);
  clock.advance(0);
  await holds(() => told.length > 0);
  expect(told).toEqual(['plc.example:1: connection refused; it is tried again']);
});
