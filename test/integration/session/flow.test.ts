// Sides that do not take: bytes wait where they are, in bounds, and none is lost. And more than one application.
import { createHash } from 'node:crypto';
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { liveCounts } from '../../../src/native/pump.js';
import { transfer } from '../../support/bulk.js';
import { onDescriptor, python } from '../../support/pty-app.js';
import { startRig, until } from '../../support/rig.js';
import { openUp, sleep, watchedRig } from '../../support/watched-rig.js';

const start = watchedRig({ settings: { baudRate: 115200 } });

describe('a side that does not take', () => {
  test('an application that does not read shuts the window; nothing is dropped and memory is bounded', async () => {
    const r = await start({ simulator: { unpaced: true } });
    const app = await openUp(r);
    const hash = createHash('sha256');
    let written = 0;
    let quietSince = performance.now();
    // Everything that is written comes back, and nobody reads it: the device stops taking, and then we do.
    await until('everything is full', 10_000, () => {
      for (;;) {
        const block = Buffer.alloc(16_000, `${written} `);
        const n = app.write(block);
        if (n === 0) break;
        hash.update(block.subarray(0, n));
        written += n;
        quietSince = performance.now();
      }
      return performance.now() - quietSince > 300;
    });
    const { counters } = r.tty.channel;
    expect(counters.upParked).toBeGreaterThan(0);
    expect(counters.upParked + counters.downParked).toBeLessThanOrEqual(2 * 65_536);
    expect(counters.upDropped + counters.upUnread + counters.downDropped).toBe(0);
    const all = await app.readExactly(written);
    expect(createHash('sha256').update(all).digest('hex')).toBe(hash.digest('hex'));
    expect(r.faults).toEqual([]);
  });

  test('a device that holds its window shut for 3 s stays connected and loses nothing', async () => {
    const r = await start({ settings: { baudRate: 921_600 }, simulator: { echo: false } });
    const app = await openUp(r);
    r.simulator.line(1).hold(true);
    let written = 0;
    const block = Buffer.from(Array.from({ length: 1000 }, (_, i) => i & 0xff));
    await until('the writer blocks', 5000, () => {
      const n = app.write(block.subarray(written % 1000));
      written += n;
      return n === 0 && written > 20_000;
    });
    await sleep(3000);
    expect(r.session.state.name).toBe('up');
    r.simulator.line(1).hold(false);
    await until('all of it', 10_000, () => r.recorder.bytes.length === written);
    expect(r.recorder.bytes.every((byte, i) => byte === ((i % 1000) & 0xff))).toBe(true);
    expect(r.faults).toEqual([]);
    expect(r.simulator.port(1).counts.paired).toBe(1);
  });

  test('8 MB through a loop with a reader that stops now and then: byte-exact', async () => {
    const r = await start({ simulator: { unpaced: true } });
    const app = await openUp(r);
    const { sent, got } = await transfer(app, 8_000_000, 20);
    expect(got).toBe(sent);
    expect(r.session.record.drops).toMatchObject({
      offline: 0,
      unread: 0,
      closing: 0,
      flushed: 0,
      linkLost: 0,
      stale: 0,
    });
    expect(r.session.record.totals).toMatchObject({ downTaken: 8_000_000, upDelivered: 8_000_000 });
  });
});

describe('a second application', () => {
  test('shares the tty as the kernel has it; the last close ends the session', async () => {
    const r = await start({ policy: { disconnectDelayMs: 20 } });
    const first = await openUp(r);
    const second = r.open();
    first.write('one');
    second.write('two');
    const got = (await first.readExactly(6)).toString();
    expect(got).toBe('onetwo');
    first.close();
    await sleep(50);
    expect(r.session.state.name).toBe('up');
    second.write('still');
    expect((await second.readExactly(5)).toString()).toBe('still');
    second.close();
    await until('idle', 3000, () => r.session.state.name === 'idle');
    expect(r.simulator.port(1).counts.paired).toBe(1);
  });

  test('flock and a UUCP lock file work as on any tty', async () => {
    const r = await start();
    const app = await openUp(r);
    const lock = `fd = os.open(${JSON.stringify(r.path)}, os.O_RDWR | os.O_NOCTTY)
try:
    fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    print('locked')
except OSError: print('held')`;
    onDescriptor(app.fd, 'fcntl.flock(0, fcntl.LOCK_EX)');
    expect(await python(lock)).toBe('held\n');
    onDescriptor(app.fd, 'fcntl.flock(0, fcntl.LOCK_UN)');
    expect(await python(lock)).toBe('locked\n');
    writeFileSync(join(r.dir, 'LCK..ttyNP0'), `${String(process.pid).padStart(10)}\n`, { flag: 'wx' });
    expect(() => writeFileSync(join(r.dir, 'LCK..ttyNP0'), '', { flag: 'wx' })).toThrow(/EEXIST/);
    app.write('unimpressed');
    expect((await app.readExactly(11)).toString()).toBe('unimpressed');
  });
});

describe('what a session leaves behind', () => {
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const threads = () => readdirSync('/proc/self/task').length;

  test('no descriptor, no channel, no thread, whatever state it ended in', async () => {
    await (await startRig()).close();
    await sleep(50);
    const before = [descriptors(), threads(), liveCounts()];
    for (const end of ['idle', 'up', 'lingering', 'down', 'hangup', 'dialling']) {
      const r = await startRig({
        deaf: end === 'dialling',
        stopMs: 100,
        settings: { baudRate: 115200 },
        policy: { onLinkLoss: end === 'hangup' ? 'hangup' : 'keep' },
      });
      if (end !== 'idle') {
        const app = r.open();
        if (end !== 'dialling') await until('up', 3000, () => r.session.state.name === 'up');
        if (end === 'lingering') {
          app.close();
          await until(end, 3000, () => r.session.state.name === 'lingering');
        }
        if (end === 'down' || end === 'hangup') {
          await r.simulator.stop();
          await until(end, 3000, () => r.session.state.name !== 'up');
        }
        if (end === 'dialling') await sleep(20);
      }
      await r.close();
    }
    await until('all gone', 3000, () => descriptors() <= Number(before[0]) && threads() <= Number(before[1]));
    expect(liveCounts()).toEqual(before[2]);
  });
});
