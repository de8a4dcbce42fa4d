// The addon as a whole: how it is built, what a wrong argument does, and that an env that ends takes its threads along.
import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { expect, test } from 'vitest';
import { binding } from '../../../src/native/binding.js';
import { liveCounts } from '../../../src/native/pump.js';
import { leavesNothingBehind, onEnd, rig } from './support.js';

leavesNothingBehind();

const BUILD = fileURLToPath(new URL('../../../native-bindings/build.mjs', import.meta.url));
const ADDON =
  process.env.TTYNP_ADDON ?? fileURLToPath(new URL('../../../native-bindings/build/ttynp.node', import.meta.url));

function build(output: string, env: NodeJS.ProcessEnv = {}) {
  return spawnSync(process.execPath, [BUILD, '--output', output], {
    encoding: 'utf8',
    env: { ...process.env, LD_PRELOAD: '', ...env },
  });
}

test('without a compiler: one line that names the package', () => {
  const folder = mkdtempSync('/tmp/ttynp-test-');
  onEnd(() => rmSync(folder, { recursive: true }));
  const run = build(`${folder}/a.node`, { CC: '/no/such/cc' });
  expect(run.status).toBe(1);
  expect(run.stderr).toBe('ttynp: no C compiler found: install it with "apt-get install gcc libc6-dev"\n');
});

test('an addon that is up to date is not built again', () => {
  const folder = mkdtempSync('/tmp/ttynp-test-');
  onEnd(() => rmSync(folder, { recursive: true }));
  const output = `${folder}/a.node`;
  expect(build(output).status).toBe(0);
  const before = statSync(output).mtimeMs;
  expect(build(output).status).toBe(0);
  expect(statSync(output).mtimeMs).toBe(before);
});

test('wrong arguments are TypeErrors, wrong handles errors', () => {
  const wrong = (call: (...args: never[]) => unknown, ...args: unknown[]) =>
    expect(() => Reflect.apply(call, binding, args));
  wrong(binding.getTermios).toThrow(TypeError);
  wrong(binding.getTermios, 'x').toThrow(TypeError);
  wrong(binding.getTermios, 2 ** 40).toThrow(TypeError);
  wrong(binding.getTermios, Number.NaN).toThrow(TypeError);
  wrong(binding.clearStale, 'x'.repeat(1000)).toThrow(TypeError);
  wrong(binding.createPump).toThrow(TypeError);
  wrong(binding.createPump, 7).toThrow(TypeError);
  wrong(binding.notify, '/x', 'READY=1', ['no number']).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  for (const bytes of [undefined, 'text', [1], new Uint16Array(2), new ArrayBuffer(2)]) {
    wrong(binding.sendDatagram, '/x', bytes).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  }
  wrong(binding.sendDatagram, '', new Uint8Array(1)).toThrow(expect.objectContaining({ code: 'EINVAL' }));
  wrong(binding.sendDatagram, '/nonexistent', new Uint8Array(1)).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  wrong(binding.stop, 15, 0, 0).toThrow(expect.objectContaining({ code: 'EBADF' }));
  const r = rig();
  wrong(binding.stop, 0, 4095, 0).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  wrong(binding.stop, 0, 2 ** 31, 0).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  wrong(binding.openChannel, 0, r.pty.fd, 1, '', 1, 0, 0, new Float64Array(1)).toThrow(
    expect.objectContaining({ code: 'EINVAL' }),
  );
});

const LEFT_OPEN = `
  const { workerData, parentPort } = require('node:worker_threads');
  const addon = require(workerData);
  const pump = addon.createPump(() => {});
  const [a, b] = addon.socketPair();
  const [c, d] = addon.socketPair();
  const channel = addon.openChannel(pump, a, 1, '', 65536, 2, 0, new Float64Array(addon.counterCount));
  addon.attach(pump, channel, c, 2, 0);
  parentPort.postMessage([a, b, c, d]);
  setInterval(() => {}, 1000);
`;

test('an env that ends joins the threads of the pumps that it left open', async () => {
  const before = liveCounts();
  for (let i = 0; i < 5; i++) {
    const worker = new Worker(LEFT_OPEN, { eval: true, workerData: ADDON });
    const [fds] = (await once(worker, 'message')) as [number[]];
    expect(liveCounts().channels).toBe(before.channels + 1);
    await worker.terminate();
    expect(liveCounts()).toEqual(before);
    for (const fd of fds) binding.closeFd(fd);
  }
});
