// What every mode of a served port must do: bytes both ways, back pressure, who may connect, and nothing left at the end.
// The serial port is a PTY, so that what is asserted is what the device at its other end sees.
import { readdirSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { parseWithBytes, stringifyWithBytes } from '../../src/base/bytes-json.js';
import { type Clock, SystemClock } from '../../src/base/clock.js';
import type { KeptServer, ServerHandover } from '../../src/serve/handover.js';
import type { PortEvent, PortServer } from '../../src/serve/port-server.js';
import { LoopbackUart } from '../../src/uart/loopback.js';
import { SerialPortUart } from '../../src/uart/serialport.js';
import type { Uart } from '../../src/uart/uart.js';
import type { RawPeer } from '../support/raw-peer.js';
import { SerialLine } from '../support/serial-line.js';

export interface ServeParts {
  readonly clock: Clock;
  readonly uart: Uart;
  readonly address: string;
  /** 0: any free ones; else those of a server that was closed. Of one that connects by itself, those of its hosts. */
  readonly tcpPorts: readonly number[];
  readonly busyHoldMs: number;
  readonly admits?: (address: string) => boolean;
  event(event: PortEvent): void;
}

export interface ServeCase {
  readonly name: string;
  serve(parts: ServeParts): PortServer;
  /** Connects as a host of this mode does; `data` carries the bytes of the line. All sockets are in `all`. */
  host(tcpPorts: readonly number[]): Promise<{ data: RawPeer; all: readonly RawPeer[] }>;
  /** It connects by itself, and hosts wait for it: begins that, and returns their ports. Else hosts connect to it. */
  readonly hostsWait?: (ends: (() => unknown)[]) => Promise<readonly number[]>;
  /** Its hosts are disconnected when it is handed over. */
  readonly cannotBeKept?: boolean;
  /** Data as they are on the network; default: as they are. */
  readonly onWire?: (bytes: Uint8Array) => Uint8Array;
}

const counted = (count: number, first = 0) => Buffer.from(Array.from({ length: count }, (_, i) => (first + i) % 251));
const until = async (done: () => boolean) => {
  while (!done()) await new Promise((resolve) => setTimeout(resolve, 1));
};
const descriptors = () => readdirSync('/proc/self/fd').length;

export function serveContract(one: ServeCase): void {
  describe(`a served port: ${one.name}`, () => {
    const ends: (() => unknown)[] = [];
    let before = 0;

    beforeEach(() => {
      before = descriptors();
    });

    afterEach(async () => {
      for (const end of ends.splice(0).reverse()) await end();
      await until(() => descriptors() <= before);
    });

    const waitingHosts = new WeakMap<PortServer, readonly number[]>();
    const portsOf = (server: PortServer) => waitingHosts.get(server) ?? server.tcpPorts;

    /** Of modes that are connected to. */
    const listens = (name: string, body: () => Promise<void>) => {
      if (one.hostsWait === undefined) test(name, body);
    };

    async function served(options: Partial<ServeParts> = {}) {
      const line = new SerialLine();
      ends.push(() => line.unplug());
      const clock = new SystemClock();
      const uart = new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
      const events: PortEvent[] = [];
      const event = (what: PortEvent) => events.push(what);
      const tcpPorts = (await one.hostsWait?.(ends)) ?? [0, 0];
      const server = one.serve({ clock, uart, address: '127.0.0.1', tcpPorts, busyHoldMs: 0, event, ...options });
      if (one.hostsWait !== undefined) waitingHosts.set(server, tcpPorts);
      ends.push(() => server.close());
      await server.open();
      return { line, server, events, uart };
    }

    async function host(server: PortServer) {
      const peers = await one.host(portsOf(server));
      for (const peer of peers.all) ends.push(() => peer.close());
      return peers;
    }

    const types = (events: readonly PortEvent[]) => events.map(({ type }) => type);

    test('carries every byte value both ways, and counts them', async () => {
      const { line, server } = await served();
      const { data } = await host(server);
      const all = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
      const onWire = Buffer.from(one.onWire?.(all) ?? all);
      data.send(onWire);
      await until(() => line.received.length === 256);
      expect(line.received).toEqual(all);
      line.send(all);
      expect(await data.take(onWire.length)).toEqual(onWire);
      expect(server.clients).toMatchObject([
        {
          address: one.hostsWait === undefined ? '127.0.0.1' : `127.0.0.1:${portsOf(server)[0]}`,
          received: 256,
          sent: 256,
          dropped: 0,
        },
      ]);
      expect(Math.abs(Date.now() - (server.clients[0]?.sinceMs ?? 0))).toBeLessThan(60_000);
    });

    test('while the line takes nothing the network is held up, and then all of it arrives', async () => {
      const { line, server } = await served();
      const { data } = await host(server);
      line.deaf = true;
      const much = counted(3_000_000);
      data.send(much);
      let last = -1;
      for (let same = 0; same < 20; ) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        const now = server.clients[0]?.received ?? 0;
        same = now === last ? same + 1 : 0;
        last = now;
      }
      expect(last).toBeLessThan(256 * 1024);
      line.deaf = false;
      await until(() => line.received.length >= much.length);
      expect(line.received.equals(much)).toBe(true);
    });

    test('while a host does not read the line is held up, and then all of it arrives', async () => {
      const { line, server, uart } = await served();
      const { data } = await host(server);
      data.socket.pause();
      const much = counted(12_000_000);
      line.send(much);
      let last = -1;
      for (let same = 0; same < 20; ) {
        await new Promise((resolve) => setTimeout(resolve, 5));
        same = line.unsent === last && uart.inputQueue > 0 ? same + 1 : 0;
        last = line.unsent;
      }
      expect(last).toBeGreaterThan(1_000_000);
      data.socket.resume();
      let arrived = 0;
      let wrong = 0;
      data.socket.on('data', (bytes) => {
        for (const byte of bytes) if (byte !== arrived++ % 251) wrong++;
      });
      const already = data.received;
      arrived = already.length;
      await until(() => arrived >= much.length);
      expect(wrong).toBe(0);
      expect(already.equals(much.subarray(0, already.length))).toBe(true);
    });

    listens('who is not admitted is closed before a byte is answered, and the line hears nothing', async () => {
      let open = false;
      const { line, server, events } = await served({ admits: (address) => open && address === '127.0.0.1' });
      const { data, all } = await host(server);
      data.send(Buffer.from('secret'));
      for (const peer of all) await peer.end();
      expect(all.map((peer) => peer.received.length)).toEqual(all.map(() => 0));
      expect(types(events)).toEqual(all.map(() => 'denied'));
      open = true;
      const admitted = await host(server);
      admitted.data.send(Buffer.from('hello'));
      await until(() => line.received.length >= 5);
      expect(line.received.toString()).toBe('hello');
    });

    listens('a host too many is told so and closed; the first one does not notice', async () => {
      const { line, server, events } = await served();
      const first = await host(server);
      await until(() => types(events).includes('connected'));
      const second = await host(server);
      second.data.send(Buffer.from('not me'));
      for (const peer of second.all) await peer.end();
      expect(types(events)).toContain('busy');
      first.data.send(Buffer.from('still here'));
      await until(() => line.received.length >= 10);
      expect(line.received.toString()).toBe('still here');
      line.send('yes');
      expect((await first.data.take(3)).toString()).toBe('yes');
    });

    listens('when a host goes the next one gets the port, and none of its bytes', async () => {
      const { line, server, events } = await served({ busyHoldMs: 5000 });
      const first = await host(server);
      first.data.send(Buffer.from('one'));
      await until(() => line.received.length === 3);
      for (const peer of first.all) await peer.close('reset');
      const second = await host(server);
      // What the line says before is nobody's.
      const connections = () => types(events).filter((type) => type === 'connected').length;
      await until(() => connections() === first.all.length + second.all.length);
      line.send('two');
      expect((await second.data.take(3)).toString()).toBe('two');
      expect(server.clients).toHaveLength(1);
    });

    listens('connections that come and go by the hundred leave nothing', async () => {
      const { line, server } = await served();
      for (let round = 0; round < 20; round++) {
        const peers = await Promise.all(Array.from({ length: 10 }, () => one.host(server.tcpPorts)));
        await Promise.all(peers.flatMap(({ all }) => all.map((peer) => peer.close('reset'))));
      }
      // The last of them may have the port still: who comes then is closed, and tries again.
      const isThrough = () => line.received.toString().endsWith('well');
      while (!isThrough()) {
        const { data, all } = await host(server);
        data.send(Buffer.from('well'));
        await until(() => isThrough() || all.some(({ ended }) => ended));
      }
      await until(() => server.clients.length === 1);
    });

    test('a device that is unplugged is told, once', async () => {
      const { line, server, events } = await served();
      await host(server);
      line.unplug();
      await until(() => types(events).includes('failed'));
      await server.close();
      expect(types(events).filter((type) => type === 'failed')).toHaveLength(1);
    });

    test('close ends the hosts and gives the TCP ports and the device back', async () => {
      const { line, server } = await served();
      const { all } = await host(server);
      const tcpPorts = portsOf(server);
      await server.close();
      await server.close();
      for (const peer of all) await peer.end();
      if (one.hostsWait === undefined) await expect(one.host(tcpPorts)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      const clock = new SystemClock();
      const uart = new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
      const again = one.serve({ clock, uart, address: '127.0.0.1', tcpPorts, busyHoldMs: 0, event: () => {} });
      ends.push(() => again.close());
      await again.open();
      if (one.hostsWait === undefined) expect(again.tcpPorts).toEqual(tcpPorts);
    });

    /** Of modes that hand their hosts over; of others there is nothing to try. */
    const keeps = (name: string, body: () => Promise<void>) => {
      if (one.cannotBeKept !== true) test(name, body);
    };

    /** As another process takes it. */
    function kept({ state, ...descriptors }: ServerHandover): KeptServer {
      return { ...descriptors, state: parseWithBytes(stringifyWithBytes(state)) as ServerHandover['state'] };
    }

    function nextServer(line: SerialLine, before: PortServer, clock: Clock = new SystemClock()) {
      const uart = new SerialPortUart({ device: line.path, clock, lockDirectory: '/nowhere' });
      const events: PortEvent[] = [];
      const event = (what: PortEvent) => events.push(what);
      const parts = { clock, uart, address: '127.0.0.1', tcpPorts: portsOf(before), busyHoldMs: 0, event };
      const server = one.serve(parts);
      if (one.hostsWait !== undefined) waitingHosts.set(server, portsOf(before));
      ends.push(() => server.close());
      return { server, events };
    }

    async function handedOver(line: SerialLine, from: PortServer) {
      const handover = await from.handOver(1000);
      if (handover === undefined) throw new Error('it could not be kept');
      const { server, events } = nextServer(line, from);
      await server.open(kept(handover));
      return { server, events };
    }

    keeps(
      'handed over again and again in the middle of traffic: no byte is lost, doubled or changed, either way',
      async () => {
        const { line, server } = await served();
        const { data, all } = await host(server);
        await until(() => server.clients.length === 1);
        const much = counted(300_000);
        const onWire = Buffer.from(one.onWire?.(much) ?? much);
        data.send(onWire);
        line.send(much);
        let now = server;
        for (let round = 0; round < 8; round++) {
          await until(() => line.received.length >= (round * much.length) / 10);
          // A part of what is on its way is then in the queues of this process.
          line.deaf = round % 2 === 0;
          for (let turn = 0; turn < round * 3; turn++) await new Promise((resolve) => setImmediate(resolve));
          ({ server: now } = await handedOver(line, now));
          expect(now.clients).toHaveLength(1);
          line.deaf = false;
        }
        await until(() => line.received.length >= much.length);
        expect(line.received.equals(much)).toBe(true);
        await data.until(() => data.received.length >= onWire.length);
        expect(data.received.equals(onWire)).toBe(true);
        expect(now.clients).toMatchObject([{ received: much.length, sent: much.length }]);
        expect(all.map(({ ended }) => ended)).toEqual(all.map(() => false));
      },
    );

    const keepsAndListens = one.hostsWait === undefined ? keeps : () => {};

    keepsAndListens('handed over with nobody connected, and who connects meanwhile waits', async () => {
      const { line, server } = await served();
      const handover = await server.handOver(1000);
      if (handover === undefined) throw new Error('it could not be kept');
      const early = one.host(server.tcpPorts);
      const { server: next } = nextServer(line, server);
      await next.open(kept(handover));
      const { data, all } = await early;
      for (const peer of all) ends.push(() => peer.close());
      await until(() => next.clients.length === 1);
      line.send('hello');
      expect((await data.take(5)).toString()).toBe('hello');
    });

    keeps('handed over, and the host went meanwhile, or the device: told as ever, and nothing is left', async () => {
      const { line, server } = await served();
      const { data, all } = await host(server);
      await until(() => server.clients.length === 1);
      const first = await server.handOver(1000);
      if (first === undefined) throw new Error('it could not be kept');
      for (const peer of all) await peer.close('reset');
      const { server: second } = nextServer(line, server);
      await second.open(kept(first));
      await until(() => second.clients.length === 0);
      data.forget();
      const again = await host(second);
      await until(() => second.clients.length === 1);
      const last = await second.handOver(1000);
      if (last === undefined) throw new Error('it could not be kept');
      line.unplug();
      const { server: third } = nextServer(line, second);
      await expect(third.open(kept(last))).rejects.toMatchObject({ code: 'TTY_GONE' });
      for (const peer of again.all) await peer.end();
    });

    keeps('of a process that was killed: the device and what listens are there, and no host', async () => {
      const { line, server } = await served();
      const handover = await server.handOver(1000);
      if (handover === undefined) throw new Error('it could not be kept');
      const { server: next } = nextServer(line, server);
      await next.open({ ...handover, state: undefined });
      const { data } = await host(next);
      data.send(Buffer.from('well'));
      await until(() => line.received.toString() === 'well');
    });

    const isClosed = (name: string, body: () => Promise<void>) => {
      if (one.cannotBeKept === true) test(name, body);
    };
    isClosed('handed over it is closed, and gives its TCP port and the device back', async () => {
      const { line, server } = await served();
      const { all } = await host(server);
      expect(await server.handOver(1000)).toBeUndefined();
      for (const peer of all) await peer.end();
      const { server: next } = nextServer(line, server);
      await next.open();
      expect(next.tcpPorts).toEqual(server.tcpPorts);
    });

    test('a port that cannot be kept is closed by it, and its host is told the end', async () => {
      const uart = new LoopbackUart({ clock: new SystemClock() });
      const { server } = await served({ uart });
      const { all } = await host(server);
      expect(await server.handOver(1000)).toBeUndefined();
      for (const peer of all) await peer.end();
      if (one.hostsWait === undefined)
        await expect(one.host(server.tcpPorts)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    });

    listens('a TCP port that somebody has is refused, and the device is free again', async () => {
      const { server } = await served();
      const other = new SerialLine();
      ends.push(() => other.unplug());
      const clock = new SystemClock();
      const open = (tcpPorts: readonly number[]) => {
        const uart = new SerialPortUart({ device: other.path, clock, lockDirectory: '/nowhere' });
        const second = one.serve({ clock, uart, address: '127.0.0.1', tcpPorts, busyHoldMs: 0, event: () => {} });
        ends.push(() => second.close());
        return second.open();
      };
      await expect(open(server.tcpPorts)).rejects.toMatchObject({ name: 'Fault', code: 'SYSTEM' });
      await open([0, 0]);
    });
  });
}
