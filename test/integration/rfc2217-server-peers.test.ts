// Our RFC 2217 server and clients that others wrote: pyserial, socat, telnet. Asserted at both far ends: what the line has,
// and what pyserial has been told.
import { existsSync, writeSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import { Rfc2217Link } from '../../src/link/rfc2217.js';
import { DEFAULT_SETTINGS } from '../../src/serial/line.js';
import { eventually } from '../contract/link-contract.js';
import { Child } from '../support/e2e-process.js';
import { Python } from '../support/e2e-python.js';
import { Rfc2217Served, type ServedOptions } from '../support/rfc2217-served.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function served(options: ServedOptions = {}) {
  const port = await Rfc2217Served.open(options);
  ends.push(() => port.server.close());
  return port;
}

function writeNow(fd: number, bytes: Buffer): number {
  try {
    return writeSync(fd, bytes);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return 0;
    throw error;
  }
}

describe("pyserial's rfc2217:// client", () => {
  let python: Python;
  let port: Rfc2217Served;

  beforeEach(async () => {
    port = await served({ echo: true });
    python = new Python();
    ends.push(() => python.close());
    await python.run('import serial');
    await python.run(`p = serial.serial_for_url('rfc2217://127.0.0.1:${port.port}', timeout=5)`);
  });

  test('settings of every kind, at the port', async () => {
    expect(port.uart.settings).toMatchObject({ baudRate: 9600, dataBits: 8, parity: 'none', stopBits: 1 });
    await python.run('p.apply_settings(dict(p.get_settings(), baudrate=115200, bytesize=7, parity="E", stopbits=2))');
    expect(port.uart.settings).toMatchObject({ baudRate: 115_200, dataBits: 7, parity: 'even', stopBits: 2 });
    // It tells all of them at each change, and no UART has 5 bits with 2 stop bits, or 8 with 1.5.
    await python.run('p.stopbits = 1; p.bytesize = 5; p.parity = "M"; p.stopbits = 1.5; p.baudrate = 31250');
    expect(port.uart.settings).toMatchObject({ baudRate: 31_250, dataBits: 5, parity: 'mark', stopBits: 1.5 });
    await python.run('p.stopbits = 1; p.bytesize = 8; p.parity = "S"');
    expect(port.uart.settings).toMatchObject({ dataBits: 8, parity: 'space', stopBits: 1 });
    await python.run('p.xonxoff = True');
    expect(port.uart.settings.flowControl).toMatchObject({ rtsCts: false, xonXoffIn: true, xonXoffOut: true });
    await python.run('p.xonxoff = False; p.rtscts = True');
    expect(port.uart.settings.flowControl).toMatchObject({ rtsCts: true, xonXoffIn: false });
    // What the port cannot do it is told.
    await expect(python.run('p.baudrate = 3000000')).rejects.toThrow(/remote rejected value for option 'baudrate'/);
    expect(port.uart.settings.baudRate).toBe(31_250);
  });

  test('lines both ways, break, purge', async () => {
    const modem = '[p.cts, p.dsr, p.ri, p.cd]';
    expect(await python.run(modem)).toEqual([true, true, false, true]);
    await python.run('p.dtr = False; p.rts = True');
    expect(port.uart.outputLines).toEqual({ dtr: false, rts: true });
    await python.run('p.dtr = True; p.rts = False');
    expect(port.uart.outputLines).toEqual({ dtr: true, rts: false });
    port.uart.forceLines({ cts: false, dsr: true, dcd: false, ri: true });
    await eventually(async () => (String(await python.run(modem)) === 'false,true,true,false' ? true : undefined));
    await python.run('p.break_condition = True');
    await python.run('p.break_condition = False');
    expect(port.wire.of('break').map(({ on }) => on)).toEqual([true, false]);
    await python.run('p.reset_output_buffer(); p.reset_input_buffer()');
    expect(port.wire.of('flush').map(({ queue }) => queue)).toEqual(['rx', 'tx', 'tx', 'rx']);
  });

  test('every byte value there and back', async () => {
    expect(await python.run('p.write(bytes(range(256)) * 40) and p.read(10240) == bytes(range(256)) * 40')).toBe(true);
    expect(port.wire.bytes).toHaveLength(10_240);
    expect(port.server.clients).toMatchObject([{ received: 10_240, sent: 10_240 }]);
    expect(port.count('malformed')).toBe(0);
  });

  test('opened again at once, and by a second one while the first is there: refused', async () => {
    for (let i = 0; i < 3; i++) await python.run('p.close(); p.open()');
    await expect(python.run(`serial.serial_for_url('rfc2217://127.0.0.1:${port.port}?timeout=1')`)).rejects.toThrow(
      /does not seem to support RFC2217|Could not open|closed/,
    );
    expect(await python.run('p.write(b"still") and p.read(5)')).toBe(Buffer.from('still').toString('hex'));
  });
});

test('our own driver stops at SUSPEND: a purge gets through while the line stands, and new data after it', async () => {
  const port = await served();
  const link = new Rfc2217Link({ addresses: ['127.0.0.1'], dataPort: port.port, clock: new SystemClock() });
  ends.push(() => link.close());
  const faults: unknown[] = [];
  await link.connect({ report() {}, down: (fault) => faults.push(fault) }, new AbortController().signal);
  await link.request({ type: 'settings', settings: DEFAULT_SETTINGS, lines: { dtr: true, rts: true } });
  port.uart.hold(true);
  const much = Buffer.alloc(65_536, 1);
  let written = 0;
  // Until neither end takes more.
  for (let idle = 0; idle < 50; idle++) {
    const now = writeNow(link.dataFd, much);
    if (now > 0) idle = 0;
    written += now;
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const there = port.server.clients[0]?.received ?? 0;
  expect(there).toBeGreaterThan(16_000);
  // What it had on the way when it was told is little.
  expect(there).toBeLessThan(48 * 1024);
  expect(written).toBeGreaterThan(there);
  await link.request({ type: 'flush', queue: 'tx' });
  expect(port.uart.outputQueue).toBe(0);
  await link.request({ type: 'break', on: false });
  expect(writeNow(link.dataFd, Buffer.from('new'))).toBe(3);
  port.uart.hold(false);
  await port.wire.until(() => port.wire.bytes.length >= 3);
  expect(port.wire.bytes.toString()).toBe('new');
  expect(faults).toEqual([]);
});

test('socat knows no telnet: it gets the options first, and then the bytes', async () => {
  const port = await served();
  const socat = new Child(['socat', '-', `TCP:127.0.0.1:${port.port}`]);
  ends.push(async () => {
    socat.signal('SIGTERM');
    await socat.ended;
  });
  socat.process.stdin.write('from socat');
  await port.wire.until(() => port.wire.bytes.toString() === 'from socat');
  port.uart.inject(Buffer.from('to socat'));
  await eventually(() => (socat.stdout.endsWith('to socat') ? true : undefined));
});

test.skipIf(!existsSync('/usr/bin/telnet'))('telnet goes to character mode, in binary', async () => {
  const port = await served();
  const telnet = new Child(['telnet', '-E', '127.0.0.1', String(port.port)]);
  ends.push(async () => {
    telnet.signal('SIGTERM');
    await telnet.ended;
  });
  telnet.process.stdin.write('AT\n');
  await port.wire.until(() => port.wire.bytes.toString().startsWith('AT'));
  port.uart.inject(Buffer.from('OK\r\n'));
  await eventually(() => (telnet.stdout.includes('OK') ? true : undefined));
});
