import { afterEach, describe, expect, test } from 'vitest';
import { type Rig, type RigOptions, startRig, until } from '../../support/rig.js';

let rig: Rig | undefined;
const start = async (options: RigOptions = {}) => {
  rig = await startRig(options);
  return rig;
};
afterEach(async () => {
  await rig?.close();
  rig = undefined;
});

describe('open and close', () => {
  test('bytes go to the device and come back', async () => {
    const { open, session } = await start({ settings: { baudRate: 115200 } });
    const app = open();
    app.write('hello over Real COM');
    expect((await app.readExactly(19)).toString()).toBe('hello over Real COM');
    expect(session.state.name).toBe('up');
    expect(session.record.acknowledged?.baudRate).toBe(115200);
  });

  test('after the last close the connection ends, DTR and RTS are low', async () => {
    const { open, session, simulator } = await start({
      policy: { disconnectDelayMs: 20 },
      settings: { baudRate: 115200 },
    });
    const app = open();
    app.write('x');
    await app.readExactly(1);
    app.close();
    await until('idle', 5000, () => session.state.name === 'idle');
    expect(simulator.line(1).outputLines).toEqual({ dtr: false, rts: false });
  });
});
