// Foreign programs in the place of a modem's terminal, or at the other end of its calls: socat, sz and rz, minicom.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { EthernetModemOptions } from '../../src/serve/ethernet-modem-options.js';
import { endsOfTests, sleep, holds as until } from '../support/leftovers.js';
import { calledPeer, gone, link, modemRig, OK } from '../support/modem-rig.js';

const ends = endsOfTests();
const rig = (options: Partial<EthernetModemOptions> = {}) => modemRig(ends, options);
const called = (address?: string) => calledPeer(ends, address);

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
      link(ends, two.line, { write: (bytes) => rz.stdin.write(bytes), on: (_, fn) => rz.stdout.on('data', fn) });
      const sz = spawn('sz', ['--binary', '--quiet', join(directory, 'sent')], { stdio: ['pipe', 'pipe', 'ignore'] });
      ends.push(() => gone(sz));
      link(ends, one.line, { write: (bytes) => sz.stdin.write(bytes), on: (_, fn) => sz.stdout.on('data', fn) });
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
      link(ends, line, { write: (bytes) => child.stdin.write(bytes), on: (_, fn) => child.stdout.on('data', fn) });
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
