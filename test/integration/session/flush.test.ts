// tcflush: what is parked is dropped, FLUSH goes on the wire, and later bytes of either direction wait for its answer.
import { describe, expect, test } from 'vitest';
import { onDescriptor } from '../../support/pty-app.js';
import { type App, until } from '../../support/rig.js';
import { openUp, watchedRig } from '../../support/watched-rig.js';

const start = watchedRig();

const flush = (app: App, queue: 'TCIFLUSH' | 'TCOFLUSH' | 'TCIOFLUSH') =>
  onDescriptor(app.fd, `termios.tcflush(0, termios.${queue})`);

describe('tcflush(TCOFLUSH)', () => {
  test('what did not leave is dropped everywhere, what comes later arrives', async () => {
    const r = await start({ settings: { baudRate: 57600 }, simulator: { echo: false } });
    const app = await openUp(r);
    r.simulator.line(1).hold(true);
    const old = Buffer.alloc(4000, 0x73);
    let written = 0;
    // Fills the device, the sockets, the pump and the PTY.
    await until('the writer blocks', 10_000, () => {
      written += app.write(old);
      return written > 20_000 && app.write(old) === 0;
    });
    flush(app, 'TCOFLUSH');
    await until('flushed', 3000, () => r.requests.some((q) => q.type === 'flush'));
    await until('a fresh byte is taken', 3000, () => app.write('!') === 1);
    r.simulator.line(1).hold(false);
    await until('it arrives', 5000, () => r.recorder.bytes.includes('!'));
    // The kernel leaves up to 4 KiB in the PTY's master, and does not say which of them were written before the flush.
    const stale = r.recorder.bytes.length - 1;
    expect(stale).toBeLessThanOrEqual(4096);
    expect(written).toBeGreaterThan(20_000);
  });

  test('later bytes wait for the answer of FLUSH', async () => {
    const r = await start({ settings: { baudRate: 115200 }, simulator: { echo: false } });
    const app = await openUp(r);
    r.simulator.port(1).answers.delayMs = 80;
    flush(app, 'TCOFLUSH');
    const before = performance.now();
    app.write('after');
    await until('flushed', 3000, () => r.requests.some((q) => q.type === 'flush' && q.queue === 'tx'));
    expect(r.recorder.bytes.length).toBe(0);
    await until('sent', 3000, () => r.recorder.bytes.toString() === 'after');
    expect(performance.now() - before).toBeGreaterThan(40);
    const order = r.recorder.records.map((record) => record.type).filter((t) => t === 'flush' || t === 'bytes');
    expect(order.indexOf('flush')).toBeLessThan(order.indexOf('bytes'));
  });
});

describe('tcflush(TCIFLUSH)', () => {
  test('FLUSH 0 goes out, and a request that follows is answered', async () => {
    const r = await start({ settings: { baudRate: 115200 } });
    const app = await openUp(r);
    r.simulator.port(1).answers.delayMs = 50;
    // The request is written before the device has flushed: if it were sent at once, its echo would be dropped.
    flush(app, 'TCIFLUSH');
    app.write('request');
    expect((await app.readExactly(7)).toString()).toBe('request');
    expect(r.requests.filter((q) => q.type === 'flush')).toEqual([{ type: 'flush', queue: 'rx' }]);
    const order = r.recorder.records.map((record) => record.type).filter((t) => t === 'flush' || t === 'bytes');
    // A busy machine lets the paced line carry them in more than one piece.
    expect(order.indexOf('flush')).toBe(0);
    expect(order.lastIndexOf('flush')).toBe(0);
    expect(order.length).toBeGreaterThan(1);
  });

  test('nothing that came before is read after, wherever it was', async () => {
    const r = await start({ settings: { baudRate: 115200 } });
    const app = await openUp(r);
    for (let i = 0; i < 60; i++) {
      r.simulator.line(1).inject(Buffer.alloc(1000, 0x73));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until('the PTY is full', 3000, () => r.tty.channel.counters.upParked > 0);
    r.simulator.port(1).answers.delayMs = 40;
    flush(app, 'TCIFLUSH');
    r.simulator.line(1).inject(Buffer.from('stale too'));
    await until('flushed', 3000, () => r.requests.some((q) => q.type === 'flush'));
    app.write('fresh');
    expect((await app.readExactly(5)).toString()).toBe('fresh');
    expect(app.read()?.length).toBe(0);
    expect(r.session.record.drops.unread + r.session.record.drops.stale).toBeGreaterThan(0);
  });

  test('a hundred requests, each after a flush', async () => {
    const r = await start({ settings: { baudRate: 115200 }, simulator: { unpaced: true } });
    await openUp(r);
    const { python } = await import('../../support/pty-app.js');
    const out = await python(`
fd = os.open(${JSON.stringify(r.path)}, os.O_RDWR | os.O_NOCTTY)
for i in range(100):
    termios.tcflush(fd, termios.TCIOFLUSH)
    request = b'request %04d' % i
    os.write(fd, request)
    answer = b''
    while len(answer) < len(request): answer += os.read(fd, 100)
    assert answer == request, (answer, request)
print('done')
`);
    expect(out).toBe('done\n');
    expect(r.session.state.name).toBe('up');
  });
});

test('a flush while the link is down or coming up holds nothing back', async () => {
  const r = await start({ settings: { baudRate: 115200 } });
  const app = await openUp(r);
  await r.simulator.stop();
  await until('down', 2000, () => r.session.state.name === 'connecting');
  flush(app, 'TCIOFLUSH');
  app.write('void');
  await until('discarded', 2000, () => r.session.record.drops.offline === 4);
  r.simulator.port(1).answers.delayMs = 100;
  await r.simulator.start();
  await until('initialising', 4000, () => r.session.state.name === 'initialising');
  flush(app, 'TCIOFLUSH');
  app.write('alive');
  expect((await app.readExactly(5)).toString()).toBe('alive');
});
