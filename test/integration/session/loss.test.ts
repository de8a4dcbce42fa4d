// A lost connection: both sockets go, the application's descriptor stays or is hung up, nothing is sent twice, and the
// offline policy rules until the device has acknowledged the line state anew.
import { describe, expect, test } from 'vitest';
import type { Session } from '../../../src/driver/session.js';
import type { PortEvent } from '../../../src/serve/port-server.js';
import type { RealComPort } from '../../../src/serve/real-com.js';
import { App, type RigOptions, startFleet, until } from '../../support/rig.js';
import { openUp, sleep, type WatchedRig, watchedRig } from '../../support/watched-rig.js';

const start = watchedRig({ settings: { baudRate: 115200 } });

const requestsOf = (events: PortEvent[]) => events.flatMap((e) => (e.type === 'request' ? [e.request.type] : []));

describe('either socket lost', () => {
  for (const which of ['data', 'command', 'both'] as const) {
    for (const how of ['reset', 'end'] as const) {
      test(`${which}, ${how}: both go, the descriptor stays and works again`, async () => {
        const r = await start();
        const app = await openUp(r);
        app.write('before');
        await app.readExactly(6);
        r.simulator.port(1).kill(which, how);
        await until('again', 4000, () => r.simulator.port(1).counts.paired === 2 && r.session.state.name === 'up');
        app.write('after');
        expect((await app.readExactly(5)).toString()).toBe('after');
        expect(r.recorder.bytes.toString()).toBe('beforeafter');
        expect(r.session.record.lastError).not.toBeNull();
        expect(r.session.record.reason).toBeNull();
        expect(r.faults.length).toBe(1);
        expect(r.simulator.port(1).counts).toMatchObject({ data: 2, command: 2 });
      });
    }
  }

  test('hangup: the descriptor ends, and the next open works on a new PTY', async () => {
    const r = await start({ policy: { onLinkLoss: 'hangup' } });
    const before = r.tty.devicePath;
    const app = await openUp(r);
    r.simulator.port(1).kill('data');
    await until('hang-up', 3000, () => app.read() === undefined);
    expect(() => app.write('x')).toThrow(/EIO/);
    expect(r.session.state.name).toBe('idle');
    const next = await openUp(r);
    expect(r.tty.devicePath).not.toBe(before);
    next.write('fresh');
    expect((await next.readExactly(5)).toString()).toBe('fresh');
  });

  test('numbered records over 12 cuts: none twice, none out of order, each missing one covered by a counter', async () => {
    const r = await start({ simulator: { echo: false, unpaced: true } });
    const app = await openUp(r);
    const SIZE = 16;
    let sent = 0;
    for (let cut = 0; cut < 12; cut++) {
      for (let i = 0; i < 40; i++) {
        const record = `${String(sent).padStart(SIZE - 1, '0')}\n`;
        const n = app.write(record);
        if (n === 0) break;
        expect(n).toBe(SIZE);
        sent++;
        if (i % 10 === 0) await sleep(1);
      }
      const paired = r.simulator.port(1).counts.paired;
      r.simulator.port(1).kill(cut % 2 ? 'data' : 'command', cut % 3 ? 'reset' : 'end');
      await until('again', 4000, () => r.simulator.port(1).counts.paired > paired && r.session.state.name === 'up');
    }
    app.write(`${String(sent++).padStart(SIZE - 1, '0')}\n`);
    await until('the last one', 3000, () => r.recorder.bytes.includes(String(sent - 1).padStart(SIZE - 1, '0')));
    const got =
      r.recorder.bytes
        .toString()
        .match(/\d{15}\n/g)
        ?.map(Number) ?? [];
    expect(got).toEqual([...new Set(got)].sort((a, b) => a - b));
    const { offline, linkLost, closing, flushed } = r.session.record.drops;
    const { downTaken, downSent } = r.session.record.totals;
    expect(downTaken).toBe(sent * SIZE);
    expect(downSent + offline).toBe(downTaken);
    expect(closing + flushed).toBe(0);
    // What the sockets were given and the line did not get: lost with a socket, or flushed by the device at the reconnect.
    expect(r.recorder.bytes.length).toBeLessThanOrEqual(downSent);
    expect(linkLost).toBeLessThanOrEqual(downSent - r.recorder.bytes.length + SIZE * 12);
  });
});

describe('reconnect', () => {
  test('usable within two seconds after the device accepts again', async () => {
    const r = await start();
    const app = await openUp(r);
    await r.simulator.stop();
    await until('down', 2000, () => r.session.state.name === 'connecting');
    await sleep(1300);
    await r.simulator.start();
    await until('up', 2000, () => r.session.state.name === 'up');
    app.write('x');
    await app.readExactly(1);
  });

  test('a port that is closed at once, or held by another host, is tried about once a second', async () => {
    const r = await start();
    r.simulator.port(1).occupied = true;
    r.simulator.port(1).busyHoldMs = 0;
    const app = r.open();
    await sleep(2500);
    expect(r.simulator.port(1).counts.command).toBeGreaterThanOrEqual(2);
    expect(r.simulator.port(1).counts.command).toBeLessThanOrEqual(4);
    expect(r.session.record.lastError?.code).toMatch(/PEER_BUSY|PEER_CLOSED/);
    r.simulator.port(1).occupied = false;
    await until('up', 2000, () => r.session.state.name === 'up');
    app.write('mine');
    expect((await app.readExactly(4)).toString()).toBe('mine');
  });

  test('a device that comes and goes is tried about once a second too', async () => {
    const r = await start();
    await openUp(r);
    const until3 = performance.now() + 2600;
    let kills = 0;
    while (performance.now() < until3) {
      if (r.session.state.name === 'up' && r.simulator.port(1).kill('both')) kills++;
      await sleep(2);
    }
    expect(kills).toBeGreaterThanOrEqual(2);
    expect(r.simulator.port(1).counts.command).toBeLessThanOrEqual(14);
  });

  test('tells the whole line state again, and with discard flushes first', async () => {
    const flowControl = { rtsCts: true, xonXoffOut: false, xonXoffIn: true, xon: 0x11, xoff: 0x13 };
    const r = await start({ settings: { baudRate: 123_456, flowControl } });
    await openUp(r);
    r.events.length = 0;
    r.simulator.port(1).kill('both');
    await until('again', 4000, () => r.simulator.port(1).counts.paired === 2 && r.session.state.name === 'up');
    const types = requestsOf(r.events);
    expect(types[0]).toBe('flush');
    expect(types.slice(-2)).toEqual(['fifo', 'lines']);
    expect(types.slice(1, -2).every((type) => type === 'settings')).toBe(true);
    expect(r.simulator.line(1).settings).toMatchObject({
      baudRate: 123_456,
      flowControl: { rtsCts: true, xonXoffIn: true },
    });
    expect(r.simulator.line(1).outputLines).toEqual({ dtr: true, rts: true });
  });

  test('without discard nothing is flushed', async () => {
    const r = await start({ policy: { offlineData: 'hold' } });
    await openUp(r);
    r.events.length = 0;
    r.simulator.port(1).kill('both');
    await until('again', 4000, () => r.simulator.port(1).counts.paired === 2 && r.session.state.name === 'up');
    expect(
      requestsOf(r.events).filter((type, i) => type === 'flush' && i > requestsOf(r.events).indexOf('settings')),
    ).toEqual([]);
  });

  test('a reply to a request from before the cut never reaches a later request (200 cuts)', async () => {
    const PORTS = 20;
    const fleet = await startFleet(PORTS, {
      settings: { baudRate: 115200 },
      simulator: { echoDelayMs: 15, unpaced: true },
    });
    try {
      const outcomes = await Promise.all(
        fleet.sessions.map((session, i) => pollAndCut(session, fleet.simulator.port(i + 1), 10)),
      );
      expect(outcomes.flatMap(({ stale }) => stale)).toEqual([]);
      for (const { answered } of outcomes) expect(answered).toBe(10);
    } finally {
      await fleet.close();
    }
  });
});

/** A master that asks, is cut off before the answer, waits as long as it always does, and asks again. */
async function pollAndCut(session: Session, port: RealComPort, cuts: number) {
  const app = new App(session.tty.path);
  const stale: string[] = [];
  let answered = 0;
  const ask = async (request: string, waitMs: number) => {
    app.write(request);
    const deadline = performance.now() + waitMs;
    let got = '';
    while (performance.now() < deadline && got.length < request.length) {
      got += app.read()?.toString() ?? '';
      await sleep(2);
    }
    // On a busy machine the wait may be over without a look at what had come in time.
    if (got.length < request.length) got += app.read()?.toString() ?? '';
    if (!request.startsWith(got)) stale.push(`${got} after ${request}`);
    return got === request;
  };
  try {
    for (let cut = 0; cut < cuts; cut++) {
      await until('up', 5000, () => session.state.name === 'up' && session.record.connects > cut);
      if (await ask(`whole ${String(cut).padStart(4, '0')}`, 5000)) answered++;
      let waits = true;
      const asked = ask(`cut ${String(cut).padStart(4, '0')}`, 40).finally(() => {
        waits = false;
      });
      await sleep((cut % 4) * 6);
      // On a busy machine the cut itself may be late: what came before it, and after the wait, is no reply from before a cut.
      if (!waits) app.read();
      port.kill(cut % 2 ? 'both' : 'data', cut % 3 ? 'reset' : 'end');
      await asked;
    }
  } finally {
    app.close();
  }
  return { stale, answered };
}

/** As a blocking write does. */
async function writeAll(app: App, bytes: Buffer): Promise<void> {
  let at = 0;
  await until('written', 5000, () => {
    at += app.write(bytes.subarray(at, at + 4000));
    return at === bytes.length;
  });
}

describe('bytes written while the link is down', () => {
  async function down(options: RigOptions): Promise<[WatchedRig, App]> {
    const r = await start(options);
    const app = await openUp(r);
    await r.simulator.stop();
    await until('down', 2000, () => r.session.state.name === 'connecting');
    return [r, app];
  }

  test('discard: taken and counted', async () => {
    const [r, app] = await down({});
    await writeAll(app, Buffer.alloc(100_000));
    await until('counted', 2000, () => r.session.record.drops.offline === 100_000);
    await r.simulator.start();
    await until('up', 3000, () => r.session.state.name === 'up');
    app.write('later');
    expect((await app.readExactly(5)).toString()).toBe('later');
    expect(r.recorder.bytes.toString()).toBe('later');
  });

  test('hold: the newest 64 KiB', async () => {
    const [r, app] = await down({
      policy: { offlineData: 'hold', holdTimeMs: 20_000 },
      simulator: { unpaced: true, echo: false },
    });
    const lines = Array.from({ length: 100 }, (_, i) => `${String(i).padStart(999, '0')}\n`);
    await writeAll(app, Buffer.from(lines.join('')));
    await until('held', 2000, () => r.session.record.drops.held === 100_000 - 65_536);
    await r.simulator.start();
    await until('sent', 4000, () => r.recorder.bytes.length === 65_536);
    expect(r.recorder.bytes.toString().endsWith('99\n')).toBe(true);
  });

  test('hold: nothing older than holdTime', async () => {
    const [r, app] = await down({ policy: { offlineData: 'hold', holdTimeMs: 300 } });
    app.write('too old');
    await until('dropped for age', 3000, () => r.session.record.drops.held === 7);
    await r.simulator.start();
    app.write('young');
    await until('up', 3000, () => r.session.state.name === 'up');
    await sleep(50);
    expect(r.recorder.bytes.toString()).not.toContain('too old');
  });

  test('block: the writer blocks, and nothing is lost', async () => {
    const [r, app] = await down({ policy: { offlineData: 'block' }, simulator: { unpaced: true, echo: false } });
    let written = 0;
    await until('blocked', 3000, () => {
      const n = app.write(Buffer.alloc(1000, 0x62));
      written += n;
      return n < 1000;
    });
    expect(written).toBeLessThan(100_000);
    await r.simulator.start();
    await until('all of it', 4000, () => r.recorder.bytes.length === written);
    expect(r.session.record.drops).toMatchObject({ offline: 0, held: 0, closing: 0 });
  });

  test('block: what a writer left that is gone is delivered after the reconnect', async () => {
    const [r, app] = await down({ policy: { offlineData: 'block' }, simulator: { unpaced: true, echo: false } });
    app.write(Buffer.alloc(8000, 0x70));
    app.close();
    await sleep(50);
    await r.simulator.start();
    await until('all of it', 4000, () => r.recorder.bytes.length === 8000);
    await until('idle', 4000, () => r.session.state.name === 'idle');
    expect(r.session.record.drops.closing).toBe(0);
  });

  test('block: it is given up after closingWait, counted', async () => {
    const [r, app] = await down({ policy: { offlineData: 'block', closingWaitMs: 200 } });
    app.write(Buffer.alloc(3000, 0x70));
    app.close();
    await until('idle', 4000, () => r.session.state.name === 'idle');
    expect(r.session.record.drops.closing).toBe(3000);
    const next = r.open();
    await r.simulator.start();
    await until('up', 4000, () => r.session.state.name === 'up');
    next.write('new');
    expect((await next.readExactly(3)).toString()).toBe('new');
    expect(r.recorder.bytes.toString()).toBe('new');
  });
});
