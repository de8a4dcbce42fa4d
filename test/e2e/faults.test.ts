// What goes wrong under traffic. The traffic is numbered records: none arrives twice, none out of order, and every byte
// that is missing is in a drop counter.
import { afterEach, describe, expect, test } from 'vitest';
import { eventually, Whole, type WholeOptions } from '../support/e2e.js';
import { Python } from '../support/e2e-python.js';
import { RECORD_BYTES, RecordSource } from '../support/e2e-records.js';
import { account, Traffic, up } from '../support/e2e-traffic.js';
import { App } from '../support/rig.js';

const open: { close(): unknown }[] = [];
const keep = <T extends { close(): unknown }>(thing: T): T => {
  open.push(thing);
  return thing;
};
const start = async (options: WholeOptions) => keep(await Whole.start(options));
afterEach(async () => {
  for (const thing of open.splice(0).reverse()) await thing.close();
});

describe('the device server', () => {
  test('killed and restarted 50 times under traffic', async () => {
    const whole = await start({ simulator: { unpaced: true }, tty: { format: 115200 } });
    const app = keep(new App(whole.path()));
    const descriptors = () => whole.daemon.descriptors;
    await whole.portIs('up', up);
    const before = descriptors();
    const traffic = new Traffic(app, 1, 4);
    for (let i = 0; i < 50; i++) {
      await whole.simulator.stop(i % 2 === 0 ? 'reset' : 'end');
      await whole.portIs('down', (view) => !up(view));
      await whole.simulator.start();
      const count = whole.recorder().bytes.length;
      await eventually(`restart ${i}: bytes flow`, () => whole.recorder().bytes.length > count, 5000);
    }
    const view = await account(whole, traffic, 50);
    expect(view.drops.offline).toBeGreaterThan(0);
    expect(view.connects).toBe(51);
    await eventually('no descriptor was lost', () => descriptors() <= before);
  }, 120_000);
});

describe('one connection alone is reset', () => {
  for (const which of ['data', 'command'] as const) {
    test(`the ${which} connection, 20 times under traffic`, async () => {
      const whole = await start({ simulator: { unpaced: true }, tty: { format: 115200 } });
      const app = keep(new App(whole.path()));
      await whole.portIs('up', up);
      const traffic = new Traffic(app, 1, 4);
      for (let i = 0; i < 20; i++) {
        const { paired } = whole.simulator.port(1).counts;
        expect(whole.simulator.port(1).kill(which)).toBe(true);
        await eventually('both are made anew', () => whole.simulator.port(1).counts.paired > paired, 5000);
        await whole.portIs('up', (view) => up(view) && view.connects === i + 2);
      }
      await account(whole, traffic, 20);
      expect(whole.simulator.port(1).counts.data).toBe(whole.simulator.port(1).counts.command);
    }, 60_000);
  }
});

describe('kill -9', () => {
  test('of the application: what it wrote is transmitted, DTR falls, the next one starts clean', async () => {
    const whole = await start({ tty: { format: 115200 } });
    for (let i = 0; i < 5; i++) {
      const python = new Python();
      const before = whole.recorder().bytes.length;
      await python.run(`s = serial.Serial(${JSON.stringify(whole.path())}, 115200, timeout=5)`);
      await python.run(`s.write(b'r' * 2000)`);
      python.child.signal('SIGKILL');
      await python.child.exit();
      await eventually('all of it left the line', () => whole.recorder().bytes.length === before + 2000);
      await eventually('DTR low', () => !whole.simulator.line(1).outputLines.dtr);
    }
    const app = keep(new App(whole.path()));
    app.write('clean');
    expect((await app.readExactly(5)).toString()).toBe('clean');
    expect((await whole.port()).drops).toMatchObject({ offline: 0, closing: 0, linkLost: 0 });
  });

  test('of the daemon under traffic: hang-up, and after the restart the same name works', async () => {
    const whole = await start({ simulator: { unpaced: true } });
    for (let i = 0; i < 5; i++) {
      const app = keep(new App(whole.path()));
      const source = new RecordSource();
      app.write(source.take(10));
      await app.readExactly(10 * RECORD_BYTES);
      app.write(source.take(50));
      whole.daemon.signal('SIGKILL');
      await whole.daemon.exit();
      await eventually('hang-up', () => app.read() === undefined);
      app.close();
      await eventually('the device noticed', () => whole.simulator.port(1).peer === undefined);
      await whole.startDaemon();
      expect(await whole.client.status()).toMatchObject({ ports: 1, failed: 0 });
    }
    const app = keep(new App(whole.path()));
    app.write('the same name');
    expect((await app.readExactly(13)).toString()).toBe('the same name');
  });
});

describe('policies', () => {
  test('offlineData block: not a record is lost over ten losses, but what was in a socket', async () => {
    const whole = await start({ simulator: { unpaced: true }, tty: { format: 115200, offlineData: 'block' } });
    const app = keep(new App(whole.path()));
    await whole.portIs('up', up);
    const traffic = new Traffic(app, 1, 4);
    for (let i = 0; i < 10; i++) {
      await whole.simulator.stop();
      await whole.portIs('down', (view) => !up(view));
      await whole.simulator.start();
      await whole.portIs('up', up);
    }
    const view = await account(whole, traffic, 10);
    expect(view.drops).toMatchObject({ offline: 0, held: 0, closing: 0 });
  }, 60_000);

  test('onLinkLoss hangup: the application is told, and may open again', async () => {
    const whole = await start({ simulator: { unpaced: true }, tty: { onLinkLoss: 'hangup' } });
    const app = keep(new App(whole.path()));
    await whole.portIs('up', up);
    whole.simulator.port(1).kill('data');
    await eventually('hang-up', () => app.read() === undefined);
    app.close();
    const again = keep(new App(whole.path()));
    again.write('again');
    expect((await again.readExactly(5)).toString()).toBe('again');
  });

  test('offlineOpen fail: hung up at once where the device is away', async () => {
    const whole = await start({ tty: { offlineOpen: 'fail' } });
    await whole.simulator.stop();
    const app = keep(new App(whole.path()));
    await eventually('hang-up', () => app.read() === undefined, 5000);
    await whole.simulator.start();
    await eventually('it works once the device is back', async () => {
      const again = new App(whole.path());
      try {
        again.write('back');
        return (await again.readExactly(4, 2000)).toString() === 'back';
      } catch {
        return false;
      } finally {
        again.close();
      }
    });
  });
});
