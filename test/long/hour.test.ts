// One daemon, 200 ttys over Real COM and raw TCP, traffic both ways on all of them, and what happens to a daemon meanwhile: reloads,
// traces, scrapes of its metrics, devices that die, stand still and come back. For an hour, or TTYNP_HOUR_SECONDS. Printed is a
// table; asserted, that no byte is wrong anywhere, none is lost where no device died, and nothing grows. No time is asserted.
import { afterEach, expect, test } from 'vitest';
import { eventually, Whole } from '../support/e2e.js';
import { Device, Traffic, type TrafficReport, table, trafficTable } from './hour-parts.js';

const SECONDS = Number(process.env.TTYNP_HOUR_SECONDS ?? 3600);
/** Some fifty reloads, until V8 has compiled what it will and what is bounded is full. */
const SETTLE_MS = Math.min(300, SECONDS / 10) * 1000;
const STEADY = 80;
const MORTAL = 20;
const INTERVAL_MS = 100;
/** Below the ports that the kernel gives to clients, and another run's. */
const BASE = 10_000 + (process.pid % 16) * 1000;
const PROBE = new URL('../guard/heap-probe.mjs', import.meta.url).href;
const MB = 1024 * 1024;

const cleanups: (() => Promise<void> | void)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Whose devices die, and whose do not. */
const GROUPS = {
  'Real COM': { protocol: 'realcom', ports: STEADY, prefix: 'ttyA', base: BASE, mortal: false },
  TCP: { protocol: 'tcp', ports: STEADY, prefix: 'ttyB', base: BASE + 300, mortal: false },
  'Real COM, dies': { protocol: 'realcom', ports: MORTAL, prefix: 'ttyC', base: BASE + 500, mortal: true },
  'TCP, dies': { protocol: 'tcp', ports: MORTAL, prefix: 'ttyD', base: BASE + 700, mortal: true },
} as const;
const COMMANDS = 100;

function deviceOf({ protocol, ports, base }: (typeof GROUPS)[keyof typeof GROUPS]): Device {
  return protocol === 'realcom' ? Device.realCom(ports, base, base + COMMANDS) : Device.tcp(ports, base);
}

const servers = Object.fromEntries(
  Object.values(GROUPS).map(({ protocol, ports, prefix, base }) => [
    `server-${prefix}`,
    {
      ...{ address: '127.0.0.1', protocol, ports, firstTty: `${prefix}0`, dataPort: base },
      ...(protocol === 'realcom' ? { commandPort: base + COMMANDS } : {}),
    },
  ]),
);

const ttys = Object.entries(GROUPS).flatMap(([group, { ports, prefix, mortal }]) =>
  Array.from({ length: ports }, (_, i) => ({ group, name: `${prefix}${i}`, mortal })),
);

/** What happened, until it is told to stop; `happened` are its rows of the table. */
class Events {
  readonly happened = {
    reloads: 0,
    scrapes: 0,
    traces: 0,
    'traced bytes': 0,
    'devices killed': 0,
    'devices paused': 0,
  };
  readonly #over = new AbortController();
  readonly #running: Promise<void>[] = [];

  constructor(
    readonly whole: Whole,
    readonly mortal: readonly Device[],
  ) {}

  begin(): void {
    const { signal } = this.#over;
    for (const what of [this.#reload, this.#scrape, this.#trace, this.#die]) {
      const run = async () => {
        for (let turn = 0; !signal.aborted; turn++) await what.call(this, turn);
      };
      this.#running.push(run());
    }
  }

  /** Rejects where one of them failed. */
  async end(): Promise<void> {
    this.#over.abort();
    await Promise.all(this.#running);
  }

  /** Rejects as soon as one of them fails. */
  failed(): Promise<never> {
    return new Promise((_, reject) => {
      for (const running of this.#running) running.catch(reject);
    });
  }

  /** As it was configured at first. */
  async undo(): Promise<void> {
    this.whole.configure();
    await this.whole.client.reload();
  }

  async #pause(ms: number): Promise<void> {
    const end = performance.now() + ms;
    while (!this.#over.signal.aborted && performance.now() < end) await sleep(Math.min(100, ms));
  }

  /** One tty comes or goes, one is changed; the others are as they were. */
  async #reload(turn: number): Promise<void> {
    await this.#pause(5000);
    const more = turn % 2 === 0 ? { ttyE0: { server: 'simulator', port: 2, dataPort: 1, commandPort: 2 } } : {};
    const changed = this.whole.entry(1, { closingWait: `${10 + (turn % 2)}s` });
    this.whole.configure({ ttys: { ttyNP0: changed, ...more } });
    const result = await this.whole.client.reload();
    expect(result).toMatchObject({ ok: true, unchanged: ttys.length, errors: [] });
    this.happened.reloads++;
  }

  async #scrape(): Promise<void> {
    await this.#pause(1000);
    const text = await this.whole.client.metrics();
    expect(text.match(/^ttynp_port_sent_bytes_total\{/gm)?.length).toBeGreaterThanOrEqual(ttys.length);
    this.happened.scrapes++;
  }

  async #trace(turn: number): Promise<void> {
    const name = ttys[(turn * 37) % ttys.length]?.name ?? '';
    const over = new AbortController();
    const watched = this.#pause(10_000).then(() => over.abort());
    for await (const record of this.whole.client.trace(name, over.signal)) {
      if (record.type === 'data') this.happened['traced bytes'] += Buffer.from(record.data, 'base64').length;
    }
    await watched;
    this.happened.traces++;
  }

  async #die(turn: number): Promise<void> {
    await this.#pause(5000);
    const device = this.mortal[turn % this.mortal.length];
    if (this.#over.signal.aborted || !device) return;
    if (turn % 3 === 2) {
      device.pause(true);
      await sleep(Math.random() * 4000);
      device.pause(false);
      this.happened['devices paused']++;
      return;
    }
    await device.kill();
    await sleep(Math.random() * 4000);
    await device.start();
    this.happened['devices killed']++;
  }
}

interface Usage {
  readonly memory: number;
  readonly held: number;
  readonly descriptors: number;
}

async function usageOf({ daemon }: Whole): Promise<Usage> {
  const from = daemon.stdout.length;
  daemon.signal('SIGUSR2');
  const said = await eventually('the probe answers', () => /^{.*}\n/.exec(daemon.stdout.slice(from))?.[0]);
  const { held }: { held: number } = JSON.parse(said);
  return { memory: daemon.memory, held, descriptors: daemon.descriptors };
}

const allUp = async (whole: Whole) => {
  const states = new Map((await whole.client.ports()).map(({ name, state }) => [name, state]));
  return ttys.every(({ name }) => states.get(name) === 'up');
};

async function start(): Promise<{ whole: Whole; traffic: Traffic; mortal: Device[] }> {
  const mortal: Device[] = [];
  for (const group of Object.values(GROUPS)) {
    const device = deviceOf(group);
    cleanups.push(() => device.kill());
    await device.start();
    if (group.mortal) mortal.push(device);
  }
  const defaults = { tty: { backend: 'pty', format: '115200,8N1' } };
  const whole = await Whole.start({
    servers,
    config: { defaults, log: { level: 'error' } },
    daemon: { env: { NODE_OPTIONS: `--import ${PROBE}` } },
  });
  cleanups.push(() => whole.close());
  const traffic = new Traffic(
    ttys.map(({ name, group }) => ({ path: whole.path(name), group })),
    INTERVAL_MS,
  );
  cleanups.push(() => traffic.close());
  await eventually('all ttys are connected', () => allUp(whole), 60_000);
  return { whole, traffic, mortal };
}

function print(parts: { before: Usage; after: Usage; most: number; report: TrafficReport; events: Events }): void {
  const { before, after, most, report, events } = parts;
  const mb = (bytes: number) => `${(bytes / MB).toFixed(1)} MB`;
  const { maxMs, p99Ms } = report.ownDelay;
  const text = [
    `${SECONDS} s, ${ttys.length} ttys, each a message of 8 to 247 bytes in ${INTERVAL_MS} ms, answered by a loop plug`,
    trafficTable(report),
    `of which the applications' own process: p99 ${p99Ms.toFixed(1)} ms, most ${maxMs.toFixed(1)} ms`,
    table([
      ['the daemon', 'at the start', 'at the end', 'most'],
      ['resident memory', mb(before.memory), mb(after.memory), mb(most)],
      ["JavaScript's heap after a collection", mb(before.held), mb(after.held), ''],
      ['descriptors', before.descriptors, after.descriptors, ''],
    ]),
    table([['meanwhile', 'times'], ...Object.entries(events.happened)]),
  ];
  process.stdout.write(`\n${text.join('\n\n')}\n\n`);
}

function judgeTraffic({ groups, hangups }: TrafficReport): void {
  expect(hangups).toBe(0);
  for (const [name, { mortal }] of Object.entries(GROUPS)) {
    const group = groups[name];
    const lost = mortal ? {} : { missing: 0, torn: 0, received: group?.sent };
    expect(group, name).toMatchObject({ disorder: 0, changed: 0, unfinished: 0, ...lost });
    expect(group?.received, name).toBeGreaterThan(0);
  }
}

async function judgePorts(whole: Whole): Promise<void> {
  const mortal = new Map(ttys.map((tty) => [tty.name, tty.mortal]));
  for (const { name, connects, drops } of await whole.client.ports()) {
    if (mortal.get(name) === true) expect(connects, name).toBeGreaterThan(1);
    if (mortal.get(name) !== false) continue;
    expect(connects, name).toBe(1);
    expect(
      Object.values(drops).every((bytes) => bytes === 0),
      `${name} ${JSON.stringify(drops)}`,
    ).toBe(true);
  }
}

test(
  `${ttys.length} ttys for ${SECONDS} s`,
  async () => {
    const { whole, traffic, mortal } = await start();
    const { descriptors } = await usageOf(whole);
    const events = new Events(whole, mortal);
    events.begin();
    const broken = events.failed();
    broken.catch(() => {});
    await Promise.race([broken, sleep(SETTLE_MS)]);
    const before = { ...(await usageOf(whole)), descriptors };
    let most = before.memory;
    const end = performance.now() + SECONDS * 1000 - SETTLE_MS;
    while (performance.now() < end) {
      await Promise.race([broken, sleep(1000)]);
      most = Math.max(most, whole.daemon.memory);
    }
    await events.end();
    await events.undo();
    await eventually('all ttys are connected again', () => allUp(whole), 60_000);
    const report = await traffic.ask('stop');
    await eventually('no more descriptors than before', () => whole.daemon.descriptors <= descriptors);
    const after = await usageOf(whole);
    print({ before, after, most, report, events });
    judgeTraffic(report);
    await judgePorts(whole);
    // Garbage that nobody has collected yet is no growth.
    expect(after.memory - before.memory).toBeLessThan(32 * MB);
    expect(after.held - before.held).toBeLessThan(6 * MB);
    for (const [what, times] of Object.entries(events.happened)) expect(times, what).toBeGreaterThan(0);
  },
  SECONDS * 1000 + 300_000,
);
