// `ttynp doctor` and `ttynp bench` as a user runs them, against the built daemon and a device server.
import { afterEach, describe, expect, test } from 'vitest';
import type { Check } from '../../src/cli/doctor/check.js';
import { Child, cli, eventually, Whole } from '../support/e2e.js';

const wholes: Whole[] = [];

afterEach(async () => {
  for (const whole of wholes.splice(0)) await whole.close();
});

async function start(options: Parameters<typeof Whole.start>[0] = {}): Promise<Whole> {
  const whole = await Whole.start(options);
  wholes.push(whole);
  return whole;
}

interface Diagnosis {
  readonly code: number | null;
  readonly failed: readonly string[];
  check(step: string): Check | undefined;
}

async function doctor(whole: Whole, ...argv: string[]): Promise<Diagnosis> {
  const { code, stdout, stderr } = await cli(['doctor', ...argv, '--json', '-c', whole.configFile]);
  expect(stderr).toBe('');
  const { checks } = JSON.parse(stdout) as { checks: Check[] };
  const failed = checks.filter(({ result }) => result === 'failed').map(({ step }) => step);
  return { code, failed, check: (step) => checks.find((c) => c.step === step) };
}

/** Holds a tty open, and sends what it is told to, until it is ended. */
async function holder(whole: Whole, tty: string, setup = ''): Promise<Child> {
  const program = `
import os, sys, termios, tty
fd = os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY)
${setup}
print("open", flush=True)
sys.stdin.read()`;
  const child = new Child(['/usr/bin/python3', '-c', program, `${whole.dir}/${tty}`]);
  await eventually(
    () => 'the holder has it open',
    async () => child.stdout.includes('open'),
  );
  return child;
}

async function end(child: Child): Promise<void> {
  child.process.stdin.end();
  await child.ended;
}

describe('doctor', () => {
  test('the machine: no daemon, then a daemon', async () => {
    const whole = await start({ idle: true });
    const before = await doctor(whole);
    expect(before.check('daemon')).toMatchObject({ result: 'failed' });
    expect(before.check('configuration')).toMatchObject({ result: 'ok' });
    expect(before.check('server simulator')).toMatchObject({
      result: 'not checked',
      hint: 'add --probe to connect to it',
    });
    expect(before.code).toBe(1);
    expect((await doctor(whole, '--probe')).check('server simulator')).toMatchObject({ result: 'ok' });
    await whole.startDaemon();
    const after = await doctor(whole);
    expect(after.check('daemon')).toMatchObject({ result: 'ok' });
    expect(after.check('backend pty')).toMatchObject({ result: 'ok' });
    expect(after.check('backend usbip')?.text).toContain('vhci_hcd');
    expect(after.code).toBe(0);
  });

  test('a port in use: what its session knows, and no connection of our own', async () => {
    const whole = await start();
    const child = await holder(whole, 'ttyNP0', 'tty.setraw(fd); os.write(fd, b"hello"); os.read(fd, 5)');
    await whole.portIs('has heard it', (view) => view.received.bytes >= 5 && view.acknowledged !== null);
    const { command, data } = whole.simulator.port(1).counts;
    const found = await doctor(whole, 'ttyNP0', '--probe');
    expect(whole.simulator.port(1).counts).toMatchObject({ command, data });
    expect(found.check('probe')?.text).toContain('the daemon uses the port');
    expect(found.check('holder')?.text).toContain(`(pid ${child.pid})`);
    for (const step of ['link', 'permission', 'command port', 'data port', 'PORT_INIT', 'format', 'traffic', 'drops']) {
      expect(found.check(step)).toMatchObject({ step, result: 'ok' });
    }
    expect(found.check('applied')?.hint).toContain('max connection');
    expect(found.failed).toEqual([]);
    expect(found.code).toBe(0);
    await end(child);
  });

  test('an idle port is probed, and is free afterwards', async () => {
    const whole = await start();
    expect((await doctor(whole, 'ttyNP0')).check('PORT_INIT')).toMatchObject({ result: 'not checked' });
    expect(whole.simulator.port(1).counts).toMatchObject({ command: 0, data: 0 });
    const found = await doctor(whole, `${whole.dir}/ttyNP0`, '--probe');
    expect(found.check('PORT_INIT')).toMatchObject({ result: 'ok' });
    const child = await holder(whole, 'ttyNP0');
    await whole.portIs('is up', (view) => view.state === 'up');
    await end(child);
  });

  test('a device that is switched off', async () => {
    const whole = await start();
    await whole.simulator.stop();
    const child = await holder(whole, 'ttyNP0');
    await whole.portIs('has failed to connect', (view) => view.reason !== null);
    const found = await doctor(whole, 'ttyNP0');
    expect(found.check('command port')).toMatchObject({ result: 'failed' });
    expect(found.check('command port')?.text).toMatch(/refused/);
    expect(found.code).toBe(1);
    await end(child);
  });

  test('RTS/CTS is on and CTS is off; line mode is on', async () => {
    const whole = await start();
    whole.simulator.line(1).forceLines({ cts: false });
    const setup = `
a = termios.tcgetattr(fd); a[2] |= termios.CRTSCTS; a[3] |= termios.ICANON; termios.tcsetattr(fd, termios.TCSANOW, a)
os.write(fd, b"x" * 100)`;
    const child = await holder(whole, 'ttyNP0', setup);
    await whole.portIs('has RTS/CTS', (v) => v.acknowledged?.flowControl === 'RTS/CTS' && v.lines.cts === false);
    const found = await doctor(whole, 'ttyNP0');
    expect(found.check('flow control')).toMatchObject({ result: 'failed' });
    expect(found.check('line mode')?.text).toContain('ICANON');
    await end(child);
  });

  test('a tty that does not exist, in one line', async () => {
    const whole = await start();
    const { code, stderr } = await cli(['doctor', 'ttyNP9', '-c', whole.configFile]);
    expect(code).toBe(1);
    expect(stderr).toBe('ttynp: no tty ttyNP9: see them all: ttynp ports\n');
  });
});

describe('bench', () => {
  test('round trips through a loop plug', async () => {
    const whole = await start();
    const argv = ['bench', 'latency', 'ttyNP0', '--loop-plug', '--count', '20', '--baud', '9600', '--json'];
    const { code, stdout, stderr } = await cli([...argv, '-c', whole.configFile]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    const report: unknown = JSON.parse(stdout);
    expect(report).toMatchObject({ settings: '9600,8N1', requestBytes: 8, count: 20, lost: 0, mismatched: 0 });
    // Eight bytes take 8.3 ms on the line, whatever else there is.
    expect(report).toHaveProperty('lineMs', 80_000 / 9600);
    expect((report as { roundTripMs: { min: number } }).roundTripMs.min).toBeGreaterThanOrEqual(8);
  });

  test('a device that answers a request', async () => {
    const whole = await start();
    const argv = ['bench', 'latency', 'ttyNP0', '--request', '01 03', '--reply-bytes', '2', '--count', '5'];
    const { code, stdout } = await cli([...argv, '-c', whole.configFile]);
    expect(code).toBe(0);
    expect(stdout).toContain('5 round trips of 2 bytes out, 2 bytes back');
  });

  test('throughput, every byte compared', async () => {
    const whole = await start();
    const argv = ['bench', 'throughput', 'ttyNP0', '--loop-plug', '--baud', '115200', '--for', '500ms', '--json'];
    const { code, stdout, stderr } = await cli([...argv, '-c', whole.configFile]);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ missing: 0, firstDifference: null, settings: '115200,8N1' });
  });

  test('nothing comes back', async () => {
    const whole = await start({ simulator: { echo: false } });
    const argv = ['bench', 'latency', 'ttyNP0', '--loop-plug', '--timeout', '100ms'];
    const { code, stderr } = await cli([...argv, '-c', whole.configFile]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^ttynp: .*nothing came back: is the loop plug on .*\n$/);
  });

  test('a tty that somebody uses is left alone', async () => {
    const whole = await start();
    const child = await holder(whole, 'ttyNP0');
    const { code, stderr } = await cli(['bench', 'latency', 'ttyNP0', '--loop-plug', '-c', whole.configFile]);
    expect(code).toBe(1);
    expect(stderr).toMatch(new RegExp(`in use by python3.* \\(pid ${child.pid}\\): close it first\\n$`));
    await end(child);
  });

  test.each([
    [['latency', 'ttyNP0'], /either --loop-plug .* or --request HEX/],
    [['throughput', 'ttyNP0'], /throughput needs --loop-plug/],
    [['latency', 'ttyNP0', '--request', '01'], /--request needs --reply-bytes/],
    [['latency', 'ttyNP0', '--request', '0x1', '--reply-bytes', '1'], /in hex/],
    [['latency', 'ttyNP0', '--loop-plug', '--size', '5000'], /--size 5000/],
    [['throughput', 'ttyNP0', '--loop-plug', '--for', 'long'], /--for long/],
  ])('ttynp bench %j is no command', async (argv, text) => {
    const { code, stderr } = await cli(['bench', ...argv]);
    expect(code).toBe(2);
    expect(stderr).toMatch(text);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });
});
