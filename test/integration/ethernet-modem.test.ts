// A serial port as a modem: what the terminal at the line sees, what callers and called ones see. The port is a PTY; where lines
// matter, a port that has them.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import type { EthernetModemOptions } from '../../src/serve/ethernet-modem-options.js';
import { LoopbackUart } from '../../src/uart/loopback.js';
import { endsOfTests, sleep, holds as until } from '../support/leftovers.js';
import { calledPeer, caller as callerOf, gone, LinesUart, modemRig, OK } from '../support/modem-rig.js';

const ends = endsOfTests();
const rig = (options: Partial<EthernetModemOptions> = {}) => modemRig(ends, options);
const called = (address?: string) => calledPeer(ends, address);
const caller = (port: number) => callerOf(ends, port);

describe('dialling', () => {
  test('ATD: connected, every byte value both ways, +++, ATO, ATH', async () => {
    const far = await called();
    const { line, sees, asks, server } = await rig();
    expect(await asks('ATS12=5', OK)).toBe(`ATS12=5\r${OK}`);
    expect(await asks(`ATDT127.0.0.1:${far.port}`, `${line.settings.baudRate}\r\n`)).toBe(
      `ATDT127.0.0.1:${far.port}\r\r\nCONNECT ${line.settings.baudRate}\r\n`,
    );
    const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    line.send(all);
    await until(() => far.text.length === 256);
    expect(Buffer.from(far.text, 'latin1')).toEqual(all);
    const mark = line.received.length;
    far.sockets[0]?.write(all);
    await until(() => line.received.length === mark + 256);
    expect(line.received.subarray(mark)).toEqual(all);
    await sees(all.toString('latin1'));
    await sleep(150);
    line.send('+++');
    await sees(OK);
    expect(far.text.slice(256)).toBe('+++');
    far.sockets[0]?.write('kept meanwhile');
    await asks('ATI1', OK);
    expect(await asks('ATO', 'meanwhile')).toMatch(/^ATO\r\r\nCONNECT \d+\r\nkept meanwhile$/);
    line.send('more');
    await until(() => far.text.endsWith('more'));
    await sleep(150);
    line.send('+++');
    await sees(OK);
    expect(await asks('ATH', 'NO CARRIER\r\n')).toBe('ATH\r\r\nNO CARRIER\r\n');
    await until(() => far.ended === 1);
    expect(server.clients).toEqual([]);
  });

  test('nobody there, no such name, nonsense; the peer that ends says its last words first', async () => {
    const far = await called('::1');
    const { sees, asks } = await rig();
    await asks('ATD127.0.0.1:1', 'NO CARRIER\r\n');
    await asks('ATD no-such-name.invalid', 'NO CARRIER\r\n');
    await asks('ATD10.0.0.1-10.0.0.9:7', 'ERROR\r\n');
    await asks('ATD', 'ERROR\r\n');
    await asks(`ATE0D[::1]:${far.port}`, 'CONNECT');
    far.sockets[0]?.end('bye');
    expect(await sees('NO CARRIER\r\n')).toMatch(/ \d+\r\nbye\r\nNO CARRIER\r\n$/);
  });

  test('a character ends the try, and so does time', async () => {
    const { line, sees, asks } = await rig({ connectTimeoutMs: 100 });
    // A listener whose queue is full does not answer.
    const full = spawn('python3', ['-c', FULL], { stdio: ['ignore', 'pipe', 'inherit'] });
    ends.push(() => gone(full));
    const [first] = (await once(full.stdout, 'data')) as [Buffer];
    const port = first.toString().trim();
    await asks(`ATE0D127.0.0.1:${port}`, 'NO CARRIER\r\n');
    line.send(`ATD127.0.0.1:${port}\r`);
    line.send('x');
    await sees('NO CARRIER\r\n');
    await asks('AT', OK);
  });
});

const FULL = `
import socket, time
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(0)
held = []
for _ in range(3):
    c = socket.socket(); c.setblocking(False); c.connect_ex(s.getsockname()); held.append(c)
time.sleep(.2)
print(s.getsockname()[1], flush=True)
time.sleep(60)
`;

describe('called', () => {
  test('RING, ATA, bytes; NO CARRIER when the caller ends', async () => {
    const { line, sees, asks, port, server } = await rig();
    const peer = await caller(port);
    peer.send(Buffer.from('early'));
    expect(await sees('RING\r\n')).toBe('\r\nRING\r\n');
    expect(server.clients).toEqual([]);
    expect(await asks('ATA', 'early')).toMatch(/^ATA\r\r\nCONNECT \d+\r\nearly$/);
    line.send('late');
    expect((await peer.take(4)).toString()).toBe('late');
    expect(peer.received.toString()).toBe('late');
    const other = await caller(port);
    await other.end();
    await peer.close();
    await sees('NO CARRIER\r\n');
  });

  test('three RINGs, then the caller is disconnected; one that leaves is not rung for', async () => {
    const { line, sees, port } = await rig();
    const peer = await caller(port);
    await peer.end();
    expect(line.received.toString()).toBe('\r\nRING\r\n'.repeat(3));
    const second = await caller(port);
    await sees('RING\r\n'.repeat(1));
    await second.close();
    await until(() => line.received.toString() === '\r\nRING\r\n'.repeat(4));
    await sleep(2500);
    expect(line.received.toString()).toBe('\r\nRING\r\n'.repeat(4));
  }, 20_000);

  test('S0: answered at once', async () => {
    const { line, sees, asks, port } = await rig();
    await asks('ATE0S0=1', OK);
    const peer = await caller(port);
    expect(await sees('00\r\n')).toMatch(/^\r\nCONNECT \d+00\r\n$/);
    peer.send(Buffer.from('to the line'));
    await sees('to the line');
    line.send('to the caller');
    expect((await peer.take(13)).toString()).toBe('to the caller');
  });
});

test.each([3000, 20_000, 70_000, 100_000])(
  'a peer that sends %d bytes to a line that stands, and ends: all of them, then NO CARRIER',
  async (count) => {
    const far = await called();
    const { line, asks, sees } = await rig();
    await asks(`ATE0D127.0.0.1:${far.port}`, '00\r\n');
    line.deaf = true;
    const [socket] = far.sockets;
    for (let left = count; left > 0; left -= 1000) {
      socket?.write(Buffer.alloc(1000, 'x'));
      await sleep(2);
    }
    socket?.end();
    await sleep(100);
    line.deaf = false;
    expect(await sees('NO CARRIER\r\n')).toBe(`${'x'.repeat(count)}\r\nNO CARRIER\r\n`);
  },
);

describe('a port that is closed, or a daemon that restarts', () => {
  test('tells the terminal that its connection is over', async () => {
    const far = await called();
    const { line, asks, server } = await rig();
    await asks(`ATE0D127.0.0.1:${far.port}`, '00\r\n');
    expect(await server.handOver()).toBeUndefined();
    await until(() => far.ended === 1);
    await until(() => line.received.toString().endsWith('00\r\n\r\nNO CARRIER\r\n'));
  });

  test('the last of it has left a line of 9600 before the port is closed', async () => {
    const far = await called();
    let said = '';
    const transmitted = (bytes: Uint8Array) => (said += Buffer.from(bytes).toString('latin1'));
    const uart = new LoopbackUart({ clock: new SystemClock(), echo: false, observer: { transmitted } });
    const { server } = await rig({ uart });
    uart.inject(Buffer.from(`ATE0D127.0.0.1:${far.port}\r`));
    await until(() => said.endsWith('CONNECT 9600\r\n'));
    await server.close();
    expect(said.slice(-14)).toBe('\r\nNO CARRIER\r\n');
  });

  test('says nothing where there was none', async () => {
    const { line, asks, server } = await rig();
    await asks('ATE0', OK);
    await server.close();
    await server.close();
    await sleep(50);
    expect(line.received.toString()).toBe(`ATE0\r${OK}`);
  });
});

describe('two of our ports', () => {
  test('one dials, the other rings and answers; who is called hangs up', async () => {
    const [one, two] = [await rig(), await rig()];
    await two.asks('ATE0S12=2', OK);
    one.line.send(`ATE0D127.0.0.1:${two.port}\r`);
    await two.sees('RING\r\n');
    await Promise.all([two.asks('ATA', '00\r\n'), one.sees('00\r\n')]);
    one.line.send('there');
    await two.sees('there');
    two.line.send('back');
    await one.sees('back');
    await sleep(60);
    two.line.send('+++');
    await two.sees(OK);
    await Promise.all([two.asks('ATH', 'NO CARRIER'), one.sees('NO CARRIER')]);
  });
});

describe('lines', () => {
  test('DTR and RTS of the port, and the terminal that drops its DTR', async () => {
    const far = await called();
    const uart = new LinesUart();
    const { server } = await rig({ uart });
    expect(uart.outputLines).toEqual({ dtr: false, rts: true });
    uart.type(`ATD127.0.0.1:${far.port}\r`);
    await until(() => uart.said.includes('CONNECT'));
    expect(uart.outputLines).toEqual({ dtr: true, rts: true });
    uart.type('last');
    uart.show({ cts: true, dsr: false, dcd: false, ri: false });
    await until(() => uart.said.includes('NO CARRIER'));
    expect(uart.outputLines).toEqual({ dtr: false, rts: true });
    await until(() => far.ended === 1);
    expect([far.text, server.clients]).toEqual(['last', []]);
  });
});
