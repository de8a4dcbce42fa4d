// What only the RFC 2217 mode does: every command and its answer, what waits for the data before it and what does not, what a
// client leaves behind. Bytes are written down from RFC 2217; what is asserted is what leaves the
// line and what the client's socket gets.
import { describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import { escapeData } from '../../src/protocol/telnet/encoder.js';
import { DEFAULT_SETTINGS } from '../../src/serial/line.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import { Child } from '../support/e2e-process.js';
import { ManualClock } from '../support/manual-clock.js';
import { hex } from '../support/raw-peer.js';
import { com, GREETING } from '../support/rfc2217-raw-client.js';
import { rfc2217ServedTests } from '../support/rfc2217-served-tests.js';
import { SerialLine } from '../support/serial-line.js';

const { ends, until, served, dial, client } = rfc2217ServedTests();

/** Segments with data that the kernel has sent from this TCP port. */
async function segmentsFrom(port: number): Promise<number> {
  const ss = new Child(['ss', '-tinH', 'state', 'established', `( sport = :${port} )`]);
  await ss.exit();
  return Number(/data_segs_out:(\d+)/.exec(ss.stdout)?.[1]);
}

describe('commands', () => {
  test('each is carried out, answered with what is in force, in a segment of its own', async () => {
    const port = await served();
    const { peer, ask } = await client(port);
    const rows: [string, string][] = [
      ['01 00 01 c2 00', '65 00 01 c2 00'], // 115200
      ['02 05', '66 05'],
      ['04 03', '68 03'], // 1.5
      ['03 04', '67 04'], // mark
      ['03 05', '67 05'], // space
      ['03 02', '67 02'], // odd
      ['05 02', '69 02'], // XON/XOFF
      ['05 0e', '69 0e'], // none inbound
      ['05 00', '69 02'],
      ['05 0d', '69 0e'],
      ['05 03', '69 03'], // RTS/CTS
      ['05 0d', '69 10'],
      ['05 01', '69 01'],
      ['05 09', '69 09'], // DTR off
      ['05 0c', '69 0c'], // RTS off
      ['05 08', '69 08'],
      ['05 0a', '69 0c'],
      ['05 05', '69 05'], // break
      ['05 04', '69 05'],
      ['05 06', '69 06'],
      ['05 04', '69 06'],
      ['0c 01', '70 01'],
      ['0c 02', '70 02'],
      ['0c 03', '70 03'],
      ['0a 1e', '6e 1e'],
      ['0b 00', '6f 00'],
      ['00', `64${Buffer.from('ttynp').toString('hex')}`],
      // Refused: what is in force is told.
      ['02 08', '66 08'],
      ['04 03', '68 02'],
      ['01 00 98 96 81', '65 00 01 c2 00'], // 10000001
      ['0b ff ff', '6f ff ff'],
      ['05 11', '69 01'], // DCD flow control
      ['02 09', '66 08'],
    ];
    for (const [asked, answer] of rows) await ask(asked, answer);
    expect(peer.segments).toHaveLength(rows.length);
    expect(port.uart.settings).toEqual({ ...DEFAULT_SETTINGS, baudRate: 115_200, parity: 'odd', stopBits: 2 });
    expect(port.uart.outputLines).toEqual({ dtr: true, rts: false });
    expect(port.wire.of('break').map(({ on }) => on)).toEqual([true, false]);
    expect(port.count('malformed')).toBe(0);
  });

  test('many in one segment are answered in one', async () => {
    const port = await served();
    const { peer } = await client(port);
    const before = await segmentsFrom(port.port);
    const asked = ['01 00 00 4b 00', '02 07', '03 03', '04 02', '05 03', '05 08', '05 0b', '01 00 00 00 00'];
    const answers = ['65 00 00 4b 00', '66 07', '67 03', '68 02', '69 03', '69 08', '69 0b', '65 00 00 4b 00'];
    peer.send(asked.map(com).join(''));
    const expected = answers.map(com).join('');
    expect((await peer.take(expected.length / 2)).toString('hex')).toBe(expected);
    expect((await segmentsFrom(port.port)) - before).toBe(1);
  });

  test('cut anywhere, they are the same', async () => {
    const { peer } = await client(await served());
    for (const byte of hex(`${com('01 00 00 4b 00')}41${com('02 07')}`)) peer.send(Uint8Array.of(byte));
    const expected = `${com('65 00 00 4b 00')}${com('66 07')}`;
    expect((await peer.take(expected.length / 2)).toString('hex')).toBe(expected);
  });

  test('lines and errors are told as the masks say, and only after COM-PORT', async () => {
    const port = await served();
    const plain = await dial(port);
    await plain.take(GREETING.length / 2);
    port.uart.forceLines({ cts: false, dsr: true, dcd: true, ri: false });
    port.uart.injectBreak();
    port.uart.inject(Buffer.from('!'));
    expect((await plain.take(1)).toString()).toBe('!');
    await plain.close();
    await until(() => port.server.clients.length === 0);
    const { peer, ask } = await client(port);
    const next = async (answer: string) =>
      expect((await peer.take(com(answer).length / 2)).toString('hex')).toBe(com(answer));
    port.uart.forceLines({ cts: true, dsr: true, dcd: true, ri: false });
    await next('6b b1');
    port.uart.injectErrors({ parity: true });
    await ask('0a 14', '6e 14');
    port.uart.injectErrors({ parity: true, framing: true });
    await next('6a 04');
    port.uart.injectBreak();
    await next('6a 10');
    await ask('0b 08', '6f 08');
    port.uart.forceLines({ cts: false, dsr: false, dcd: true, ri: true });
    port.uart.forceLines({ cts: false, dsr: false, dcd: false, ri: true });
    await next('6b 08');
    await ask('07', '6b 40');
    await ask('06', '6a 00');
  });

  test('a client that suspends gets no data until it resumes; the next client is not suspended', async () => {
    const port = await served();
    const first = await client(port);
    first.tell('08');
    await first.ask('0b ff ff', '6f ff ff');
    port.uart.inject(Buffer.from('held'));
    await first.ask('07', '6b b0');
    first.tell('09');
    expect((await first.peer.take(4)).toString()).toBe('held');
    first.tell('08');
    await first.ask('07', '6b b0');
    await first.peer.close('reset');
    const second = await client(port);
    port.uart.inject(Buffer.from('free'));
    expect((await second.peer.take(4)).toString()).toBe('free');
  });
});

test('packing: a packet is a segment, and nobody gets what was packed while nobody was there', async () => {
  const packing = { packetLength: 0, delimiter: [13], delimiterProcess: 0, forceTransmit: 0 } as const;
  const port = await served({ packing });
  port.uart.inject(Buffer.from('before'));
  const { peer } = await client(port);
  const before = await segmentsFrom(port.port);
  port.uart.inject(Buffer.from('one\rtwo\rhal'));
  expect((await peer.take(8)).toString()).toBe('one\rtwo\r');
  peer.send(com('02 00'));
  await peer.until(() => peer.received.length >= 8 + com('66 08').length / 2);
  port.uart.inject(Buffer.from('f\r'));
  await peer.until(() => peer.received.toString().endsWith('half\r'));
  expect((await segmentsFrom(port.port)) - before).toBe(4);
});

test('a segment is one write to the line, whatever telnet made of it', async () => {
  const port = await served();
  const { peer } = await client(port);
  // Write coil 1 on: function 5, ff 00.
  const frame = hex('01 05 00 00 ff 00 8c 3a ff ff');
  peer.send(escapeData(frame));
  await port.wire.until(() => port.wire.bytes.length === frame.length);
  expect(port.uart.writes).toEqual([frame]);
});

describe('order', () => {
  test('what was written before a change leaves before it, at the old rate; what was written behind it, at the new', async () => {
    const port = await served({ paced: true });
    const { peer } = await client(port);
    await peer.ask(com('01 00 00 96 00'), com('65 00 00 96 00').length / 2);
    const [slow, fast] = [Buffer.alloc(800, 1), Buffer.alloc(800, 2)];
    peer.send(Buffer.concat([slow, hex(com('01 00 01 c2 00')), fast]));
    await port.wire.until(() => port.wire.bytes.length === 1600);
    expect(port.wire.bytes).toEqual(Buffer.concat([slow, fast]));
    expect(port.wire.rates).toEqual([...slow].map(() => 38_400).concat([...fast].map(() => 115_200)));
  });

  test('a break begins behind the data before it, and what is written during it leaves after it', async () => {
    const port = await served({ paced: true });
    const { peer, ask } = await client(port);
    await ask('01 00 00 96 00', '65 00 00 96 00');
    peer.send(Buffer.alloc(300, 1));
    await ask('05 05', '69 05');
    expect(port.wire.bytes).toHaveLength(300);
    peer.send(Buffer.from('during'));
    await ask('05 04', '69 05');
    await ask('05 06', '69 06');
    await port.wire.until(() => port.wire.bytes.length === 306);
    const order = port.wire.records.flatMap((r) =>
      r.type === 'break' ? [`break ${r.on}`] : r.type === 'bytes' ? ['data'] : [],
    );
    expect(order.filter((what, i) => what !== order[i - 1])).toEqual(['data', 'break true', 'break false', 'data']);
  });

  test('a line that stands: commands get through all the same, in their order', async () => {
    const port = await served();
    const { peer, ask } = await client(port);
    await ask('0b 00', '6f 00');
    port.uart.hold(true);
    peer.send(Buffer.alloc(10_000, 1));
    const from = Date.now();
    await ask('05 01', '69 01');
    // It was waited for, and only once.
    expect(Date.now() - from).toBeGreaterThanOrEqual(990);
    for (let i = 0; i < 20; i++) await ask('02 07', '66 07');
    port.uart.hold(false);
    await port.wire.until(() => port.wire.bytes.length === 10_000);
  });

  test('neither purge nor what comes during a break waits for data: no time passes here', async () => {
    const port = await served({ clock: new ManualClock(), aliveCheckMs: 0 });
    const { peer, ask } = await client(port);
    await ask('0b 00', '6f 00');
    port.uart.hold(true);
    peer.send(Buffer.alloc(1000, 1));
    await ask('0c 02', '70 02');
    expect(port.uart.outputQueue).toBe(0);
    await ask('05 05', '69 05');
    peer.send(Buffer.alloc(6000, 2));
    await ask('01 00 00 4b 00', '65 00 00 4b 00');
    await ask('02 00', '66 08');
    port.uart.hold(false);
    await ask('05 06', '69 06');
    await port.wire.until(() => port.wire.bytes.length === 6000);
    expect(port.wire.bytes.every((byte) => byte === 2)).toBe(true);
  });

  test('purge reaches data that the port has not accepted yet', async () => {
    const port = await served();
    const { peer, ask } = await client(port);
    await ask('0b 00', '6f 00');
    port.uart.hold(true);
    peer.send(Buffer.alloc(40_000, 1));
    const suspend = com('6c');
    expect((await peer.take(suspend.length / 2)).toString('hex')).toBe(suspend);
    const hold = port.uart.outputQueue;
    expect(hold).toBeGreaterThan(1000);
    peer.send(com('0c 02'));
    const purged = com('70 02');
    // It may send again, and is told so.
    const answers = Buffer.from(await peer.take((purged.length + com('6d').length) / 2)).toString('hex');
    expect([purged + com('6d'), com('6d') + purged]).toContain(answers);
    expect(port.uart.outputQueue).toBe(0);
    peer.send(Buffer.from('after'));
    port.uart.hold(false);
    await port.wire.until(() => port.wire.bytes.toString().endsWith('after'));
    expect(port.wire.bytes.length).toBeLessThan(hold);
    await ask('07', '6b b0');
  });

  test('a client that stops at SUSPEND gets its commands through while the line stands, and RESUME when it moves', async () => {
    const port = await served();
    const { peer, ask } = await client(port);
    await ask('0b 00', '6f 00');
    peer.forget();
    port.uart.hold(true);
    const much = Buffer.from(Array.from({ length: 30_000 }, (_, i) => i % 251));
    peer.send(much);
    const told = () => peer.received.toString('hex');
    await peer.until(() => told() === com('6c'));
    port.uart.hold(false);
    await peer.until(() => told() === com('6c') + com('6d'));
    await port.wire.until(() => port.wire.bytes.length === much.length);
    expect(port.wire.bytes.equals(much)).toBe(true);
  });
});

describe('clients come and go', () => {
  test('lines are raised as by open(2), and low afterwards; a break ends with its client', async () => {
    const port = await served();
    expect(port.uart.outputLines).toEqual({ dtr: false, rts: false });
    const { peer, ask } = await client(port);
    expect(port.uart.outputLines).toEqual({ dtr: true, rts: true });
    await ask('05 05', '69 05');
    await peer.close('reset');
    await until(() => !port.uart.outputLines.dtr);
    expect(port.wire.of('break').map(({ on }) => on)).toEqual([true, false]);
    expect(port.uart.outputLines).toEqual({ dtr: false, rts: false });
  });

  test('they stay high where that is configured', async () => {
    const port = await served({ linesWhenFree: 'high' });
    expect(port.uart.outputLines).toEqual({ dtr: true, rts: true });
    const { peer, ask } = await client(port);
    await ask('05 09', '69 09');
    await peer.close();
    await until(() => port.uart.outputLines.dtr);
  });

  test('what a client said before it closed is carried out to the last byte', async () => {
    const port = await served({ paced: true });
    const { peer, ask } = await client(port);
    await ask('01 00 01 c2 00', '65 00 01 c2 00');
    peer.socket.end(Buffer.concat([Buffer.alloc(5000, 1), hex(com('01 00 0e 10 00')), Buffer.alloc(5000, 2)]));
    await port.wire.until(() => port.wire.bytes.length === 10_000);
    const rates = port.wire.rates;
    expect([rates[4999], rates[5000]]).toEqual([115_200, 921_600]);
    // With the lines up, since a modem would hang up.
    await port.wire.until(() => port.wire.records.at(-1)?.type === 'lines');
    expect(port.wire.bytes).toHaveLength(10_000);
  });

  test('what the line said to a client that did not want it is not told to the next one', async () => {
    const line = new SerialLine();
    ends.push(() => line.unplug());
    const uart = new SerialPortUart({ device: line.path, clock: new SystemClock(), lockDirectory: '/nowhere' });
    const port = await served({ uart, busyHoldMs: 5000 });
    const first = await client(port);
    await first.ask('0b 00', '6f 00');
    first.tell('08');
    await first.ask('02 00', '66 08');
    line.send(Buffer.alloc(2000, 1));
    await until(() => line.unsent === 0 && uart.inputQueue > 0);
    const second = client(port);
    await until(() => port.count('waits') === 1);
    await first.peer.close('reset');
    const { peer } = await second;
    line.send('fresh');
    expect((await peer.take(5)).toString()).toBe('fresh');
  });

  test('half a command, and what was held up of one client, are none of the next', async () => {
    const port = await served();
    const first = await client(port);
    first.peer.send('41 ff fa 2c 01 00 00');
    await port.wire.until(() => port.wire.bytes.toString() === 'A');
    await first.peer.close('reset');
    const second = await client(port);
    second.peer.send('4b 00 ff ff ff f1 42');
    await port.wire.until(() => port.wire.bytes.length === 5);
    expect(port.wire.bytes.toString('hex')).toBe('414b00ff42');
    expect(port.uart.settings.baudRate).toBe(9600);
  });

  test('a client that knows no telnet gets the bytes of the line, and its own go out', async () => {
    const port = await served();
    const peer = await dial(port);
    await peer.take(GREETING.length / 2);
    peer.send(Buffer.from('AT\r\n'));
    await port.wire.until(() => port.wire.bytes.toString() === 'AT\r\n');
    port.uart.inject(Buffer.from('OK\r\0'));
    expect((await peer.take(4)).toString()).toBe('OK\r\0');
  });
});
