// Our RFC 2217 server and peers that say anything: floods, garbage, mirrors, connections by the thousand. Asserted on what
// leaves the line, what the next client gets, and what stays in memory.
import { describe, expect, test } from 'vitest';
import { escapeData } from '../../src/protocol/telnet/encoder.js';
import { heapUsed, memoryHeld } from '../support/heap.js';
import { hex, type RawPeer } from '../support/raw-peer.js';
import { com } from '../support/rfc2217-raw-client.js';
import { openAndDrop } from '../support/rfc2217-served.js';
import { rfc2217ServedTests } from '../support/rfc2217-served-tests.js';
import { unreadBytes } from '../support/tcp-queue.js';

const { until, served, dial, client } = rfc2217ServedTests();

describe('peers that say anything', () => {
  test('a peer that sends back all it gets is no loop', async () => {
    const port = await served();
    const peer = await dial(port);
    peer.socket.pipe(peer.socket);
    await peer.until(() => peer.received.toString('hex').includes('fffa2c6b'));
    let last = -1;
    for (let same = 0; same < 20; ) {
      await new Promise((resolve) => setTimeout(resolve, 2));
      same = peer.received.length === last ? same + 1 : 0;
      last = peer.received.length;
    }
    expect(last).toBeLessThan(60);
    expect(port.wire.bytes).toHaveLength(0);
  });

  test('each option is refused as often as it is offered, and what is on is not said again', async () => {
    const { peer } = await client(await served());
    const all = Array.from({ length: 256 }, (_, option) => [255, 253, option]).flat();
    peer.send(Uint8Array.from([...all, ...all]));
    const answers = (await peer.take(3 * (252 * 2 + 1))).toString('hex').match(/.{6}/g) ?? [];
    expect(answers.filter((answer) => answer.startsWith('fffc'))).toHaveLength(504);
    expect(answers.filter((answer) => !answer.startsWith('fffc'))).toEqual(['fffb2c']);
  });

  /** Writes until the server reads no more of it, though there is something to read; returns how much was taken of it. */
  async function flood(port: number, peer: RawPeer, atMost: number): Promise<number> {
    const piece = Buffer.alloc(48 * 1024, Buffer.from([255, 253, 99]));
    let gone = 0;
    const next = () => {
      gone += piece.length;
      if (gone < atMost) peer.socket.write(piece, next);
    };
    peer.socket.write(piece, next);
    let last = [0, 0];
    for (let same = 0; same < 50; ) {
      await new Promise((resolve) => setTimeout(resolve, 10));
      const now = [gone, unreadBytes(peer.socket.localPort ?? 0, port)];
      same = now[1] !== 0 && now.every((count, i) => count === last[i]) ? same + 1 : 0;
      last = now;
    }
    return gone;
  }

  test('a flood of offers whose answers nobody reads is not read either, and grows nothing', async () => {
    const port = await served();
    const { peer } = await client(port);
    peer.socket.pause();
    const before = memoryHeld();
    // The kernel's buffers both ways, and no more, have been taken of it.
    expect(await flood(port.port, peer, 64_000_000)).toBeLessThan(32_000_000);
    // A collection leaves some of it to the next one.
    await until(() => memoryHeld() - before < 4 * 1024 * 1024);
    await peer.close('reset');
    const next = await client(port);
    await next.ask('02 00', '66 08');
  });

  test('who reads nothing is told of the line when it reads again: how it is then', async () => {
    const port = await served();
    const { peer, ask } = await client(port);
    await ask('0a 1e', '6e 1e');
    peer.socket.pause();
    expect(await flood(port.port, peer, 64_000_000)).toBeLessThan(32_000_000);
    const lines = { cts: false, dsr: true, dcd: true, ri: false };
    // 560 KB if each were told. What its TCP holds for the client shrinks now and then, as the kernel gives it room.
    for (let i = 0; i < 20_000; i++) {
      port.uart.forceLines({ ...lines, cts: i % 2 === 0, dcd: false });
      port.uart.injectErrors(i % 2 === 0 ? { parity: true } : { framing: true });
    }
    port.uart.forceLines(lines);
    await until(() => port.uart.modemLines.dcd);
    peer.socket.removeAllListeners('data');
    let told = '';
    peer.socket.on('data', (bytes) => {
      told = (told + bytes.toString('hex')).replace(/(fffc63)+/g, '');
    });
    peer.socket.resume();
    const last = (code: string) =>
      told
        .match(new RegExp(`fffa2c${code}..fff0`, 'g'))
        ?.at(-1)
        ?.slice(8, 10);
    // DSR and DCD are there, CTS is not, and both errors were.
    await until(() => last('6b')?.startsWith('a') === true && last('6a') === '0c');
    expect(told.length / 2).toBeLessThan(2 * 64 * 1024);
  });

  test('more changes in one moment than are told at once: how it is then is told at the end', async () => {
    const port = await served();
    const { peer, ask } = await client(port);
    await ask('0a 1e', '6e 1e');
    const lines = { cts: true, dsr: true, dcd: true, ri: false };
    for (let i = 0; i < 20_000; i++) port.uart.forceLines({ ...lines, cts: i % 2 === 0 });
    port.uart.forceLines({ ...lines, cts: false, dcd: false });
    const last = () => /fffa2c6b(..)fff0$/.exec(peer.received.subarray(-7).toString('hex'))?.[1];
    await until(() => last()?.startsWith('2') === true);
    expect(peer.received.length).toBeLessThan(2 * 64 * 1024);
  });

  test('data go through within a flood, and garbage is counted and told once', async () => {
    const port = await served();
    const { peer, ask } = await client(port);
    const junk = hex(`fffafff0${com('63 01')}${com('01 02')}fffa18${'00'.repeat(600)}fff0fff6fff1`);
    for (let i = 0; i < 500; i++) peer.send(Buffer.concat([junk, escapeData(Uint8Array.of(i & 0xff))]));
    await port.wire.until(() => port.wire.bytes.length === 500);
    expect([...port.wire.bytes]).toEqual(Array.from({ length: 500 }, (_, i) => i & 0xff));
    expect(port.count('malformed')).toBe(2000);
    expect(port.notes).toHaveLength(1);
    await peer.take(2 * 500); // each AYT
    await ask('02 00', '66 08');
  });

  test('any bytes at all: the server lives, and so does the next client', async () => {
    const port = await served();
    let seed = 1;
    const random = () => {
      seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
      return seed >>> 16;
    };
    for (let round = 0; round < 60; round++) {
      const peer = await dial(port);
      const bytes = Array.from({ length: 3000 }, () => {
        const byte = random() & 0xff;
        return byte < 100 ? 255 : byte < 130 ? 44 : byte < 150 ? 250 : byte < 170 ? 240 : random() % 20;
      });
      // Neither a stopped line nor a break is anything to wait for here.
      peer.send(Uint8Array.from(bytes));
      await peer.close(round % 2 === 0 ? 'end' : 'reset');
      await until(() => port.server.clients.length === 0);
    }
    const { ask } = await client(port);
    await ask('01 00 00 25 80', '65 00 00 25 80');
  });

  test('ten thousand connections that are dropped at once cost nothing that stays', async () => {
    const port = await served({ busyHoldMs: 0 });
    await openAndDrop(port, 1000);
    const before = heapUsed();
    expect(await openAndDrop(port, 10_000)).toBeGreaterThan(2000);
    expect(heapUsed() - before).toBeLessThan(1024 * 1024);
    const { ask } = await client(port);
    await ask('02 00', '66 08');
  }, 120_000);
});
