// /metrics over a real TCP socket: a client of Node's, and peers that send whatever they like.
import { once } from 'node:events';
import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { Log } from '../../../src/base/log.js';
import { MetricsServer } from '../../../src/control/metrics-server.js';
import { ManualClock } from '../../support/manual-clock.js';

const clock = new ManualClock();
let lines: string[];
let server: MetricsServer;
let text: () => string;
const log: Log = { log: (level, message) => void lines.push(`${level} ${message}`), child: () => log };
const make = (port = 0, host = '127.0.0.1') => new MetricsServer({ host, port, clock, log, metrics: () => text() });

beforeEach(async () => {
  lines = [];
  text = () => 'ttynp_ports 2\n';
  server = make();
  server.start();
  await until(() => server.address !== undefined);
});
afterEach(async () => {
  await server.close();
  expect(server.address).toBeUndefined();
  expect(clock.timers).toBe(0);
});

async function until(is: () => boolean): Promise<void> {
  while (!is()) await new Promise((resolve) => setImmediate(resolve));
}

/** Sends bytes as they are and resolves with all that comes back until the end. */
function raw(sent: string): Promise<string> {
  const port = Number(server.address?.split(':').at(-1));
  return new Promise((resolve) => {
    let answer = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(sent));
    socket.on('data', (chunk) => {
      answer += chunk;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(answer));
  });
}

const ask = (target: string, method = 'GET') =>
  raw(`${method} ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);

test('the metrics, and nothing else', async () => {
  const answer = await fetch(`http://${server.address}/metrics`);
  expect(answer.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
  expect(await answer.text()).toBe('ttynp_ports 2\n');
  expect(lines).toEqual([`info metrics at http://${server.address}/metrics`]);
  expect((await ask('/metrics', 'HEAD')).endsWith('\r\n\r\n')).toBe(true);
  for (const path of ['/', '/v1/status', '/v1/ports', '/metrics/x']) expect(await ask(path)).toMatch(/^HTTP\/1.1 404 /);
  expect(await ask('/v1/reload', 'POST')).toMatch(/^HTTP\/1.1 404 /);
  expect(await ask('/metrics', 'POST')).toMatch(/^HTTP\/1.1 405 /);
});

test('what is no HTTP is hung up on, and a body is not waited for', async () => {
  expect(await raw('\x00\x01\x02\r\n\r\n')).toBe('');
  expect(await raw(`GET /metrics HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)).not.toMatch(/ 200 /);
  expect(await raw('GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n')).toMatch(
    /^HTTP\/1.1 200 /,
  );
  expect(await ask('/metrics')).toMatch(/^HTTP\/1.1 200 /);
});

test('metrics that cannot be made are one error, and it goes on', async () => {
  text = () => {
    throw new Error('broken');
  };
  expect(await ask('/metrics')).toMatch(/^HTTP\/1.1 500 /);
  expect(lines.at(-1)).toBe('error metrics: broken');
  text = () => 'x 1\n';
  expect(await ask('/metrics')).toMatch(/x 1\n$/);
});

test('a port that is taken is told once, and tried again until it is free', async () => {
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  const { port } = taken.address() as AddressInfo;
  const late = make(port);
  late.start();
  await until(() => clock.timers === 1);
  clock.advance(10_000);
  await until(() => clock.timers === 1);
  expect(lines.filter((line) => line.startsWith('error'))).toEqual([
    expect.stringContaining(`metrics: 127.0.0.1 port ${port}: listen EADDRINUSE`),
  ]);
  taken.close();
  await once(taken, 'close');
  clock.advance(10_000);
  await until(() => late.address === `127.0.0.1:${port}`);
  await late.close();
});

test('closed in the same breath as started, it listens on nothing', async () => {
  const brief = make();
  brief.start();
  await brief.close();
  for (let i = 0; i < 10; i++) await new Promise((resolve) => setImmediate(resolve));
  expect(brief.address).toBeUndefined();
});

test('who may not ask is disconnected before a byte is answered, and said once', async () => {
  await server.close();
  lines = [];
  server = new MetricsServer({ host: '127.0.0.1', port: 0, clock, log, admits: () => false, metrics: () => text() });
  server.start();
  await until(() => server.address !== undefined);
  for (let i = 0; i < 20; i++) expect(await ask('/metrics')).toBe('');
  expect(lines.filter((one) => one.includes('accessibleIps'))).toEqual([
    'warn metrics: 127.0.0.1 is not in accessibleIps; more like it are not told',
  ]);
});
