// What every Tty must do, whatever it is. Run against each implementation; what one cannot do its capabilities say, and
// then the honest refusal is expected instead.
import { readdirSync, readSync, writeSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { closeFd, discardInput, socketPair } from '../../src/native/socket.js';
import type { LineSettings, Queue } from '../../src/serial/line.js';
import type { NetworkEvent, Tty, TtyEvent } from '../../src/tty/tty.js';
import { until } from '../support/rig.js';

/** What holds the tty open. */
export interface TtyApp {
  readonly fd: number;
  setRate(baudRate: number): void;
  flush(queue: Queue): void;
  /** As far as the backend lets an application try. */
  sendBreak(): void;
  close(): void;
}

export interface TtyCase {
  readonly name: string;
  make(): { readonly tty: Tty; open(): TtyApp; close(): void };
}

export function ttyContract({ name, make }: TtyCase): void {
  let cleanUp: (() => void) | undefined;
  afterEach(() => {
    cleanUp?.();
    cleanUp = undefined;
  });

  function fresh() {
    const { tty, open, close } = make();
    const [near, far] = socketPair();
    const events: TtyEvent[] = [];
    const network: NetworkEvent[] = [];
    tty.onEvent = (event) => {
      events.push(event);
      // As a session whose device has been told.
      if (event.type === 'lines' || event.type === 'break') tty.channel.resume('down');
    };
    tty.onNetwork = (event) => network.push(event);
    let farOpen = true;
    const hangUpNetwork = () => {
      if (farOpen) closeFd(far);
      farOpen = false;
    };
    cleanUp = () => {
      tty.close();
      closeFd(near);
      hangUpNetwork();
      close();
    };
    const types = () => events.map((event) => event.type);
    const uses = () => types().filter((type) => type === 'opened' || type === 'closed');
    const told = (type: TtyEvent['type']) => until(type, 3000, () => types().includes(type));
    return { tty, open, near, far, events, network, types, told, hangUpNetwork, uses };
  }

  describe(`tty: ${name}`, () => {
    test('opened is told once for the first open, closed for the last close', async () => {
      const t = fresh();
      t.tty.channel.attach(t.near);
      expect(t.tty.isOpen).toBe(false);
      const first = t.open();
      await t.told('opened');
      expect(t.tty.isOpen).toBe(true);
      const second = t.open();
      first.close();
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(t.uses()).toEqual(['opened']);
      second.close();
      await t.told('closed');
      expect(t.tty.isOpen).toBe(false);
      t.open();
      await until('opened again', 3000, () => t.uses().length === 3);
      expect(t.uses()).toEqual(['opened', 'closed', 'opened']);
    });

    test('bytes pass both ways', async () => {
      const t = fresh();
      t.tty.channel.attach(t.near);
      const app = t.open();
      await t.told('opened');
      writeSync(app.fd, 'down');
      expect(await take(t.far, 4)).toBe('down');
      writeSync(t.far, 'up');
      expect(await take(app.fd, 2)).toBe('up');
    });

    test('new settings are told, and later bytes wait until resumed', async () => {
      const t = fresh();
      t.tty.channel.attach(t.near);
      const app = t.open();
      await t.told('opened');
      const before = t.tty.settings;
      app.setRate(before.baudRate);
      writeSync(app.fd, 'unchanged');
      expect(await take(t.far, 9)).toBe('unchanged');
      app.setRate(38_400);
      writeSync(app.fd, 'later');
      await t.told('settings');
      const wanted: LineSettings = { ...before, baudRate: 38_400 };
      expect(t.tty.settings).toEqual(wanted);
      expect(t.events.find((event) => event.type === 'settings')).toEqual({ type: 'settings', settings: wanted });
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(discardInput(t.far)).toBe(0);
      t.tty.channel.resume('down');
      expect(await take(t.far, 5)).toBe('later');
    });

    test('settings persist over a close', async () => {
      const t = fresh();
      t.tty.channel.attach(t.near);
      const app = t.open();
      await t.told('opened');
      app.setRate(57_600);
      await t.told('settings');
      t.tty.channel.resume('down');
      app.close();
      await t.told('closed');
      expect(t.tty.settings.baudRate).toBe(57_600);
    });

    test('closed comes after the last byte was taken', async () => {
      const t = fresh();
      t.tty.channel.attach(t.near);
      const app = t.open();
      await t.told('opened');
      writeSync(app.fd, Buffer.alloc(3000, 0x61));
      app.close();
      await t.told('closed');
      expect(t.tty.channel.counters.downTaken).toBe(3000);
      expect(await take(t.far, 3000)).toBe('a'.repeat(3000));
    });

    test('unread input of one opener does not reach the next', async () => {
      const t = fresh();
      t.tty.channel.attach(t.near);
      const app = t.open();
      await t.told('opened');
      writeSync(t.far, 'unread');
      await until('delivered', 3000, () => t.tty.channel.counters.upDelivered === 6);
      app.close();
      await t.told('closed');
      const next = t.open();
      await until('opened', 3000, () => t.tty.isOpen);
      writeSync(t.far, 'fresh');
      expect(await take(next.fd, 5)).toBe('fresh');
    });

    test('a flush of input drops what waits, and both directions wait until resumed', async () => {
      const t = fresh();
      if (!t.tty.capabilities.flush) return;
      t.tty.channel.attach(t.near);
      const app = t.open();
      await t.told('opened');
      writeSync(t.far, 'stale');
      await until('delivered', 3000, () => t.tty.channel.counters.upDelivered === 5);
      app.flush('rx');
      await t.told('flush');
      expect(t.events.find((event) => event.type === 'flush')).toEqual({ type: 'flush', queue: 'rx' });
      writeSync(app.fd, 'request');
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(discardInput(t.far)).toBe(0);
      t.tty.channel.resume('up');
      t.tty.channel.resume('down');
      expect(await take(t.far, 7)).toBe('request');
      writeSync(t.far, 'fresh');
      expect(await take(app.fd, 5)).toBe('fresh');
    });

    test('a flush of output stops later bytes until resumed', async () => {
      const t = fresh();
      if (!t.tty.capabilities.flush) {
        expect(t.tty.capabilities.limits.join()).toContain('flush');
        return;
      }
      t.tty.channel.attach(t.near);
      const app = t.open();
      await t.told('opened');
      app.flush('tx');
      await t.told('flush');
      writeSync(app.fd, 'later');
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(discardInput(t.far)).toBe(0);
      t.tty.channel.resume('down');
      expect(await take(t.far, 5)).toBe('later');
    });

    test('a break is told, or its absence is in the capabilities and in a limit', async () => {
      const t = fresh();
      t.tty.channel.attach(t.near);
      const app = t.open();
      await t.told('opened');
      app.sendBreak();
      if (t.tty.capabilities.breaks) {
        await t.told('break');
        return;
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
      expect(t.types()).toEqual(['opened']);
      expect(t.tty.capabilities.limits.join()).toContain('break');
    });

    test('the end of the network side is handed on', async () => {
      const t = fresh();
      t.tty.channel.attach(t.near);
      t.open();
      await t.told('opened');
      t.hangUpNetwork();
      await until('told', 3000, () => t.network.length > 0);
      expect(t.network).toEqual(['net-end']);
      expect(t.tty.channel.attached).toBe(false);
    });

    test('a hang-up ends the descriptor; the next open works on another channel', async () => {
      const t = fresh();
      if (!t.tty.capabilities.hangUp) {
        expect(t.tty.capabilities.limits.join()).toContain('hang-up');
        return;
      }
      t.tty.channel.attach(t.near);
      const app = t.open();
      await t.told('opened');
      writeSync(app.fd, 'counted');
      expect(await take(t.far, 7)).toBe('counted');
      const { channel, devicePath } = t.tty;
      let taken = 0;
      t.tty.onReplaced = (last) => {
        taken = last.downTaken;
      };
      t.tty.hangUp();
      expect(taken).toBe(7);
      expect(t.tty.channel).not.toBe(channel);
      expect(t.tty.devicePath).not.toBe(devicePath);
      expect(t.tty.isOpen).toBe(false);
      await until('ended', 3000, () => ended(app.fd));
      t.tty.channel.attach(t.near);
      const next = t.open();
      await until('opened', 3000, () => t.tty.isOpen);
      writeSync(next.fd, 'again');
      expect(await take(t.far, 5)).toBe('again');
    });

    test('close ends the descriptor, twice is once, and nothing is left', async () => {
      const before = readdirSync('/proc/self/fd').length;
      const t = fresh();
      const app = t.open();
      await t.told('opened');
      t.tty.close();
      t.tty.close();
      await until('ended', 3000, () => ended(app.fd));
      app.close();
      cleanUp?.();
      cleanUp = undefined;
      expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before);
    });
  });
}

/** End of file or EIO. */
function ended(fd: number): boolean {
  try {
    return readSync(fd, Buffer.alloc(100)) === 0;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EIO';
  }
}

async function take(fd: number, bytes: number): Promise<string> {
  let got = '';
  await until(`${bytes} bytes`, 3000, () => {
    try {
      const buffer = Buffer.alloc(bytes);
      got += buffer.toString('latin1', 0, readSync(fd, buffer, 0, bytes - got.length, null));
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) throw error;
    }
    return got.length >= bytes;
  });
  return got;
}
