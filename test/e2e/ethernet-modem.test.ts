// The built daemon with two modems of its own: one dials the other, and what AT&W kept is there after a restart.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { eventually, Whole } from '../support/e2e.js';
import { freePort, freePorts } from '../support/free-ports.js';
import { SerialLine } from '../support/serial-line.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

function terminal() {
  const line = new SerialLine();
  ends.push(() => line.unplug());
  let read = 0;
  const text = () => line.received.toString('latin1');
  /** What it sees up to this, and no more. */
  const sees = async (what: string) => {
    await eventually(
      () => `${JSON.stringify(what)} in ${JSON.stringify(text().slice(read))}`,
      async () => text().indexOf(what, read) >= 0,
    );
    const end = text().indexOf(what, read) + what.length;
    const seen = text().slice(read, end);
    read = end;
    return seen;
  };
  return { line, sees };
}

/** Bytes that the daemon may write into a file from now on: what is more fails, as it does where a disk is full. */
function fileLimit(pid: number, bytes: number | ''): void {
  const { status, stderr } = spawnSync('prlimit', [`--pid=${pid}`, `--fsize=${bytes === '' ? 'unlimited' : bytes}:`]);
  if (status !== 0) throw new Error(`prlimit: ${stderr}`);
}

test('a disk that is full: AT&W is an ERROR, what was kept is there still, and the next AT&W is kept', async () => {
  const state = mkdtempSync(join(tmpdir(), 'modem-state-'));
  ends.push(() => rmSync(state, { recursive: true, force: true }));
  const { line, sees } = terminal();
  const tcpPort = await freePort();
  const whole = await Whole.start({
    daemon: { env: { STATE_DIRECTORY: state } },
    config: { serialPorts: { 1: { device: line.path, mode: 'ethernet-modem', listen: '127.0.0.1', tcpPort } } },
  });
  ends.push(() => whole.close());
  const isUp = () =>
    eventually(
      () => `the port up\n${whole.daemon.stderr}`,
      async () => (await whole.client.serialPorts()).some(({ state: is }) => is === 'up'),
    );
  const asks = async (command: string) => {
    line.send(`${command}\r`);
    const seen = await sees('\r\n');
    return seen + (await sees('\r\n'));
  };
  const files = () => readdirSync(state).filter((name) => name.includes('modem'));
  await isUp();
  line.send('ATE0\r');
  await sees('OK\r\n');
  expect(await asks('ATS0=3&W')).toBe('\r\nOK\r\n');
  const pid = whole.daemon.pid;
  for (const limit of [0, 20]) {
    fileLimit(pid, limit);
    expect(await asks('ATS0=4&W')).toBe('\r\nERROR\r\n');
    expect(files()).toEqual(['ethernet-modem-1.json']);
  }
  // It is the port of before, and has lost nothing: nor had a daemon that were killed now.
  expect(await asks('ATZ')).toBe('\r\nOK\r\n');
  whole.daemon.signal('SIGKILL');
  await whole.daemon.exit();
  await whole.startDaemon();
  await isUp();
  line.send('ATE0S0?\r');
  expect(await sees('003\r\n')).toMatch(/003\r\n$/);
  await sees('OK\r\n');
  fileLimit(whole.daemon.pid, 0);
  expect(await asks('ATS0=5&W')).toBe('\r\nERROR\r\n');
  fileLimit(whole.daemon.pid, '');
  expect(await asks('AT&W')).toBe('\r\nOK\r\n');
  line.send('ATZS0?\r');
  await sees('OK\r\n');
  line.send('ATS0?\r');
  expect(await sees('OK\r\n')).toContain('\r\n005\r\n');
}, 60_000);

test('one modem dials the other; AT&W lasts over a restart; a daemon that is killed leaves nothing in the way', async () => {
  const state = mkdtempSync(join(tmpdir(), 'modem-state-'));
  ends.push(() => rmSync(state, { recursive: true, force: true }));
  const [one, two] = [terminal(), terminal()];
  const [tcpPort = 0, other = 0] = await freePorts(2);
  const whole = await Whole.start({
    daemon: { env: { STATE_DIRECTORY: state } },
    config: {
      serialPorts: {
        1: { device: one.line.path, mode: 'ethernet-modem', listen: '127.0.0.1', tcpPort },
        2: { device: two.line.path, mode: 'ethernet-modem', listen: '127.0.0.1', tcpPort: other },
      },
    },
  });
  ends.push(() => whole.close());
  const areUp = () =>
    eventually(
      () => `both ports up\n${whole.daemon.stderr}`,
      async () => (await whole.client.serialPorts()).filter(({ state: is }) => is === 'up').length === 2,
    );
  const dialled = async () => {
    one.line.send(`ATD127.0.0.1:${other}\r`);
    await one.sees('CONNECT');
    await one.sees('\r\n');
    await two.sees('CONNECT');
    await two.sees('\r\n');
    one.line.send('there');
    expect(await two.sees('there')).toBe('there');
    two.line.send('and back');
    expect(await one.sees('and back')).toBe('and back');
  };
  await areUp();
  two.line.send('ATE0S0=1&W\r');
  await two.sees('OK\r\n');
  await dialled();
  await whole.stopDaemon();
  expect(await one.sees('NO CARRIER\r\n')).toBe('\r\nNO CARRIER\r\n');
  expect(await two.sees('NO CARRIER\r\n')).toBe('\r\nNO CARRIER\r\n');
  await whole.startDaemon();
  await areUp();
  two.line.send('ATS0?\r');
  expect(await two.sees('OK\r\n')).toBe('\r\n001\r\n\r\nOK\r\n');
  await dialled();
  whole.daemon.signal('SIGKILL');
  await whole.daemon.exit();
  await whole.startDaemon();
  await areUp();
  await dialled();
}, 60_000);
