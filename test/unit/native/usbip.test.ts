// A virtual adapter of the pump before a kernel whose messages are written down byte by byte, and how it goes on where an
// earlier pump was stopped, or killed at any instruction.
import { readSync, writeSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { KeepFile } from '../../../src/native/keep-file.js';
import {
  ADAPTER_KEPT_BYTES,
  type ControlRequest,
  Pump,
  type PumpAdapter,
  type PumpChannel,
} from '../../../src/native/pump.js';
import { closeFd, socketPair } from '../../../src/native/socket.js';
import { submit, unlink, VhciWire } from '../../support/vhci-wire.js';
import { leavesNothingBehind, onEnd, pattern, readExactly, readSome, until, writeUntilStuck } from './support.js';

leavesNothingBehind();

/** Requests of ftdi_sio to the first port. */
const OPEN = '4000000001000000';
const STATUS = 'c005000001000200';
const FLOW_OFF = '4002000001000000';
const LINES_OFF = '4001000301000000';
const RTS_OFF = '4001000201000000';
const RTS_ON = '4001020201000000';

interface Told {
  readonly requests: ControlRequest[];
  readonly closed: number[];
  readonly asked: number[];
  readonly lost: string[];
}

class Rig {
  readonly file = KeepFile.create('adapter', ADAPTER_KEPT_BYTES);
  readonly portFile = KeepFile.create('port');
  readonly ours: number;
  readonly kernel: VhciWire;
  #pump: Pump | undefined;

  constructor() {
    const [ours, kernel] = socketPair();
    this.ours = ours;
    this.kernel = new VhciWire(kernel);
    onEnd(() => {
      this.#pump?.close();
      for (const fd of [ours, kernel, this.file.fd, this.portFile.fd]) closeFd(fd);
    });
  }

  /** One process with two ports plugged, the first with a channel. */
  begin({ adopt = false, packetBytes = 512, answers = true } = {}) {
    const pump = new Pump();
    this.#pump = pump;
    const adapter = pump.openAdapter({ file: this.file, adopt });
    const told: Told = { requests: [], closed: [], asked: [], lost: [] };
    adapter.onRequest = (request) => {
      told.requests.push(request);
      if (answers) adapter.answer(request, new Uint8Array(0));
    };
    adapter.onClosed = (port) => told.closed.push(port);
    adapter.onAsked = (port) => told.asked.push(port);
    adapter.onLost = (reason) => told.lost.push(reason);
    adapter.plug(this.ours, 2, packetBytes, adopt);
    const channel = pump.open(adapter.id, { kind: 'usbip', adapterPort: 0, keep: { file: this.portFile, adopt } });
    if (adopt) {
      channel.resume('up');
      channel.resume('down');
      adapter.settle();
    }
    return { pump, adapter, channel, told };
  }

  freeze(): void {
    this.#pump?.freeze();
    this.#pump?.close();
  }
}

/** The channel's network side; returns the far end. */
function join(channel: PumpChannel): number {
  const [near, far] = socketPair();
  onEnd(() => {
    closeFd(near);
    closeFd(far);
  });
  channel.attach(near);
  return far;
}

/** Opened by an application: the driver has two transfers in. */
async function opened(options: Parameters<Rig['begin']>[0] = {}) {
  const rig = new Rig();
  const life = rig.begin(options);
  const far = join(life.channel);
  rig.kernel.control(OPEN);
  await rig.kernel.answer();
  const reads = [rig.kernel.in(1), rig.kernel.in(1)];
  // Answered behind all that came before it.
  rig.kernel.control(STATUS);
  await rig.kernel.answer();
  return { rig, ...life, far, reads, kernel: rig.kernel };
}

const ok = (seqnum: number, actual: number, data = '') => ({ command: 'submit', seqnum, status: 0, actual, data });

test('what is written goes to the far end, and its transfer is answered then', async () => {
  const { kernel, far } = await opened();
  const n = kernel.out(1, Buffer.from('hello'));
  expect((await readExactly(far, 5)).toString()).toBe('hello');
  expect(await kernel.answer()).toEqual(ok(n, 5));
});

test('what comes fills the oldest transfer, behind two status bytes, as much as fits', async () => {
  const { kernel, far, reads } = await opened({ packetBytes: 8 });
  writeSync(far, 'abcdefgh');
  expect(await kernel.answers(2)).toEqual([ok(reads[0] ?? 0, 8, '0160616263646566'), ok(reads[1] ?? 0, 4, '01606768')]);
});

test('nothing is lost while nobody waits for data, and the network waits', async () => {
  const { kernel, far, channel } = await opened();
  await kernel.answers(0);
  const total = await writeUntilStuck(far);
  expect(channel.counters.upParked).toBeGreaterThan(0);
  let got = 2 * 510;
  await kernel.answers(2);
  while (got < total) {
    kernel.in(1);
    const { actual } = await kernel.answer();
    got += actual - 2;
  }
  expect(got).toBe(total);
  expect(channel.counters.upDelivered).toBe(total);
});

test('at most 32 KiB in 10 ms: the rest follows after a pause', async () => {
  const { kernel, far } = await opened();
  for (let n = 0; n < 10; n++) kernel.in(1, 4096);
  const began = performance.now();
  const data = pattern(0, 100_000);
  let sent = 0;
  let got = 0;
  while (got < data.length) {
    sent += writeSync(far, data, sent, Math.min(8192, data.length - sent));
    kernel.in(1);
    const { data: packet } = await kernel.answer();
    expect(packet.slice(4)).toBe(data.subarray(got, got + packet.length / 2 - 2).toString('hex'));
    got += packet.length / 2 - 2;
  }
  expect(performance.now() - began).toBeGreaterThan(30);
});

test('the transmitter is not empty from the first byte on until somebody says so, and who asks is told', async () => {
  const { kernel, far, adapter, channel, told } = await opened();
  kernel.control(STATUS);
  expect((await kernel.answer()).data).toBe('0160');
  kernel.out(1, Buffer.from('xy'));
  await readExactly(far, 2);
  await kernel.answer();
  expect(told.asked).toEqual([]);
  kernel.control(STATUS);
  expect((await kernel.answer()).data).toBe('0120');
  await until(() => told.asked.length === 1);
  expect(adapter.transmitted(0, 1)).toBe(false);
  expect(adapter.transmitted(0, channel.counters.downTaken)).toBe(true);
  kernel.control(STATUS);
  expect((await kernel.answer()).data).toBe('0160');
});

test('modem lines are a packet without data, once', async () => {
  const { kernel, adapter, reads } = await opened();
  adapter.setModem(0, 0xb1);
  adapter.setModem(0, 0xb1);
  expect(await kernel.answer()).toEqual(ok(reads[0] ?? 0, 2, 'b160'));
  expect(await kernel.quiet()).toBe(true);
});

test('the kernel hears what differs from what it heard last, and an opener nothing of the use before', async () => {
  const { kernel, adapter, reads, told } = await opened();
  adapter.setModem(0, 0x91);
  expect((await kernel.answer()).data).toBe('9160');
  kernel.unlink(reads[1] ?? 0);
  await kernel.answer();
  await until(() => told.closed.length === 1);
  adapter.setModem(0, 0x01);
  kernel.control(OPEN);
  await kernel.answer();
  kernel.in(1);
  kernel.in(1);
  expect(await kernel.quiet()).toBe(true);
  // The device has no line on: the driver still thinks it has.
  adapter.setModem(0, 0x01);
  expect((await kernel.answer()).data).toBe('0160');
  adapter.setModem(0, 0x01);
  expect(await kernel.quiet()).toBe(true);
});

test('an error marks the next byte, which goes alone; a break goes at once with one NUL', async () => {
  const { kernel, adapter, far, reads } = await opened();
  adapter.setErrors(0, 0x04);
  expect(await kernel.quiet()).toBe(true);
  // It is forgotten after a while.
  adapter.setErrors(0, 0x04);
  writeSync(far, 'ab');
  expect((await kernel.answers(2)).map(({ data }) => data)).toEqual(['016461', '016062']);
  expect(reads).toHaveLength(2);
  kernel.in(1);
  adapter.setBreak(0);
  expect((await kernel.answer()).data).toBe('017000');
});

test('an error that no byte follows for 100 ms is told to nobody', async () => {
  const { kernel, adapter, far } = await opened();
  adapter.setErrors(0, 0x0e);
  await new Promise((resolve) => setTimeout(resolve, 130));
  writeSync(far, 'a');
  expect((await kernel.answer()).data).toBe('016061');
});

test('a driver that takes its transfers back has closed the port; an unlink is always answered', async () => {
  const { kernel, told, channel, adapter, reads, far } = await opened();
  const first = kernel.unlink(reads[0] ?? 0);
  expect(await kernel.answer()).toEqual({ command: 'unlink', seqnum: first, status: -104, actual: 0, data: '' });
  expect(adapter.isOpen(0)).toBe(true);
  kernel.unlink(reads[1] ?? 0);
  const again = kernel.unlink(reads[1] ?? 0);
  expect((await kernel.answers(2)).map(({ status }) => status)).toEqual([-104, 0]);
  expect(again).toBeGreaterThan(first);
  await until(() => told.closed.length === 1);
  writeSync(far, 'for nobody');
  await until(() => channel.counters.upUnread === 10);
});

test('a driver whose buffer is full closes without a transfer to take back', async () => {
  const { kernel, told, far, channel } = await opened();
  const total = await writeUntilStuck(far, 30);
  await kernel.answers(2);
  kernel.control(FLOW_OFF);
  kernel.control(LINES_OFF);
  await kernel.answers(2);
  await until(() => told.closed.length === 1 && channel.counters.upTaken === total);
  expect(told.requests.map(({ request }) => request)).toEqual([0, 2, 1]);
  kernel.control(OPEN);
  await kernel.answer();
  kernel.in(1);
  expect(await kernel.quiet()).toBe(true); // the last opener's input is not the next one's
});

test('an open of what is open tells the close that nobody saw', async () => {
  const { kernel, told } = await opened();
  kernel.control(OPEN);
  await kernel.answer();
  expect(told.closed).toEqual([0]);
  expect(told.requests).toHaveLength(2);
});

test('what is written behind a request waits until that is answered', async () => {
  const { kernel, far, told, adapter } = await opened();
  adapter.onRequest = (request) => told.requests.push(request);
  kernel.control('4003e20401020000');
  kernel.out(1, Buffer.from('later'));
  await until(() => told.requests.length === 2);
  expect(readSome(far)).toBeUndefined();
  adapter.answer(told.requests[1] as ControlRequest, undefined);
  expect((await readExactly(far, 5)).toString()).toBe('later');
  expect((await kernel.answers(2)).map(({ status }) => status)).toEqual([-32, 0]);
});

test('a request is told when what was written before it is taken, and what follows it waits', async () => {
  const { kernel, far, told, adapter, channel } = await opened();
  adapter.onRequest = (request) => told.requests.push(request);
  channel.stop('down');
  kernel.out(1, Buffer.from('first'));
  kernel.out(1, Buffer.from('second'));
  const off = kernel.control(RTS_OFF);
  kernel.out(1, Buffer.from('third'));
  const on = kernel.control(RTS_ON);
  kernel.out(1, Buffer.from('fourth'));
  expect(await kernel.quiet()).toBe(true);
  expect(told.requests).toHaveLength(1);

  channel.resume('down');
  expect((await readExactly(far, 11)).toString()).toBe('firstsecond');
  await until(() => told.requests.length === 2);
  expect(told.requests[1]?.seqnum).toBe(off);
  expect((await kernel.answers(2)).map(({ actual }) => actual)).toEqual([5, 6]);
  expect(await kernel.quiet()).toBe(true);
  expect(readSome(far)).toBeUndefined();

  adapter.answer(told.requests[1] as ControlRequest, new Uint8Array(0));
  expect((await readExactly(far, 5)).toString()).toBe('third');
  await until(() => told.requests.length === 3);
  expect(told.requests[2]?.seqnum).toBe(on);
  expect((await kernel.answers(2)).map(({ seqnum }) => seqnum)).toEqual([off, off + 1]);
  expect(readSome(far)).toBeUndefined();
  adapter.answer(told.requests[2] as ControlRequest, new Uint8Array(0));
  expect((await readExactly(far, 6)).toString()).toBe('fourth');
});

test('a request waits no longer than 2 s for output that is not taken, and the next ones not at all', async () => {
  const { kernel, far, told, channel } = await opened();
  channel.stop('down');
  kernel.out(1, Buffer.from('stuck'));
  const began = performance.now();
  const first = kernel.control(RTS_OFF);
  await until(() => told.requests.length === 2);
  expect(performance.now() - began).toBeGreaterThanOrEqual(1990);
  const second = kernel.control(RTS_ON);
  await until(() => told.requests.length === 3);
  expect((await kernel.answers(2)).map(({ seqnum }) => seqnum)).toEqual([first, second]);
  channel.resume('down');
  expect((await readExactly(far, 5)).toString()).toBe('stuck');
});

test('output that the driver takes back holds no request up', async () => {
  const { kernel, told, channel } = await opened();
  channel.stop('down');
  const written = kernel.out(1, Buffer.from('never'));
  kernel.control(RTS_OFF);
  expect(await kernel.quiet()).toBe(true);
  expect(told.requests).toHaveLength(1);
  kernel.unlink(written);
  await until(() => told.requests.length === 2);
});

test('an answer is never longer than what was asked, and none comes to what was taken back', async () => {
  const rig = new Rig();
  const { adapter, told } = rig.begin({ answers: false });
  const { kernel } = rig;
  kernel.control('8006000100000a00', 255);
  const back = kernel.control('8006000100000a00', 255);
  kernel.unlink(back);
  await until(() => told.requests.length === 2);
  for (const request of told.requests) adapter.answer(request, Buffer.alloc(40, 7));
  const answers = await kernel.answers(2);
  expect(answers.map(({ command, status, actual }) => [command, status, actual]).sort()).toEqual([
    ['submit', 0, 10],
    ['unlink', -104, 0],
  ]);
  expect(await kernel.quiet()).toBe(true);
});

test('a channel that goes answers what waits for it, and ends a drain of what it took', async () => {
  const { kernel, channel } = await opened();
  channel.stop('down');
  const waiting = [kernel.out(1, Buffer.from('one')), kernel.out(1, Buffer.from('two'))];
  expect(await kernel.quiet()).toBe(true);
  channel.close();
  expect((await kernel.answers(2)).map(({ seqnum }) => seqnum)).toEqual(waiting);
  kernel.control(STATUS);
  expect((await kernel.answer()).data).toBe('0160');
});

test('a port without a channel: what is written is taken and goes nowhere', async () => {
  const { kernel } = await opened();
  const n = kernel.out(2, Buffer.from('lost'));
  expect(await kernel.answer()).toEqual(ok(n, 4));
});

test('discarded output lets a close go on, until the next open', async () => {
  const { kernel, adapter, channel } = await opened();
  channel.detach({ mode: 'block' });
  const n = kernel.out(1, Buffer.from('stuck'));
  expect(await kernel.quiet()).toBe(true);
  adapter.discardOutput(0, true);
  expect(await kernel.answer()).toEqual(ok(n, 5));
  expect(channel.counters.downDropped).toBe(5);
  const next = kernel.out(1, Buffer.from('too'));
  expect(await kernel.answer()).toEqual(ok(next, 3));
  kernel.control(OPEN);
  await kernel.answer();
  kernel.out(1, Buffer.from('kept'));
  expect(await kernel.quiet()).toBe(true);
  adapter.discardOutput(0, true);
  await kernel.answer();
  adapter.discardOutput(0, false);
  kernel.out(1, Buffer.from('kept'));
  expect(await kernel.quiet()).toBe(true);
});

test('an endpoint that does not exist stalls', async () => {
  const { kernel } = await opened();
  kernel.in(3);
  kernel.out(15, Buffer.from('a'));
  expect((await kernel.answers(2)).map(({ status }) => status)).toEqual([-32, -32]);
});

const head = (...words: number[]) => {
  const bytes = Buffer.alloc(48);
  for (const [i, word] of words.entries()) bytes.writeUInt32BE(word, 4 * i);
  return bytes;
};

test.each([
  ['another command', head(9, 1)],
  ['a direction that is none', head(1, 1, 0, 2)],
  ['a transfer too large to keep', head(1, 1, 0, 0, 1, 0, 0x0fffffff)],
  ['more transfers than any driver has', Buffer.concat(Array.from({ length: 40 }, (_, n) => submit(n, 1, 'in', 512)))],
])('%s ends it, with a reason, once', async (_, bytes) => {
  const rig = new Rig();
  const { told, adapter } = rig.begin();
  rig.kernel.write(bytes, bytes);
  await until(() => told.lost.length > 0);
  expect(told.lost[0]).toMatch(/serial driver/);
  expect(await rig.kernel.quiet()).toBe(true);
  expect(told.lost).toHaveLength(1);
  adapter.unplug();
});

test('where the messages are cut changes nothing', async () => {
  const stream = Buffer.concat([
    submit(1, 0, 'out', 3, { setup: '4003000000000300', data: '010203' }),
    submit(2, 1, 'out', 256, { data: 'ab'.repeat(256) }),
    submit(3, 1, 'in', 512),
    unlink(4, 3),
  ]);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(stream.length), { maxLength: 4 }), async (cuts) => {
      const rig = new Rig();
      const { channel, pump } = rig.begin();
      const far = join(channel);
      const at = [0, ...cuts.sort((a, b) => a - b), stream.length];
      for (const [i, end] of at.slice(1).entries()) {
        rig.kernel.write(stream.subarray(at[i], end));
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
      expect((await readExactly(far, 256)).toString('hex')).toBe('ab'.repeat(256));
      const answers = await readExactly(rig.kernel.fd, 3 * 48);
      const of = (n: number) => [answers.readUInt32BE(48 * n), answers.readUInt32BE(48 * n + 4)];
      expect([of(0), of(1), of(2)].sort()).toEqual([
        [3, 1],
        [3, 2],
        [4, 4],
      ]);
      pump.close();
    }),
    { numRuns: 15 },
  );
});

test('whatever comes: every message is answered at most once', async () => {
  const word = fc.oneof(fc.nat(5), fc.nat(0xffff));
  const message = fc.tuple(
    fc.constantFrom(1, 1, 1, 2, 7),
    word,
    fc.nat(2),
    fc.nat(17),
    fc.nat(300),
    fc.uint8Array({ minLength: 8, maxLength: 8 }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(message, { maxLength: 60 }), async (messages) => {
      const rig = new Rig();
      const { pump, told, adapter } = rig.begin();
      const ins = new Set<number>();
      for (const [n, [command, target, direction, endpoint, length, setup]] of messages.entries()) {
        const bytes = Buffer.alloc(48 + (direction === 0 && command === 1 ? length : 0));
        for (const [i, value] of [command, n, 0, direction, endpoint, command === 2 ? target : 0, length].entries())
          bytes.writeUInt32BE(value, 4 * i);
        Buffer.from(setup).copy(bytes, 40);
        if (direction === 1) ins.add(n);
        rig.kernel.write(bytes);
      }
      await new Promise((resolve) => setTimeout(resolve, 10));
      const seen = new Set<number>();
      let rest = readSome(rig.kernel.fd) ?? Buffer.alloc(0);
      while (rest.length > 0) {
        const seqnum = rest.readUInt32BE(4);
        expect(seen.has(seqnum)).toBe(false);
        seen.add(seqnum);
        rest = rest.subarray(48 + (rest.readUInt32BE(0) === 3 && ins.has(seqnum) ? rest.readUInt32BE(24) : 0));
      }
      expect(told.lost.length).toBeLessThanOrEqual(1);
      adapter.unplug();
      pump.close();
    }),
    { numRuns: 40 },
  );
});

test('unplugged: what was open is told as closed, and another device finds a chip that has just got power', async () => {
  const { adapter, told, rig, kernel } = await opened();
  adapter.setModem(0, 0x31);
  await kernel.answer();
  adapter.unplug();
  expect(told.closed).toEqual([0]);
  expect(adapter.isOpen(0)).toBe(false);
  adapter.plug(rig.ours, 2, 512, false);
  kernel.control(STATUS);
  expect((await kernel.answer()).data).toBe('0160');
});

/** kept.c and usbip.h: where a test writes what a killed process left. */
const KEPT = { inbox: 16, handled: 20, consumed: 24, answering: 32, inboxBytes: 16_384 };

function set(file: KeepFile, at: number, value: number, bytes: 1 | 4 | 8): void {
  const wide = Buffer.alloc(8);
  wide.writeBigUInt64LE(BigInt(value));
  writeSync(file.fd, wide, 0, bytes, at);
}

async function stoppedWith(prepare: (life: Awaited<ReturnType<typeof opened>>) => Promise<void> | void) {
  const life = await opened();
  await prepare(life);
  life.rig.freeze();
  return life;
}

test('transfers that waited are filled by the next process, once', async () => {
  const { rig, reads, kernel } = await stoppedWith(() => {});
  const { channel, adapter } = rig.begin({ adopt: true });
  expect(adapter.isOpen(0)).toBe(true);
  writeSync(join(channel), 'x');
  expect(await kernel.answer()).toEqual(ok(reads[0] ?? 0, 3, '016078'));
  expect(await kernel.quiet()).toBe(true);
});

test('what was written before and while no process was there arrives, and is answered', async () => {
  let before = 0;
  const { rig, kernel } = await stoppedWith(async ({ channel, kernel: wire }) => {
    channel.detach({ mode: 'block' });
    before = wire.out(1, Buffer.from('before '));
    expect(await wire.quiet()).toBe(true);
  });
  const meanwhile = kernel.out(1, Buffer.from('meanwhile'));
  const { channel } = rig.begin({ adopt: true });
  expect((await readExactly(join(channel), 16)).toString()).toBe('before meanwhile');
  expect(await kernel.answers(2)).toEqual([ok(before, 7), ok(meanwhile, 9)]);
});

test('a request that was not answered is told again, and answered once', async () => {
  const { rig, kernel } = await stoppedWith(async ({ adapter, kernel: wire, told }) => {
    adapter.onRequest = (request) => told.requests.push(request);
    wire.control('4003e20401020000');
    await until(() => told.requests.length === 2);
  });
  const { told } = rig.begin({ adopt: true });
  await until(() => told.requests.length === 1);
  expect(told.requests[0]).toMatchObject({ request: 3, value: 0x04e2 });
  await kernel.answer();
  expect(await kernel.quiet()).toBe(true);
});

test('a request behind output keeps its place over a restart', async () => {
  const { rig, kernel, far, channel } = await opened();
  channel.stop('down');
  kernel.out(1, Buffer.from('before'));
  kernel.control(RTS_OFF);
  kernel.out(1, Buffer.from('after'));
  expect(await kernel.quiet()).toBe(true);
  rig.freeze();
  const { told, adapter, channel: next } = rig.begin({ adopt: true, answers: false });
  const again = join(next);
  expect((await readExactly(again, 6)).toString()).toBe('before');
  await until(() => told.requests.length === 1);
  expect(readSome(again)).toBeUndefined();
  adapter.answer(told.requests[0] as ControlRequest, new Uint8Array(0));
  expect((await readExactly(again, 5)).toString()).toBe('after');
  expect(readSome(far)).toBeUndefined();
});

test('who closed meanwhile is seen as closed; who opened as open', async () => {
  const { rig, reads, kernel } = await stoppedWith(() => {});
  for (const read of reads) kernel.unlink(read);
  const second = rig.begin({ adopt: true });
  await kernel.answers(2);
  await until(() => second.told.closed.length === 1);
  expect(second.adapter.isOpen(0)).toBe(false);
  rig.freeze();
  kernel.control(OPEN);
  const third = rig.begin({ adopt: true });
  await until(() => third.told.requests.length === 1);
  expect(third.adapter.isOpen(0)).toBe(true);
  await kernel.answer();
});

test('killed after it looked at messages, before it took them: they are handled once', async () => {
  const { rig, kernel } = await stoppedWith(() => {});
  // The very message that is in the socket.
  const bytes = submit(kernel.out(1, Buffer.from('abc')), 1, 'out', 3, { data: '616263' });
  writeSync(rig.file.fd, bytes, 0, bytes.length, KEPT.inboxBytes);
  set(rig.file, KEPT.inbox, bytes.length, 4);
  const { channel } = rig.begin({ adopt: true });
  const far = join(channel);
  expect((await readExactly(far, 3)).toString()).toBe('abc');
  expect((await kernel.answer()).status).toBe(0);
  expect(await kernel.quiet()).toBe(true);
  expect(readSome(far)).toBeUndefined();
});

test('killed after it took messages, before it handled them: they are handled', async () => {
  const { rig, kernel } = await stoppedWith(() => {});
  kernel.out(1, Buffer.from('abc'));
  const taken = await readExactly(rig.ours, 51);
  writeSync(rig.file.fd, taken, 0, taken.length, KEPT.inboxBytes);
  set(rig.file, KEPT.inbox, taken.length, 4);
  const { channel } = rig.begin({ adopt: true });
  expect((await readExactly(join(channel), 3)).toString()).toBe('abc');
  expect((await kernel.answer()).status).toBe(0);
});

test('a file of another make is refused', () => {
  const rig = new Rig();
  const pump = new Pump();
  onEnd(() => pump.close());
  expect(() => pump.openAdapter({ file: rig.file, adopt: true })).toThrow(/EBADMSG|Bad message/);
  const adapter: PumpAdapter = pump.openAdapter({ file: rig.file, adopt: false });
  set(rig.file, KEPT.inbox, 70_000, 4);
  adapter.close();
  expect(() => pump.openAdapter({ file: rig.file, adopt: true })).toThrow(/EBADMSG|Bad message/);
});

test('the offsets that these tests write to are those of the file', async () => {
  const { rig } = await stoppedWith(() => {});
  const words = Buffer.alloc(32);
  readSync(rig.file.fd, words, 0, 32, 0);
  expect([words.readUInt32LE(8), words.readUInt32LE(12)]).toEqual([2, 512]); // interfaces, packet bytes
});
