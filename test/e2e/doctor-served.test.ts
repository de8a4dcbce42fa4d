// `ttynp doctor` and the serial ports of this machine that the daemon offers: a PTY is the device.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, expect, test } from 'vitest';
import type { Check } from '../../src/cli/doctor/check.js';
import { Child, CLI, cli, eventually, run, Whole } from '../support/e2e.js';
import { freePort, freePorts } from '../support/free-ports.js';
import { RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

const COMPLETION = fileURLToPath(new URL('../../service/completion/ttynp.bash', import.meta.url));

const ends: (() => unknown)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function makeLine() {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  return line;
}

async function doctor(whole: Whole, ...argv: string[]) {
  const { code, stdout, stderr } = await cli(['doctor', ...argv, '--json', '-c', whole.configFile]);
  expect(stderr).toBe('');
  const { checks } = JSON.parse(stdout) as { checks: Check[] };
  return { code, checks, check: (step: string) => checks.find((one) => one.step === step) };
}

test('a port that is served, one that waits, one that is disabled; by number, by device, and all of them', async () => {
  const [tcpPort = 0, other = 0] = await freePorts(2);
  const line = makeLine();
  const whole = await Whole.start({
    config: {
      serialPorts: {
        1: { device: line.path, mode: 'tcp-server', tcpPort },
        2: { device: '/dev/ttyNothing', mode: 'rfc2217', tcpPort: other, listen: '0.0.0.0' },
        3: { device: '/dev/ttyNothing', mode: 'disabled' },
      },
    },
  });
  ends.push(() => whole.close());
  expect(whole.daemon.stderr).toMatch(/runs: 1 ports, 0 open, 0 connected, 2 serial ports offered, /);
  const states = async () => (await whole.client.serialPorts()).map(({ state, reason }) => `${state} ${reason?.code}`);
  await eventually(
    () => 'each has been tried',
    async () => (await states()).join() === 'up undefined,waiting TTY_GONE,disabled undefined',
  );
  const peer = await RawPeer.connect(tcpPort);
  ends.push(() => peer.close());
  const second = await RawPeer.connect(tcpPort);
  ends.push(() => second.close());
  peer.send(Buffer.from('hello'));
  await eventually('the line has it', () => line.received.toString() === 'hello');
  await eventually('the other is refused', async () => (await whole.client.serialPorts())[0]?.refused.busy === 1);

  const one = await doctor(whole, 'serial:1');
  expect(one.check('device')).toMatchObject({ result: 'ok', text: line.path });
  expect(one.check('permission')).toMatchObject({ result: 'ok', text: expect.stringContaining('has it open') });
  expect(one.check('settings')).toMatchObject({ result: 'ok', text: expect.stringContaining('9600,8N1') });
  expect(one.check('listener')).toMatchObject({ result: 'ok', text: `open: 127.0.0.1 port ${tcpPort}` });
  expect(one.check('clients')).toMatchObject({
    text: expect.stringMatching(/^127\.0\.0\.1 since .* nothing from the device, 5 bytes/),
    hint: expect.stringContaining('wiring'),
  });
  expect(one.check('refused hosts')).toMatchObject({
    text: 'busy 1, not in accessibleIps 0',
    hint: expect.stringContaining('maxConnection'),
  });
  expect((await doctor(whole, line.path)).checks.map(({ step }) => step)).toEqual(one.checks.map(({ step }) => step));

  const two = await doctor(whole, 'serial:2');
  expect(two.check('device')).toMatchObject({ result: 'failed', text: '/dev/ttyNothing is not there' });
  expect(two.check('who may connect')?.text).toMatch(/^WARNING: 0\.0\.0\.0: everybody/);
  expect(two.code).toBe(1);

  const all = await doctor(whole);
  const steps = (step: string) => all.checks.filter((check) => check.step === step).map(({ text }) => text);
  expect(steps('serial port 2')).toEqual([
    'device: /dev/ttyNothing is not there',
    expect.stringMatching(/^who may connect: WARNING/),
  ]);
  expect(steps('serial port 3')).toEqual(['/dev/ttyNothing: disabled, nobody is served']);
  expect(all.check('descriptors')?.text).toMatch(/1 ttys and 3 serial ports need about/);
  expect(all.code).toBe(1);

  const none = await cli(['doctor', 'serial:9', '-c', whole.configFile]);
  expect(none).toMatchObject({
    code: 1,
    stderr: 'ttynp: no serial port 9: see them all: ttynp ports --serial\n',
  });
  for (const name of ['serial:2', line.path]) {
    const { code, stdout, stderr } = await cli(['doctor', '--probe', name, '-c', whole.configFile]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(/^ttynp: --probe connects to a device server; serial:[12] is offered .*leave --probe out/);
  }
});

test('a program that has the device is named, and without a daemon the file is looked at', async () => {
  const tcpPort = await freePort();
  const line = makeLine();
  const whole = await Whole.start({
    idle: true,
    config: { serialPorts: { 1: { device: line.path, mode: 'tcp-server', tcpPort } } },
  });
  ends.push(() => whole.close());
  const program =
    'import os, sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print("open", flush=True); sys.stdin.read()';
  const child = new Child(['/usr/bin/python3', '-c', program, line.path]);
  await eventually('the holder has it', () => child.stdout.includes('open'));
  const found = await doctor(whole, 'serial:1');
  expect(found.check('holder')).toMatchObject({
    result: 'failed',
    text: expect.stringContaining(`(pid ${child.pid})`),
  });
  expect(found.check('offered')).toMatchObject({ result: 'not checked' });
  expect(found.check('listener')).toMatchObject({ text: `127.0.0.1 port ${tcpPort}: no daemon` });
  child.process.stdin.end();
  await child.ended;
});

test('bash completes serial ports for doctor and trace, though a colon ends a word of readline', async () => {
  const [tcpPort = 0, other = 0] = await freePorts(2);
  const served = { device: makeLine().path, mode: 'tcp-server', tcpPort };
  const whole = await Whole.start({
    config: { serialPorts: { 12: served, 107: { ...served, device: makeLine().path, tcpPort: other } } },
  });
  ends.push(() => whole.close());
  const bin = mkdtempSync(join(tmpdir(), 'ttynp-completion-'));
  ends.push(() => rmSync(bin, { recursive: true }));
  const real = `exec ${process.execPath} ${CLI} "$@" -c ${whole.configFile}`;
  writeFileSync(join(bin, 'ttynp'), `#!/bin/sh\ncase $1 in ports) ${real};; *) echo "<$*>";; esac\n`, { mode: 0o755 });
  const typed = ['doctor s\t0\t', 'trace serial:\t2\t', 'doctor "serial:10\t', 'trace tty\t', 'port s\t'];
  // Its own session: an interactive shell wants the terminal of the one that it is in.
  const { stdout } = await run(['setsid', '--wait', 'bash', '--norc', '--noprofile', '-i'], {
    env: {
      PATH: `${bin}:${process.env.PATH}`,
      HISTFILE: '/dev/null',
      INPUTRC: '/dev/null',
      TERM: 'dumb',
      LC_ALL: 'C',
    },
    input: [`. ${COMPLETION}`, ...typed.map((line) => `ttynp ${line}`), 'exit', ''].join('\n'),
  });
  expect(stdout.match(/^<.*>$/gm)).toEqual([
    '<doctor serial:107>',
    '<trace serial:12>',
    '<doctor serial:107>',
    '<trace ttyNP0>',
    '<port s>',
  ]);
});
