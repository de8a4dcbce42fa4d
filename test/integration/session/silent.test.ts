// A device that falls silent: the cable is pulled at the far end of a veth whose device side lies in a network namespace of
// its own. Needs root; skipped by name otherwise.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Rig, startRig, until } from '../../support/rig.js';

const NEAR = `ttyn${process.pid}`;
const FAR = `ttyf${process.pid}`;
const HOST = '198.18.77.1';
const DEVICE = '198.18.77.2';
const root = process.getuid?.() === 0;

let device: ChildProcess | undefined;
let rigs: Rig[] = [];

function ip(...args: string[]): void {
  const run = spawnSync('ip', args, { encoding: 'utf8' });
  if (run.status !== 0) throw new Error(`ip ${args.join(' ')}: ${run.stderr}`);
}

const atDevice = (...args: string[]) =>
  spawnSync('nsenter', ['-t', String(device?.pid), '-n', 'ip', ...args], { encoding: 'utf8' });

beforeAll(async () => {
  if (!root) return;
  ip('link', 'add', NEAR, 'type', 'veth', 'peer', 'name', FAR);
  const script = `read go; ip link set lo up; ip addr add ${DEVICE}/30 dev ${FAR}; ip link set ${FAR} up
exec "$0" dist/cli.js simulate --ports 2 --listen ${DEVICE} --data-port 4001 --command-port 4101`;
  const child = spawn('unshare', ['--net', 'sh', '-c', script, process.execPath], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  device = child;
  await new Promise((resolve) => setTimeout(resolve, 200));
  ip('link', 'set', FAR, 'netns', String(child.pid));
  ip('addr', 'add', `${HOST}/30`, 'dev', NEAR);
  ip('link', 'set', NEAR, 'up');
  child.stdin.end('go\n');
});

afterAll(async () => {
  for (const rig of rigs) await rig.close();
  rigs = [];
  if (!root) return;
  if (device?.exitCode === null) {
    device.kill('SIGKILL');
    await once(device, 'exit');
  }
  spawnSync('ip', ['link', 'del', NEAR]);
});

test.skipIf(!root)(
  'a pulled cable is found within 10 s, with and without data in flight, and the port comes back (needs root)',
  async () => {
    for (const n of [0, 1]) {
      const target = { address: DEVICE, dataPort: 4001 + n, commandPort: 4101 + n };
      rigs.push(await startRig({ settings: { baudRate: 115200 }, device: target, stopMs: 200 }));
    }
    const apps = rigs.map((rig) => rig.open());
    await until('up', 10_000, () => rigs.every(({ session }) => session.state.name === 'up'));
    for (const app of apps) {
      app.write('alive');
      await app.readExactly(5);
    }
    expect(atDevice('link', 'set', FAR, 'down').status).toBe(0);
    const pulled = performance.now();
    const writing = setInterval(() => apps[1]?.write('a request that nobody hears'), 200);
    try {
      const found: number[] = [];
      for (const { session } of rigs) {
        await until('found', 14_000, () => session.state.name === 'connecting');
        found.push(performance.now() - pulled);
      }
      // The requirement itself is 10 s; the rest is for a busy machine.
      for (const ms of found) expect(ms).toBeLessThan(12_000);
      expect(rigs.map((rig) => rig.session.record.lastError?.code)).toEqual(
        rigs.map(() => expect.stringMatching(/^PEER_/)),
      );
    } finally {
      clearInterval(writing);
    }
    expect(atDevice('link', 'set', FAR, 'up').status).toBe(0);
    await until('back', 10_000, () => rigs.every(({ session }) => session.state.name === 'up'));
    for (const app of apps) {
      app.write('again');
      expect((await app.readExactly(5)).toString()).toBe('again');
    }
  },
  45_000,
);
