// Programs that people use on a serial port: stty and cat, socat, picocom and minicom in a terminal, and node's serialport.
// None of them knows ttynp; what they did is looked at where it arrives, at the device.
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { type Pty, spawn } from 'node-pty';
import { SerialPort } from 'serialport';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { Child, eventually, run, Whole } from '../support/e2e.js';

let whole: Whole;

beforeAll(async () => {
  whole = await Whole.start({ simulator: { unpaced: true }, tty: { disconnectDelay: '50ms' } });
});
afterAll(() => whole.close());
afterEach(() => whole.portIs('idle', (view) => view.state === 'idle'));

const line = () => whole.simulator.line(1);

describe('stty and cat', () => {
  test('what stty set is there for the next program, and reaches the device', async () => {
    expect(await run(['stty', '-F', whole.path(), '57600', 'cstopb', 'crtscts'])).toMatchObject({
      code: 0,
      stderr: '',
    });
    const shown = await run(['stty', '-a', '-F', whole.path()]);
    expect(shown.stdout).toMatch(/speed 57600 baud/);
    expect(shown.stdout).toMatch(/ cstopb/);
    expect(shown.stdout).toMatch(/ crtscts/);
    const cat = new Child(['cat', whole.path()]);
    await eventually('57600,8N2 at the device', () => line().settings.baudRate === 57600);
    expect(line().settings).toMatchObject({ stopBits: 2, flowControl: { rtsCts: true } });
    await whole.portIs('up', (view) => view.state === 'up');
    line().inject(Buffer.from('from the device\n'));
    await eventually('cat shows it', () => cat.stdout === 'from the device\n');
    cat.signal('SIGTERM');
    await cat.exit();
    await run(['stty', '-F', whole.path(), '9600', '-cstopb', '-crtscts']);
  });

  test('echo and printf arrive whole though the writer is gone at once', async () => {
    for (const word of ['one', 'two', 'three']) {
      const before = whole.recorder().bytes.length;
      expect((await run(['sh', '-c', `printf '${word}\\n' > "$0"`, whole.path()])).code).toBe(0);
      await eventually(word, () => whole.recorder().bytes.subarray(before).toString() === `${word}\n`);
    }
  });
});

describe('socat', () => {
  test('a file through the tty, byte for byte', async () => {
    const bytes = randomBytes(50_000);
    const file = join(whole.dir, 'in.bin');
    writeFileSync(file, bytes);
    const before = whole.recorder().bytes.length;
    const { code, stderr } = await run(['socat', '-u', `OPEN:${file}`, `${whole.path()},rawer,b115200`]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    await eventually('all of it left the line', () => whole.recorder().bytes.length - before >= bytes.length);
    expect(whole.recorder().bytes.subarray(before).equals(bytes)).toBe(true);
  });

  test('a TCP client and the tty, both ways', async () => {
    const sockets: Socket[] = [];
    const server = createServer((socket) => sockets.push(socket)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const socat = new Child(['socat', `TCP:127.0.0.1:${port}`, `${whole.path()},rawer,b115200`]);
    const socket = await eventually('socat dials', () => sockets[0]);
    const back: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => back.push(chunk));
    const bytes = randomBytes(200_000);
    socket.write(bytes);
    await eventually('all of it came back', () => Buffer.concat(back).length >= bytes.length, 20_000);
    expect(Buffer.concat(back).equals(bytes)).toBe(true);
    socket.end();
    await socat.exit();
    server.close();
  });
});

/** A program in a real terminal, and a user who types. */
class Terminal {
  readonly pty: Pty;
  shown = '';
  exitCode: number | undefined;

  constructor(program: string, args: string[]) {
    this.pty = spawn(program, args, {
      encoding: null,
      cwd: whole.dir,
      name: 'vt100',
      env: { ...process.env, HOME: whole.dir, TERM: 'vt100', LC_ALL: 'C' },
    });
    this.pty.onData((data) => {
      this.shown += data.toString('latin1');
    });
    this.pty.onExit(({ exitCode }) => {
      this.exitCode = exitCode;
    });
  }

  type(text: string): void {
    this.pty.write(text);
  }

  shows(text: string): Promise<boolean> {
    return eventually(
      () => `${JSON.stringify(text)} on the screen: ${JSON.stringify(this.shown.slice(-2000))}`,
      () => this.shown.includes(text),
    );
  }

  ended(): Promise<boolean> {
    return eventually(
      () => `it ends: ${JSON.stringify(this.shown.slice(-2000))}`,
      () => this.exitCode !== undefined,
    );
  }

  close(): void {
    if (this.exitCode === undefined) this.pty.kill('SIGKILL');
    this.pty.destroy();
  }
}

describe('in a terminal', () => {
  test('picocom: what is typed comes back from the device; after its end DTR is low', async () => {
    const terminal = new Terminal('picocom', ['-b', '115200', whole.path()]);
    try {
      await terminal.shows('Terminal ready');
      await eventually(
        '115200 and DTR at the device',
        () => line().settings.baudRate === 115200 && line().outputLines.dtr,
      );
      terminal.type('hello device');
      await terminal.shows('hello device');
      terminal.type('\x01\x18');
      await terminal.ended();
      expect(terminal.exitCode).toBe(0);
      await eventually('DTR low', () => !line().outputLines.dtr);
    } finally {
      terminal.close();
    }
  });

  test('minicom: the rate of its command line, what is typed comes back', async () => {
    const terminal = new Terminal('minicom', ['-D', whole.path(), '-b', '38400', '-o']);
    try {
      await eventually('38400 at the device', () => line().settings.baudRate === 38400);
      const before = whole.recorder().bytes.length;
      terminal.type('hello minicom');
      await terminal.shows('hello minicom');
      // A terminal that is not raw yet shows what is typed all the same.
      await eventually('the device has it', () => whole.recorder().bytes.subarray(before).includes('hello minicom'));
      terminal.type('\x01x');
      await terminal.shows('Yes');
      terminal.type('\r');
      await terminal.ended();
      await eventually('DTR low', () => !line().outputLines.dtr);
    } finally {
      terminal.close();
    }
  });
});

describe('serialport of node', () => {
  const settled = (call: (done: (error: Error | null | undefined) => void) => void): Promise<void> =>
    new Promise((resolve, reject) => {
      call((error) => (error ? reject(error) : resolve()));
    });

  test('two changes of the rate in one open both reach the device, and no byte goes out at a wrong rate', async () => {
    const port = new SerialPort({ path: whole.path(), baudRate: 9600, autoOpen: false });
    const back: Buffer[] = [];
    port.on('data', (chunk: Buffer) => back.push(chunk));
    const recorder = whole.recorder();
    const began = recorder.bytes.length;
    const rates: number[] = [];
    let sent = Buffer.alloc(0);
    const say = async (rate: number) => {
      const bytes = Buffer.from(`${rate} `.repeat(50));
      sent = Buffer.concat([sent, bytes]);
      rates.push(...Array.from(bytes, () => rate));
      await settled((done) => port.write(bytes, done));
      await eventually('it came back', () => Buffer.concat(back).length === sent.length);
    };
    await settled((done) => port.open(done));
    await say(9600);
    await settled((done) => port.update({ baudRate: 115200 }, done));
    await say(115200);
    await settled((done) => port.update({ baudRate: 19200 }, done));
    await say(19200);
    await settled((done) => port.close(done));
    expect(Buffer.concat(back).equals(sent)).toBe(true);
    expect(recorder.bytes.subarray(began).equals(sent)).toBe(true);
    expect(recorder.rates.slice(began)).toEqual(rates);
  });

  test('200 kB of random bytes come back', async () => {
    const port = new SerialPort({ path: whole.path(), baudRate: 115200, autoOpen: false });
    const back: Buffer[] = [];
    port.on('data', (chunk: Buffer) => back.push(chunk));
    await settled((done) => port.open(done));
    const bytes = randomBytes(200_000);
    port.write(bytes);
    await eventually('all came back', () => Buffer.concat(back).length >= bytes.length, 20_000);
    await settled((done) => port.close(done));
    expect(Buffer.concat(back).equals(bytes)).toBe(true);
  });
});

test('one writer after the other, each gone at once: nothing is lost on a line that takes its time', async () => {
  const paced = await Whole.start({ tty: { format: 9600 } });
  let written = '';
  for (let i = 0; i < 30; i++) {
    await paced.portIs('idle or lingering', (view) => !view.open && !view.lines.dtr);
    const record = `record ${i}${'.'.repeat(i)}\n`;
    writeFileSync(paced.path(), record);
    written += record;
    await eventually(record, () => paced.recorder().bytes.length >= written.length);
  }
  expect(paced.recorder().bytes.toString()).toBe(written);
  expect((await paced.port()).drops).toMatchObject({ offline: 0, held: 0, closing: 0, linkLost: 0 });
  await paced.close();
});

test('nothing was dropped on the way to the device', async () => {
  expect((await whole.port()).drops).toMatchObject({ offline: 0, held: 0, closing: 0, linkLost: 0 });
});
