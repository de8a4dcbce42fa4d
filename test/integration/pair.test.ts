// Two ends of a cable through the network: what a device at one end does, the device at the other end sees. Both devices have real ends
// of a null-modem cable (LoopbackUart.pair), so that lines are what a plug would show; where bytes alone matter, PTYs.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { type Clock, SystemClock } from '../../src/base/clock.js';
import {
  DEFAULT_SETTINGS,
  type LineReport,
  type LineRequest,
  type LineSettings,
  type OutputLines,
} from '../../src/serial/line.js';
import { pairSlave } from '../../src/serve/pair.js';
import { PairMasterPort } from '../../src/serve/pair-master.js';
import type { PortEvent, PortServerOptions } from '../../src/serve/port-server.js';
import { ForwardingUart } from '../../src/uart/forwarding.js';
import { LoopbackUart } from '../../src/uart/loopback.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import type { Uart } from '../../src/uart/uart.js';
import { freePort } from '../support/free-ports.js';
import { endsOfTests, sleep, holds as until } from '../support/leftovers.js';
import { ManualClock } from '../support/manual-clock.js';
import { SerialLine } from '../support/serial-line.js';

/** The process has no descriptor left: so often, where one is to be doubled. */
const refuseDup = vi.hoisted(() => ({ times: 0 }));
vi.mock('../../src/native/socket.js', async (original) => {
  const real = await original<typeof import('../../src/native/socket.js')>();
  const dup = (fd: number) => {
    if (refuseDup.times-- > 0) throw Object.assign(new Error('EMFILE: too many open files, dup'), { code: 'EMFILE' });
    return real.dup(fd);
  };
  return { ...real, dup };
});

const ends = endsOfTests();

/** A device at the end of a cable: what it hears and sees. */
class Device {
  text = '';
  breaks = 0;
  lines = 0;
  constructor(readonly uart: LoopbackUart) {}

  async open(): Promise<this> {
    await this.uart.open({
      received: (bytes) => {
        this.text += Buffer.from(bytes).toString('latin1');
      },
      report: (report: LineReport) => {
        if (report.type === 'break') this.breaks++;
        if (report.type === 'lines') this.lines++;
      },
      writable: () => {},
      drained: () => {},
      failed: () => {},
    });
    ends.push(() => this.uart.close());
    return this;
  }

  drive(lines: OutputLines) {
    return this.uart.request({ type: 'lines', lines });
  }

  get sees() {
    const { cts, dsr, dcd } = this.uart.modemLines;
    return { cts, dsr, dcd };
  }
}

const clock = new SystemClock();

function cable(): [LoopbackUart, LoopbackUart] {
  return LoopbackUart.pair({ clock, unpaced: true });
}

function told() {
  const events: PortEvent[] = [];
  const notes = () => events.flatMap((event) => (event.type === 'note' ? [event.text] : []));
  return { events, notes, event: (event: PortEvent) => void events.push(event) };
}

async function slave(uart: Uart, port = 0, options: Partial<PortServerOptions> = {}) {
  const heard = told();
  const server = pairSlave({ clock, uart, address: '127.0.0.1', port, busyHoldMs: 20, event: heard.event, ...options });
  ends.push(() => server.close());
  await server.open();
  return { ...heard, server, port: server.tcpPorts[0] ?? 0 };
}

async function master(uart: Uart, port: number, masterClock: Clock = clock) {
  const heard = told();
  const destination = { host: '127.0.0.1', lastHost: null, port, localPort: 0 };
  const server = new PairMasterPort({
    clock: masterClock,
    uart,
    address: '127.0.0.1',
    destination,
    event: heard.event,
  });
  ends.push(() => server.close());
  await server.open();
  return { ...heard, server };
}

async function pair() {
  const [here, ownHere] = cable();
  const [there, ownThere] = cable();
  const devices = [await new Device(here).open(), await new Device(there).open()] as const;
  const far = await slave(ownThere);
  const near = await master(ownHere, far.port);
  await until(() => near.server.clients.length === 1 && far.server.clients.length === 1);
  return { devices, near, far };
}

test('bytes and lines, both ways: what one device drives the other one sees', async () => {
  const { devices } = await pair();
  for (const [from, to] of [devices, [...devices].reverse()]) {
    if (from === undefined || to === undefined) return;
    for (const lines of [
      { dtr: true, rts: false },
      { dtr: true, rts: true },
      { dtr: false, rts: true },
      { dtr: false, rts: false },
    ]) {
      await from.drive(lines);
      await until(() => to.sees.cts === lines.rts && to.sees.dsr === lines.dtr && to.sees.dcd === lines.dtr);
    }
    from.uart.write(Buffer.from('hello \xff\xff end', 'latin1'));
    await until(() => to.text === 'hello \xff\xff end');
  }
});

test('a break goes over, both ways, as one', async () => {
  const { devices } = await pair();
  for (const [from, to] of [devices, [...devices].reverse()]) {
    if (from === undefined || to === undefined) return;
    const before = [to.breaks, from.breaks];
    await from.uart.request({ type: 'break', on: true });
    await sleep(20);
    await from.uart.request({ type: 'break', on: false });
    await until(() => to.breaks > (before[0] ?? 0));
    await sleep(400);
    expect([to.breaks, from.breaks]).toEqual([(before[0] ?? 0) + 1, before[1]]);
  }
});

test('a device that moves its lines all the time: bounded, and the last state arrives', async () => {
  const { devices } = await pair();
  const [here, there] = devices;
  for (let i = 0; i < 2000; i++) {
    await here.drive({ dtr: i % 2 === 0, rts: i % 2 === 1 });
    if (i % 20 === 0) await sleep(1);
  }
  await here.drive({ dtr: true, rts: false });
  await until(() => there.sees.dsr && !there.sees.cts);
  await sleep(100);
  expect(there.sees).toEqual({ cts: false, dsr: true, dcd: true });
  here.uart.write(Buffer.from('and on'));
  await until(() => there.text === 'and on');
});

test('other settings at the two ends: told at both, and nothing is changed', async () => {
  const [, ownHere] = cable();
  const [, ownThere] = cable();
  const settings: LineSettings = { ...DEFAULT_SETTINGS, baudRate: 19_200, parity: 'even' };
  await ownThere.request({ type: 'settings', settings, lines: { dtr: false, rts: false } });
  const far = await slave(ownThere);
  await ownThere.request({ type: 'settings', settings, lines: { dtr: false, rts: false } });
  const near = await master(ownHere, far.port);
  await until(() => near.notes().length > 0 && far.notes().length > 0);
  expect(near.notes()[0]).toBe('the slave has other line settings than 9600,8N1: make them the same at both ends');
  expect(far.notes().at(-1)).toMatch(/^the master has .*, this end 19200,8E1: make them the same$/);
  expect([ownThere.settings.baudRate, ownThere.settings.parity, ownHere.settings.baudRate]).toEqual([
    19_200,
    'even',
    9600,
  ]);
});

test('several settings that differ: the slave tells what the master has, once, and not one setting after the other', async () => {
  const [, ownHere] = cable();
  const [, ownThere] = cable();
  const settings: LineSettings = { ...DEFAULT_SETTINGS, baudRate: 19_200, parity: 'even', dataBits: 7 };
  await ownHere.request({ type: 'settings', settings, lines: { dtr: false, rts: false } });
  const far = await slave(ownThere);
  const near = await master(ownHere, far.port);
  await until(() => near.notes().length > 0 && far.notes().length > 0);
  await near.server.close();
  await until(() => far.server.clients.length === 0);
  expect(far.notes()).toEqual(['the master has 19200,7E1, this end 9600,8N1: make them the same']);
  // The next one has its own.
  const again = await master(cable()[1], far.port);
  await until(() => again.server.clients.length === 1);
  await again.server.close();
  expect([far.notes().length, ownThere.settings]).toEqual([1, DEFAULT_SETTINGS]);
});

test('a slave that comes later, goes, and comes again; lines are down meanwhile', async () => {
  const port = await freePort();
  const [here, ownHere] = cable();
  const device = await new Device(here).open();
  const near = await master(ownHere, port);
  await until(() => near.notes().length === 1);
  expect(near.notes()[0]).toMatch(new RegExp(`^127\\.0\\.0\\.1:${port}: .*it is tried again$`));
  const [there, ownThere] = cable();
  const other = await new Device(there).open();
  await other.drive({ dtr: true, rts: true });
  const far = await slave(ownThere, port);
  await until(() => device.sees.cts && device.sees.dsr);
  await far.server.close();
  await until(() => !device.sees.cts && !device.sees.dsr);
  const [plug, ownPlug] = cable();
  const next = await new Device(plug).open();
  await next.drive({ dtr: false, rts: true });
  const again = await slave(ownPlug, port);
  await until(() => again.server.clients.length === 1 && device.sees.cts && !device.sees.dsr);
  device.uart.write(Buffer.from('back'));
  await until(() => next.text === 'back');
}, 20_000);

test('a master that has no descriptor left for its connection tells so and tries again', async () => {
  const far = await slave(cable()[1]);
  refuseDup.times = 1;
  const masterClock = new ManualClock();
  const near = await master(cable()[1], far.port, masterClock);
  masterClock.advance(0);
  await until(() => near.notes().length === 1);
  expect(near.notes()[0]).toMatch(/EMFILE.*; it is tried again$/);
  expect(near.server.clients).toEqual([]);
  await until(() => far.server.clients.length === 0);
  masterClock.advance(1000);
  await until(() => near.server.clients.length === 1);
});

test('two masters with the same slave: one has it, the other waits until it is free', async () => {
  const { near, far } = await pair();
  const [, own] = cable();
  const second = await master(own, far.port);
  await until(() => far.events.some(({ type }) => type === 'busy'));
  expect(second.server.clients).toHaveLength(0);
  await near.server.close();
  await until(() => second.server.clients.length === 1);
}, 20_000);

/** Shows what of its lines is asked. */
class Watched extends ForwardingUart {
  readonly asked: OutputLines[] = [];

  override request(request: LineRequest): Promise<boolean> {
    if (request.type === 'lines') this.asked.push(request.lines);
    return super.request(request);
  }
}

test('a master that is handed over: its lines do not move while it connects anew, and go down where nobody is there', async () => {
  const [one, other] = [new SerialLine(), new SerialLine()];
  for (const line of [one, other]) ends.push(() => line.unplug());
  const port = (line: SerialLine) => new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
  const far = await slave(port(other));
  const near = await master(port(one), far.port);
  await until(() => near.server.clients.length === 1);
  const next = async (from: PairMasterPort) => {
    const left = await from.handOver();
    if (left === undefined) throw new Error('it could not be kept');
    const uart = new Watched(port(one));
    const destination = { host: '127.0.0.1', lastHost: null, port: far.port, localPort: 0 };
    const server = new PairMasterPort({ clock, uart, address: '127.0.0.1', destination });
    ends.push(() => server.close());
    await server.open(left);
    return { server, asked: uart.asked };
  };
  const again = await next(near.server);
  await until(() => again.server.clients.length === 1 && far.server.clients.length === 1);
  // A PTY's lines are all on: what the far end shows, and what was before.
  expect(again.asked.every(({ dtr, rts }) => dtr && rts)).toBe(true);
  one.send('on');
  await until(() => other.received.toString() === 'on');
  await far.server.close();
  const alone = await next(again.server);
  await until(() => alone.asked.some(({ dtr, rts }) => !dtr && !rts));
});

test('a device that is unplugged, at either end', async () => {
  const [one, other] = [new SerialLine(), new SerialLine()];
  for (const line of [one, other]) ends.push(() => line.unplug());
  const uart = (line: SerialLine) => new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
  const far = await slave(uart(other));
  const near = await master(uart(one), far.port);
  await until(() => near.server.clients.length === 1);
  const much = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 251));
  one.send(much);
  await until(() => other.received.length === much.length);
  expect(other.received.equals(much)).toBe(true);
  other.send(much);
  await until(() => one.received.length === much.length);
  expect(one.received.equals(much)).toBe(true);
  one.unplug();
  await until(() => near.events.some(({ type }) => type === 'failed'));
  other.unplug();
  await until(() => far.events.some(({ type }) => type === 'failed'));
}, 20_000);

test('a far end that comes, speaks and goes all day: while the line stands a bounded part is kept, and it hears that', async () => {
  const [here, own] = cable();
  const device = await new Device(here).open();
  const port = await freePort();
  const masterClock = new ManualClock();
  const near = await master(own, port, masterClock);
  await own.request({ type: 'transmitter', on: false });
  const gone = () => near.events.filter(({ type }) => type === 'disconnected').length;
  for (let round = 0; round < 20; round++) {
    const [there, ownThere] = cable();
    await new Device(there).open();
    const far = await slave(ownThere, port);
    masterClock.advance(1000);
    await until(() => near.server.clients.length === 1);
    there.write(Buffer.alloc(3000, round));
    await until(() => (near.server.clients[0]?.received ?? 0) >= 3000);
    await far.server.close();
    await until(() => gone() === round + 1);
  }
  await own.request({ type: 'transmitter', on: true });
  await sleep(200);
  expect(device.text.length % 3000).toBe(0);
  expect(device.text.length).toBeGreaterThan(3000);
  expect(device.text.length).toBeLessThan(12 * 3000);
}, 30_000);

test('what a far end that is gone had said reaches a line that stood, whatever the device says meanwhile', async () => {
  const [here, own] = cable();
  const device = await new Device(here).open();
  const [there, ownThere] = cable();
  await new Device(there).open();
  const far = await slave(ownThere);
  const near = await master(own, far.port);
  await until(() => near.server.clients.length === 1);
  await own.request({ type: 'transmitter', on: false });
  const said = Buffer.from(Array.from({ length: 30_000 }, (_, i) => 97 + (i % 26)));
  for (let at = 0; at < said.length; ) {
    at += there.write(said.subarray(at));
    await sleep(1);
  }
  await until(() => far.server.clients[0]?.sent === said.length);
  await far.server.close();
  await until(() => near.events.some(({ type }) => type === 'disconnected'));
  here.write(Buffer.from('is anybody there?'));
  await sleep(20);
  await own.request({ type: 'transmitter', on: true });
  await until(() => device.text.length >= said.length);
  expect(device.text).toBe(said.toString());
});

const missing =
  spawnSync('ser2net', ['-v']).error !== undefined && spawnSync('/usr/sbin/ser2net', ['-v']).error !== undefined;
test.skipIf(missing && 'ser2net is not installed')(
  'ser2net as the far end of a master',
  async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ttynp-pair-'));
    ends.push(() => rmSync(folder, { recursive: true }));
    const port = await freePort();
    const far = new SerialLine();
    ends.push(() => far.unplug());
    const config = join(folder, 'ser2net.yaml');
    writeFileSync(
      config,
      `connection: &one\n  accepter: telnet(rfc2217),tcp,127.0.0.1,${port}\n  connector: serialdev,${far.path},9600n81,local\n`,
    );
    const child: ChildProcess = spawn('/usr/sbin/ser2net', ['-n', '-c', config, '-P', join(folder, 'pid')], {
      stdio: 'ignore',
    });
    ends.push(async () => {
      child.kill();
      await once(child, 'exit');
    });
    const [here, own] = cable();
    const device = await new Device(here).open();
    const near = await master(own, port);
    await until(() => near.server.clients.length === 1);
    device.uart.write(Buffer.from('to ser2net'));
    await until(() => far.received.toString() === 'to ser2net');
    far.send('and back');
    await until(() => device.text === 'and back');
  },
  20_000,
);
