// The serial ports of one daemon handed over to those of the next, in one process: which of them go on with what was kept, and what
// is free where they do not. The device is a PTY, the clients are sockets, and the store's descriptors are open all the time.
import { readSync, writeSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { SystemClock } from '../../../src/base/clock.js';
import type { ResolvedSerialPort } from '../../../src/config/resolved.js';
import { ServedKeepers } from '../../../src/daemon/handover/served-keepers.js';
import { servedFactories } from '../../../src/daemon/served/factories.js';
import { ServedPorts } from '../../../src/daemon/served/served-ports.js';
import { createStateFile } from '../../../src/native/descriptor.js';
import { closeFd } from '../../../src/native/socket.js';
import { DEFAULT_SETTINGS } from '../../../src/serial/line.js';
import { freePort } from '../../support/free-ports.js';
import { RawPeer } from '../../support/raw-peer.js';
import { SerialLine } from '../../support/serial-line.js';
import { ModelStore } from '../../unit/daemon/handover/model-store.js';
import { LogRecorder } from '../../unit/daemon/log-recorder.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A manager that is slow: what is removed goes when the test ends. */
class SlowStore extends ModelStore {
  override remove(name: string): void {
    const fd = this.stored.get(name);
    if (fd !== undefined) ends.push(() => closeFd(fd));
    this.stored.delete(name);
  }
}

function port(device: string, tcpPort: number): ResolvedSerialPort {
  return {
    port: 1,
    device,
    served: {
      mode: 'tcp-server',
      tcpPort,
      commandPort: null,
      maxConnection: 1,
      maxPerAddress: 1,
      ignoreJammedIp: false,
      arbitration: null,
      allowDriverControl: false,
      inactivityTimeMs: 0,
    },
    listen: '127.0.0.1',
    accessibleIps: [],
    aliveCheckMs: 0,
    settings: DEFAULT_SETTINGS,
    rs485: false,
    turnaroundDelayMs: 0,
    echoSuppression: false,
    packing: null,
    connectionGoesDown: 'high',
    source: { file: 'ttynp.yaml', line: 7 },
  };
}

async function handedOver() {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const tcpPort = await freePort();
  const stored = new Map<string, number>();
  ends.push(() => {
    for (const fd of stored.values()) closeFd(fd);
  });
  const daemon = () => {
    const log = new LogRecorder();
    const clock = new SystemClock();
    const keepers = new ServedKeepers(new SlowStore(stored, 100), log);
    const served = new ServedPorts({ clock, log, keepers, ...servedFactories(clock) });
    ends.push(() => served.stop());
    return { served, log };
  };
  const config = port(line.path, tcpPort);
  const before = daemon();
  await before.served.become([config]);
  const peer = await RawPeer.connect(tcpPort);
  ends.push(() => peer.close());
  peer.send('61');
  while (line.received.length < 1) await new Promise((resolve) => setTimeout(resolve, 1));
  return { line, config, before, peer, daemon, stored };
}

/** Eight bytes of length, and JSON. */
function changeRecord(stored: Map<string, number>, change: (kept: { uart: unknown; server: unknown }) => void): void {
  const fd = stored.get('serial-1-state') ?? -1;
  const bytes = Buffer.alloc(65_536);
  const length = readSync(fd, bytes, 0, bytes.length, 0);
  const record = JSON.parse(bytes.subarray(8, length).toString());
  change(record.kept);
  const text = Buffer.from(JSON.stringify(record));
  const next = createStateFile('changed', 8 + text.length);
  const head = Buffer.alloc(8);
  head.writeUInt32LE(text.length);
  writeSync(next, Buffer.concat([head, text]), 0, 8 + text.length, 0);
  closeFd(fd);
  stored.set('serial-1-state', next);
}

test('a line more above it in the file is no other configuration, at a restart and at a reload before it', async () => {
  const { config, before, peer, daemon } = await handedOver();
  const moved = { ...config, source: { file: 'ttynp.yaml', line: 8 } };
  await before.served.become([moved]);
  await before.served.handOver(1000);
  const { served } = daemon();
  await served.become([{ ...config, source: { file: 'more.yaml', line: 1 } }]);
  expect(served.views()).toMatchObject([{ state: 'up', clients: [{ received: 1 }] }]);
  expect(peer.ended).toBe(false);
});

test.each<[string, (config: ResolvedSerialPort) => ResolvedSerialPort]>([
  ['with other settings', (config) => ({ ...config, settings: { ...DEFAULT_SETTINGS, baudRate: 19_200 } })],
  ['under another number', (config) => ({ ...config, port: 2 })],
])('its device is free at once, %s, however slow the manager is', async (_, change) => {
  const { line, config, before, peer, daemon } = await handedOver();
  await before.served.handOver(1000);
  const { served, log } = daemon();
  await served.become([change(config)]);
  expect([served.views().map(({ state }) => state), log.lines.filter((text) => text.startsWith('warn'))]).toEqual([
    ['up'],
    [],
  ]);
  await peer.end();
  const next = await RawPeer.connect(config.served.mode === 'tcp-server' ? config.served.tcpPort : 0);
  ends.push(() => next.close());
  next.send('62');
  while (line.received.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  expect(line.received.toString()).toBe('ab');
});

test('a reload that was under way begins nothing anew of what has been handed over', async () => {
  const { config, before, peer, daemon } = await handedOver();
  const handingOver = before.served.handOver(1000);
  await before.served.become([config]);
  await handingOver;
  await before.served.become([config]);
  expect(before.log.lines.filter((text) => text.startsWith('warn'))).toEqual([]);
  const { served } = daemon();
  await served.become([config]);
  expect(served.views()).toMatchObject([{ state: 'up', clients: [{ received: 1 }] }]);
  expect(peer.ended).toBe(false);
});

const RUBBISH: readonly [string, (kept: { uart: unknown; server: unknown }) => void][] = [
  ['a port of another shape', (kept) => Object.assign(kept, { uart: { settings: 'fast' } })],
  ['no server', (kept) => Object.assign(kept, { server: null })],
  ['a server of another mode', (kept) => Object.assign(kept, { server: { mode: 'rfc2217', packing: {}, output: 7 } })],
  ['no list of clients', (kept) => Object.assign(kept, { server: { mode: 'tcp-server' } })],
  ['clients of another shape', (kept) => Object.assign(kept, { server: { mode: 'tcp-server', clients: [{}, 7] } })],
];

test.each(RUBBISH)(
  'a record of the right version with %s: its client sees its end, and the port begins anew',
  async (_, change) => {
    const { line, config, before, peer, daemon, stored } = await handedOver();
    await before.served.handOver(1000);
    changeRecord(stored, change);
    const { served } = daemon();
    await served.become([config]);
    while (served.views()[0]?.state !== 'up') await new Promise((resolve) => setTimeout(resolve, 5));
    await peer.until(() => peer.ended);
    const next = await RawPeer.connect(config.served.mode === 'tcp-server' ? config.served.tcpPort : 0);
    ends.push(() => next.close());
    next.send('62');
    while (line.received.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
    expect(line.received.toString()).toBe('ab');
    line.send('c');
    await next.until(() => next.unread.length >= 1);
  },
);
