// A serial port as a modem: what the terminal at the line sees, what callers and called ones see. The port is a PTY; where lines
// matter, a port that has them. socat, minicom, sz and rz are the foreign programs.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import { KeptModemProfiles } from '../../src/daemon/served/modem-profiles.js';
import type { ModemLines } from '../../src/serial/line.js';
import { type EthernetModemOptions, EthernetModemPort } from '../../src/serve/ethernet-modem.js';
import type { PortEvent } from '../../src/serve/port-server.js';
import { LoopbackUart } from '../../src/uart/loopback.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import type { UartEvents } from '../../src/uart/uart.js';
import { RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const until = async (done: () => boolean) => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 1));
};
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const descriptors = () => readdirSync('/proc/self/fd').length;
const ends: (() => unknown)[] = [];
let before = 0;
beforeEach(() => {
  before = descriptors();
});
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
  await until(() => descriptors() <= before);
});

async function rig(options: Partial<EthernetModemOptions> = {}) {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  const clock = new SystemClock();
  const uart = new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
  const events: PortEvent[] = [];
  const event = (what: PortEvent) => events.push(what);
  const server = new EthernetModemPort({ clock, uart, address: '127.0.0.1', port: 0, event, ...options });
  ends.push(() => server.close());
  await server.open();
  let read = 0;
  /** What the terminal sees next, up to this. */
  const sees = async (text: string) => {
    await until(() => line.received.toString('latin1').indexOf(text, read) >= 0);
    const all = line.received.toString('latin1');
    const end = all.indexOf(text, read) + text.length;
    const seen = all.slice(read, end);
    read = end;
    return seen;
  };
  /** A command, and what is answered up to this. */
  const asks = (command: string, answer: string) => {
    line.send(`${command}\r`);
    return sees(answer);
  };
  const port = server.tcpPorts[0] ?? 0;
  return { line, server, events, sees, asks, port };
}

async function called(address = '127.0.0.1') {
  const sockets: Socket[] = [];
  const far = { port: 0, text: '', ended: 0, sockets };
  const server = createServer((socket) => {
    sockets.push(socket);
    socket.on('error', () => {});
    socket.on('close', () => far.ended++);
    socket.on('data', (bytes) => {
      far.text += bytes.toString('latin1');
    });
  });
  server.listen(0, address);
  await once(server, 'listening');
  far.port = (server.address() as AddressInfo).port;
  ends.push(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });
  return far;
}

async function caller(port: number) {
  const peer = await RawPeer.connect(port);
  ends.push(() => peer.close());
  return peer;
}

/** A port whose modem lines the test sets. */
class LinesUart extends LoopbackUart {
  said = '';
  #events: UartEvents | undefined;
  #lines: ModemLines = { cts: true, dsr: true, dcd: true, ri: false };

  constructor() {
    super({ clock: new SystemClock() });
  }

  override get modemLines(): ModemLines {
    return this.#lines;
  }

  override async open(events: UartEvents): Promise<void> {
    this.#events = events;
    await super.open({ ...events, received: () => {}, report: () => {} });
  }

  override write(bytes: Uint8Array): number {
    this.said += Buffer.from(bytes).toString('latin1');
    return bytes.length;
  }

  type(text: string): void {
    this.#events?.received(Buffer.from(text));
  }

  show(lines: ModemLines): void {
    this.#lines = lines;
    this.#events?.report({ type: 'lines', lines });
  }
}

const OK = '\r\nOK\r\n';

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

async function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'close');
}

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

describe('what hostile ones do', () => {
  test('garbage without end, and lines that answer much: bounded, in order, and it goes on', async () => {
    const { line, server, sees } = await rig();
    line.deaf = true;
    line.send('x'.repeat(100_000));
    const many = 3000;
    line.send('\rATE0\r');
    line.send('AT&V\r'.repeat(many));
    await sleep(300);
    // It stands: not all was taken.
    line.deaf = false;
    await until(() => line.received.toString('latin1').split('OK\r\n').length - 1 >= many + 1);
    expect(line.received.toString('latin1').split('S24:').length - 1).toBe(many);
    expect(server.clients).toEqual([]);
    await sees('E0');
    line.send('ATQ0V0\r');
    await until(() => line.received.toString('latin1').endsWith('\r\n0\r'));
  }, 30_000);

  test('a peer that sends while the terminal has commands is held up, and nothing is lost', async () => {
    const far = await called();
    const { line, sees, asks } = await rig();
    await asks(`ATE0S12=2D127.0.0.1:${far.port}`, 'CONNECT');
    await sees('\r\n');
    await sleep(60);
    line.send('+++');
    await sees(OK);
    const much = Buffer.alloc(8_000_000, 'abcdefg');
    const [socket] = far.sockets;
    socket?.write(much);
    await sleep(200);
    expect(socket?.writableLength).toBeGreaterThan(0);
    line.send('ATO\r');
    await sees('\r\n');
    await sees('\r\n');
    const start = line.received.indexOf('abcdefg');
    await until(() => line.received.length >= 8_000_000);
    expect(start).toBeGreaterThan(0);
    socket?.end();
    await sees('NO CARRIER');
    expect(line.received.includes(much)).toBe(true);
  }, 30_000);
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

describe('AT&W', () => {
  test('is there for the next server of the port, in a file; where there is no directory it is an error', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'modem-'));
    ends.push(() => rmSync(directory, { recursive: true, force: true }));
    const first = await rig({ profiles: new KeptModemProfiles(directory).of(3) });
    await first.asks('ATE0V0S0=2&W', '0\r');
    expect(readdirSync(directory)).toEqual(['ethernet-modem-3.json']);
    const next = await rig({ profiles: new KeptModemProfiles(directory).of(3) });
    next.line.send('ATS0?\r');
    expect(await next.sees('0\r')).toBe('002\r\n0\r');
    writeFileSync(join(directory, 'ethernet-modem-3.json'), '{"flags":{');
    expect(new KeptModemProfiles(directory).of(3).kept).toBeUndefined();
    const nowhere = await rig({ profiles: new KeptModemProfiles(join(directory, 'none')).of(1) });
    await nowhere.asks('AT&W', 'ERROR\r\n');
    const alone = new KeptModemProfiles(undefined);
    const forgetful = await rig({ profiles: alone.of(1) });
    await forgetful.asks('ATS0=4&W', OK);
    expect([alone.of(1).kept?.registers[0], alone.of(2).kept]).toEqual([4, undefined]);
  });

  test('where it cannot be written it is an error, nothing is left half written, and ATZ brings back what was there', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'modem-'));
    ends.push(() => rmSync(directory, { recursive: true, force: true }));
    const { asks } = await rig({ profiles: new KeptModemProfiles(directory).of(1) });
    await asks('ATE0S0=7&W', OK);
    rmSync(join(directory, 'ethernet-modem-1.json'));
    mkdirSync(join(directory, 'ethernet-modem-1.json', 'taken'), { recursive: true });
    expect(await asks('ATS0=9&W', 'R\r\n')).toBe('\r\nERROR\r\n');
    expect(readdirSync(directory)).toEqual(['ethernet-modem-1.json']);
    expect(await asks('ATZS0?', OK)).toBe(OK);
    expect(await asks('ATS0?', OK)).toBe(`\r\n007\r\n${OK}`);
  });
});

/** A program on a PTY whose other side is the line of the port: what it does there, the port sees. */
function link(
  line: SerialLine,
  peer: { write(bytes: Uint8Array): unknown; on(type: 'data', fn: (bytes: Buffer) => void): unknown },
) {
  let sent = line.received.length;
  const timer = setInterval(() => {
    const now = line.received;
    if (now.length > sent) peer.write(now.subarray(sent));
    sent = now.length;
  }, 2);
  peer.on('data', (bytes) => line.send(bytes));
  ends.push(() => clearInterval(timer));
}

const has = (program: string) => spawnSync('which', [program]).status === 0;

describe('foreign programs', () => {
  test.skipIf(!has('socat'))('socat calls, and is called (skipped where socat is not installed)', async () => {
    const { line, asks, sees, port } = await rig();
    await asks('ATE0S0=1S12=2', OK);
    const out = spawn('socat', ['-', `TCP:127.0.0.1:${port}`], { stdio: ['pipe', 'pipe', 'ignore'] });
    ends.push(() => gone(out));
    let heard = '';
    out.stdout.on('data', (bytes) => (heard += bytes));
    out.stdin.write('from socat');
    await sees('from socat');
    line.send('from the terminal');
    await until(() => heard === 'from the terminal');
    await gone(out);
    await sees('NO CARRIER\r\n');
    const answering = spawn('socat', ['-d', '-d', 'TCP-LISTEN:0,bind=127.0.0.1', 'EXEC:cat'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    ends.push(() => gone(answering));
    let told = '';
    answering.stderr.on('data', (bytes) => (told += bytes));
    await until(() => /listening on AF=2 127.0.0.1:\d+/.test(told));
    await asks(`ATD127.0.0.1:${/127.0.0.1:(\d+)/.exec(told)?.[1]}`, 'CONNECT');
    await sees('\r\n');
    line.send('echoed');
    await sees('echoed');
    await sleep(60);
    line.send('+++');
    await sees(OK);
    await asks('ATH', 'NO CARRIER\r\n');
  });

  const zmodem =
    'a file by zmodem through two of our ports, one dials and the other answers (skipped where lrzsz is not installed)';
  test.skipIf(!has('sz') || !has('rz'))(
    zmodem,
    async () => {
      const one = await rig();
      const two = await rig();
      await two.asks('ATE0', OK);
      one.line.send(`ATE0D127.0.0.1:${two.port}\r`);
      await two.sees('RING\r\n');
      await Promise.all([two.asks('ATA', '00\r\n'), one.sees('00\r\n')]);
      const directory = mkdtempSync(join(tmpdir(), 'zmodem-'));
      ends.push(() => rmSync(directory, { recursive: true, force: true }));
      const content = Buffer.from(Array.from({ length: 200_000 }, (_, i) => (i * 7 + (i >> 8)) & 0xff));
      writeFileSync(join(directory, 'sent'), content);
      const rz = spawn('rz', ['--binary', '--rename', '--quiet'], {
        cwd: mkdtempSync(join(directory, 'to-')),
        stdio: ['pipe', 'pipe', 'ignore'],
      });
      ends.push(() => gone(rz));
      link(two.line, { write: (bytes) => rz.stdin.write(bytes), on: (_, fn) => rz.stdout.on('data', fn) });
      const sz = spawn('sz', ['--binary', '--quiet', join(directory, 'sent')], { stdio: ['pipe', 'pipe', 'ignore'] });
      ends.push(() => gone(sz));
      link(one.line, { write: (bytes) => sz.stdin.write(bytes), on: (_, fn) => sz.stdout.on('data', fn) });
      const [status] = await once(rz, 'exit');
      expect(status).toBe(0);
      const [to = ''] = readdirSync(directory).filter((name) => name.startsWith('to-'));
      expect(readFileSync(join(directory, to, 'sent')).equals(content)).toBe(true);
    },
    60_000,
  );

  test.skipIf(!has('minicom'))(
    'minicom dials by its own hand (skipped where minicom is not installed)',
    async () => {
      const far = await called();
      const { line } = await rig();
      const child = spawn('python3', ['-c', MINICOM, String(far.port)], { stdio: ['pipe', 'pipe', 'inherit'] });
      ends.push(() => gone(child));
      const [path] = (await once(child.stdout, 'data')) as [Buffer];
      expect(path.toString()).toBe('pty\n');
      link(line, { write: (bytes) => child.stdin.write(bytes), on: (_, fn) => child.stdout.on('data', fn) });
      await until(() => far.text.includes('typed in minicom'));
      expect(line.received.toString('latin1')).toContain('CONNECT');
    },
    60_000,
  );
});

/** Minicom on a terminal of its own and a PTY as its port, which is this program's standard input and output. */
const MINICOM = `
import os, pty, select, subprocess, sys, tempfile, time, tty
port, slave = pty.openpty(); tty.setraw(slave); name = os.ttyname(slave)
screen, terminal = pty.openpty()
home = tempfile.mkdtemp()
script = os.path.join(home, 'script')
open(script, 'w').write('send "ATD127.0.0.1:%s"\\nexpect {\\n "CONNECT" goto on\\n timeout 20 exit 1\\n}\\non:\\nsleep 1\\nsend "typed in minicom"\\nsleep 30\\n' % sys.argv[1])
env = dict(os.environ, HOME=home, TERM='vt100')
child = subprocess.Popen(['minicom', '-D', name, '-b', '9600', '-o', '-S', script], stdin=terminal, stdout=terminal, stderr=terminal, env=env, start_new_session=True)
os.write(1, b'pty\\n')
inputs = [0, port, screen]
try:
    while child.poll() is None:
        for fd in select.select(inputs, [], [], 0.1)[0]:
            data = os.read(fd, 4096)
            if fd == 0:
                if not data: raise SystemExit
                os.write(port, data)
            elif fd == port: os.write(1, data)
finally:
    child.kill()
`;
