// What JavaScript allocates in the built daemon, and holds, while data passes: nothing, over raw TCP and Real COM. V8 counts, in
// the daemon itself (heap-probe.mjs). That the count sees bytes which visit JavaScript is shown with RFC 2217, whose bytes do.
import { afterEach, expect, test } from 'vitest';
import { eventually, Whole } from '../support/e2e.js';
import { Rfc2217Peer } from '../support/rfc2217-peer.js';
import { Application, FarEnd, numbered } from './ends.js';
import { ALLOCATED_PER_ROUND_TRIP, HELD_MORE_BYTES, WATCHED_ROUND_TRIPS } from './figures.js';

const PROBE = new URL('heap-probe.mjs', import.meta.url).href;
/** Until V8 has compiled what it will. */
const FIRST = 3000;
const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

interface Heap {
  readonly allocated: number;
  readonly held: number;
}

/** The daemon with its probe: ttyNP0 over Real COM with a loop plug, ttyNP1 over `protocol` at a TCP port of ours. */
async function start(protocol: string, dataPort: number): Promise<Whole> {
  const whole = await Whole.start({
    simulator: { unpaced: true, observer: () => undefined },
    tty: { backend: 'pty', format: '921600,8N1' },
    servers: { far: { address: '127.0.0.1', protocol } },
    ttys: { ttyNP1: { server: 'far', port: 1, dataPort } },
    daemon: { env: { NODE_OPTIONS: `--import ${PROBE}` } },
  });
  cleanups.push(() => whole.close());
  return whole;
}

async function open(whole: Whole, tty: string): Promise<Application> {
  const application = new Application(whole.path(tty));
  cleanups.push(() => application.close());
  await whole.portIs('up', ({ state }) => state === 'up', tty);
  return application;
}

async function roundTrips(application: Application, count: number, answer?: () => Promise<void>): Promise<void> {
  for (let i = 0; i < count; i++) {
    const bytes = numbered(8, i);
    application.write(bytes);
    await answer?.();
    const back = await application.read(bytes.length);
    if (!back.equals(bytes))
      throw new Error(`round trip ${i}: ${bytes.toString('hex')} came back as ${back.toString('hex')}`);
  }
}

async function ask({ daemon }: Whole): Promise<Heap> {
  const from = daemon.stdout.length;
  daemon.signal('SIGUSR2');
  return JSON.parse(await eventually('the probe answers', () => /^{.*}\n/.exec(daemon.stdout.slice(from))?.[0]));
}

test(`${WATCHED_ROUND_TRIPS} round trips over raw TCP, as many over Real COM: nothing is allocated, nothing held`, async () => {
  const far = await FarEnd.listen();
  cleanups.push(() => far.close());
  const whole = await start('tcp', far.port);
  const realcom = await open(whole, 'ttyNP0');
  const tcp = await open(whole, 'ttyNP1');
  await far.connected();
  const both = (count: number) =>
    Promise.all([roundTrips(realcom, count), roundTrips(tcp, count, async () => far.write(await far.read(8)))]);
  await both(FIRST);
  await ask(whole); // the first answer has to be compiled, too
  const before = await ask(whole);
  await both(WATCHED_ROUND_TRIPS);
  const after = await ask(whole);
  const more = after.held - before.held;
  const said = `${after.allocated} bytes allocated in 2 x ${WATCHED_ROUND_TRIPS} round trips, ${more} more held`;
  console.log(said);
  expect(after.allocated / (2 * WATCHED_ROUND_TRIPS), said).toBeLessThan(ALLOCATED_PER_ROUND_TRIP);
  expect(more, said).toBeLessThan(HELD_MORE_BYTES);
}, 180_000);

test('bytes that pass JavaScript would be seen', async () => {
  const peer = await Rfc2217Peer.listen();
  cleanups.push(() => peer.close());
  const whole = await start('rfc2217', peer.port);
  const application = await open(whole, 'ttyNP1');
  peer.line?.pipe(peer.line);
  await roundTrips(application, FIRST);
  await ask(whole);
  await roundTrips(application, FIRST);
  const { allocated } = await ask(whole);
  console.log(`${allocated} bytes allocated in ${FIRST} round trips through JavaScript`);
  expect(allocated / FIRST).toBeGreaterThan(ALLOCATED_PER_ROUND_TRIP);
}, 60_000);
