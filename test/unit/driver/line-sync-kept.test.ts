// A process that ends at any moment of the line's work, and the one that goes on from what was kept: the device ends as the
// application asked, nothing is lost, and the order stays.
import { describe, expect, test } from 'vitest';
import { silentLog } from '../../../src/base/log.js';
import { formatKeptPort, parseKeptPort } from '../../../src/driver/kept-port.js';
import { type KeptLines, LineSync } from '../../../src/driver/line-sync.js';
import type { Link } from '../../../src/link/link.js';
import { MemoryDevice } from '../../../src/link/memory.js';
import { DEFAULT_SETTINGS, type LineRequest, type LineSettings, type OutputLines } from '../../../src/serial/line.js';
import { ManualClock } from '../../support/manual-clock.js';
import { StillChannel } from './support.js';

const HIGH: OutputLines = { dtr: true, rts: true };
const LOW: OutputLines = { dtr: false, rts: false };
const at = (baudRate: number): LineSettings => ({ ...DEFAULT_SETTINGS, baudRate });
const ANSWER_MS = 10;
/** Longer than any of the scenarios works. */
const LAST_MS = 200;

interface Wanted {
  settings: LineSettings;
  lines: OutputLines;
}

/** A device that does what arrives at once, and answers later. */
class Device {
  readonly requests: LineRequest[] = [];
  /** The last that arrived has not been answered. */
  pending = false;
  /** A process that is dead gets no answers, and what it had not yet sent never comes. */
  alive = true;

  constructor(
    readonly clock: ManualClock,
    /** The last request of the dead process is lost with it: killed after it was kept, before it was written. */
    readonly losesLast: boolean,
  ) {}

  link(changed: () => void): Link {
    const memory = new MemoryDevice(this.clock).link();
    let tail: Promise<void> = Promise.resolve();
    const one = (arrives: () => void): Promise<void> => {
      const done = tail.then(
        () =>
          new Promise<void>((resolve) => {
            if (!this.alive) return;
            changed();
            arrives();
            this.clock.after(ANSWER_MS, () => {
              if (!this.alive) return;
              this.pending = false;
              resolve();
            });
          }),
      );
      tail = done;
      return done;
    };
    return Object.assign(memory, {
      request: (request: LineRequest) => one(() => this.#arrive(request)),
      outputQueue: () => one(() => {}).then(() => 0),
    });
  }

  #arrive(request: LineRequest): void {
    this.requests.push(request);
    this.pending = true;
  }

  /** The process ends. */
  kill(): void {
    this.alive = false;
    if (this.pending && this.losesLast) this.requests.pop();
  }

  /** What all that arrived makes of it. */
  get state() {
    let settings: LineSettings | undefined;
    let lines: OutputLines = LOW;
    for (const request of this.requests) {
      if (request.type === 'settings') settings = request.settings;
      if (request.type === 'settings' || request.type === 'lines') lines = request.lines;
    }
    return { settings, lines };
  }
}

class Life {
  readonly channel = new StillChannel();
  readonly sync: LineSync;
  readonly link: Link;
  ready = false;
  /** As it is in the port's file. */
  stored: KeptLines | undefined;

  constructor(clock: ManualClock, device: Device, wanted: Wanted) {
    this.channel.attached = false;
    this.link = device.link(() => this.store());
    this.sync = new LineSync({
      clock,
      log: silentLog,
      link: () => (this.ready ? this.link : undefined),
      channel: () => this.channel,
      desired: () => ({ ...wanted }),
      acknowledged: () => {},
      lookAhead: () => 4096,
      stale: () => {},
      progressed: () => {
        if (device.alive) this.store();
      },
    });
  }

  store(): void {
    const kept = {
      state: { name: 'up' as const },
      reconnect: false,
      target: '',
      lines: this.sync.kept,
      link: undefined,
    };
    const read = parseKeptPort(JSON.parse(JSON.stringify(formatKeptPort(kept))));
    expect(read).toBeDefined();
    this.stored = read?.lines;
  }
}

interface Scenario {
  readonly ask: (life: Life, wanted: Wanted) => void;
  /** What the application does while no process is there. */
  readonly meanwhile?: (wanted: Wanted) => void;
  /** What the device must have been told of these kinds, in order. */
  readonly told?: readonly string[];
}

const shown = (requests: readonly LineRequest[]): string[] =>
  requests.flatMap((r) => {
    if (r.type === 'break' || r.type === 'transmitter') return [`${r.type} ${r.on ? 'on' : 'off'}`];
    return r.type === 'flush' ? [`flush ${r.queue}`] : [];
  });

/** Done twice in a row is done once. */
const once = (told: readonly string[]) => told.filter((text, i) => text !== told[i - 1]);

const SCENARIOS: Record<string, Scenario> = {
  'a change of settings': {
    ask: ({ sync }, wanted) => {
      wanted.settings = at(1200);
      sync.settingsChanged();
    },
  },
  'a change that is taken back meanwhile': {
    ask: ({ sync }, wanted) => {
      wanted.settings = at(1200);
      sync.settingsChanged();
    },
    meanwhile: (wanted) => {
      wanted.settings = at(9600);
    },
  },
  'B0 that is taken back meanwhile': {
    ask: ({ sync }, wanted) => {
      Object.assign(wanted, { settings: at(0), lines: LOW });
      sync.settingsChanged();
    },
    meanwhile: (wanted) => {
      Object.assign(wanted, { settings: at(9600), lines: HIGH });
    },
  },
  'an end of use that is none': {
    ask: ({ sync, link }) => {
      sync.finish(link, true).catch(() => {});
    },
  },
  'a flush': { ask: ({ sync }) => sync.flush('both'), told: ['flush both'] },
  'two flushes': {
    ask: ({ sync }) => {
      sync.flush('rx');
      sync.flush('tx');
    },
    told: ['flush both'],
  },
  'a break': {
    ask: ({ sync }) => {
      sync.request({ type: 'break', on: true });
      sync.request({ type: 'break', on: false });
    },
    told: ['break on', 'break off'],
  },
  everything: {
    ask: ({ sync }, wanted) => {
      sync.request({ type: 'break', on: true });
      wanted.settings = at(1200);
      sync.settingsChanged();
      sync.request({ type: 'break', on: false });
      sync.flush('tx');
      sync.request({ type: 'transmitter', on: false });
      sync.request({ type: 'transmitter', on: true });
    },
    told: ['flush tx', 'break on', 'break off', 'transmitter off', 'transmitter on'],
  },
};

async function upTo(losesLast: boolean) {
  const clock = new ManualClock();
  const device = new Device(clock, losesLast);
  const wanted: Wanted = { settings: at(9600), lines: HIGH };
  const first = new Life(clock, device, wanted);
  const done = first.sync.initialise(first.link, 16, false, false);
  await clock.advanceAsync(100);
  await done;
  first.ready = true;
  first.store();
  return { clock, device, wanted, first };
}

/** The next process, on the same connection; what the first one had told stays told. */
function successor(
  clock: ManualClock,
  device: Device,
  wanted: Wanted,
): { life: Life; told: LineRequest[]; device: Device } {
  const again = new Device(clock, false);
  const life = new Life(clock, again, wanted);
  life.ready = true;
  again.requests.push(...device.requests);
  return { life, told: again.requests, device: again };
}

describe.each(['arrives', 'is lost'] as const)('ended at any millisecond; what was written last %s', (fate) => {
  // A hand-over writes the record when it ends; a kill leaves the one before.
  describe.each(['handed over', 'killed'] as const)('%s', (end) => {
    test.each(Object.entries(SCENARIOS))('%s', async (_, { ask, meanwhile, told = [] }) => {
      for (let ms = 0; ms <= LAST_MS; ms++) {
        const { clock, device, wanted, first } = await upTo(fate === 'is lost');
        const before = device.requests.length;
        ask(first, wanted);
        await clock.advanceAsync(ms);
        if (end === 'handed over') first.store();
        const kept = first.stored;
        device.kill();
        meanwhile?.(wanted);
        const second = successor(clock, device, wanted);
        if (kept) second.life.sync.adopt(kept);
        second.life.channel.stop('down');
        second.life.channel.stop('up');
        second.life.sync.resume();
        await clock.advanceAsync(5000);
        expect(second.device.state, `after ${ms} ms`).toEqual(wanted);
        expect(
          once(shown(second.told.slice(before))).filter((text) => told.length > 0 || !text),
          `after ${ms} ms`,
        ).toEqual(told);
        expect(second.life.channel.stopped.size, `after ${ms} ms`).toBe(0);
      }
    });
  });
});

test('ended during the first words to a device: they are told anew, flush included', async () => {
  for (let ms = 0; ms <= 100; ms++) {
    const clock = new ManualClock();
    const device = new Device(clock, ms % 2 === 0);
    const wanted: Wanted = { settings: at(9600), lines: HIGH };
    const first = new Life(clock, device, wanted);
    first.sync.initialise(first.link, 16, false, false).catch(() => {});
    await clock.advanceAsync(5);
    first.sync.flush('rx');
    wanted.settings = at(1200);
    first.sync.settingsChanged();
    await clock.advanceAsync(ms);
    const done = first.stored;
    device.kill();
    const second = successor(clock, device, wanted);
    second.life.ready = false;
    if (done) second.life.sync.adopt(done);
    const again = second.life.sync.initialise(second.life.link, 16, false, false);
    await clock.advanceAsync(1000);
    await again;
    expect(second.device.state).toEqual(wanted);
    expect(shown(second.told)).toContain('flush rx');
  }
});
