// How many system calls the built daemon makes for the bytes that pass, counted by strace: per round trip of 8 bytes, all
// threads, and per 64 KiB each way. Nothing is timed. Pieces of a stream are put in place while the daemon is stopped, so that
// the machine's load does not decide how many bytes one call moves; of several pieces the cheapest counts.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { eventually, Whole } from '../support/e2e.js';
import { Application, FarEnd, numbered } from './ends.js';
import {
  CALLS_PER_64_KIB,
  CALLS_PER_64_KIB_MARGIN,
  CALLS_PER_ROUND_TRIP,
  CALLS_PER_ROUND_TRIP_MARGIN,
  PIECE_BYTES,
} from './figures.js';
import { type Call, describeCalls, noStrace, readCalls, straceInto, threadThatCalls } from './traced-calls.js';

const ROUND_TRIPS = 1000;
const PIECES = 12;
const RATE = '921600,8N1';
const TTYS = { tcp: 'ttyNP5', realcom: 'ttyNP0' } as const;
const MOST_PER_ROUND_TRIP = CALLS_PER_ROUND_TRIP + CALLS_PER_ROUND_TRIP_MARGIN;

const missing = noStrace();
let dir = '';
const cleanups: (() => Promise<void> | void)[] = [];

beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'ttynp-guard-'));
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});
afterAll(() => {
  rmSync(dir, { recursive: true, force: true });
});

/** The daemon under strace with one tty of each protocol; `take` ends it and gives what it has called. */
async function traced(protocol: keyof typeof TTYS, env: Record<string, string> = {}) {
  const log = join(dir, 'strace.log');
  const far = await FarEnd.listen();
  cleanups.push(() => far.close());
  const whole = await Whole.start({
    simulator: { unpaced: true },
    tty: { backend: 'pty', format: RATE },
    servers: { far: { address: '127.0.0.1', protocol: 'tcp' } },
    ttys: { [TTYS.tcp]: { server: 'far', port: 1, dataPort: far.port } },
    daemon: { under: straceInto(log), env },
  });
  let end: (() => Promise<void>) | undefined = () => whole.close();
  cleanups.push(() => end?.());
  const application = new Application(whole.path(TTYS[protocol]));
  cleanups.push(() => application.close());
  await whole.portIs('up', ({ state }) => state === 'up', TTYS[protocol]);
  if (protocol === 'tcp') await far.connected();
  const take = async () => {
    end = undefined;
    await whole.close();
    return readCalls(log);
  };
  return { application, far, whole, take };
}

type Traced = Awaited<ReturnType<typeof traced>>;

async function roundTrips({ application, far }: Traced, echoes: boolean): Promise<void> {
  for (let i = 0; i < ROUND_TRIPS; i++) {
    const bytes = numbered(8, i);
    application.write(bytes);
    if (!echoes) await far.write(await far.read(bytes.length));
    expect((await application.read(bytes.length)).equals(bytes)).toBe(true);
  }
}

/** What all threads called while 8 bytes went out and back for the first to the last time, and how many times that is. */
function ofRoundTrips(calls: readonly Call[]): { calls: Call[]; times: number } {
  const pump = threadThatCalls(calls, 'readv');
  // A packet of a PTY begins with a byte of its own.
  const taken = calls.flatMap(({ thread, name, result }, i) =>
    thread === pump && name === 'readv' && result === 9 ? [i] : [],
  );
  expect(taken).toHaveLength(ROUND_TRIPS);
  return { calls: calls.slice(taken[0], taken.at(-1)), times: ROUND_TRIPS - 1 };
}

async function stopped(whole: Whole): Promise<void> {
  const { pid } = whole.daemon;
  const tasks = `/proc/${pid}/task`;
  whole.daemon.signal('SIGSTOP');
  await eventually('every thread is stopped', () =>
    readdirSync(tasks).every((thread) => /\) [tT] /.test(readFileSync(`${tasks}/${thread}/stat`, 'latin1'))),
  );
}

/**
 * The pump's calls from the first read of a piece to that of the next one, without the waits that the stops ended. What is called
 * behind a piece may come after the next stop, and is still its own.
 */
function ofPieces(calls: readonly Call[], read: 'readv' | 'recvfrom'): Call[][] {
  const pump = threadThatCalls(calls, read);
  const pieces: Call[][] = [];
  let next = false;
  for (const call of calls) {
    if (call.thread !== pump) continue;
    next ||= call.name === 'STOPPED';
    if (next && call.name === read) {
      pieces.push([]);
      next = false;
    }
    if (call.name !== 'STOPPED' && (call.name !== 'epoll_wait' || call.result >= 0)) pieces.at(-1)?.push(call);
  }
  // On a busy machine two of them may be one to the daemon; the cheapest is looked at.
  expect(pieces.length).toBeGreaterThan(PIECES / 2);
  pieces.pop(); // it ends with the daemon's end
  return pieces;
}

const cheapest = (pieces: readonly Call[][]) => pieces.reduce((a, b) => (b.length < a.length ? b : a));
const per64KiB = 65_536 / PIECE_BYTES;

describe('a round trip of 8 bytes', () => {
  test.for([
    ['tcp', false],
    ['realcom', true],
  ] as const)('%s', async ([protocol, echoes], context) => {
    context.skip(missing !== undefined, missing);
    const daemon = await traced(protocol);
    await roundTrips(daemon, echoes);
    const { calls, times } = ofRoundTrips(await daemon.take());
    const said = `${describeCalls(calls, times)} in a round trip; ${CALLS_PER_ROUND_TRIP} are known`;
    console.log(said);
    expect(calls.length / times, said).toBeLessThan(MOST_PER_ROUND_TRIP);
    expect(calls.length / times, said).toBeGreaterThan(CALLS_PER_ROUND_TRIP - CALLS_PER_ROUND_TRIP_MARGIN);
  });

  test('one call more would be seen', async (context) => {
    context.skip(missing !== undefined, missing);
    const library = join(dir, 'dearer.so');
    const source = fileURLToPath(new URL('dearer.c', import.meta.url));
    execFileSync(process.env.CC ?? 'cc', ['-O2', '-shared', '-fPIC', source, '-o', library]);
    const daemon = await traced('tcp', { LD_PRELOAD: library });
    await roundTrips(daemon, false);
    const { calls, times } = ofRoundTrips(await daemon.take());
    expect(calls.length / times, describeCalls(calls, times)).toBeGreaterThan(MOST_PER_ROUND_TRIP);
  });
});

describe('64 KiB, raw TCP', () => {
  const ways = {
    down: async ({ application, far, whole }: Traced, bytes: Buffer) => {
      application.write(bytes);
      whole.daemon.signal('SIGCONT');
      return far.read(bytes.length);
    },
    up: async ({ application, far, whole }: Traced, bytes: Buffer) => {
      await far.write(bytes);
      whole.daemon.signal('SIGCONT');
      return application.read(bytes.length);
    },
  };

  test.for(['down', 'up'] as const)('%s', async (way, context) => {
    context.skip(missing !== undefined, missing);
    const daemon = await traced('tcp');
    for (let i = 0; i < PIECES; i++) {
      const bytes = numbered(PIECE_BYTES, i);
      await stopped(daemon.whole);
      expect((await ways[way](daemon, bytes)).equals(bytes)).toBe(true);
    }
    const pieces = ofPieces(await daemon.take(), way === 'down' ? 'readv' : 'recvfrom');
    const calls = cheapest(pieces);
    const known = CALLS_PER_64_KIB[way];
    const said = `${describeCalls(calls, 1 / per64KiB)} for 64 KiB ${way}; ${known} are known`;
    console.log(said, pieces.map((piece) => piece.length).join(' '));
    expect(calls.length * per64KiB, said).toBeLessThan(known + CALLS_PER_64_KIB_MARGIN);
    expect(calls.length * per64KiB, said).toBeGreaterThan(known - CALLS_PER_64_KIB_MARGIN);
  });
});
