// Bytes through a tty whose far end sends them back, by a writer that never stops and a reader that does now and then.
import { createHash } from 'node:crypto';
import type { App } from './rig.js';

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves with the digests of what was written and of what was read. The reader rests `pauses` times. */
export async function transfer(app: App, bytes: number, pauses: number): Promise<{ sent: string; got: string }> {
  const block = Buffer.alloc(65_536);
  let seed = 1;
  for (let i = 0; i < block.length; i++) {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    block[i] = seed >>> 8;
  }
  const sent = createHash('sha256');
  const got = createHash('sha256');
  let written = 0;
  let read = 0;
  let nextPause = bytes / pauses;
  while (read < bytes) {
    const at = written % (block.length - 7);
    const chunk = block.subarray(at, at + Math.min(block.length - at, bytes - written));
    const n = chunk.length > 0 ? app.write(chunk) : 0;
    sent.update(chunk.subarray(0, n));
    written += n;
    const part = app.read();
    if (part === undefined) throw new Error(`hang-up after ${read} of ${bytes} bytes`);
    got.update(part);
    read += part.length;
    if (read >= nextPause) {
      nextPause += bytes / pauses;
      await sleep(30);
    } else if (n === 0 && part.length === 0) {
      await sleep(1);
    } else {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  return { sent: sent.digest('hex'), got: got.digest('hex') };
}
