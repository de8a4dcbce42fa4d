// A channel that goes on where an earlier pump was stopped, or killed at any instruction. The earlier one is of this
// process too; where it was killed is written into what it left.
import { closeSync, readSync, writeSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { ChannelEvent } from '../../../src/native/channel.js';
import { createStateFile } from '../../../src/native/descriptor.js';
import { KeepFile } from '../../../src/native/keep-file.js';
import { createPty } from '../../../src/native/pty.js';
import { Pump, type PumpChannel } from '../../../src/native/pump.js';
import { closeFd, dup, socketPair } from '../../../src/native/socket.js';
import { DEFAULT_SETTINGS } from '../../../src/serial/line.js';
import { initialTermios } from '../../../src/serial/termios.js';
import { leavesNothingBehind, onDescriptor, onEnd, openSlave, pattern, readExactly, until } from './support.js';

leavesNothingBehind();

/** keep.c, struct kept and struct hand. */
const KEPT = { id: 8, downOffered: 32, held: 64 };
const HAND = {
  id: 8,
  length: 16,
  done: 24,
  offered: 32,
  held: 40,
  parkedAt: 48,
  direction: 56,
  reading: 60,
  scratch: 4096,
};

interface Life {
  readonly pump: Pump;
  readonly channel: PumpChannel;
  readonly events: ChannelEvent[];
}

/** One PTY and what is kept of it, through the lives of several pumps. */
class Port {
  readonly pty = createPty(initialTermios(DEFAULT_SETTINGS));
  readonly file = KeepFile.create('test');
  readonly hand = new KeepFile(createStateFile('hand', 0));
  #pump: Pump | undefined;

  constructor() {
    onEnd(() => {
      this.#pump?.close();
      for (const fd of [this.pty.fd, this.file.fd, this.hand.fd]) closeFd(fd);
    });
  }

  begin(adopt: boolean): Life {
    const pump = new Pump(this.hand);
    this.#pump = pump;
    const file = this.file;
    const channel = pump.open(this.pty.fd, { kind: 'pty', path: this.pty.path, keep: { file, adopt } });
    const events: ChannelEvent[] = [];
    channel.onEvent = (event) => events.push(event);
    return { pump, channel, events };
  }

  /** Begun, and opened by an application. */
  async opened(): Promise<Life & { readonly app: number }> {
    const life = this.begin(false);
    const app = open(this);
    await until(() => life.events.includes('opened'));
    return { ...life, app };
  }

  /** Begun, opened, and with so many bytes of the application parked; then the pump stops. */
  async frozenWith(bytes: number): Promise<void> {
    const life = this.begin(false);
    life.channel.setOffline({ mode: 'hold', bytes: 65_536 });
    writeSync(open(this), pattern(0, bytes));
    await until(() => life.channel.counters.downParked === bytes);
    this.freeze();
  }

  /** The pump stops; nothing is given back or told. */
  freeze(): void {
    this.#pump?.freeze();
    this.#pump?.close();
  }

  /** As if it was killed with this in hand. */
  inHand(fields: Partial<Record<keyof typeof HAND, number>>, bytes: Uint8Array): void {
    const id = Buffer.alloc(8);
    readSync(this.file.fd, id, 0, 8, KEPT.id);
    writeSync(this.hand.fd, id, 0, 8, HAND.id);
    writeSync(this.hand.fd, bytes, 0, bytes.length, HAND.scratch);
    for (const [name, value] of Object.entries({ length: bytes.length, ...fields })) {
      const at = HAND[name as keyof typeof HAND];
      const wide = Buffer.alloc(8);
      wide.writeBigUInt64LE(BigInt(value));
      const size = name === 'reading' ? 1 : name === 'direction' ? 4 : 8;
      writeSync(this.hand.fd, wide, 0, size, at);
    }
  }

  /** As if it was killed before it let go of what it had in hand last. */
  holdOn(): void {
    const id = Buffer.alloc(8);
    readSync(this.file.fd, id, 0, 8, KEPT.id);
    writeSync(this.hand.fd, id, 0, 8, HAND.id);
  }

  set(at: number, value: number): void {
    const wide = Buffer.alloc(8);
    wide.writeBigUInt64LE(BigInt(value));
    writeSync(this.file.fd, wide, 0, 8, at);
  }
}

function open(port: Port): number {
  const fd = openSlave(port.pty.path);
  onEnd(() => closeSync(fd));
  return fd;
}

/** Joins the channel and lets both directions run; returns the far end. */
function join({ channel }: Life): number {
  const [near, far] = socketPair();
  onEnd(() => {
    closeFd(near);
    closeFd(far);
  });
  channel.attach(near);
  channel.resume('up');
  channel.resume('down');
  return far;
}

test('parked bytes of both directions arrive after the next pump has begun, and no events are made up', async () => {
  const port = new Port();
  const first = await port.opened();
  const { app } = first;
  const [near, far] = socketPair();
  first.channel.setOffline({ mode: 'hold', bytes: 65_536 });
  writeSync(app, pattern(0, 3000));
  await until(() => first.channel.counters.downParked === 3000);
  first.channel.attach(near);
  first.channel.stop('down');
  let sent = 0;
  await until(() => {
    if (sent < 200_000) sent += writeSync(far, pattern(sent, 2000));
    return first.channel.counters.upParked > 0;
  });
  await until(() => first.channel.counters.downSent === 3000);
  await readExactly(far, 3000);
  first.channel.detach({ mode: 'hold', bytes: 65_536 });
  first.channel.resume('down');
  writeSync(app, pattern(3000, 2500));
  await until(() => first.channel.counters.downParked === 2500);
  const taken = first.channel.counters.upTaken;
  port.freeze();

  const second = port.begin(true);
  expect(second.channel.adoptedOpen).toBe(true);
  const next = join(second);
  expect(await readExactly(next, 2500)).toEqual(pattern(3000, 2500));
  const expected = Buffer.concat(Array.from({ length: Math.ceil(taken / 2000) }, (_, i) => pattern(i * 2000, 2000)));
  expect((await readExactly(app, taken)).equals(expected.subarray(0, taken))).toBe(true);
  expect(second.events).toEqual([]);
  expect(second.channel.counters).toMatchObject({ downSuspected: 0, upSuspected: 0, downReadCut: 0, upReadCut: 0 });
  closeFd(near);
  closeFd(far);
});

test('who closed meanwhile is closed, with what was written last', async () => {
  const port = new Port();
  const first = port.begin(false);
  const app = openSlave(port.pty.path);
  await until(() => first.events.includes('opened'));
  port.freeze();
  writeSync(app, 'last words');
  closeSync(app);
  const second = port.begin(true);
  expect(second.channel.adoptedOpen).toBe(true);
  const far = join(second);
  await until(() => second.events.includes('closed'));
  expect((await readExactly(far, 10)).toString()).toBe('last words');
  expect(second.events).toEqual(['closed']);
});

test('who opened meanwhile has opened', async () => {
  const port = new Port();
  port.begin(false);
  port.freeze();
  const app = open(port);
  writeSync(app, 'early');
  const second = port.begin(true);
  expect(second.channel.adoptedOpen).toBe(false);
  await until(() => second.events.includes('opened'));
  expect((await readExactly(join(second), 5)).toString()).toBe('early');
});

test('who opened, wrote and closed meanwhile is served', async () => {
  const port = new Port();
  port.begin(false);
  port.freeze();
  const app = openSlave(port.pty.path);
  writeSync(app, 'hello');
  closeSync(app);
  const second = port.begin(true);
  const far = join(second);
  await until(() => second.events.includes('closed'));
  expect((await readExactly(far, 5)).toString()).toBe('hello');
  expect(second.events).toEqual(['opened', 'closed']);
});

test('settings changed meanwhile are told, and hold the output back', async () => {
  const port = new Port();
  const { app } = await port.opened();
  port.freeze();
  const speed = 'a = termios.tcgetattr(3); a[4] = a[5] = termios.B1200; termios.tcsetattr(3, termios.TCSANOW, a)';
  onDescriptor(app, speed);
  const second = port.begin(true);
  await until(() => second.events.includes('settings'));
  expect(second.channel.counters.downTaken).toBe(0);
});

test('a flush that was told to nobody is told', async () => {
  const port = new Port();
  const { app } = await port.opened();
  onDescriptor(app, 'termios.tcflush(3, termios.TCOFLUSH)');
  port.freeze();
  const second = port.begin(true);
  await until(() => second.events.includes('flush-output'));
});

test('bytes that were held for an answer are held on', async () => {
  const port = new Port();
  await port.frozenWith(100);
  port.set(KEPT.held, 40);
  const second = port.begin(true);
  const [near, far] = socketPair();
  onEnd(() => {
    closeFd(near);
    closeFd(far);
  });
  second.channel.attach(near);
  expect(await readExactly(far, 60)).toEqual(pattern(0, 60));
  expect(second.channel.counters.downParked).toBe(40);
  second.channel.resume('down');
  expect(await readExactly(far, 40)).toEqual(pattern(60, 40));
});

test('killed in the middle of a write of parked bytes: those are not written again, and are counted', async () => {
  const port = new Port();
  await port.frozenWith(100);
  port.set(KEPT.downOffered, 70);
  const second = port.begin(true);
  expect(await readExactly(join(second), 30)).toEqual(pattern(70, 30));
  expect(second.channel.counters.downSuspected).toBe(70);
});

test.each([
  ['before the write', {}, 0, 0],
  ['in the middle of the write', { offered: 100 }, 100, 100],
  ['in the middle of the second write', { done: 30, offered: 70 }, 100, 70],
  ['before the rest was parked', { done: 30 }, 30, 0],
  ['in the middle of a read that would add to it', { reading: 1 }, 0, 0],
])('killed with bytes of the application in hand, %s', async (_, fields, from, suspected) => {
  const port = new Port();
  await port.opened();
  port.freeze();
  port.inHand({ direction: 0, ...fields }, pattern(0, 100));
  const second = port.begin(true);
  const far = join(second);
  if (from < 100) expect(await readExactly(far, 100 - from)).toEqual(pattern(from, 100 - from));
  expect(second.channel.counters.downParked).toBe(0);
  expect(second.channel.counters.downSuspected).toBe(suspected);
  expect(second.channel.counters.downReadCut).toBe('reading' in fields ? 1 : 0);
});

test('killed after the rest was parked: it is there once', async () => {
  const port = new Port();
  await port.frozenWith(100);
  port.inHand({ direction: 0, parkedAt: 100 }, pattern(0, 100));
  const second = port.begin(true);
  expect(second.channel.counters.downParked).toBe(100);
});

test('killed with bytes of the device in hand: the rest reaches the application', async () => {
  const port = new Port();
  const { app } = await port.opened();
  port.freeze();
  port.inHand({ direction: 1, done: 10, offered: 20 }, pattern(0, 100));
  const second = port.begin(true);
  join(second);
  expect(await readExactly(app, 70)).toEqual(pattern(30, 70));
  expect(second.channel.counters.upSuspected).toBe(20);
});

test('what another channel had in hand is not ours', async () => {
  const port = new Port();
  const other = new Port();
  const first = port.begin(false);
  first.channel.setOffline({ mode: 'hold', bytes: 65_536 });
  port.freeze();
  other.begin(false);
  other.inHand({ direction: 0 }, pattern(0, 100));
  other.freeze();
  port.inHand({ direction: 0 }, pattern(0, 100));
  writeSync(port.hand.fd, Buffer.from('another!'), 0, 8, HAND.id);
  expect(port.begin(true).channel.counters.downParked).toBe(0);
});

test.each([
  ['nothing', Buffer.alloc(0)],
  ['zeros', Buffer.alloc(200_000)],
  ['noise', pattern(7, 200_000)],
])('%s is nothing to go on from: EBADMSG, and no channel is left', (_, bytes) => {
  const pty = createPty(initialTermios(DEFAULT_SETTINGS));
  const file = new KeepFile(createStateFile('test', 0));
  const pump = new Pump();
  writeSync(file.fd, bytes);
  expect(() => pump.open(pty.fd, { kind: 'pty', path: pty.path, keep: { file, adopt: true } })).toThrow('Bad message');
  pump.close();
  file.close();
  closeFd(pty.fd);
});

test('a ring that cannot be is nothing to go on from', () => {
  const port = new Port();
  port.begin(false);
  port.freeze();
  port.set(24, 70_000);
  expect(() => port.begin(true)).toThrow('Bad message');
  port.freeze();
  port.set(24, 0);
  port.set(16, 1);
  expect(() => port.begin(true)).toThrow('Bad message');
});

test('a record is read back, the last whole one', () => {
  const file = KeepFile.create('test');
  expect(file.read()).toBeUndefined();
  for (let n = 1; n <= 5; n++) file.write({ n });
  const again = new KeepFile(dup(file.fd));
  expect(again.read()).toEqual({ n: 5 });
  // The slot of the last is torn: the one before holds.
  writeSync(file.fd, Buffer.from('{"n":9}'), 0, 7, 4096 + 2 * 65_536 + 16_384 + 12);
  expect(again.read()).toEqual({ n: 4 });
  expect(() => file.write('x'.repeat(20_000))).toThrow(RangeError);
  expect(again.read()).toEqual({ n: 4 });
  file.close();
  again.close();
});

test('killed after bytes were kept for a connection to come: they are there once', async () => {
  const port = new Port();
  await port.frozenWith(100);
  // The hand is as the pump left it, but not yet let go of.
  port.holdOn();
  const second = port.begin(true);
  expect(second.channel.counters.downParked).toBe(100);
  expect(await readExactly(join(second), 100)).toEqual(pattern(0, 100));
});

test('killed with bytes of the device in hand for nobody: the next opener does not get them', async () => {
  const port = new Port();
  const first = port.begin(false);
  closeSync(openSlave(port.pty.path));
  await until(() => first.events.includes('closed'));
  port.freeze();
  port.inHand({ direction: 1 }, pattern(0, 100));
  const second = port.begin(true);
  expect(second.channel.counters).toMatchObject({ upParked: 0, upUnread: 100 });
});

test('who came and went meanwhile leaves nothing to the next: no TIOCEXCL, no stopped output, raw', async () => {
  const port = new Port();
  const first = port.begin(false);
  closeSync(openSlave(port.pty.path));
  await until(() => first.events.includes('closed'));
  port.freeze();
  const app = openSlave(port.pty.path);
  const leave = `fcntl.ioctl(3, termios.TIOCEXCL)
termios.tcflow(3, termios.TCOOFF)
a = termios.tcgetattr(3); a[3] |= termios.ICANON | termios.ECHO; a[3] &= ~0o200000; termios.tcsetattr(3, termios.TCSANOW, a)`;
  onDescriptor(app, leave);
  closeSync(app);
  port.begin(true);
  const next = open(port);
  const look = `import struct
exclusive = struct.unpack('i', fcntl.ioctl(3, 0x80045440, b'\\0\\0\\0\\0'))[0]
print(exclusive, termios.tcgetattr(3)[3] & (termios.ICANON | termios.ECHO))`;
  expect(onDescriptor(next, look).stdout.trim()).toBe('0 0');
  expect(writeSync(next, 'x')).toBe(1);
});

test('a stopped output that was told to nobody is told', async () => {
  const port = new Port();
  const first = await port.opened();
  const { app } = first;
  join(first);
  // No turn of the event loop: the pump has seen it, and nobody was told.
  onDescriptor(app, 'termios.tcflow(3, termios.TCOOFF)');
  port.freeze();
  expect(first.events).not.toContain('output-stopped');
  const second = port.begin(true);
  await until(() => second.events.includes('output-stopped'));
});
