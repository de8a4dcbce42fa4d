// The first open: what is written before the device answers is kept and delivered whole, and what the device is told.
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import type { LineRequest } from '../../../src/serial/line.js';
import { LineRecorder } from '../../support/line-recorder.js';
import { type Fleet, type Rig, type RigOptions, startFleet, startRig, until } from '../../support/rig.js';

let rig: Rig | undefined;
let fleet: Fleet | undefined;
const start = async (options: RigOptions = {}) => {
  rig = await startRig(options);
  return rig;
};
afterEach(async () => {
  await rig?.close();
  await fleet?.close();
  rig = undefined;
  fleet = undefined;
});

/** printf hello > tty */
function printf(path: string, text: string): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_NOCTTY);
  writeSync(fd, text);
  closeSync(fd);
}

describe('open, write, close within a millisecond arrives whole, 100 times of 100', () => {
  const PORTS = 50;
  for (const delayMs of [0, 50, 900]) {
    test(`server accepting after ${delayMs} ms`, async () => {
      const recorders = Array.from({ length: PORTS }, () => new LineRecorder());
      const options: RigOptions = {
        settings: { baudRate: 115200 },
        policy: { disconnectDelayMs: 0 },
        simulator: { echo: false, observer: (n) => recorders[n - 1] },
      };
      fleet = await startFleet(PORTS, options);
      const { sessions, simulator } = fleet;
      for (let round = 1; round <= 2; round++) {
        if (delayMs > 0) await Promise.all(simulator.ports.map((port) => port.pauseAccepting()));
        for (const { tty } of sessions) printf(tty.path, 'hello');
        if (delayMs > 0) {
          await new Promise((resolve) => setTimeout(resolve, delayMs));
          await simulator.start();
        }
        await until('all are idle again', 15_000, () =>
          sessions.every((s) => s.state.name === 'idle' && s.record.connects >= round),
        );
        expect(recorders.map((r) => r.bytes.toString())).toEqual(recorders.map(() => 'hello'.repeat(round)));
      }
      for (const { record } of sessions) expect(record.drops).toMatchObject({ closing: 0, offline: 0, linkLost: 0 });
    });
  }
});

describe('first open', () => {
  test('PORT_INIT, TX_FIFO and nothing else go first; bytes wait for the answer', async () => {
    const requests: LineRequest[] = [];
    const recorder = new LineRecorder();
    const { open, simulator, session } = await start({
      settings: { baudRate: 115200 },
      simulator: {
        observer: () => recorder,
        event: (_, event) => event.type === 'request' && requests.push(event.request),
      },
    });
    simulator.port(1).answers.delayMs = 60;
    const app = open();
    app.write('early');
    await until('first request', 2000, () => requests.length > 0);
    expect(recorder.bytes.length).toBe(0);
    expect(simulator.port(1).bytes.received).toBe(0);
    expect((await app.readExactly(5)).toString()).toBe('early');
    expect(requests.map((r) => r.type)).toEqual(['settings', 'fifo']);
    expect(requests[0]).toMatchObject({ settings: { baudRate: 115200 }, lines: { dtr: true, rts: true } });
    expect(session.record.acknowledged?.baudRate).toBe(115200);
  });

  test('SETBAUD follows PORT_INIT for a rate that the table does not have, XONXOFF where it is used', async () => {
    const { open, simulator, session } = await start({
      settings: {
        baudRate: 123456,
        flowControl: { rtsCts: false, xonXoffOut: true, xonXoffIn: false, xon: 0x01, xoff: 0x02 },
      },
    });
    const sent: string[] = [];
    session.trace = {
      command: (direction, _, text) => direction === 'sent' && sent.push(text),
      event: () => {},
      data: () => {},
      lost: () => {},
    };
    open();
    await until('up', 3000, () => session.state.name === 'up');
    expect(sent.map((text) => text.split(' ')[0])).toEqual(['PORT_INIT', 'SETBAUD', 'XONXOFF', 'TX_FIFO']);
    expect(simulator.line(1).settings).toMatchObject({
      baudRate: 123456,
      flowControl: { xonXoffOut: true, xon: 1, xoff: 2 },
    });
    session.trace = undefined;
  });

  test('what was written is kept for connectTimeout, then the offline policy rules', async () => {
    const { open, session, simulator } = await start({
      deaf: true,
      policy: { connectTimeoutMs: 250 },
      settings: { baudRate: 115200 },
    });
    const app = open();
    app.write('too early');
    await until('a failed attempt', 2000, () => session.record.lastError !== null);
    expect(session.record.lastError?.code).toBe('PEER_REFUSED');
    expect(session.record.drops.offline).toBe(0);
    await until('the hold is over', 2000, () => session.record.drops.offline === 9);
    await simulator.start();
    await until('up', 4000, () => session.state.name === 'up');
    app.write('now');
    expect((await app.readExactly(3)).toString()).toBe('now');
  });

  test('open and close without a byte gives up at once', async () => {
    const { open, session } = await start({ deaf: true });
    open().close();
    await until('seen', 2000, () => session.tty.channel.counters.ttyOpen === false && session.state.name === 'idle');
    const app = open();
    await until('connecting', 2000, () => session.state.name === 'connecting');
    app.close();
    await until('idle', 2000, () => session.state.name === 'idle');
    expect(session.record.drops.closing).toBe(0);
  });

  test('connect: always connects before the first open, with DTR and RTS low until then', async () => {
    const { open, session, simulator } = await start({ policy: { connect: 'always' }, settings: { baudRate: 115200 } });
    await until('kept', 3000, () => session.state.name === 'kept');
    expect(simulator.port(1).up).toBe(true);
    expect(simulator.line(1).outputLines).toEqual({ dtr: false, rts: false });
    const app = open();
    app.write('abc');
    expect((await app.readExactly(3)).toString()).toBe('abc');
    expect(simulator.line(1).outputLines).toEqual({ dtr: true, rts: true });
    app.close();
    await until('kept again', 3000, () => session.state.name === 'kept' && !simulator.line(1).outputLines.dtr);
    expect(simulator.port(1).counts.paired).toBe(1);
    simulator.port(1).kill('both');
    await until('connected again', 3000, () => simulator.port(1).counts.paired === 2 && session.state.name === 'kept');
  });

  test('offlineOpen: fail hangs up at once, and the next open works when the server is back', async () => {
    const { open, session, simulator, tty } = await start({
      deaf: true,
      policy: { offlineOpen: 'fail' },
      settings: { baudRate: 115200 },
    });
    const before = tty.devicePath;
    const app = open();
    await until('hang-up', 3000, () => app.read() === undefined);
    expect(session.state.name).toBe('idle');
    expect(tty.devicePath).not.toBe(before);
    await simulator.start();
    const next = open();
    next.write('back');
    expect((await next.readExactly(4)).toString()).toBe('back');
  });
});
