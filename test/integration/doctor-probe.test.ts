// `doctor --probe` against real peers: nothing there, a mute one, a web server, one that accepts and closes, one that
// answers garbage, a busy device and an idle one.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer as createWebServer } from 'node:http';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import { probeConnect, probePort } from '../../src/cli/doctor/probe.js';
import { DEFAULT_SETTINGS } from '../../src/serial/line.js';
import { runSimulator, type SimulatorHandle } from '../../src/serve/simulator.js';
import { freePort } from '../support/free-ports.js';

const clock = new SystemClock();
const ends: (() => Promise<void>)[] = [];

afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function listening(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  ends.push(() => new Promise((resolve) => server.close(() => resolve())));
  return (server.address() as AddressInfo).port;
}

/** A peer that does one thing with each connection. */
function peer(accepted: (socket: Socket) => void): Promise<number> {
  return listening(
    createServer((socket) => {
      socket.on('error', () => {});
      accepted(socket);
    }),
  );
}

async function simulator(): Promise<SimulatorHandle> {
  const made = await runSimulator({ dataPort: 0, commandPort: 0, busyHoldMs: 20 });
  ends.push(() => made.close());
  return made;
}

const mute = () => peer((socket) => socket.resume());

function probe(ports: { dataPort: number; commandPort: number }, answerTimeoutMs = 5000) {
  const { dataPort, commandPort } = ports;
  const target = { address: '127.0.0.1', dataPort, commandPort, settings: DEFAULT_SETTINGS, preamble: 'auto' } as const;
  return probePort(target, { clock, answerTimeoutMs });
}

describe('the two ports are told apart', () => {
  test('nothing listens', async () => {
    const found = await probe({ dataPort: await freePort(), commandPort: await freePort() });
    expect(found).toMatchObject({
      command: { result: 'refused' },
      data: { result: 'refused' },
      portInit: { result: 'not tried' },
    });
  });

  test('only the data port listens', async () => {
    const found = await probe({ dataPort: await mute(), commandPort: await freePort() });
    expect(found).toMatchObject({ command: { result: 'refused' }, data: { result: 'connected' } });
  });

  test('only the command port listens', async () => {
    const found = await probe({ dataPort: await freePort(), commandPort: await mute() });
    expect(found).toMatchObject({
      command: { result: 'connected' },
      data: { result: 'refused' },
      portInit: { result: 'not tried' },
    });
  });

  test('the command port accepts, then closes', async () => {
    const found = await probe({ dataPort: await mute(), commandPort: await peer((socket) => socket.end()) });
    expect(found).toMatchObject({ command: { result: 'closed' }, data: { result: 'connected' } });
  });

  test('the command port accepts, then resets', async () => {
    const reset = await peer((socket) => socket.resetAndDestroy());
    const found = await probe({ dataPort: await mute(), commandPort: reset });
    expect(found).toMatchObject({ command: { result: 'closed' } });
  });

  test('the data port accepts, then closes, while commands are answered', async () => {
    const { port } = await simulator();
    const closing = await peer((socket) => socket.destroy());
    const found = await probe({ dataPort: closing, commandPort: port(1).commandPort });
    expect(found).toMatchObject({ command: { result: 'connected' }, portInit: { result: 'acknowledged' } });
  });
});

describe('what answers', () => {
  test('a device', async () => {
    const { port, line } = await simulator();
    const found = await probe(port(1));
    expect(found).toMatchObject({
      command: { result: 'connected' },
      data: { result: 'connected' },
      portInit: { result: 'acknowledged', cts: false, dsr: false, dcd: false },
      asked: '9600,8N1',
    });
    // DTR and RTS were not raised: a loop plug would have shown them as DSR and CTS.
    expect(line(1).outputLines).toEqual({ dtr: false, rts: false });
  });

  test('a device that refuses the settings', async () => {
    // realcom.md 3.2: FF FF FF where lines would be.
    const refusing = await peer((socket) =>
      socket.on('data', () => socket.write(Uint8Array.of(0x2c, 3, 255, 255, 255))),
    );
    expect((await probe({ dataPort: await mute(), commandPort: refusing })).portInit).toEqual({ result: 'refused' });
  });

  test('a device that another host uses', async () => {
    const { port } = await simulator();
    port(1).occupied = true;
    const found = await probe(port(1));
    expect([found.command.result, found.data.result]).toContain('closed');
    expect(found.portInit.result).toBe('not tried');
  });

  test('nobody, though connected', async () => {
    const found = await probe({ dataPort: await mute(), commandPort: await mute() }, 60);
    expect(found.portInit).toEqual({ result: 'mute', afterMs: 60 });
  });

  test('a web server', async () => {
    const web = await listening(createWebServer((_request, response) => response.end('hello')));
    const found = await probe({ dataPort: web, commandPort: web });
    expect(found.portInit).toMatchObject({ result: 'not real com', looksLike: 'a web server' });
  });

  test('a web server that waits for the end of a line', async () => {
    const web = await peer((socket) => {
      socket.on('data', (bytes) => {
        if (bytes.includes('\n')) socket.end('HTTP/1.0 400 Bad Request\r\n\r\n');
      });
    });
    const found = await probe({ dataPort: web, commandPort: web }, 60);
    expect(found.portInit).toMatchObject({ result: 'not real com', looksLike: 'a web server' });
  });

  test('a banner', async () => {
    const ssh = await peer((socket) => socket.resume().write('SSH-2.0-OpenSSH_9.2\r\n'));
    const found = await probe({ dataPort: ssh, commandPort: ssh });
    expect(found.portInit).toEqual({
      result: 'not real com',
      looksLike: 'an SSH server',
      bytes: '"SSH-2.0-OpenSSH_9.2"',
    });
  });
});

test('a probe leaves the device free for the next host', async () => {
  const { port } = await simulator();
  for (let i = 0; i < 5; i++) expect((await probe(port(1))).portInit.result).toBe('acknowledged');
});

test('a host that drops what arrives', async () => {
  // A listener that never accepts, with its queue full: Linux drops further connects.
  const script = `
import socket, sys
server = socket.socket(); server.bind(("127.0.0.1", 0)); server.listen(0)
kept = []
for _ in range(4):
    s = socket.socket(); s.setblocking(False); s.connect_ex(server.getsockname()); kept.append(s)
print(server.getsockname()[1], flush=True)
sys.stdin.read()`;
  const child = spawn('/usr/bin/python3', ['-c', script], { stdio: ['pipe', 'pipe', 'inherit'] });
  const ended = once(child, 'exit');
  const [line] = await once(child.stdout, 'data');
  const found = await probeConnect('127.0.0.1', Number(String(line)), { clock, connectTimeoutMs: 100 });
  expect(found).toEqual({ result: 'timeout', why: 'no answer within 100 ms' });
  child.stdin.end();
  await ended;
});
