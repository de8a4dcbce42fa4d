// The faults of test/e2e for longer: a day's worth of cuts in minutes, at random, and nothing grows.
import { afterEach, expect, test } from 'vitest';
import type { PortView } from '../../src/api/types.js';
import { eventually, Whole } from '../support/e2e.js';
import { account, Traffic, up } from '../support/e2e-traffic.js';
import { App } from '../support/rig.js';

let whole: Whole | undefined;
let app: App | undefined;

afterEach(async () => {
  app?.close();
  await whole?.close();
});

const CUTS = 1000;

test(`${CUTS} cuts of all kinds under traffic: the account is exact, memory and descriptors stay`, async () => {
  whole = await Whole.start({ simulator: { unpaced: true }, tty: { format: 115200 } });
  app = new App(whole.path());
  await whole.portIs('up', up);
  const { simulator, daemon } = whole;
  const before = { memory: 0, descriptors: daemon.descriptors };
  const traffic = new Traffic(app, 1, 4);
  for (let i = 0; i < CUTS; i++) {
    const { connects } = await whole.port();
    const kind = Math.floor(Math.random() * 4);
    if (kind === 0) simulator.port(1).kill('data');
    else if (kind === 1) simulator.port(1).kill('command');
    else if (kind === 2) simulator.port(1).kill('both', 'end');
    else {
      await simulator.stop();
      await whole.portIs('down', (view) => !up(view));
      await simulator.start();
    }
    await whole.portIs(`up after cut ${i}`, (view) => up(view) && view.connects > connects);
    if (i === CUTS / 10) before.memory = daemon.memory;
  }
  await account(whole, traffic, CUTS);
  // Garbage that nobody has collected yet is no growth.
  expect(daemon.memory - before.memory).toBeLessThan(64 * 1024 * 1024);
  await eventually('as many descriptors as before', () => daemon.descriptors <= before.descriptors);
});

test('opened and closed 2000 times, with bytes or without: each its own, and nothing is left', async () => {
  whole = await Whole.start({ simulator: { unpaced: true }, tty: { disconnectDelay: '20ms' } });
  const { daemon } = whole;
  const path = whole.path();
  let before = { memory: 0, descriptors: 0 };
  let written = 0;
  for (let i = 0; i < 2000; i++) {
    const one = new App(path);
    if (i % 3 > 0) {
      const word = `round ${i}`;
      written += one.write(word);
      if (i % 3 === 1) expect((await one.readExactly(word.length)).toString()).toBe(word);
    }
    one.close();
    // What a writer left behind still is transmitted, and its echo comes to whoever has the port open then.
    const left = i % 3 === 2;
    // By the bytes: a daemon that has not even noticed the open shows the state of before.
    const over = (view: PortView) => view.sent.bytes === written && (!left || view.state === 'idle');
    await whole.portIs('closed', (view) => !view.open && over(view));
    if (i === 200) before = { memory: daemon.memory, descriptors: daemon.descriptors };
  }
  await whole.portIs('idle', (view) => view.state === 'idle');
  // Garbage that nobody has collected yet is no growth.
  expect(daemon.memory - before.memory).toBeLessThan(64 * 1024 * 1024);
  await eventually('no more descriptors', () => daemon.descriptors <= before.descriptors);
});
