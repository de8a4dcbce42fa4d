// Our RFC 2217 and raw TCP links against servers that others wrote: pyserial's and ser2net. Asserted at the far end: what
// the server's port has, the termios of its tty, the bytes that came out of it.
import { readSync, writeSync } from 'node:fs';
import { afterEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import type { Fault } from '../../src/base/fault.js';
import type { Link } from '../../src/link/link.js';
import { Rfc2217Link } from '../../src/link/rfc2217.js';
import { TcpLink } from '../../src/link/tcp.js';
import { DEFAULT_SETTINGS, type LineReport, type LineSettings } from '../../src/serial/line.js';
import { eventually } from '../contract/link-contract.js';
import { type ForeignServer, hasSer2net, pyserialServer, ser2net } from '../support/rfc2217-servers.js';

const clock = new SystemClock();
const UP = { dtr: true, rts: true };
const cleanups: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function started(make: () => Promise<ForeignServer>): Promise<ForeignServer> {
  const server = await make();
  cleanups.push(() => server.close());
  return server;
}

async function connected<T extends Link>(link: T) {
  const seen = { reports: [] as LineReport[], faults: [] as Fault[], trace: [] as string[] };
  cleanups.push(async () => {
    await link.close();
    expect(seen.faults).toEqual([]);
  });
  link.traced = true;
  const events = {
    report: (report: LineReport) => seen.reports.push(report),
    down: (fault: Fault) => seen.faults.push(fault),
    command: (direction: string, _: Uint8Array, text: string) => seen.trace.push(`${direction} ${text}`),
  };
  await link.connect(events, new AbortController().signal);
  return { link, seen };
}

const rfc2217 = ({ port }: ForeignServer) =>
  connected(new Rfc2217Link({ addresses: ['127.0.0.1'], dataPort: port, clock }));

function readNow(fd: number): Buffer | undefined {
  const buffer = Buffer.alloc(65_536);
  try {
    return Buffer.from(buffer.subarray(0, readSync(fd, buffer)));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return undefined;
    throw error;
  }
}

async function read(fd: number, bytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let have = 0; have < bytes; ) {
    const part = await eventually(() => readNow(fd));
    if (part.length === 0) throw new Error('ended');
    have += part.length;
    parts.push(part);
  }
  return Buffer.concat(parts);
}

/** Asks the far end until it says so. */
async function until(server: ForeignServer, code: string, wanted: unknown): Promise<void> {
  for (;;) {
    const value = await server.run(code);
    if (JSON.stringify(value) === JSON.stringify(wanted)) return;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Every byte there is, in no order, some 20 KiB. */
const BYTES = Buffer.from(Array.from({ length: 20_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));

async function writeAll(fd: number, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += await eventually(() => {
      try {
        return writeSync(fd, bytes, at);
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'EAGAIN') return undefined;
        throw error;
      }
    });
  }
}

describe("pyserial's RFC 2217 server", () => {
  test('settings of every kind, at its port', async () => {
    const server = await started(pyserialServer);
    const { link, seen } = await rfc2217(server);
    const kinds: [Partial<LineSettings>, unknown][] = [
      [{ baudRate: 115_200, dataBits: 7, parity: 'even', stopBits: 2 }, [115_200, 7, 'E', 2]],
      [{ baudRate: 1200, dataBits: 8, parity: 'mark', stopBits: 1 }, [1200, 8, 'M', 1]],
      [{ baudRate: 31_250, dataBits: 5, parity: 'space', stopBits: 1.5 }, [31_250, 5, 'S', 1.5]],
      [{ baudRate: 4_000_000, dataBits: 6, parity: 'odd', stopBits: 1 }, [4_000_000, 6, 'O', 1]],
    ];
    for (const [change, there] of kinds) {
      await link.request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, ...change }, lines: UP });
      expect(await server.run('[port.baudrate, port.bytesize, port.parity, port.stopbits]')).toEqual(there);
    }
    const flow = { ...DEFAULT_SETTINGS.flowControl };
    for (const [flowControl, there] of [
      [{ ...flow, rtsCts: true }, [true, false]],
      [{ ...flow, xonXoffIn: true, xonXoffOut: true }, [false, true]],
      [flow, [false, false]],
    ] as const) {
      await link.request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, flowControl }, lines: UP });
      expect(await server.run('[port.rtscts, port.xonxoff]')).toEqual(there);
    }
    expect(seen.reports.filter(({ type }) => type === 'refused')).toEqual([]);
    expect(link.lastRoundTripMs).toBeGreaterThan(0);
  });

  test('lines, modem lines, break', async () => {
    const server = await started(pyserialServer);
    const { link, seen } = await rfc2217(server);
    await link.request({ type: 'settings', settings: DEFAULT_SETTINGS, lines: UP });
    // The loop plug: CTS is RTS, DSR is DTR.
    await eventually(() => (link.modemLines?.cts && link.modemLines.dsr ? true : undefined));
    await link.request({ type: 'lines', lines: { dtr: false, rts: true } });
    expect(await server.run('[port.dtr, port.rts]')).toEqual([false, true]);
    await eventually(() => (link.modemLines?.dsr === false ? true : undefined));
    expect(seen.reports.at(-1)).toMatchObject({ type: 'lines', lines: { cts: true, dsr: false } });
    await link.request({ type: 'break', on: true });
    expect(await server.run('port.break_condition')).toBe(true);
    await link.request({ type: 'break', on: false });
    expect(await server.run('port.break_condition')).toBe(false);
  });

  test('every byte, both ways, and commands in the midst of them', async () => {
    const server = await started(pyserialServer);
    const { link } = await rfc2217(server);
    await link.request({ type: 'settings', settings: { ...DEFAULT_SETTINGS, baudRate: 4_000_000 }, lines: UP });
    const back = read(link.dataFd, BYTES.length);
    const sent = writeAll(link.dataFd, BYTES);
    for (let i = 0; i < 10; i++) await link.request({ type: 'break', on: i % 2 === 0 });
    await sent;
    expect((await back).equals(BYTES)).toBe(true);
    await eventually(() => (link.unsent === 0 ? true : undefined));
  });

  test('a purge drops what its port has; what was on the way here is dropped too', async () => {
    const server = await started(pyserialServer);
    const { link } = await rfc2217(server);
    await link.request({ type: 'settings', settings: DEFAULT_SETTINGS, lines: UP });
    writeSync(link.dataFd, Buffer.alloc(5000, 'x'));
    await eventually(() => (link.unsent === 0 ? true : undefined));
    await link.request({ type: 'flush', queue: 'both' });
    link.discardInput();
    writeSync(link.dataFd, 'after');
    // What its reader had in hand may come in front.
    const got = await read(link.dataFd, 5);
    expect(got.length).toBeLessThan(5000);
    await eventually(() => {
      const more = got.toString().endsWith('after') ? got : readNow(link.dataFd);
      return more?.toString().endsWith('after') ? true : undefined;
    });
  });
});

describe.skipIf(!hasSer2net)('ser2net', () => {
  test('RFC 2217: settings at its tty, bytes both ways', async () => {
    const server = await started(() => ser2net('telnet(rfc2217),tcp'));
    const { link, seen } = await rfc2217(server);
    const settings = { ...DEFAULT_SETTINGS, baudRate: 57_600, stopBits: 2 } as const;
    await link.request({ type: 'settings', settings, lines: UP });
    const speed = 'termios.tcgetattr(slave)[4] == termios.B57600';
    await until(server, speed, true);
    await until(server, 'bool(termios.tcgetattr(slave)[2] & termios.CSTOPB)', true);
    const flowControl = { ...DEFAULT_SETTINGS.flowControl, rtsCts: true };
    await link.request({ type: 'settings', settings: { ...settings, baudRate: 1200, flowControl }, lines: UP });
    await until(server, 'termios.tcgetattr(slave)[4] == termios.B1200', true);
    await until(server, 'bool(termios.tcgetattr(slave)[2] & termios.CRTSCTS)', true);
    for (const request of [
      { type: 'lines', lines: { dtr: false, rts: false } },
      { type: 'break', on: true },
      { type: 'break', on: false },
      { type: 'flush', queue: 'rx' },
      { type: 'flush', queue: 'both' },
    ] as const) {
      await link.request(request);
    }
    await link.request({ type: 'settings', settings: DEFAULT_SETTINGS, lines: UP });
    await writeAll(link.dataFd, BYTES.subarray(0, 2000));
    let there = '';
    while (there.length < 4000) there += String(await server.run('take()'));
    expect(there).toBe(BYTES.subarray(0, 2000).toString('hex'));
    await server.run(`os.write(master, bytes.fromhex('${BYTES.subarray(0, 2000).toString('hex')}'))`);
    expect((await read(link.dataFd, 2000)).equals(BYTES.subarray(0, 2000))).toBe(true);
    expect(seen.trace.length).toBeGreaterThan(20);
  });

  test('raw TCP: bytes both ways; its port in use is told at once', async () => {
    const server = await started(() => ser2net('tcp'));
    const { link } = await connected(new TcpLink({ addresses: ['127.0.0.1'], dataPort: server.port, clock }));
    writeSync(link.dataFd, BYTES.subarray(0, 2000));
    let there = '';
    while (there.length < 4000) there += String(await server.run('take()'));
    expect(there).toBe(BYTES.subarray(0, 2000).toString('hex'));
    await server.run(`os.write(master, bytes.fromhex('00ff0d0a'))`);
    expect((await read(link.dataFd, 4)).toString('hex')).toBe('00ff0d0a');
    for (const second of [
      new TcpLink({ addresses: ['127.0.0.1'], dataPort: server.port, clock }),
      new Rfc2217Link({ addresses: ['127.0.0.1'], dataPort: server.port, clock }),
    ]) {
      const attempt = second.connect({ report() {}, down() {} }, new AbortController().signal);
      await expect(attempt).rejects.toMatchObject({ code: 'PEER_BUSY' });
    }
  });

  test('a port of raw TCP is no RFC 2217 server: said, in time', async () => {
    const server = await started(() => ser2net('tcp'));
    const options = { addresses: ['127.0.0.1'], dataPort: server.port, clock, negotiationTimeoutMs: 200 };
    const link = new Rfc2217Link(options);
    await expect(link.connect({ report() {}, down() {} }, new AbortController().signal)).rejects.toMatchObject({
      code: 'PEER_MUTE',
    });
  });
});
