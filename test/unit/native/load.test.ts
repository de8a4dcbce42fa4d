// The load engine over socket pairs: what it counts and compares, that a wrong, lost or late byte is told, and that it ends. No
// time is asserted but as a lower bound.
import { performance } from 'node:perf_hooks';
import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import {
  barePty,
  type LatencyOptions,
  measureDuplex,
  measureLatency,
  measureStream,
  processCpuNs,
} from '../../../src/native/load.js';
import { closeFd, outputQueue, socketPair } from '../../../src/native/socket.js';
import { leavesNothingBehind, onEnd, openSlave, readSome, writeSome } from './support.js';

leavesNothingBehind();

const MS = 1e6;

function pair(): [number, number] {
  const [a, b] = socketPair();
  onEnd(() => closeFd(a));
  onEnd(() => closeFd(b));
  return [a, b];
}

/** Sends back what comes, changed, until the promise that it watches is settled. */
async function loopPlug<T>(fd: number, run: Promise<T>, change = (bytes: Buffer): Buffer => bytes): Promise<T> {
  let over = false;
  const done = run.finally(() => {
    over = true;
  });
  while (!over) {
    const bytes = readSome(fd);
    if (bytes !== undefined && bytes.length > 0)
      for (let rest = change(bytes); rest.length > 0; ) rest = rest.subarray(writeSome(fd, rest));
    await setImmediate();
  }
  return done;
}

const round = (out: number, options: Partial<LatencyOptions> = {}): LatencyOptions => ({
  legs: [{ out, in: out }],
  bytes: 8,
  count: 20,
  timeoutNs: 2000 * MS,
  quietNs: 5 * MS,
  ...options,
});

test('latency: every round trip through a loop plug has a time', async () => {
  const [near, far] = pair();
  const run = await loopPlug(far, measureLatency(round(near)));
  expect(run.timesNs).toHaveLength(20);
  expect(Math.min(...run.timesNs)).toBeGreaterThan(0);
  expect(run).toMatchObject({ lost: 0, mismatched: 0, split: 0, gapNs: 0 });
});

test('latency: an answer in two pieces is told, and the time between them', async () => {
  const [near, far] = pair();
  let n = 0;
  const run = measureLatency(round(near, { count: 3 }));
  const pieces = (bytes: Buffer) => {
    if (++n !== 2) return bytes;
    const rest = Buffer.from(bytes.subarray(3));
    // The time begins when the first piece has been read.
    const later = () => (outputQueue(far) > 0 ? setTimeout(later, 1) : setTimeout(() => writeSome(far, rest), 30));
    setTimeout(later, 1);
    return bytes.subarray(0, 3);
  };
  const { timesNs, split, gapNs } = await loopPlug(far, run, pieces);
  expect({ whole: timesNs.length, split }).toEqual({ whole: 3, split: 1 });
  expect(gapNs).toBeGreaterThan(25 * MS);
});

test('latency: two legs, there and back again, need nobody in between', async () => {
  const [a, b] = pair();
  const run = await measureLatency(
    round(a, {
      legs: [
        { out: a, in: b },
        { out: b, in: a },
      ],
      bytes: 256,
    }),
  );
  expect(run.timesNs).toHaveLength(20);
});

test('latency: a changed byte is a mismatch, and has no time', async () => {
  const [near, far] = pair();
  let n = 0;
  const change = (bytes: Buffer) => {
    if (++n === 7) bytes[3] = (bytes[3] ?? 0) ^ 1;
    return bytes;
  };
  const run = await loopPlug(far, measureLatency(round(near)), change);
  expect(run).toMatchObject({ lost: 0, mismatched: 1 });
  expect(run.timesNs).toHaveLength(19);
});

test('latency: an answer that is too short is lost, and what is late belongs to no other round', async () => {
  const [near, far] = pair();
  let n = 0;
  const change = (bytes: Buffer) => (++n === 2 ? bytes.subarray(1) : bytes);
  const run = await loopPlug(far, measureLatency(round(near, { timeoutNs: 2000 * MS })), change);
  expect(run).toMatchObject({ lost: 1, mismatched: 0 });
  expect(run.timesNs).toHaveLength(19);
});

test('latency: what comes too late is not taken for the next answer', async () => {
  const [near, far] = pair();
  let n = 0;
  const held: Buffer[] = [];
  const run = measureLatency(round(near, { count: 4, timeoutNs: 600 * MS, quietNs: 1500 * MS }));
  // From the second round on everything waits until that one is over, in its order.
  const hold = (bytes: Buffer) => {
    if (++n === 2) setTimeout(() => writeSome(far, Buffer.concat(held.splice(0))), 1200);
    else if (held.length === 0) return bytes;
    held.push(Buffer.from(bytes));
    return Buffer.alloc(0);
  };
  const { timesNs, lost, mismatched } = await loopPlug(far, run, hold);
  expect({ whole: timesNs.length, lost, mismatched }).toEqual({ whole: 3, lost: 1, mismatched: 0 });
});

test('latency: gives up after failures in a row', async () => {
  const [near] = pair();
  const run = await measureLatency(round(near, { timeoutNs: 2 * MS, giveUpAfter: 3 }));
  expect(run).toMatchObject({ lost: 3, mismatched: 0 });
});

test('latency: a request is sent as it is, and only the length of its answer counts', async () => {
  const [near, far] = pair();
  const asked: string[] = [];
  const answer = (bytes: Buffer) => {
    asked.push(bytes.toString());
    return Buffer.from('answer');
  };
  const options = round(near, { request: Buffer.from('ask'), replyBytes: 6, count: 3 });
  const run = await loopPlug(far, measureLatency(options), answer);
  expect(asked).toEqual(['ask', 'ask', 'ask']);
  expect(run.timesNs).toHaveLength(3);
});

test('latency: a round takes at least as long as its answer', async () => {
  const [near, far] = pair();
  const from = performance.now();
  const run = measureLatency(round(near, { count: 1 }));
  let asked: Buffer | undefined;
  while (asked === undefined) {
    asked = readSome(far);
    await setImmediate();
  }
  const began = performance.now();
  while (performance.now() - began < 30) await setImmediate();
  expect(writeSome(far, asked)).toBe(8);
  const { timesNs } = await run;
  expect(timesNs[0]).toBeGreaterThan(29 * MS);
  expect(timesNs[0]).toBeLessThan((performance.now() - from) * MS);
});

test('a descriptor that ends rejects with what the kernel says of it', async () => {
  const [near, far] = socketPair();
  onEnd(() => closeFd(near));
  const run = measureLatency(round(near));
  closeFd(far);
  // By whether the far end had read what it was sent.
  await expect(run).rejects.toMatchObject({ code: expect.stringMatching(/^(EPIPE|ECONNRESET)$/) });
  const [a] = pair();
  await expect(measureStream({ out: a, in: near, bytes: 1 })).rejects.toMatchObject({ code: 'EPIPE', syscall: 'read' });
});

test('stream: so many bytes, all of them right', async () => {
  const [a, b] = pair();
  const run = await measureStream({ out: a, in: b, bytes: 5_000_000 });
  expect(run).toMatchObject({ sent: 5_000_000, received: 5_000_000, difference: undefined });
  expect(run.elapsedNs).toBeGreaterThan(0);
});

test('stream: a byte that is lost on the way shows where', async () => {
  const [a, far] = pair();
  const [back, b] = pair();
  let at = 0;
  const drop = (bytes: Buffer) => {
    const from = at;
    at += bytes.length;
    return from <= 70_000 && at > 70_000
      ? Buffer.concat([bytes.subarray(0, 70_000 - from), bytes.subarray(70_001 - from)])
      : bytes;
  };
  const measuring = measureStream({ out: a, in: b, bytes: 200_000, quietNs: 1000 * MS });
  let over = false;
  const done = measuring.finally(() => {
    over = true;
  });
  while (!over) {
    const bytes = readSome(far);
    if (bytes !== undefined && bytes.length > 0)
      for (let rest = drop(bytes); rest.length > 0; ) rest = rest.subarray(writeSome(back, rest));
    await setImmediate();
  }
  const run = await done;
  expect(run).toMatchObject({ sent: 200_000, received: 199_999 });
  // By chance a neighbour may have the same value, so the difference may show a little later.
  expect(run.difference?.offset).toBeGreaterThanOrEqual(70_000);
  expect(run.difference?.offset).toBeLessThan(70_010);
});

test('stream: a window is never exceeded', async () => {
  const [near, far] = pair();
  const run = measureStream({ out: near, in: near, bytes: 20_000, window: 3000, chunk: 512 });
  let most = 0;
  const result = await loopPlug(far, run, (bytes) => {
    most = Math.max(most, bytes.length);
    return bytes;
  });
  expect(result).toMatchObject({ received: 20_000, difference: undefined });
  expect(most).toBeLessThanOrEqual(3000);
});

test('stream: a far end that stands does not hold it for ever', async () => {
  const [a] = pair();
  const [b] = pair();
  const run = await measureStream({ out: a, in: b, bytes: 10_000_000, quietNs: 20 * MS });
  expect(run.received).toBe(0);
  expect(run.sent).toBeLessThan(10_000_000);
});

for (const threads of [1, 2] as const) {
  test(`duplex: messages both ways on ${threads} thread(s): all delivered, each with its time`, async () => {
    const pairs = [pair(), pair(), pair()];
    const run = await measureDuplex({
      a: pairs.map(([a]) => a),
      b: pairs.map(([, b]) => b),
      messageBytes: 921,
      intervalNs: 2 * MS,
      durationNs: 100 * MS,
      threads,
    });
    const bytes = 6 * 50 * 921;
    expect(run).toMatchObject({ offered: bytes, wrong: 0, failed: 0 });
    expect(run.received).toBe(run.sent);
    expect(run.aToB.count + run.bToA.count).toBe(run.received / 921);
    expect(run.late.count).toBe(run.sent / 921);
    expect(run.aToB.quantile(0.5)).toBeGreaterThan(0);
    expect(run.generatorCpuNs).toBeGreaterThan(0);
  });
}

test('duplex: crossed pairs are wrong in every direction', async () => {
  const [a1, b1] = pair();
  const [a2, b2] = pair();
  const crossed = { a: [a1, a2], b: [b2, b1] };
  const run = await measureDuplex({ ...crossed, messageBytes: 100, intervalNs: 2 * MS, durationNs: 20 * MS });
  expect(run.wrong).toBe(4);
  expect(run.difference?.offset).toBeDefined();
});

test('duplex: what the far end does not take is not delivered', async () => {
  const [near] = pair();
  const [other] = pair();
  const options = {
    a: [near],
    b: [other],
    messageBytes: 1000,
    intervalNs: 1 * MS,
    durationNs: 50 * MS,
    drainNs: 10 * MS,
  };
  const run = await measureDuplex(options);
  expect(run).toMatchObject({ received: 0, wrong: 0, failed: 0 });
  expect(run.sent).toBeGreaterThan(0);
});

test('an abort ends each kind', async () => {
  const [a] = pair();
  const [b] = pair();
  const abort = new AbortController();
  const runs = [
    measureLatency(round(a, { timeoutNs: 60_000 * MS, signal: abort.signal })),
    measureStream({ out: a, in: b, durationNs: 60_000 * MS, signal: abort.signal }),
    measureDuplex({ a: [a], b: [b], messageBytes: 1, intervalNs: MS, durationNs: 60_000 * MS, signal: abort.signal }),
  ];
  const settled = Promise.allSettled(runs);
  abort.abort();
  expect((await settled).map((r) => r.status === 'rejected' && r.reason.code)).toEqual(Array(3).fill('ECANCELED'));
});

test('what cannot be measured is refused', async () => {
  const [a, b] = pair();
  await expect(measureStream({ out: a, in: b })).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(measureLatency(round(-1))).rejects.toMatchObject({ code: 'EINVAL' });
  await expect(measureLatency(round(a, { bytes: 70_000 }))).rejects.toMatchObject({ code: 'EINVAL' });
  const uneven = measureDuplex({ a: [a], b: [a, b], messageBytes: 1, intervalNs: MS, durationNs: MS });
  await expect(uneven).rejects.toMatchObject({ code: 'EINVAL' });
});

test('seven data bits: no byte has the eighth', async () => {
  const [near, far] = pair();
  let bits = 0;
  const run = await loopPlug(far, measureLatency(round(near, { dataBits: 7, bytes: 256 })), (bytes) => {
    for (const byte of bytes) bits |= byte;
    return bytes;
  });
  expect(run.mismatched).toBe(0);
  expect(bits).toBe(0x7f);
});

test('a bare PTY: both ends carry every byte value as it is', async () => {
  const { fd, path } = barePty();
  onEnd(() => closeFd(fd));
  const slave = openSlave(path);
  onEnd(() => closeFd(slave));
  const both: LatencyOptions['legs'] = [
    { out: slave, in: fd },
    { out: fd, in: slave },
  ];
  const run = await measureLatency(round(slave, { legs: both, bytes: 2000, count: 5 }));
  expect(run).toMatchObject({ lost: 0, mismatched: 0 });
  expect(run.timesNs).toHaveLength(5);
});

test('the CPU time of a process goes on while it runs', () => {
  const before = processCpuNs(process.pid);
  while (processCpuNs(process.pid) - before <= MS);
  expect(() => processCpuNs(0x3ffffff)).toThrow(/clock_getcpuclockid/);
});
