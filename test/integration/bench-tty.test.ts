// The bench's measuring against a PTY whose far end answers, changes, loses or ignores what it gets.
import { afterEach, describe, expect, test } from 'vitest';
import { BenchTty } from '../../src/cli/bench/bench-tty.js';
import { refuseIfUsed } from '../../src/cli/bench/guard.js';
import { loopPlug, measureLatency, request } from '../../src/cli/bench/latency.js';
import { measureThroughput } from '../../src/cli/bench/throughput.js';
import { EchoTty } from '../support/echo-tty.js';

const ends: (() => Promise<void> | void)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function bench(reply?: string): Promise<{ echo: EchoTty; tty: BenchTty }> {
  const echo = await EchoTty.start(reply);
  ends.push(() => echo.end());
  const tty = new BenchTty(echo.path, 115_200);
  ends.push(() => tty.close());
  return { echo, tty };
}

const options = { count: 50, timeoutMs: 100, connectMs: 500 };

describe('latency', () => {
  test('a loop plug', async () => {
    const { tty } = await bench();
    expect(tty.settings).toMatchObject({ baudRate: 115_200, dataBits: 8, parity: 'none' });
    const run = await measureLatency(tty, loopPlug(64, 8, 0), options);
    expect(run).toMatchObject({ lost: 0, mismatched: 0, answered: true });
    expect(run.timesMs).toHaveLength(50);
    expect(Math.min(...run.timesMs)).toBeGreaterThan(0);
  });

  test('as many bytes as a PTY holds', async () => {
    const { tty } = await bench();
    const run = await measureLatency(tty, loopPlug(4095, 8, 0), { ...options, count: 5 });
    expect(run).toMatchObject({ lost: 0, mismatched: 0 });
  });

  test('a device that answers', async () => {
    const { tty } = await bench('b"\\x01\\x02\\x03" if data == b"\\x05" else b""');
    const run = await measureLatency(tty, request(Uint8Array.of(5), 3, 0), options);
    expect(run).toMatchObject({ lost: 0, answered: true });
    expect(run.timesMs).toHaveLength(50);
  });

  test('nothing comes back', async () => {
    const { tty } = await bench('b""');
    expect(await measureLatency(tty, loopPlug(8, 8, 0), options)).toMatchObject({ answered: false, timesMs: [] });
  });

  test('what comes back is changed', async () => {
    const { tty } = await bench('bytes(b & 0x7f for b in data)');
    const run = await measureLatency(tty, loopPlug(256, 8, 0), { ...options, count: 3 });
    expect(run).toMatchObject({ mismatched: 3, timesMs: [] });
  });

  test('one answer is lost, and the ones after it are not taken for it', async () => {
    // 8 bytes to begin with, then the third round of 8.
    const { tty } = await bench('b"" if n == 24 else data');
    const run = await measureLatency(tty, loopPlug(8, 8, 0), { ...options, count: 10 });
    expect(run).toMatchObject({ lost: 1, mismatched: 0 });
    expect(run.timesMs).toHaveLength(9);
  });

  test('an end that comes and goes is waited for', async () => {
    const { tty } = await bench('b"" if n < 8 else data');
    const run = await measureLatency(tty, loopPlug(8, 8, 0), { ...options, connectMs: 3000, count: 5 });
    expect(run).toMatchObject({ answered: true, lost: 0 });
  });
});

describe('throughput', () => {
  test('every byte', async () => {
    const { tty } = await bench();
    const run = await measureThroughput(tty, tty.settings, 300);
    expect(run.sent).toBeGreaterThan(1000);
    expect(run).toMatchObject({ received: run.sent, firstDifference: undefined });
    expect(run.elapsedMs).toBeGreaterThan(0);
  });

  test('a byte in the middle is changed', async () => {
    const { tty } = await bench('data if n else bytes([data[0], data[1] ^ 1]) + data[2:]');
    const run = await measureThroughput(tty, tty.settings, 100);
    const { offset, expected = 0, got } = run.firstDifference ?? {};
    expect({ offset, got }).toEqual({ offset: 1, got: expected ^ 1 });
  });

  test('a byte is lost', async () => {
    const { tty } = await bench('data if n else data[1:]');
    const run = await measureThroughput(tty, tty.settings, 100);
    expect(run.sent - run.received).toBe(1);
    expect(run.firstDifference?.offset).toBe(0);
  });
});

test('the settings of before are put back', async () => {
  const { echo, tty } = await bench();
  tty.close();
  ends.pop();
  const again = new BenchTty(echo.path);
  ends.push(() => again.close());
  expect(again.settings.baudRate).toBe(38_400);
});

test('a tty that goes away ends the measurement', async () => {
  const { echo, tty } = await bench('os._exit(0)');
  await expect(measureLatency(tty, loopPlug(8, 8, 0), options)).rejects.toThrowError(/was hung up/);
  ends.splice(0);
  tty.close();
  if (echo.child.exitCode === null) await new Promise((resolve) => echo.child.once('exit', resolve));
});

test('a tty that a process holds is refused, by its name', async () => {
  const echo = await EchoTty.start();
  ends.push(() => echo.end());
  expect(() => refuseIfUsed(echo.path, undefined, undefined)).toThrowError(
    new RegExp(`${echo.path} is in use by python3.* \\(pid ${echo.pid}\\): close it first`),
  );
  // The daemon's own descriptor does not count.
  expect(() => refuseIfUsed(echo.path, undefined, echo.pid)).not.toThrow();
});

test('what is no tty', () => {
  expect(() => refuseIfUsed('/dev/no-such-tty', undefined, undefined)).toThrowError(/there is no tty/);
  expect(() => refuseIfUsed('/etc/passwd', undefined, undefined)).toThrowError(/is no tty/);
  expect(() => new BenchTty('/dev/no-such-tty')).toThrowError(/no-such-tty/);
});
