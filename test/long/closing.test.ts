// The last close at full length: 200 KB at 19200 with XOFF pauses of 10 s, the writer exits at once; and a device that
// holds its window shut for 30 s.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { afterEach, expect, test } from 'vitest';
import { LineRecorder } from '../support/line-recorder.js';
import { type Rig, startRig, until } from '../support/rig.js';

let rig: Rig | undefined;
afterEach(async () => {
  await rig?.close();
  rig = undefined;
});

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

test('200 KB at 19200 with pauses of 10 s, the writer exits at once: byte-exact', async () => {
  const recorder = new LineRecorder();
  const r = await startRig({ settings: { baudRate: 19_200 }, simulator: { echo: false, observer: () => recorder } });
  rig = r;
  const text = Buffer.from(Array.from({ length: 12_800 }, (_, i) => `record ${String(i).padStart(8, '0')}\n`).join(''));
  const child = spawn('sh', ['-c', 'cat > "$0"', r.path], { stdio: ['pipe', 'inherit', 'inherit'] });
  child.stdin.end(text);
  for (const at of [20_000, 90_000, 170_000, 195_000]) {
    await until(`${at} bytes`, 120_000, () => recorder.bytes.length > at);
    r.simulator.line(1).hold(true);
    await sleep(10_000);
    r.simulator.line(1).hold(false);
  }
  await until('closed', 120_000, () => r.session.state.name === 'idle');
  expect(recorder.bytes.length).toBe(text.length);
  expect(sha(recorder.bytes)).toBe(sha(text));
  expect(r.session.record.drops.closing).toBe(0);
  expect(r.faults).toEqual([]);
});

test('a window shut for 30 s is no lost connection', async () => {
  const recorder = new LineRecorder();
  const r = await startRig({ settings: { baudRate: 115_200 }, simulator: { echo: false, observer: () => recorder } });
  rig = r;
  const app = r.open();
  await until('up', 3000, () => r.session.state.name === 'up');
  r.simulator.line(1).hold(true);
  let written = 0;
  await until('the writer blocks', 10_000, () => {
    const n = app.write(Buffer.alloc(1000, 0x77));
    written += n;
    return n === 0 && written > 20_000;
  });
  await sleep(30_000);
  expect(r.session.state.name).toBe('up');
  r.simulator.line(1).hold(false);
  await until('all of it', 20_000, () => recorder.bytes.length === written);
  expect(r.simulator.port(1).counts.paired).toBe(1);
});
