// pyserial as the application. What a PTY cannot carry (data bits, parity, modem lines, break) is not asked of it beyond
// not failing; everything else is looked at where it arrives, at the device.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { eventually, Whole } from '../support/e2e.js';
import { Python } from '../support/e2e-python.js';

let whole: Whole;
let python: Python;

beforeAll(async () => {
  whole = await Whole.start({
    ports: 2,
    simulator: { unpaced: true },
    tty: { disconnectDelay: '50ms' },
    ttys: { ttyNP1: { format: '19200,7E1' } },
  });
});
afterAll(() => whole.close());
beforeEach(() => {
  python = new Python();
});
afterEach(async () => {
  await python.close();
  for (const tty of ['ttyNP0', 'ttyNP1']) await whole.portIs('idle', (view) => view.state === 'idle', tty);
});

const open = (more = '', tty = 'ttyNP0') =>
  python.run(`s = serial.Serial(${JSON.stringify(whole.path(tty))}, timeout=5${more})`);
const deviceHas = (what: string, is: () => boolean) => eventually(what, is, 5000);

describe('settings', () => {
  test('every rate reaches the device, odd ones too', async () => {
    await open(', baudrate=9600');
    const { settings } = whole.simulator.line(1);
    expect(settings.dataBits).toBe(8);
    for (const rate of [300, 1200, 2400, 4800, 19200, 38400, 57600, 115200, 230400, 460800, 921600, 250000, 74880]) {
      await python.run(`s.baudrate = ${rate}`);
      await deviceHas(`${rate} baud`, () => whole.simulator.line(1).settings.baudRate === rate);
      expect(await python.run(`s.write(b'at ${rate}'); s.read(${3 + String(rate).length})`)).toBeNull();
    }
    expect(
      (await whole.portIs('74880', (v) => v.acknowledged?.format.startsWith('74880') === true)).refused,
    ).toBeNull();
  });

  test('stop bits and flow control reach the device', async () => {
    const line = whole.simulator.line(1);
    await open(', baudrate=9600');
    await python.run('s.stopbits = 2');
    await deviceHas('two stop bits', () => line.settings.stopBits === 2);
    await python.run('s.stopbits = 1');
    await deviceHas('one stop bit', () => line.settings.stopBits === 1);
    await python.run('s.rtscts = True');
    await deviceHas('RTS/CTS', () => line.settings.flowControl.rtsCts);
    await python.run('s.rtscts = False; s.xonxoff = True');
    await deviceHas('XON/XOFF', () => line.settings.flowControl.xonXoffOut && !line.settings.flowControl.rtsCts);
    await python.run('s.xonxoff = False');
    await deviceHas('no flow control', () => !line.settings.flowControl.xonXoffOut);
  });

  test('data bits and parity come from the configuration, whatever the application asks', async () => {
    await open('', 'ttyNP1');
    const line = whole.simulator.line(2);
    await deviceHas(
      '7E1 from the configuration',
      () => line.settings.dataBits === 7 && line.settings.parity === 'even',
    );
    await python.run('s.baudrate = 4800');
    await deviceHas('4800,7E1', () => line.settings.baudRate === 4800);
    expect(line.settings).toMatchObject({ dataBits: 7, parity: 'even', stopBits: 1 });
    const view = await whole.portIs('4800', (v) => v.acknowledged?.format === '4800,7E1', 'ttyNP1');
    expect(view.limits.join()).toContain('parity');
  });

  test('a program that asks for parity opens the port, each time that it is run', async () => {
    for (const parity of ['E', 'E', 'O', 'O', 'N']) {
      const other = new Python();
      const opened = `s = serial.Serial(${JSON.stringify(whole.path())}, 9600, bytesize=7, parity='${parity}', timeout=5)`;
      await other.run(opened);
      await other.run(`s.write(b'parity')`);
      expect(await other.run('s.read(6)')).toBe(Buffer.from('parity').toString('hex'));
      await other.close();
      await whole.portIs('closed', (view) => !view.open);
    }
  });
});

describe('bytes', () => {
  test('1 MB of all byte values comes back as it went', async () => {
    await open(', baudrate=921600');
    await python.run('import threading; out = bytes(range(256)) * 4096');
    await python.run('t = threading.Thread(target=lambda: s.write(out)); t.start()');
    expect(await python.run('s.timeout = 30; back = s.read(len(out)); t.join(); len(back)', 40_000)).toBeNull();
    expect(await python.run('back == out')).toBe(true);
    const left = whole.recorder(1).bytes;
    expect(left.length).toBeGreaterThanOrEqual(1 << 20);
    expect((await whole.port()).drops).toMatchObject({ offline: 0, linkLost: 0, closing: 0 });
  }, 60_000);

  test('closed and opened again 100 times: each its own bytes, nothing of another', async () => {
    const before = whole.daemon.descriptors;
    const loop = `
def again(path):
    for i in range(100):
        with serial.Serial(path, 115200, timeout=5) as p:
            word = b'round %03d' % i
            p.write(word)
            got = p.read(len(word))
            if got != word: return [i, got.hex()]
        if i % 10 == 0: time.sleep(0.06)
    return 'ok'`;
    await python.run(loop);
    expect(await python.run(`again(${JSON.stringify(whole.path())})`, 60_000)).toBe('ok');
    await whole.portIs('idle', (view) => view.state === 'idle');
    await eventually('as many descriptors as before', () => whole.daemon.descriptors <= before);
  }, 60_000);

  test('what one application left unread never reaches the next', async () => {
    await open(', baudrate=115200');
    await python.run(`s.write(b'left unread')`);
    await eventually('it came back', async () => (await python.run('s.in_waiting')) === 11);
    await python.run('s.close()');
    await open(', baudrate=115200');
    await python.run(`s.write(b'mine')`);
    expect(await python.run('s.read(4)')).toBe(Buffer.from('mine').toString('hex'));
    expect(await python.run('s.timeout = 0.1; s.read(1)')).toBeNull();
    expect(await python.run('s.in_waiting')).toBe(0);
  });
});

describe('the rest of its interface', () => {
  test('in_waiting, reset_input_buffer and reset_output_buffer', async () => {
    await open(', baudrate=115200');
    await python.run(`s.write(b'0123456789')`);
    await eventually('ten bytes wait', async () => (await python.run('s.in_waiting')) === 10);
    await python.run('s.reset_input_buffer()');
    expect(await python.run('s.in_waiting')).toBe(0);
    await deviceHas('the device was flushed', () => whole.recorder(1).of('flush').length > 0);
    await python.run(`s.write(b'after')`);
    expect(await python.run('s.read(5)')).toBe(Buffer.from('after').toString('hex'));
    await python.run('s.reset_output_buffer()');
    await python.run(`s.write(b'again')`);
    expect(await python.run('s.read(5)')).toBe(Buffer.from('again').toString('hex'));
  });

  test('timeouts: none, a little, and for a line', async () => {
    await open(', baudrate=115200');
    expect(await python.run('s.timeout = 0')).toBeNull();
    expect(await python.run('s.read(10)')).toBe('');
    expect(await python.run('(setattr(s, "timeout", 0.2), time.monotonic(), s.read(1), time.monotonic())[3] > 0')).toBe(
      true,
    );
    expect(await python.run('began = time.monotonic(); s.read(1); took = time.monotonic() - began')).toBeNull();
    expect(Number(await python.run('took'))).toBeGreaterThanOrEqual(0.19);
    await python.run(`s.timeout = 5; s.write(b'one\\ntwo\\n')`);
    expect(await python.run('s.readline().decode()')).toBe('one\n');
    expect(await python.run('s.read_until(b"o\\n").decode()')).toBe('two\n');
  });

  test('exclusive: a second one is refused, and may come when the first has gone', async () => {
    await open(', baudrate=9600, exclusive=True');
    const other = new Python();
    const second = `s = serial.Serial(${JSON.stringify(whole.path())}, 9600, exclusive=True, timeout=1)`;
    await expect(other.run(second)).rejects.toThrow(/exclusively lock/);
    await python.run('s.close()');
    await eventually('the second is let in', () =>
      other.run(second).then(
        () => true,
        () => false,
      ),
    );
    await other.close();
  });

  test('modem lines and break do not fail the program that cannot have them', async () => {
    await open(', baudrate=9600');
    await whole.portIs('up', (view) => view.state === 'up');
    await deviceHas('DTR is on while it is open', () => whole.simulator.line(1).outputLines.dtr);
    await python.run('s.send_break(0.01)');
    await python.run('s.flush()');
    await python.run('s.close()');
    await deviceHas('DTR is off afterwards', () => !whole.simulator.line(1).outputLines.dtr);
  });
});
