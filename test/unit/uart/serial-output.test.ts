// The transmit side of a port on a line that stands. The line is a socket whose peer does not read: it counts what has not left
// by the same call as a UART's driver (TIOCOUTQ), which a PTY does not.
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import type { Timer } from '../../../src/base/clock.js';
import { DEFAULT_SETTINGS } from '../../../src/serial/line.js';
import { SerialOutput } from '../../../src/uart/serial-output.js';
import { ManualClock } from '../../support/manual-clock.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

class CountingClock extends ManualClock {
  armed = 0;
  override after(afterMs: number, fn: () => void): Timer {
    this.armed++;
    return super.after(afterMs, fn);
  }
}

/** What the socket counts is more than its byte: a fast line, so that it is little. */
async function standingLine(): Promise<{ fd: number; peer: Socket }> {
  const directory = mkdtempSync(join(tmpdir(), 'ttynp-output-'));
  ends.push(() => rmSync(directory, { recursive: true }));
  const server = createServer({ pauseOnConnect: true }).listen(join(directory, 'line'));
  ends.push(() => server.close());
  await once(server, 'listening');
  const near = connect(join(directory, 'line'));
  const [peer]: Socket[] = await once(server, 'connection');
  if (peer === undefined) throw new Error('no peer');
  ends.push(
    () => peer.destroy(),
    () => near.destroy(),
  );
  return { fd: Number(Reflect.get(Reflect.get(near, '_handle'), 'fd')), peer };
}

test('a byte that cannot leave is not looked at every millisecond, and its end is seen', async () => {
  const { fd, peer } = await standingLine();
  const clock = new CountingClock();
  let drained = 0;
  const output = new SerialOutput(fd, {
    clock,
    hasTransmitter: true,
    inOrder: (ask) => ask(),
    settings: () => ({ ...DEFAULT_SETTINGS, baudRate: 12_000_000 }),
    wantWritable: () => {},
    writable: () => {},
    drained: () => drained++,
    failed: (error) => {
      throw error;
    },
  });
  ends.push(() => output.close());
  expect(output.write(Uint8Array.of(1))).toBe(1);
  for (let ms = 0; ms < 10_000; ms += 10) {
    clock.advance(10);
    // The look that is due, on its thread.
    while (clock.timers === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  expect(output.queued).toBeGreaterThan(0);
  expect(clock.armed).toBeLessThan(300);
  peer.resume();
  await once(peer, 'data');
  clock.advance(50);
  while (drained === 0) await new Promise((resolve) => setImmediate(resolve));
  expect(output.queued).toBe(0);
  expect(clock.timers).toBe(0);
});
