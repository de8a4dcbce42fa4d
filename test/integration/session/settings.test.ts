// tcsetattr: no byte leaves at a wrong rate, nothing is sent when nothing changed, and what a device refuses shows.
import { describe, expect, test } from 'vitest';
import { TERMIOS, until } from '../../support/rig.js';
import { openUp, sleep, watchedRig } from '../../support/watched-rig.js';

const start = watchedRig();

describe('a change of the rate', () => {
  test('300 bytes at 1200, 300 at 9600: none at a wrong rate', async () => {
    const r = await start({ settings: { baudRate: 1200 }, simulator: { echo: false } });
    const app = await openUp(r);
    app.write(Buffer.alloc(300, 0x61));
    // The kernel tells a PTY's master of tcsetattr ahead of bytes that were written before it; only bytes that the pump has
    // taken by then can be told from later ones. An application that waits for nothing in between is a millisecond too fast.
    await until('taken', 1000, () => r.tty.channel.counters.downTaken === 300);
    app.set({ baudRate: 9600 });
    app.write(Buffer.alloc(300, 0x62));
    await until('600 bytes at the far end', 10_000, () => r.recorder.bytes.length === 600);
    expect(r.recorder.bytes.toString()).toBe('a'.repeat(300) + 'b'.repeat(300));
    expect(r.recorder.rates).toEqual([...Array(300).fill(1200), ...Array(300).fill(9600)]);
  });

  test('the same for an application that has cleared EXTPROC, and twice in one open', async () => {
    const r = await start({ settings: { baudRate: 2400 }, simulator: { echo: false } });
    const app = await openUp(r);
    app.set({ lflag: () => 0 });
    const rates = [2400, 19200, 4800];
    for (const [i, baudRate] of rates.entries()) {
      app.set({ baudRate });
      app.write(Buffer.alloc(50, 0x61 + i));
      await until('taken', 5000, () => r.tty.channel.counters.downTaken === 50 * (i + 1));
      await sleep(2);
    }
    await until('all at the far end', 10_000, () => r.recorder.bytes.length === 150);
    expect(r.recorder.bytes.toString()).toBe('a'.repeat(50) + 'b'.repeat(50) + 'c'.repeat(50));
    expect(r.recorder.rates).toEqual(rates.flatMap((rate) => Array(50).fill(rate)));
  });

  test('nothing is sent when nothing changed, and no byte waits', async () => {
    const r = await start({ settings: { baudRate: 115200 } });
    const app = await openUp(r);
    const before = r.requests.length;
    for (let i = 0; i < 10; i++) app.set({});
    app.write('through');
    expect((await app.readExactly(7)).toString()).toBe('through');
    expect(r.requests.length).toBe(before);
  });

  test('a burst of 20 becomes at most a first and the last', async () => {
    const r = await start({ settings: { baudRate: 115200 } });
    const app = await openUp(r);
    const before = r.requests.length;
    r.simulator.port(1).answers.delayMs = 30;
    for (let i = 0; i < 20; i++) {
      app.set({ baudRate: 1200 + 100 * i });
      if (i === 4) await sleep(10);
    }
    await until('the last one is in force', 3000, () => r.simulator.line(1).settings.baudRate === 3100);
    app.write('x');
    await app.readExactly(1);
    const sent = r.requests.slice(before).filter((request) => request.type === 'settings');
    expect(sent.length).toBeLessThanOrEqual(2);
    expect(r.session.record.acknowledged?.baudRate).toBe(3100);
  });

  test('rates that no table has', async () => {
    const r = await start({ simulator: {} });
    const app = await openUp(r);
    for (const baudRate of [250_000, 123_456, 7200, 57]) {
      app.set({ baudRate });
      await until(`${baudRate}`, 2000, () => r.simulator.line(1).settings.baudRate === baudRate);
      await until('acknowledged', 1000, () => r.session.record.acknowledged?.baudRate === baudRate);
    }
  });

  test('a refused rate shows, and the old one stays in force', async () => {
    const r = await start({ settings: { baudRate: 19200 } });
    const app = await openUp(r);
    r.simulator.port(1).refuseSettings((settings) => settings.baudRate === 38400);
    app.set({ baudRate: 38400 });
    await until('refused', 2000, () => r.session.record.refused?.baudRate === 38400);
    expect(r.session.record.acknowledged?.baudRate).toBe(19200);
    app.write('still here');
    expect((await app.readExactly(10)).toString()).toBe('still here');
    expect(r.recorder.rates).toEqual(Array(10).fill(19200));
    app.set({ baudRate: 9600 });
    await until('the next is taken', 2000, () => r.session.record.acknowledged?.baudRate === 9600);
    expect(r.simulator.line(1).settings.baudRate).toBe(9600);
    expect(r.faults).toEqual([]);
  });

  test('a rate that is refused at the first open is not asked again and again', async () => {
    const r = await start({ settings: { baudRate: 1_234_567 } });
    await openUp(r);
    expect(r.session.record.refused?.baudRate).toBe(1_234_567);
    expect(r.requests.filter((request) => request.type === 'settings').length).toBeLessThanOrEqual(2);
  });

  test('stop bits and flow control follow, parity and data bits come from the configuration', async () => {
    const r = await start({ settings: { baudRate: 9600, dataBits: 7, parity: 'even' } });
    const app = await openUp(r);
    expect(r.simulator.line(1).settings).toMatchObject({ dataBits: 7, parity: 'even', stopBits: 1 });
    app.set({ cflag: (flags) => (flags | TERMIOS.CSTOPB | TERMIOS.CRTSCTS) >>> 0 });
    await until('two stop bits', 2000, () => r.simulator.line(1).settings.stopBits === 2);
    expect(r.simulator.line(1).settings).toMatchObject({ dataBits: 7, parity: 'even', flowControl: { rtsCts: true } });
  });
});

describe('B0', () => {
  test('drops DTR and RTS and keeps the rate; a rate raises them again', async () => {
    const r = await start({ settings: { baudRate: 19200 } });
    const app = await openUp(r);
    expect(r.simulator.line(1).outputLines).toEqual({ dtr: true, rts: true });
    app.set({ baudRate: 0 });
    await until('lines low', 2000, () => !r.simulator.line(1).outputLines.dtr);
    expect(r.simulator.line(1).outputLines).toEqual({ dtr: false, rts: false });
    expect(r.simulator.line(1).settings.baudRate).toBe(19200);
    app.set({ baudRate: 19200 });
    await until('lines high', 2000, () => r.simulator.line(1).outputLines.dtr);
    expect(r.simulator.line(1).outputLines).toEqual({ dtr: true, rts: true });
    app.write('alive');
    expect((await app.readExactly(5)).toString()).toBe('alive');
  });
});

describe('a change at a bad moment', () => {
  test('settings set while the link is down are told on the reconnect, and hold no byte back', async () => {
    const r = await start({ settings: { baudRate: 9600 } });
    const app = await openUp(r);
    await r.simulator.stop();
    await until('down', 2000, () => r.session.state.name === 'connecting');
    app.set({ baudRate: 57600 });
    app.write('into the void');
    await until('discarded', 2000, () => r.session.record.drops.offline === 13);
    await r.simulator.start();
    await until('up', 4000, () => r.session.state.name === 'up');
    expect(r.simulator.line(1).settings.baudRate).toBe(57600);
    app.write('back');
    expect((await app.readExactly(4)).toString()).toBe('back');
  });

  test('settings set while the device is being initialised', async () => {
    const r = await start({ settings: { baudRate: 9600 }, simulator: { echo: false } });
    r.simulator.port(1).answers.delayMs = 40;
    const app = r.open();
    await until('initialising', 2000, () => r.session.state.name === 'initialising');
    app.set({ baudRate: 38400 });
    app.write('now');
    await until('sent', 3000, () => r.recorder.bytes.length === 3);
    expect(r.recorder.rates).toEqual([38400, 38400, 38400]);
  });

  test('a device that holds back output does not hold back settings for ever', async () => {
    const r = await start({ settings: { baudRate: 9600 }, simulator: { echo: false } });
    const app = await openUp(r);
    r.simulator.line(1).hold(true);
    app.write('held');
    await until('taken by the device', 2000, () => r.simulator.line(1).outputQueue === 4);
    app.set({ baudRate: 4800 });
    await until('in force', 6000, () => r.simulator.line(1).settings.baudRate === 4800);
    expect(r.lines.some((line) => line.includes('holds back output'))).toBe(true);
    r.simulator.line(1).hold(false);
    await until('transmitted', 2000, () => r.recorder.bytes.toString() === 'held');
  });
});
