import { writeSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { LineSync } from '../../../src/driver/line-sync.js';
import { MemoryDevice, type MemoryLink } from '../../../src/link/memory.js';
import { closeFd } from '../../../src/native/socket.js';
import { DEFAULT_SETTINGS, type LineRequest, type LineSettings, type OutputLines } from '../../../src/serial/line.js';
import { ManualClock } from '../../support/manual-clock.js';
import { StillChannel } from './support.js';

const HIGH: OutputLines = { dtr: true, rts: true };
const LOW: OutputLines = { dtr: false, rts: false };
const at = (baudRate: number): LineSettings => ({ ...DEFAULT_SETTINGS, baudRate });

let open: MemoryLink[] = [];
afterEach(async () => {
  for (const link of open) await link.close();
  open = [];
});

async function setUp() {
  const clock = new ManualClock();
  const device = new MemoryDevice(clock);
  const channel = new StillChannel();
  const acknowledged: number[] = [];
  const logged: string[] = [];
  const wanted = { settings: at(9600), lines: HIGH };
  const connect = async () => {
    const link = device.link();
    open.push(link);
    const report = (r: { type: string }) => {
      if (r.type === 'refused') sync.refused(acknowledged.length ? at(acknowledged.at(-1) ?? 0) : undefined);
    };
    const connecting = link.connect({ report, down: () => {} }, new AbortController().signal);
    await clock.advanceAsync(device.script.connectMs);
    await connecting;
    return link;
  };
  let current: MemoryLink | undefined;
  let stale = 0;
  const log = { log: (_: string, message: string) => logged.push(message), child: () => log };
  const sync: LineSync = new LineSync({
    clock,
    log,
    link: () => current,
    channel: () => channel,
    desired: () => ({ ...wanted }),
    acknowledged: (settings) => acknowledged.push(settings.baudRate),
    lookAhead: () => 4096,
    stale: (bytes) => {
      stale += bytes;
    },
    progressed: () => {},
  });
  /** A link whose device has been told the state. */
  const ready = async () => {
    const link = await connect();
    const done = sync.initialise(link, 16, false, false);
    await clock.advanceAsync(1000);
    await done;
    current = link;
    device.requests.length = 0;
    channel.asked.length = 0;
    return link;
  };
  return {
    clock,
    device,
    channel,
    acknowledged,
    logged,
    wanted,
    sync,
    connect,
    ready,
    use: (l?: MemoryLink) => (current = l),
    stale: () => stale,
  };
}

const shown = (requests: readonly LineRequest[]) =>
  requests.map((r) => {
    if (r.type === 'settings') return `${r.settings.baudRate}${r.lines.dtr ? '' : ' low'}`;
    if (r.type === 'lines') return r.lines.dtr ? 'high' : 'low';
    if (r.type === 'flush') return `flush ${r.queue}`;
    return r.type === 'break' ? `break ${r.on ? 'on' : 'off'}` : r.type;
  });

describe('a fresh connection', () => {
  test('is told settings and FIFO; after a loss flush comes first and the lines last', async () => {
    const t = await setUp();
    const first = t.sync.initialise(await t.connect(), 16, false, false);
    await t.clock.advanceAsync(100);
    await first;
    expect(shown(t.device.requests)).toEqual(['9600', 'fifo']);
    t.sync.forget();
    t.device.requests.length = 0;
    const again = t.sync.initialise(await t.connect(), 16, true, true);
    await t.clock.advanceAsync(100);
    await again;
    expect(shown(t.device.requests)).toEqual(['flush both', '9600', 'fifo', 'high']);
  });

  test('what the application asks meanwhile is told before the end', async () => {
    const t = await setUp();
    t.device.script.answerMs = 50;
    const done = t.sync.initialise(await t.connect(), 16, false, false);
    await t.clock.advanceAsync(60);
    t.wanted.settings = at(19_200);
    t.sync.settingsChanged();
    t.sync.flush('rx');
    await t.clock.advanceAsync(1000);
    await done;
    expect(shown(t.device.requests)).toEqual(['9600', 'fifo', 'flush rx', '19200']);
  });

  test('a refusal is not asked again and again', async () => {
    const t = await setUp();
    t.device.script.refuses = () => true;
    const done = t.sync.initialise(await t.connect(), 16, false, false);
    await t.clock.advanceAsync(1000);
    await done;
    expect(shown(t.device.requests)).toEqual(['9600', 'fifo']);
    expect(t.acknowledged).toEqual([]);
  });

  test('B0 is initialised too, with the lines low', async () => {
    const t = await setUp();
    t.wanted.settings = at(0);
    t.wanted.lines = LOW;
    const done = t.sync.initialise(await t.connect(), 16, false, false);
    await t.clock.advanceAsync(1000);
    await done;
    expect(shown(t.device.requests)).toEqual(['0 low', 'fifo']);
  });

  test('waits for the end of the use before: the lines end high', async () => {
    const t = await setUp();
    const link = await t.ready();
    t.device.script.answerMs = 20;
    const finish = t.sync.finish(link, true);
    const begin = t.sync.initialise(link, 16, false, false);
    await t.clock.advanceAsync(1000);
    await Promise.all([finish, begin]);
    expect(shown(t.device.requests)).toEqual(['flush both', 'low', '9600', 'fifo']);
    expect(t.device.lines).toEqual(HIGH);
  });
});

describe('a change', () => {
  test('nothing is sent when nothing changed, and down is resumed', async () => {
    const t = await setUp();
    await t.ready();
    t.sync.settingsChanged();
    await t.clock.advanceAsync(100);
    expect(t.device.requests).toEqual([]);
    expect(t.channel.asked).toEqual(['resume up', 'resume down']);
  });

  test('goes after what was written before, and down is resumed only after the answer', async () => {
    const t = await setUp();
    await t.ready();
    let left = 3;
    t.device.script.left = () => left;
    t.channel.stop('down');
    t.wanted.settings = at(1200);
    t.sync.settingsChanged();
    await t.clock.advanceAsync(500);
    expect(t.device.requests).toEqual([]);
    expect(t.channel.stopped.has('down')).toBe(true);
    left = 0;
    t.device.script.answerMs = 100;
    await t.clock.advanceAsync(150);
    expect(t.channel.stopped.has('down')).toBe(true);
    await t.clock.advanceAsync(500);
    expect(shown(t.device.requests)).toEqual(['1200']);
    expect(t.channel.stopped.size).toBe(0);
    expect(t.acknowledged.at(-1)).toBe(1200);
  });

  test('goes ahead after 3 s without progress, and says so', async () => {
    const t = await setUp();
    await t.ready();
    t.device.script.left = () => 9;
    t.wanted.settings = at(1200);
    t.sync.settingsChanged();
    await t.clock.advanceAsync(2900);
    expect(t.device.requests).toEqual([]);
    await t.clock.advanceAsync(400);
    expect(shown(t.device.requests)).toEqual(['1200']);
    expect(t.logged.join()).toContain('holds back output');
  });

  test('a burst becomes a first and the last', async () => {
    const t = await setUp();
    await t.ready();
    t.device.script.answerMs = 30;
    for (let i = 0; i < 20; i++) {
      t.wanted.settings = at(1000 + i);
      t.sync.settingsChanged();
      await t.clock.advanceAsync(4);
    }
    await t.clock.advanceAsync(1000);
    expect(t.device.requests.length).toBeLessThanOrEqual(3);
    expect(t.device.settings?.baudRate).toBe(1019);
  });

  test('what is told at one go is done at one go: flush first, no resume in between', async () => {
    const t = await setUp();
    await t.ready();
    t.sync.settingsChanged();
    t.sync.flush('tx');
    expect(t.channel.asked).toEqual([]);
    await t.clock.advanceAsync(100);
    expect(shown(t.device.requests)).toEqual(['flush tx']);
    expect(t.channel.asked).toEqual(['resume up', 'resume down']);
  });

  test('B0 drops the lines and keeps the rate; a rate raises them', async () => {
    const t = await setUp();
    await t.ready();
    t.wanted.settings = at(0);
    t.wanted.lines = LOW;
    t.sync.settingsChanged();
    await t.clock.advanceAsync(100);
    t.wanted.settings = at(9600);
    t.wanted.lines = HIGH;
    t.sync.settingsChanged();
    await t.clock.advanceAsync(100);
    expect(shown(t.device.requests)).toEqual(['low', '9600']);
  });

  test('two flushes that wait become one', async () => {
    const t = await setUp();
    await t.ready();
    t.sync.flush('rx');
    t.sync.flush('tx');
    await t.clock.advanceAsync(100);
    expect(shown(t.device.requests)).toEqual(['flush both']);
  });

  test('breaks go in order, and many are bounded without losing the last', async () => {
    const t = await setUp();
    await t.ready();
    for (let i = 0; i < 1000; i++) t.sync.request({ type: 'break', on: i % 2 === 0 });
    await t.clock.advanceAsync(2000);
    const told = shown(t.device.requests);
    expect(told.length).toBeLessThanOrEqual(66);
    expect(told.slice(0, 2)).toEqual(['break on', 'break off']);
    expect(told.at(-1)).toBe('break off');
    expect(told.every((text, i) => text === (i % 2 ? 'break off' : 'break on'))).toBe(true);
  });

  test('a connection that ends leaves nothing under way, and the next begins anew', async () => {
    const t = await setUp();
    const link = await t.ready();
    t.device.script.answerMs = 100;
    t.wanted.settings = at(1200);
    t.sync.settingsChanged();
    await t.clock.advanceAsync(50);
    t.use(undefined);
    t.sync.forget();
    await link.close();
    await t.sync.idle();
    expect(t.clock.timers).toBe(0);
    t.device.script.answerMs = 0;
    await t.ready();
    expect(t.device.settings?.baudRate).toBe(1200);
    expect(t.logged).toEqual([]);
  });
});

describe('a protocol that has no word for it', () => {
  const NOTHING = {
    settings: false,
    outputLines: false,
    modemLines: false,
    lineErrors: false,
    breaks: false,
    flush: false,
    drain: false,
    transmitter: false,
    fifo: false,
  };

  test('bytes alone: the device is asked nothing, nothing is held up, and what it had sent is thrown away', async () => {
    const t = await setUp();
    t.device.script.capabilities = NOTHING;
    const link = await t.ready();
    const far = t.device.takeDataFd();
    writeSync(far, 'stale');
    t.wanted.settings = at(1200);
    // As for a fence that would not pass.
    t.channel.fences = Array.from({ length: 10 }, () => 'timeout' as const);
    t.sync.settingsChanged();
    t.sync.request({ type: 'break', on: true });
    t.sync.request({ type: 'transmitter', on: false });
    t.sync.flush('both');
    await t.clock.advanceAsync(10);
    expect(t.channel.asked.slice(-2)).toEqual(['resume up', 'resume down']);
    expect(t.channel.fences).toHaveLength(10);
    expect(t.stale()).toBe(5);
    // A tty may have stopped what follows a request.
    t.channel.stop('down');
    t.sync.request({ type: 'lines', lines: LOW });
    await t.clock.advanceAsync(0);
    expect(t.channel.stopped.size).toBe(0);
    await t.sync.finish(link, true);
    expect(t.device.requests).toEqual([]);
    expect(t.logged).toEqual([]);
    closeFd(far);
  });

  test('no word for the UART alone: the rest is told', async () => {
    const t = await setUp();
    t.device.script.capabilities = { ...t.device.script.capabilities, fifo: false };
    const done = t.sync.initialise(await t.connect(), 16, false, true);
    await t.clock.advanceAsync(100);
    await done;
    expect(shown(t.device.requests)).toEqual(['9600', 'high']);
  });

  test('no question for what is left: the end of a use flushes no output, which may be still to come', async () => {
    const t = await setUp();
    t.device.script.capabilities = { ...t.device.script.capabilities, drain: false };
    const link = await t.ready();
    const finished = t.sync.finish(link, true);
    await t.clock.advanceAsync(100);
    await finished;
    expect(shown(t.device.requests)).toEqual(['flush rx', 'low']);
  });
});
