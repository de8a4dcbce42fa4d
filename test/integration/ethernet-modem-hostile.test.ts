// What a modem's terminal, and those who call it, can do to it: bounded, in order, and it goes on.
import { describe, expect, test } from 'vitest';
import type { EthernetModemOptions } from '../../src/serve/ethernet-modem-options.js';
import { endsOfTests, sleep, holds as until } from '../support/leftovers.js';
import { calledPeer, modemRig, OK } from '../support/modem-rig.js';
import { RawPeer } from '../support/raw-peer.js';

const ends = endsOfTests();
const rig = (options: Partial<EthernetModemOptions> = {}) => modemRig(ends, options);
const called = (address?: string) => calledPeer(ends, address);

describe('what hostile ones do', () => {
  test('garbage without end, and lines that answer much: bounded, in order, and it goes on', async () => {
    const { line, server, sees } = await rig();
    line.deaf = true;
    line.send('x'.repeat(100_000));
    const many = 3000;
    line.send('\rATE0\r');
    line.send('AT&V\r'.repeat(many));
    await sleep(300);
    // It stands: not all was taken.
    line.deaf = false;
    await until(() => line.received.toString('latin1').split('OK\r\n').length - 1 >= many + 1);
    expect(line.received.toString('latin1').split('S24:').length - 1).toBe(many);
    expect(server.clients).toEqual([]);
    await sees('E0');
    line.send('ATQ0V0\r');
    await until(() => line.received.toString('latin1').endsWith('\r\n0\r'));
  }, 30_000);

  test('callers without end while the line stands: no more is kept for it than fits, and they are told that it is busy', async () => {
    const { line, server, asks, events, port } = await rig();
    await asks('ATE0S0=1', OK);
    line.deaf = true;
    const before = line.received.length;
    const rounds = 3000;
    for (let i = 0; i < rounds; i++) {
      const peer = await RawPeer.connect(port);
      await peer.close('reset');
    }
    await until(() => server.clients.length === 0);
    expect(events.some(({ type }) => type === 'busy')).toBe(true);
    line.deaf = false;
    const said = () => line.received.subarray(before).toString('latin1');
    for (let last = -1; last !== said().length; await sleep(200)) last = said().length;
    const connects = said().split('CONNECT').length - 1;
    expect(said()).toBe(`\r\nCONNECT ${line.settings.baudRate}\r\n\r\nNO CARRIER\r\n`.repeat(connects));
    // What the line's own queues hold, and one call.
    expect(connects).toBeLessThan(rounds - 100);
    // And it goes on.
    const peer = await RawPeer.connect(port);
    ends.push(() => peer.close());
    line.send('hello');
    expect((await peer.take(5)).toString()).toBe('hello');
  });

  test('a peer that sends while the terminal has commands is held up, and nothing is lost', async () => {
    const far = await called();
    const { line, sees, asks } = await rig();
    await asks(`ATE0S12=2D127.0.0.1:${far.port}`, 'CONNECT');
    await sees('\r\n');
    await sleep(60);
    line.send('+++');
    await sees(OK);
    const much = Buffer.alloc(8_000_000, 'abcdefg');
    const [socket] = far.sockets;
    socket?.write(much);
    await sleep(200);
    expect(socket?.writableLength).toBeGreaterThan(0);
    line.send('ATO\r');
    await sees('\r\n');
    await sees('\r\n');
    const start = line.received.indexOf('abcdefg');
    await until(() => line.received.length >= 8_000_000);
    expect(start).toBeGreaterThan(0);
    socket?.end();
    await sees('NO CARRIER');
    expect(line.received.includes(much)).toBe(true);
  }, 30_000);
});
