// How many clients one address may have at a served port: its next one waits a moment and is closed, another address gets in, and
// one that reconnects at once gets the place of its old connection.
import { connect, type Socket } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { SystemClock } from '../../src/base/clock.js';
import type { PortEvent, PortServer } from '../../src/serve/port-server.js';
import { RealComPort } from '../../src/serve/real-com.js';
import { TcpServerPort } from '../../src/serve/tcp-server.js';
import { LoopbackUart } from '../../src/uart/loopback.js';

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

const until = async (done: () => boolean) => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 1));
};

async function served(mode: 'tcp-server' | 'real-com', busyHoldMs: number) {
  const events: PortEvent[] = [];
  const clock = new SystemClock();
  const common = {
    clock,
    address: '127.0.0.1',
    uart: new LoopbackUart({ clock, unpaced: true }),
    maxConnection: 2,
    maxPerAddress: 1,
    busyHoldMs,
    event: (event: PortEvent) => events.push(event),
  };
  const server: PortServer =
    mode === 'tcp-server'
      ? new TcpServerPort({ ...common, port: 0 })
      : new RealComPort({ ...common, dataPort: 0, commandPort: 0 });
  ends.push(() => server.close());
  await server.open();
  const of = (type: PortEvent['type']) => events.filter((event) => event.type === type).length;
  const dial = (localAddress: string) =>
    server.tcpPorts.map((port) => {
      const socket = connect({ port, host: '127.0.0.1', localAddress });
      socket.on('error', () => {});
      socket.resume();
      ends.push(() => socket.destroy());
      return socket;
    });
  return { server, dial, of, each: server.tcpPorts.length };
}

const closed = (sockets: Socket[]) => until(() => sockets.every((socket) => socket.closed));

describe.each(['tcp-server', 'real-com'] as const)('%s', (mode) => {
  test('one address does not take the place of others', async () => {
    const { server, dial, of, each } = await served(mode, 20);
    const first = dial('127.0.0.1');
    await until(() => of('connected') === each);
    await closed(dial('127.0.0.1'));
    expect(of('busy')).toBe(each);
    dial('127.0.0.2');
    await until(() => of('connected') === 2 * each);
    expect(server.clients.map(({ address }) => address).sort()).toEqual(['127.0.0.1', '127.0.0.2']);
    expect(first.some((socket) => socket.closed)).toBe(false);
  });

  test('who reconnects before its old connection has ended waits, and gets its place', async () => {
    const { server, dial, of, each } = await served(mode, 20_000);
    const first = dial('127.0.0.1');
    await until(() => of('connected') === each);
    const second = dial('127.0.0.1');
    await until(() => of('waits') === each);
    for (const socket of first) socket.destroy();
    await until(() => of('connected') === 2 * each);
    // It was not refused, and is not counted so.
    expect(of('busy')).toBe(0);
    expect(server.clients).toHaveLength(1);
    expect(second.some((socket) => socket.closed)).toBe(false);
  });
});
