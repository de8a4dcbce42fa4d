// The device role against a host that is played byte by byte: what the vendor's Linux driver was captured sending
// (driver 6.0), and what a device must tolerate (docs/protocol/realcom.md section 11.1).
import { execFile } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterEach, describe, expect, test } from 'vitest';
import type { PortEvent } from '../../src/serve/port-server.js';
import { runSimulator, type SimulatorHandle, type SimulatorOptions } from '../../src/serve/simulator.js';
import { LineRecorder } from '../support/line-recorder.js';
import { hex, RawPeer } from '../support/raw-peer.js';

const run = promisify(execFile);

const PORT_INIT_9600 = '2c 08 06 03 01 01 00 00 00 00';
const PORT_INIT_1200 = '2c 08 02 03 01 01 00 00 00 00';
const PORT_INIT_115200 = '2c 08 0a 03 01 01 00 00 00 00';

const simulators: SimulatorHandle[] = [];
const peers: RawPeer[] = [];

afterEach(async () => {
  for (const peer of peers.splice(0)) await peer.close();
  for (const simulator of simulators.splice(0)) await simulator.close();
});

async function simulator(options: Partial<SimulatorOptions> = {}) {
  const recorder = new LineRecorder();
  const events: PortEvent[] = [];
  const handle = await runSimulator({
    dataPort: 0,
    commandPort: 0,
    observer: (n) => (n === 1 ? recorder : undefined),
    event: (n, event) => {
      if (n === 1) events.push(event);
    },
    ...options,
  });
  simulators.push(handle);
  return { handle, recorder, events, line: handle.port(1), plug: () => handle.line(1) };
}

async function dial(port: number): Promise<RawPeer> {
  const peer = await RawPeer.connect(port);
  peers.push(peer);
  return peer;
}

/** Command first, then data, as the vendor's daemon does. */
async function host(line: { readonly commandPort: number; readonly dataPort: number }) {
  const command = await dial(line.commandPort);
  const data = await dial(line.dataPort);
  return { command, data };
}

const counted = (count: number, first = 0) => Buffer.from(Array.from({ length: count }, (_, i) => (first + i) & 0xff));
const now = () => performance.now();

describe('what the vendor driver sends', () => {
  test('a first open, "hello", close: every answer is one segment', async () => {
    const { line, recorder } = await simulator();
    const { command, data } = await host(line);
    const captured: [string, string][] = [
      ['2c 08 06 03 01 01 00 00 01 00', '2c03010101'],
      ['18 02 11 13', '184f4b'],
      ['30 01 10', '304f4b'],
      ['2c 08 06 03 01 01 00 00 00 00', '2c03010101'],
      ['12 02 01 01', '124f4b'],
      ['12 02 01 01', '124f4b'],
    ];
    for (const [bytes, answer] of captured) {
      command.send(bytes);
      await command.until(() => command.received.includes(hex(answer)) && command.unread.length >= answer.length / 2);
      // A NOTIFY of the lines that PORT_INIT raised may come before it, and the kernel may give both in one read.
      const segment = command.segments.find((one) => one.includes(hex(answer)));
      expect(segment, `answer to ${bytes}`).toBeDefined();
      command.segments.splice(0);
    }
    data.send(Buffer.from('hello over Real COM'));
    await data.until(() => data.received.length === 19);
    expect(data.received.toString()).toBe('hello over Real COM');
    command.send('14 01 02');
    await command.until(() => command.received.includes(hex('144f4b')));
    await data.close();
    await command.end(); // the server closes the other one
    await recorder.until(() => recorder.of('lines').at(-1)?.lines.dtr === false);
    expect(recorder.of('lines').at(-1)?.lines).toEqual({ dtr: false, rts: false });
  });

  test('the recovery burst after a reconnect, in one segment: three answers, in order', async () => {
    const { line } = await simulator();
    const { command } = await host(line);
    command.send('2c 08 06 03 01 01 00 00 00 00 30 01 10 12 02 01 01');
    // A NOTIFY of the lines that PORT_INIT raised may come between them.
    const answers = () => command.received.toString('hex').replace(/26(?:..){3}/, '');
    await command.until(() => answers().length >= 22);
    expect(answers().slice(0, 22)).toBe('2c03010101304f4b124f4b');
  });

  test('byte by byte it is the same', async () => {
    const { line } = await simulator();
    const { command } = await host(line);
    for (const byte of hex('2c08060301010000000030011012020101')) {
      command.send(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    await command.until(() => command.received.includes(hex('124f4b')));
    expect(command.received.subarray(0, 5).toString('hex')).toBe('2c03010101');
    expect(command.received.includes(hex('304f4b'))).toBe(true);
  });

  test('a rate outside the table comes with SETBAUD, and the line gets it', async () => {
    const { line, plug } = await simulator();
    const { command } = await host(line);
    await command.ask('2c 08 ff 03 01 01 00 00 00 00', 5);
    command.send('17 04 90 d0 03 00');
    await command.until(() => command.received.includes(hex('174f4b')));
    expect(plug().settings.baudRate).toBe(250_000);
  });

  test('7E2 with RTS/CTS at 115200', async () => {
    const { line, plug } = await simulator();
    const { command } = await host(line);
    expect(await command.ask('2c 08 0a 0e 01 01 01 01 00 00', 5)).toBe('2c03010101');
    expect(plug().settings).toMatchObject({
      baudRate: 115_200,
      dataBits: 7,
      parity: 'even',
      stopBits: 2,
      flowControl: { rtsCts: true },
    });
  });
});

describe('data', () => {
  test('comes back byte for byte, and not faster than the line', async () => {
    const { line } = await simulator();
    const { command, data } = await host(line);
    await command.ask(PORT_INIT_9600, 5);
    const started = now();
    data.send(counted(200));
    await data.until(() => data.received.length >= 200);
    expect(data.received.equals(counted(200))).toBe(true);
    expect(now() - started).toBeGreaterThanOrEqual((200 * 10 * 1000) / 9600);
  });

  test('1 MB unpaced, all byte values, byte-exact', async () => {
    const { line } = await simulator({ unpaced: true });
    const { command, data } = await host(line);
    await command.ask(PORT_INIT_115200, 5);
    const all = counted(1_000_000);
    data.socket.write(all);
    await data.until(() => data.segments.reduce((sum, one) => sum + one.length, 0) >= all.length);
    expect(data.received.equals(all)).toBe(true);
  });

  test('a line that stands shuts the TCP window; nothing is lost when it moves again', async () => {
    const { line, plug } = await simulator({ unpaced: true });
    const { command, data } = await host(line);
    await command.ask(PORT_INIT_115200, 5);
    plug().hold(true);
    const all = counted(24 * 1024 * 1024);
    data.socket.write(all);
    // What the server took is bounded by its queues, not by what was sent.
    for (let turn = 0; turn < 2000; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(line.bytes.received).toBeLessThan(256 * 1024);
    expect(data.socket.writableLength).toBeGreaterThan(0);
    plug().hold(false);
    let total = 0;
    await data.until(() => {
      total = data.segments.reduce((sum, one) => sum + one.length, 0);
      return total >= all.length;
    });
    expect(total).toBe(all.length);
    expect(data.received.equals(all)).toBe(true);
  });

  test('a host that does not read holds the line; nothing is lost', async () => {
    const { line } = await simulator({ unpaced: true });
    const { command, data } = await host(line);
    await command.ask(PORT_INIT_115200, 5);
    data.socket.pause();
    const all = counted(12 * 1024 * 1024);
    data.socket.write(all);
    for (let turn = 0; turn < 2000; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(line.bytes.sent).toBeLessThan(all.length);
    data.socket.resume();
    await data.until(() => data.segments.reduce((sum, one) => sum + one.length, 0) >= all.length);
    expect(data.received.equals(all)).toBe(true);
  });

  test('300 bytes at 1200, drained, then 300 at 9600: none leaves at a wrong rate', async () => {
    const { line, recorder } = await simulator();
    const { command, data } = await host(line);
    await command.ask(PORT_INIT_1200, 5);
    data.send(counted(300));
    await drain(command, data);
    command.send(PORT_INIT_9600);
    await command.until(() => command.received.toString('hex').split('2c0301').length > 2);
    data.send(counted(300));
    await recorder.until(() => recorder.bytes.length >= 600);
    expect(recorder.rates.slice(0, 300).every((rate) => rate === 1200)).toBe(true);
    expect(recorder.rates.slice(300).every((rate) => rate === 9600)).toBe(true);
  });

  test('bytes that are queued when PORT_INIT comes leave at the rate in force when they leave', async () => {
    const { line, recorder } = await simulator();
    const { command, data } = await host(line);
    await command.ask(PORT_INIT_1200, 5);
    data.send(counted(300));
    await recorder.until(() => recorder.bytes.length >= 5);
    command.send(PORT_INIT_9600);
    await recorder.until(() => recorder.bytes.length >= 300);
    expect(recorder.rates[0]).toBe(1200);
    expect(recorder.rates.at(-1)).toBe(9600);
    expect(recorder.rates).toEqual([...recorder.rates].sort((a, b) => a - b));
  });
});

/** WAIT_OQUEUE of 100 ms until it says 0; bytes that the peer's TCP does not hold yet are waited for first. */
async function drain(command: RawPeer, data: RawPeer): Promise<number[]> {
  const counts: number[] = [];
  await new Promise<void>((resolve) => data.socket.write('', () => resolve()));
  for (;;) {
    const before = command.received.length;
    command.send('2f 04 64 00 00 00');
    await command.until(() => command.received.subarray(before).includes(0x2f));
    const answer = command.received.subarray(before + command.received.subarray(before).indexOf(0x2f));
    counts.push(answer.readUInt16LE(2));
    if (counts.at(-1) === 0) return counts;
  }
}

describe('WAIT_OQUEUE', () => {
  test('0 at once on an idle line', async () => {
    const { line } = await simulator();
    const { command } = await host(line);
    expect(await command.ask('2f 04 19 00 00 00', 4)).toBe('2f020000');
  });

  test('counts what the data socket holds, and is 0 only when the last byte has left', async () => {
    const { line, recorder } = await simulator();
    const { command, data } = await host(line);
    await command.ask(PORT_INIT_9600, 5);
    data.send(counted(300));
    const counts = await drain(command, data);
    expect(recorder.bytes.length).toBe(300);
    expect(counts.length).toBeGreaterThan(1);
    expect(counts[0]).toBeGreaterThan(0);
    expect(counts).toEqual([...counts].sort((a, b) => b - a));
  });

  test('counts beyond the transmit buffer: what TCP brought while the line stands', async () => {
    const { line, plug } = await simulator({ transmitBuffer: 1024 });
    const { command, data } = await host(line);
    await command.ask(PORT_INIT_9600, 5);
    plug().hold(true);
    data.send(counted(20_000));
    await new Promise<void>((resolve) => data.socket.write('', () => resolve()));
    const answers: number[] = [];
    for (let i = 0; i < 3; i++) {
      command.segments.splice(0);
      command.send('16 00');
      await command.until(() => command.received.includes(hex('1602')));
      answers.push(command.received.readUInt16LE(command.received.indexOf(hex('1602')) + 2));
    }
    expect(answers.at(-1)).toBe(20_000);
    plug().hold(false);
  });

  test('answers before its time is over', async () => {
    const { line, plug } = await simulator();
    const { command, data } = await host(line);
    await command.ask(PORT_INIT_9600, 5);
    plug().hold(true);
    data.send(counted(10));
    await new Promise<void>((resolve) => data.socket.write('', () => resolve()));
    const before = command.received.length;
    command.send('2f 04 e8 03 00 00');
    await command.until(() => command.received.subarray(before).includes(hex('2f02')));
    const at = command.received.indexOf(hex('2f02'), before);
    expect(command.received.readUInt16LE(at + 2)).toBe(10);
  });
});

/** A read may give several frames: a PORT_INIT's answer is 5 bytes, a NOTIFY 4, an OK 3. */
function frames(received: Buffer): Buffer[] {
  const cut: Buffer[] = [];
  for (let at = 0; at < received.length; ) {
    const end = at + ({ 44: 5, 38: 4 }[received[at] ?? 0] ?? 3);
    cut.push(received.subarray(at, end));
    at = end;
  }
  return cut;
}

/** A NOTIFY with this bit in its mask, which may have others: changes within 5 ms are one frame. */
async function notified(command: RawPeer, bit: number): Promise<void> {
  await command.until(() => frames(command.received).some((one) => one[0] === 0x26 && ((one[1] ?? 0) & bit) !== 0));
}

describe('break, lines, flush', () => {
  test('a break is seen as a break by the other end of the loop', async () => {
    const { line, recorder } = await simulator();
    const { command } = await host(line);
    await command.ask(PORT_INIT_9600, 5);
    command.send('21 00');
    await command.until(() => command.received.includes(hex('214f4b')));
    await notified(command, 0x10);
    command.send('22 00');
    await command.until(() => command.received.includes(hex('224f4b')));
    expect(recorder.of('break').map((record) => record.on)).toEqual([true, false]);
  });

  test('a break waits for the bytes that were sent before it', async () => {
    const { line, recorder } = await simulator();
    const { command, data } = await host(line);
    await command.ask(PORT_INIT_9600, 5);
    data.send(counted(20));
    await drain(command, data);
    command.send('21 00 22 00');
    await recorder.until(() => recorder.of('break').length === 2);
    const order = recorder.records.map((record) => record.type);
    expect(order.lastIndexOf('bytes')).toBeLessThan(order.indexOf('break'));
    expect(recorder.bytes.length).toBe(20);
  });

  test('LINECTRL moves the lines and the loop tells CTS, DSR and DCD', async () => {
    const { line } = await simulator();
    const { command } = await host(line);
    await command.ask(PORT_INIT_9600, 5);
    command.send('12 02 00 01');
    await command.until(() => command.received.includes(hex('124f4b')) && command.received.includes(hex('26201000')));
    command.send('12 02 00 00');
    await command.until(() => command.received.includes(hex('26200000')));
    command.send('12 02 01 00');
    await command.until(() => command.received.includes(hex('2620a000')));
  });

  test('line errors and breaks of the other end are told', async () => {
    const { line, plug } = await simulator();
    const { command } = await host(line);
    await command.ask(PORT_INIT_9600, 5);
    plug().injectErrors({ parity: true });
    await notified(command, 0x01);
    line.notify({ type: 'break' });
    await notified(command, 0x10);
  });

  test('FLUSH drops what has not left, what still was in TCP included', async () => {
    const { line, plug, recorder } = await simulator({ transmitBuffer: 1024 });
    const { command, data } = await host(line);
    await command.ask(PORT_INIT_9600, 5);
    plug().hold(true);
    data.send(counted(5000));
    await new Promise<void>((resolve) => data.socket.write('', () => resolve()));
    await command.ask('16 00', 4);
    command.send('14 01 02');
    await command.until(() => command.received.includes(hex('144f4b')));
    plug().hold(false);
    data.send(Buffer.from('after'));
    await data.until(() => data.received.length >= 5);
    expect(data.received.toString()).toBe('after');
    expect(recorder.bytes.toString()).toBe('after');
  });

  test('settings that are refused: never FF FF FF to a first PORT_INIT, then FF FF FF and the old rate', async () => {
    const { line, plug } = await simulator();
    line.refuseSettings((settings) => settings.baudRate === 115_200);
    const { command } = await host(line);
    expect(await command.ask(PORT_INIT_115200, 5)).not.toBe('2c03ffffff');
    command.send(PORT_INIT_9600);
    await command.until(() => command.received.length >= 10);
    command.send(PORT_INIT_115200);
    await command.until(() => command.received.includes(hex('2c03ffffff')));
    expect(plug().settings.baudRate).toBe(9600);
  });
});

describe('connections', () => {
  test.each([
    ['data', 'end'],
    ['data', 'reset'],
    ['command', 'end'],
    ['command', 'reset'],
  ] as const)(
    'the loss of %s (%s) closes the other, ends the break, drops the lines and the queues',
    async (which, how) => {
      const { line, plug, recorder } = await simulator();
      const { command, data } = await host(line);
      await command.ask(PORT_INIT_1200, 5);
      plug().hold(true);
      data.send(counted(500));
      await command.ask('16 00', 4);
      command.send('21 00');
      await command.until(() => command.received.includes(hex('214f4b')));
      const [lost, other] = which === 'data' ? [data, command] : [command, data];
      await lost.close(how);
      if (which === 'data') plug().hold(false); // an end that waits behind unread bytes is seen when they are read
      await other.end();
      await recorder.until(() => recorder.of('lines').at(-1)?.lines.dtr === false);
      expect(plug().outputLines).toEqual({ dtr: false, rts: false });
      expect(plug().outputQueue).toBe(0);
      expect(recorder.of('break').at(-1)?.on).toBe(false);
      plug().hold(false);
      const again = await host(line);
      expect(await again.command.ask(PORT_INIT_9600, 5)).toBe('2c03010101');
      again.data.send(Buffer.from('new'));
      await again.data.until(() => again.data.received.length >= 3);
      expect(again.data.received.toString()).toBe('new');
    },
  );

  test('the server can lose either connection, and both', async () => {
    const { line } = await simulator();
    for (const which of ['data', 'command', 'both'] as const) {
      const { command, data } = await host(line);
      await command.ask(PORT_INIT_9600, 5);
      expect(line.kill(which)).toBe(true);
      await Promise.all([command.end(), data.end()]);
    }
    expect(line.counts).toEqual({ data: 3, command: 3, paired: 3 });
  });

  test('a second host is accepted, waits, and is closed; the first is not disturbed', async () => {
    const { line, events } = await simulator({ busyHoldMs: 50 });
    const { command, data } = await host(line);
    await command.ask(PORT_INIT_9600, 5);
    const started = now();
    const second = await host(line);
    second.command.send(PORT_INIT_115200);
    await Promise.all([second.command.end(), second.data.end()]);
    expect(now() - started).toBeGreaterThanOrEqual(45);
    expect(second.command.received.length).toBe(0);
    data.send(Buffer.from('still here'));
    await data.until(() => data.received.length >= 10);
    expect(events.filter((event) => event.type === 'busy')).toHaveLength(2);
  });

  test('a host that waits gets the port when it becomes free', async () => {
    const { line } = await simulator({ busyHoldMs: 10_000 });
    const first = await host(line);
    await first.command.ask(PORT_INIT_9600, 5);
    const second = await host(line);
    second.command.send(PORT_INIT_115200);
    await first.data.close('reset');
    expect((await second.command.take(5)).toString('hex')).toBe('2c03010101');
  });

  test('no accepting: refused; accepting again on the same ports', async () => {
    const { handle, line } = await simulator();
    const { command } = await host(line);
    const ports = [line.dataPort, line.commandPort];
    await handle.stop();
    await command.end();
    await expect(RawPeer.connect(line.commandPort)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await expect(RawPeer.connect(line.dataPort)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await handle.start();
    expect([line.dataPort, line.commandPort]).toEqual(ports);
    const again = await host(line);
    expect(await again.command.ask(PORT_INIT_9600, 5)).toBe('2c03010101');
  });

  test('mute, late and byte by byte', async () => {
    const { line } = await simulator();
    const { command } = await host(line);
    line.answers.mute = true;
    command.send('13 00');
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(command.received.length).toBe(0);
    line.answers.mute = false;
    line.answers.delayMs = 80;
    const started = now();
    await command.ask('2f 04 19 00 00 00', 4);
    expect(now() - started).toBeGreaterThanOrEqual(79);
    line.answers.delayMs = 0;
    line.answers.byteByByte = true;
    command.segments.splice(0);
    command.send('13 00');
    await command.until(() => command.received.length >= 5);
    expect(command.received.toString('hex')).toBe('1303000000');
  });

  test('closed in the middle of a step: before the answer to PORT_INIT, and as soon as it connected', async () => {
    for (const step of ['request', 'connected'] as const) {
      const { line } = await simulator({
        event: (_n, event) => {
          if (event.type === step) line.kill('both', step === 'connected' ? 'end' : 'reset');
        },
      });
      const command = await dial(line.commandPort);
      command.send(PORT_INIT_9600);
      await command.end();
      expect(command.received.length).toBe(0);
    }
  });

  test('busy as devices are that accept and close at once', async () => {
    const { line } = await simulator();
    line.occupied = true;
    line.busyHoldMs = 0;
    const command = await dial(line.commandPort);
    await command.end();
    line.occupied = false;
    const again = await host(line);
    expect(await again.command.ask(PORT_INIT_9600, 5)).toBe('2c03010101');
  });

  test('POLLING starts after PORT_INIT, ALIVE keeps the host, silence ends it', async () => {
    const { line } = await simulator({ pollingMs: 20 });
    const { command } = await host(line);
    for (let turn = 0; turn < 200; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(command.received.length).toBe(0);
    await command.ask(PORT_INIT_9600, 5);
    for (let answered = 0; answered < 5; answered++) {
      command.segments.splice(0);
      await command.until(() => command.received.includes(hex('2701')));
      const at = command.received.indexOf(hex('2701'));
      await command.until(() => command.received.length >= at + 3);
      command.send(Uint8Array.of(0x28, 1, command.received[at + 2] ?? 0));
    }
    expect(command.ended).toBe(false);
    await command.end();
  });

  test('an IPv6 host of the vendor gets its 16 bytes back before anything else', async () => {
    const { line } = await simulator({ listen: '::1' });
    const command = await RawPeer.connect(line.commandPort, '::1');
    peers.push(command);
    const junk = hex('ff00a1b2c3d4e5f60011223344556677');
    command.send(junk);
    expect((await command.take(16)).equals(junk)).toBe(true);
    expect(await command.ask(PORT_INIT_9600, 5)).toBe('2c03010101');
  });
});

describe('peers that do wrong', () => {
  test('garbage, half commands, lengths that lie: no crash, and the next host finds the port well', async () => {
    const { line } = await simulator();
    let seed = 1;
    const random = () => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return seed >>> 16;
    };
    for (let round = 0; round < 30; round++) {
      const { command, data } = await host(line);
      command.socket.write(Buffer.from(Array.from({ length: 1 + (random() % 3000) }, () => random() & 0xff)));
      data.socket.write('GET / HTTP/1.1\r\n\r\n');
      for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve));
      await Promise.all([command.close('reset'), data.close('reset')]);
    }
    const { command } = await host(line);
    expect(await command.ask(PORT_INIT_9600, 5)).toBe('2c03010101');
  });

  test('TX_FIFO with a lying length does not swallow what follows', async () => {
    const { line } = await simulator();
    const { command } = await host(line);
    command.send('30 10 10 2c 08 06 03 01 01 00 00 00 00');
    await command.until(() => command.received.length >= 8);
    expect(command.received.subarray(0, 8).toString('hex')).toBe('304f4b2c03010101');
  });

  test('a host that never reads its answers does not decide how much we keep', async () => {
    const { line } = await simulator();
    const { command } = await host(line);
    command.socket.pause();
    const before = process.memoryUsage().arrayBuffers;
    const flood = Buffer.alloc(2 * 1024 * 1024, hex('1300'));
    command.socket.write(flood);
    for (let turn = 0; turn < 3000; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(64 * 1024 * 1024);
    await command.close('reset');
    const again = await host(line);
    expect(await again.command.ask(PORT_INIT_9600, 5)).toBe('2c03010101');
  });

  test('one connection of two is dropped after its time', async () => {
    const { line } = await simulator({ pairTimeoutMs: 30 });
    const data = await dial(line.dataPort);
    await data.end();
    const command = await dial(line.commandPort);
    await command.end();
    const { command: good } = await host(line);
    expect(await good.ask(PORT_INIT_9600, 5)).toBe('2c03010101');
  });

  test('1000 connections opened and dropped leave nothing', async () => {
    const { line } = await simulator({ busyHoldMs: 20 });
    for (let batch = 0; batch < 20; batch++) {
      const all = await Promise.all(
        Array.from({ length: 50 }, (_, i) => RawPeer.connect(i % 2 === 0 ? line.dataPort : line.commandPort)),
      );
      await Promise.all(all.map((peer, i) => peer.close(i % 3 === 0 ? 'reset' : 'end')));
    }
    let answer = '';
    while (answer !== '2c03010101') {
      // The last of the dropped ones may still have the port.
      const { command } = await host(line);
      command.send(PORT_INIT_9600);
      await command.until(() => command.received.length >= 5 || command.ended);
      answer = command.received.subarray(0, 5).toString('hex');
    }
    expect(line.counts.data + line.counts.command).toBeGreaterThanOrEqual(1000);
  });
});

describe('many ports, and what cannot be', () => {
  test('each port has its own TCP ports and its own line', async () => {
    const { handle } = await simulator({ ports: 20 });
    const all = handle.ports.flatMap((port) => [port.dataPort, port.commandPort]);
    expect(new Set(all).size).toBe(40);
    const first = await host(handle.port(1));
    const last = await host(handle.port(20));
    await first.command.ask(PORT_INIT_1200, 5);
    await last.command.ask(PORT_INIT_115200, 5);
    expect(handle.line(1).settings.baudRate).toBe(1200);
    expect(handle.line(20).settings.baudRate).toBe(115_200);
  });

  test('a TCP port that is taken: one fault that names it, and nothing is left listening', async () => {
    const { line } = await simulator();
    const wanted = line.dataPort;
    await expect(runSimulator({ ports: 1, dataPort: wanted, commandPort: wanted + 1 })).rejects.toMatchObject({
      name: 'Fault',
      message: expect.stringContaining(`port ${wanted}: already in use`),
    });
  });

  test.each([
    [{ ports: 0 }, /must be 1 to 256/],
    [{ ports: 8, dataPort: 4001, commandPort: 4004 }, /used twice/],
    [{ ports: 40, dataPort: 65_500, commandPort: 5000 }, /65536/],
    [{ dataPort: 0, commandPort: 5000 }, /both be 0/],
  ])('%j is refused', async (options, text) => {
    await expect(runSimulator(options)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(text),
    });
  });

  test('a program as the device: its answers, and nothing of a former host', async () => {
    const { line } = await simulator({ exec: 'while read -r line; do echo "got $line"; done', unpaced: true });
    for (const word of ['one', 'two']) {
      const { command, data } = await host(line);
      expect(await command.ask(PORT_INIT_115200, 5)).toBe('2c03010101');
      data.send(Buffer.from(`${word}\n`));
      await data.until(() => data.received.includes(0x0a));
      expect(data.received.toString()).toBe(`got ${word}\n`);
      await data.close();
      await command.end();
    }
  });
});

test('closing leaves no descriptor behind, connected hosts and all', async () => {
  const descriptors = () => readdirSync('/proc/self/fd').length;
  const cycle = async () => {
    const handle = await runSimulator({ ports: 4, dataPort: 0, commandPort: 0 });
    const { command, data } = await host(handle.port(2));
    await command.ask(PORT_INIT_9600, 5);
    data.send(counted(3000));
    await data.until(() => data.received.length > 10);
    await handle.close();
    await handle.close();
    await Promise.all([command.end(), data.end()]);
  };
  await cycle();
  const before = descriptors();
  for (let i = 0; i < 5; i++) await cycle();
  expect(descriptors()).toBe(before);
});

describe('a third-party client', () => {
  test('python3 with plain sockets: open, lines, rate, 64 KiB echo, drain, flush, close; five times', async () => {
    const { line, recorder } = await simulator({ unpaced: true });
    const script = `
import socket, sys, threading
command_port, data_port = int(sys.argv[1]), int(sys.argv[2])
def ask(sock, request, answer):
    sock.sendall(bytes.fromhex(request))
    while True:
        first = take(sock, 1)
        if first == b'\\x26':
            take(sock, 3)
            continue
        rest = take(sock, answer - 1)
        return (first + rest).hex()
def take(sock, count):
    out = b''
    while len(out) < count:
        piece = sock.recv(count - len(out))
        if not piece: raise EOFError(out)
        out += piece
    return out
for turn in range(5):
    command = socket.create_connection(('127.0.0.1', command_port), 10)
    data = socket.create_connection(('127.0.0.1', data_port), 10)
    assert ask(command, '2c080a03010100000000', 5) == '2c03010101'
    assert ask(command, '300110', 3) == '304f4b'
    assert ask(command, '12020001', 3) == '124f4b'
    assert ask(command, '1300', 5) == '1303000100'
    assert ask(command, '12020101', 3) == '124f4b'
    sent = bytes(i * 7 & 255 for i in range(65536))
    sender = threading.Thread(target=data.sendall, args=(sent,))
    sender.start()
    assert take(data, len(sent)) == sent
    sender.join()
    assert ask(command, '2f0464000000', 4) == '2f020000'
    assert ask(command, '140102', 3) == '144f4b'
    data.close(); command.close()
print('ok')
`;
    const { stdout } = await run('/usr/bin/python3', ['-c', script, String(line.commandPort), String(line.dataPort)]);
    expect(stdout.trim()).toBe('ok');
    expect(recorder.bytes.length).toBe(5 * 65_536);
  });
});
