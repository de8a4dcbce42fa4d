// A session before servers that speak RFC 2217 and raw TCP: what an application asks, in the order in which it reaches the far
// end, and what becomes of what there is no word for. The tty is the in-memory one, which can ask everything.
import { readSync, writeSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { SystemClock } from '../../../src/base/clock.js';
import { type Log, silentLog } from '../../../src/base/log.js';
import { ServerGate } from '../../../src/driver/server-gate.js';
import { Session } from '../../../src/driver/session.js';
import type { Link } from '../../../src/link/link.js';
import { Rfc2217Link } from '../../../src/link/rfc2217.js';
import { TcpLink } from '../../../src/link/tcp.js';
import { Pump } from '../../../src/native/pump.js';
import { DEFAULT_SETTINGS } from '../../../src/serial/line.js';
import { type MemoryApp, MemoryTty } from '../../../src/tty/memory.js';
import { Rfc2217Peer, type Rfc2217PeerOptions } from '../../support/rfc2217-peer.js';
import { POLICY, until } from '../../support/rig.js';
import { startUsbipRig } from '../../support/usbip-rig.js';

const clock = new SystemClock();
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(protocol: 'rfc2217' | 'tcp', options: Rfc2217PeerOptions = {}) {
  const peer = await Rfc2217Peer.listen(options);
  cleanups.push(() => peer.close());
  const pump = new Pump();
  cleanups.push(() => pump.close());
  const tty = new MemoryTty({ name: 'ttyNP0', pump, settings: DEFAULT_SETTINGS });
  const warnings: string[] = [];
  const log: Log = { log: (level, message) => level === 'warn' && warnings.push(message), child: () => log };
  const common = { addresses: ['127.0.0.1'], dataPort: peer.port, clock, log: silentLog };
  const session = new Session({
    tty,
    policy: POLICY,
    ticket: new ServerGate({ clock, random: Math.random }).enter(),
    makeLink: (): Link => (protocol === 'tcp' ? new TcpLink(common) : new Rfc2217Link(common)),
    clock,
    log,
    changed: () => {},
    faulted: () => {},
    recovered: () => {},
  });
  session.start();
  cleanups.push(() => session.stop(1000));
  const app = tty.open();
  cleanups.push(() => app.close());
  await until('up', 5000, () => session.state.name === 'up');
  return { peer, tty, session, app, warnings };
}

function readNow(app: Pick<MemoryApp, 'fd'>): string {
  try {
    const buffer = Buffer.alloc(65_536);
    return buffer.toString('latin1', 0, readSync(app.fd, buffer));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return '';
    throw error;
  }
}

/** Settings are five commands and two for the lines; only their kinds and turns count here. */
const turns = (happened: Rfc2217Peer['happened']) =>
  happened.reduce<string[]>((all, one) => {
    const text = typeof one === 'string' ? one : one.data;
    if (text !== all.at(-1)) all.push(text);
    return all;
  }, []);

test('rfc2217: settings, break and lines come between the bytes where the application has put them', async () => {
  const { peer, app, warnings } = await start('rfc2217');
  peer.happened.length = 0;
  const arrived = (text: string) => until(text, 5000, () => Buffer.from(peer.dataBytes).toString().endsWith(text));
  writeSync(app.fd, 'before ');
  await arrived('before ');
  app.set({ ...DEFAULT_SETTINGS, baudRate: 19_200, parity: 'even', dataBits: 7 });
  writeSync(app.fd, 'seven ');
  await arrived('seven ');
  app.sendBreak(true);
  app.sendBreak(false);
  await until('break', 5000, () => peer.commands.filter(({ type }) => type === 'break').length === 2);
  app.setLines({ dtr: true, rts: false });
  // There is no word for it, so it holds nothing up.
  app.flow(false);
  app.flow(true);
  writeSync(app.fd, 'end');
  await arrived('end');
  await until('lines', 5000, () => turns(peer.happened).at(-1) !== 'break');
  expect(turns(peer.happened).filter((turn) => turn !== 'lines')).toEqual([
    'before ',
    'settings',
    'seven ',
    'break',
    'end',
  ]);
  expect(peer.engine?.settings).toMatchObject({ baudRate: 19_200, parity: 'even', dataBits: 7 });
  expect(warnings).toEqual([]);
});

test('rfc2217: what the application flushes is not read later, and the server is asked to purge it', async () => {
  const { peer, app } = await start('rfc2217');
  peer.line?.write('stale');
  await until('it is there', 5000, () => readNow(app).length > 0);
  peer.line?.write(Buffer.alloc(50_000, 's'));
  app.flush('both');
  await until('purged', 5000, () => peer.commands.some(({ type }) => type === 'flush'));
  await until('resumed', 5000, () => {
    peer.line?.write('n');
    return readNow(app).endsWith('n');
  });
});

test('rfc2217: the modem lines are what the server tells', async () => {
  const { peer, tty } = await start('rfc2217');
  expect(tty.reports.filter(({ type }) => type === 'lines')).toEqual([{ type: 'lines', lines: peer.modemLines }]);
  peer.report({ type: 'lines', lines: { cts: false, dsr: false, dcd: true, ri: false } });
  await until('told', 5000, () => tty.reports.length === 2);
  expect(tty.reports.at(-1)).toEqual({ type: 'lines', lines: { cts: false, dsr: false, dcd: true, ri: false } });
});

test('a kernel tty on raw TCP: RTS/CTS is not waited for, and what follows RTS, a rate or a break goes on', async () => {
  const peer = await Rfc2217Peer.listen({ script: (socket) => socket.pipe(socket) });
  cleanups.push(() => peer.close());
  const rig = await startUsbipRig({
    makeLink: () => new TcpLink({ addresses: ['127.0.0.1'], dataPort: peer.port, clock }),
  });
  cleanups.push(() => rig.close());
  const app = rig.open();
  await until('up', 5000, () => rig.session.state.name === 'up');
  let got = '';
  const echoed = (text: string) =>
    until(text, 5000, () => {
      got += readNow(app);
      return got.endsWith(text);
    });
  const asked: [string, () => Promise<void>][] = [
    ['RTS low', () => app.lines(0x0200)],
    ['a rate', () => app.setRate(4800)],
    ['a break', () => app.line(0x4008)],
    ['its end', () => app.line(0x0008)],
  ];
  for (const [text, ask] of asked) {
    await ask();
    writeSync(app.fd, text);
    await echoed(text);
  }
  expect(((await app.status())[0] ?? 0) & 0xb0).toBe(0xb0); // CTS, DSR and DCD in FTDI's status
});

test('tcp: lines that nobody knows are up, so that nobody waits for one; nothing is asked, nothing held up', async () => {
  const { peer, tty, app, session, warnings } = await start('tcp', { script: (socket) => socket.pipe(socket) });
  expect(tty.reports).toEqual([{ type: 'lines', lines: { cts: true, dsr: true, dcd: true, ri: false } }]);
  app.set({ ...DEFAULT_SETTINGS, baudRate: 1200 });
  app.setLines({ dtr: false, rts: false });
  app.sendBreak(true);
  app.sendBreak(false);
  app.flow(false);
  app.flow(true);
  writeSync(app.fd, 'through');
  let got = '';
  await until('echo', 5000, () => {
    got += readNow(app);
    return got === 'through';
  });
  app.close();
  await until('idle', 5000, () => session.state.name === 'idle');
  await until('the server sees the end', 5000, () => peer.order.includes('-'));
  expect(tty.reports.at(-1)).toEqual({ type: 'lines', lines: { cts: false, dsr: false, dcd: false, ri: false } });
  expect(warnings).toEqual([]);
});
