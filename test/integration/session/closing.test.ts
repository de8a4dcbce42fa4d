// The last close: output drains while the device makes progress, then FLUSH, the lines, and a moment for a reopen.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { onDescriptor, python } from '../../support/pty-app.js';
import { TERMIOS, until } from '../../support/rig.js';
import { idle, openUp, sleep, type WatchedRig, watchedRig } from '../../support/watched-rig.js';

const start = watchedRig({ settings: { baudRate: 115200 } });

/** `bytes` of numbered lines, and a program that writes them to the path and ends at once. */
function writer(path: string, bytes: number): { text: Buffer; done: Promise<void> } {
  const lines = Array.from({ length: Math.ceil(bytes / 16) }, (_, i) => `record ${String(i).padStart(8, '0')}\n`);
  const text = Buffer.from(lines.join('')).subarray(0, bytes);
  const child = spawn('sh', ['-c', 'cat > "$0"', path], { stdio: ['pipe', 'inherit', 'inherit'] });
  child.stdin.end(text);
  const done = new Promise<void>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', () => resolve());
  });
  return { text, done };
}

describe('output at the last close', () => {
  test('is transmitted before the connection ends, byte-exact, with pauses of the device', async () => {
    const r = await start({
      settings: { baudRate: 230_400 },
      policy: { disconnectDelayMs: 0 },
      simulator: { echo: false },
    });
    const { text, done } = writer(r.path, 20_480);
    for (let pause = 0; pause < 3; pause++) {
      await until('some have left', 5000, () => r.recorder.bytes.length > 2000 * (pause + 1));
      r.simulator.line(1).hold(true);
      await sleep(300);
      r.simulator.line(1).hold(false);
    }
    await done;
    await until('closed', 10_000, () => r.session.state.name === 'idle');
    expect(r.recorder.bytes.length).toBe(text.length);
    expect(sha(r.recorder.bytes)).toBe(sha(text));
    expect(r.session.record.drops.closing).toBe(0);
    expect(r.faults).toEqual([]);
  });

  test('is given up after closingWait without progress, counted and logged', async () => {
    const r = await start({ policy: { closingWaitMs: 400, disconnectDelayMs: 0 }, simulator: { echo: false } });
    const app = await openUp(r);
    r.simulator.line(1).hold(true);
    let written = 0;
    await until('the writer blocks', 5000, () => {
      const n = app.write(Buffer.alloc(4000, 0x78));
      written += n;
      return n === 0 && written > 20_000;
    });
    const closedAt = performance.now();
    app.close();
    await idle(r);
    expect(performance.now() - closedAt).toBeGreaterThan(390);
    // Nothing has left, and all but what moved between two of its buffers meanwhile is counted.
    expect(r.recorder.bytes.length).toBe(0);
    expect(r.session.record.drops.closing).toBeGreaterThan(written / 2);
    expect(r.session.record.drops.closing).toBeLessThanOrEqual(written);
    expect(r.session.record.drops.flushed).toBe(0);
    expect(r.lines.some((line) => /^warn: \d+ bytes .*not transmitted/.test(line))).toBe(true);
    expect(r.requests.at(-1)).toEqual({ type: 'lines', lines: { dtr: false, rts: false } });
    expect(r.requests.filter((q) => q.type === 'flush')[0]).toEqual({ type: 'flush', queue: 'both' });
  });

  test('a slow device is no stuck one: progress prolongs the wait', async () => {
    const r = await start({
      settings: { baudRate: 4800 },
      policy: { closingWaitMs: 300, disconnectDelayMs: 0 },
      simulator: { echo: false },
    });
    const app = await openUp(r);
    app.write(Buffer.alloc(600, 0x78)); // 1.25 s of line time
    app.close();
    await idle(r);
    expect(r.recorder.bytes.length).toBe(600);
    expect(r.session.record.drops.closing).toBe(0);
  });

  test('of one opener is complete before that of the next who comes while it drains', async () => {
    const r = await start({
      settings: { baudRate: 9600 },
      policy: { disconnectDelayMs: 0 },
      simulator: { echo: false },
    });
    const app = await openUp(r);
    app.write(Buffer.alloc(500, 0x31));
    app.close();
    await until('closing', 1000, () => r.session.state.name === 'closing');
    const next = r.open();
    next.write(Buffer.alloc(500, 0x32));
    await until('both', 5000, () => r.recorder.bytes.length === 1000);
    expect(r.recorder.bytes.toString()).toBe('1'.repeat(500) + '2'.repeat(500));
    // Nobody lowered a line in between.
    expect(r.recorder.of('lines').map((l) => l.lines.dtr)).toEqual([true]);
  });

  test('that was held for new settings is transmitted with them', async () => {
    const r = await start({
      settings: { baudRate: 2400 },
      policy: { disconnectDelayMs: 0 },
      simulator: { echo: false },
    });
    const app = await openUp(r);
    app.set({ lflag: () => 0 });
    app.write(Buffer.alloc(60, 0x61));
    await until('taken', 1000, () => r.tty.channel.counters.downTaken === 60);
    app.set({ baudRate: 9600 });
    app.write(Buffer.alloc(60, 0x62));
    app.close();
    await idle(r);
    expect(r.recorder.bytes.toString()).toBe('a'.repeat(60) + 'b'.repeat(60));
    expect(r.recorder.rates).toEqual([...Array(60).fill(2400), ...Array(60).fill(9600)]);
  });
});

describe('the lines at the last close', () => {
  test('FLUSH, then DTR and RTS low where HUPCL is set', async () => {
    const r = await start({ policy: { disconnectDelayMs: 20 } });
    const app = await openUp(r);
    app.write('x');
    await app.readExactly(1);
    app.close();
    await idle(r);
    expect(r.recorder.of('lines').map((l) => l.lines)).toEqual([
      { dtr: true, rts: true },
      { dtr: false, rts: false },
    ]);
    expect(r.requests.slice(-2).map((q) => q.type)).toEqual(['flush', 'lines']);
  });

  test('without HUPCL they stay up over a reopen within disconnectDelay: no glitch', async () => {
    const r = await start({ policy: { disconnectDelayMs: 400 } });
    const app = await openUp(r);
    app.set({ cflag: (flags) => (flags & ~TERMIOS.HUPCL) >>> 0 });
    app.close();
    await until('lingering', 2000, () => r.session.state.name === 'lingering');
    await sleep(50);
    const next = r.open();
    next.write('again');
    expect((await next.readExactly(5)).toString()).toBe('again');
    expect(r.recorder.of('lines').map((l) => l.lines)).toEqual([{ dtr: true, rts: true }]);
    expect(r.simulator.port(1).counts.paired).toBe(1);
  });

  test('a reopen at once still ends with the lines high, whatever was under way', async () => {
    const r = await start({ policy: { disconnectDelayMs: 300 } });
    r.simulator.port(1).answers.delayMs = 15;
    for (let i = 0; i < 8; i++) {
      const app = r.open();
      app.write('ping');
      expect((await app.readExactly(4)).toString()).toBe('ping');
      expect(r.simulator.line(1).outputLines).toEqual({ dtr: true, rts: true });
      app.close();
      await until('at an early moment of the end', 2000, () => r.session.state.name !== 'up');
      if (i % 2) await until('lingering', 2000, () => r.session.state.name === 'lingering');
      if (i % 4 === 3) await sleep(5);
    }
    expect(r.simulator.port(1).counts.paired).toBe(1);
    expect(r.faults).toEqual([]);
  });

  test('the connection stays disconnectDelay for a reopen, then ends', async () => {
    const r = await start({ policy: { disconnectDelayMs: 250 } });
    const app = await openUp(r);
    app.close();
    await until('lingering', 2000, () => r.session.state.name === 'lingering');
    const from = performance.now();
    await until('ended', 3000, () => !r.simulator.port(1).up);
    expect(performance.now() - from).toBeGreaterThan(240);
    await openUp(r);
    expect(r.simulator.port(1).counts.paired).toBe(2);
  });
});

describe('nothing of one opener reaches the next', () => {
  test('unread input', async () => {
    const r = await start();
    for (let i = 0; i < 10; i++) {
      const app = r.open();
      const before = r.tty.channel.counters.upDelivered;
      app.write('unread by the first');
      await until('delivered', 3000, () => r.tty.channel.counters.upDelivered === before + 19);
      app.close();
      const next = r.open(); // before anybody could look
      await sleep(20);
      const got = next.read();
      expect(got?.toString().includes('unread by') ? got.toString() : '').toBe('');
      next.close();
      await until('closed', 3000, () => !r.tty.isOpen);
      await sleep(5);
    }
  });

  test.skipIf(process.getuid?.() !== 0)('TIOCEXCL (root ignores it: tried as nobody)', async () => {
    const r = await start({ mode: 0o666 });
    const asNobody = () =>
      python(
        `os.setuid(65534)\ntry: os.open(${JSON.stringify(r.tty.devicePath)}, os.O_RDWR | os.O_NOCTTY)\nexcept OSError as e: print(e.errno)`,
      );
    const app = await openUp(r);
    onDescriptor(app.fd, 'fcntl.ioctl(0, termios.TIOCEXCL)');
    expect(await asNobody()).toBe('16\n');
    app.close();
    await until('closed', 2000, () => !r.tty.isOpen);
    expect(await asNobody()).toBe('');
  });
});

function sha(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

test('what the device sent before it flushed does not reach an opener who comes meanwhile', async () => {
  const r = await start({ policy: { disconnectDelayMs: 2000 }, simulator: { unpaced: true, echo: false } });
  const first = await openUp(r);
  r.simulator.port(1).answers.delayMs = 200;
  first.close();
  await until('the device is told to flush', 3000, () => r.requests.some(({ type }) => type === 'flush'));
  const second = r.open();
  await until('the tty is open again', 3000, () => r.tty.isOpen && r.session.state.name === 'initialising');
  r.simulator.line(1).inject(Buffer.from('stale'));
  await until('up', 3000, () => r.session.state.name === 'up');
  r.simulator.line(1).inject(Buffer.from('fresh'));
  expect((await second.readExactly(5)).toString()).toBe('fresh');
  expect(r.session.record.drops.stale).toBe(5);
});

describe('the daemon ends while output is on its way', () => {
  const said = ({ lines }: WatchedRig) => lines.filter((line) => /not transmitted/.test(line)).join('\n');

  test('what a slow line did not carry is counted and said, wherever it is', async () => {
    const r = await start({ settings: { baudRate: 300 } });
    const app = await openUp(r);
    const written = app.write(Buffer.alloc(9000, 0x55));
    await r.session.stop(300);
    // At 300 baud not even twenty characters leave in that time, and not one of the others is forgotten.
    const told = [...said(r).matchAll(/(\d+) bytes/g)].reduce((sum, match) => sum + Number(match[1]), 0);
    expect(told).toBeGreaterThan(written - 100);
    // What leaves between the device's answer and the end of it is told, too: a character or two, and never one too few.
    const accounted = told + r.recorder.bytes.length;
    expect(accounted).toBeGreaterThanOrEqual(written);
    expect(accounted).toBeLessThan(written + 30);
    expect(r.simulator.line(1).outputLines).toEqual({ dtr: false, rts: false });
  });

  test('what was kept for the first connect is counted and said', async () => {
    const r = await start({ deaf: true });
    const app = r.open();
    app.write('helloworld');
    await until('it tried', 3000, () => r.faults.length > 0);
    await r.session.stop(300);
    expect(said(r)).toContain('10 bytes');
  });

  test('a port whose tty has failed ends too', async () => {
    const r = await start();
    await openUp(r);
    r.tty.close();
    r.tty.onEvent({ type: 'failed', reason: 'no PTY left' });
    await expect(r.session.stop(100)).resolves.toBeUndefined();
    await until('disconnected', 3000, () => !r.simulator.port(1).up);
  });

  test('a device that answers nothing does not hold it up, and what it never took is said', async () => {
    const r = await start();
    const app = await openUp(r);
    r.simulator.line(1).hold(true);
    r.simulator.port(1).answers.mute = true;
    let written = 0;
    await until('nothing more goes in', 5000, () => {
      const n = app.write(Buffer.alloc(4096));
      written += n;
      return n === 0;
    });
    await r.session.stop(300);
    expect(said(r)).not.toBe('');
    expect(written).toBeGreaterThan(4096);
  });
});
