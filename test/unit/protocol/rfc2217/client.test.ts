// The client's machine: against answers written down from RFC 2217, against our server's machine, and against peers that
// refuse, are silent or hold back.
import { describe, expect, test } from 'vitest';
import { ClientEngine } from '../../../../src/protocol/rfc2217/client.js';
import { DEFAULT_SETTINGS, type FlowControl, type LineRequest } from '../../../../src/serial/line.js';
import { hex } from '../telnet/support.js';
import { com, PEER, told, Wire, written } from './support.js';

const UP = { dtr: true, rts: true };
const SETTINGS: LineRequest = { type: 'settings', settings: { ...DEFAULT_SETTINGS, baudRate: 19200 }, lines: UP };
const BARRIER = com('01 00 00 00 00');
const BARRIER_ANSWER = com('65 00 00 25 80');

/** Agreed and ready, with everything told until then thrown away. */
function ready(options = {}): ClientEngine {
  const engine = new ClientEngine({ peer: PEER, ...options });
  engine.start();
  const outputs = engine.receive(hex(`ff fd 00 ff fb 00 ff fd 2c ${com('6e 1e')} ${BARRIER_ANSWER}`));
  expect(told(outputs)).toEqual([{ type: 'ready' }]);
  return engine;
}

describe('rfc2217 client', () => {
  test('begins with BINARY, SGA and COM-PORT, then masks, a poll of the modem, and a query', () => {
    const engine = new ClientEngine({ peer: PEER });
    const first = engine.start();
    expect(written(first)).toBe('ff fb 00 ff fb 03 ff fb 2c ff fd 00 ff fd 03 ff fd 2c');
    expect(first.at(-1)).toEqual({ type: 'timer', afterMs: 5000 });
    expect(engine.answered).toBe(false);
    const agreed = engine.receive(hex('ff fd 2c'));
    expect(written(agreed)).toBe([com('0a 1e'), com('0b ff ff'), com('07'), BARRIER].join(' '));
    expect(engine.answered).toBe(true);
    const answers = engine.receive(hex(`${com('6e 1e')} ${com('6f ff ff')} ${com('6b 30')} ${BARRIER_ANSWER}`));
    expect(told(answers).at(-1)).toEqual({ type: 'ready' });
    // Not a report: nobody listens before it is ready.
    expect(told(answers).filter((o) => 'report' in o)).toEqual([]);
    expect(engine.modemLines).toEqual({ cts: true, dsr: true, dcd: false, ri: false });
  });

  test('a server that says WILL COM-PORT instead of DO is as good', () => {
    const engine = new ClientEngine({ peer: PEER });
    engine.start();
    expect(written(engine.receive(hex('ff fe 2c')))).toBe('');
    expect(written(engine.receive(hex('ff fb 2c')))).toContain(BARRIER);
  });

  test('without binary transmission: said, and gone on', () => {
    const engine = new ClientEngine({ peer: PEER });
    engine.start();
    const outputs = engine.receive(hex(`ff fe 00 ff fc 00 ff fd 2c ${BARRIER_ANSWER}`));
    expect(told(outputs)).toMatchObject([{ type: 'log', level: 'warn' }, { type: 'ready' }]);
  });

  test('a server that refuses COM-PORT both ways is none', () => {
    const engine = new ClientEngine({ peer: PEER });
    engine.start();
    expect(told(engine.receive(hex('ff fe 2c')))).toEqual([]);
    expect(told(engine.receive(hex('ff fc 2c')))).toMatchObject([
      {
        type: 'close',
        fault: { code: 'PEER_PROTOCOL', message: `${PEER}: no RFC 2217 server: it refuses the COM-PORT option` },
      },
    ]);
  });

  test('silence: before the negotiation, and before the first answer', () => {
    const mute = new ClientEngine({ peer: PEER, negotiationTimeoutMs: 70 });
    expect(mute.start().at(-1)).toEqual({ type: 'timer', afterMs: 70 });
    expect(told(mute.timeout())).toMatchObject([{ type: 'close', fault: { code: 'PEER_MUTE' } }]);
    const half = new ClientEngine({ peer: PEER });
    half.start();
    half.receive(hex('ff fd 2c'));
    expect(told(half.timeout())).toMatchObject([{ type: 'close', fault: { code: 'PEER_MUTE' } }]);
  });

  test('settings on the wire: one write, and settled by the query behind it', () => {
    const engine = ready();
    const outputs = engine.request(7, SETTINGS);
    expect(outputs.filter(({ type }) => type === 'write')).toHaveLength(1);
    expect(written(outputs)).toBe(
      [
        com('01 00 00 4b 00'),
        com('02 08'),
        com('03 01'),
        com('04 01'),
        com('05 01'),
        com('05 08'),
        com('05 0b'),
        com('07'),
        BARRIER,
      ].join(' '),
    );
    expect(outputs.at(-1)).toEqual({ type: 'timer', afterMs: 3000 });
    const all = [
      com('65 00 00 4b 00'),
      com('66 08'),
      com('67 01'),
      com('68 01'),
      com('69 01'),
      com('69 08'),
      com('69 0b'),
    ];
    expect(told(engine.receive(hex(all.join(' '))))).toEqual([]);
    const answered = engine.receive(hex(com('65 00 00 4b 00')));
    expect(told(answered)).toEqual([{ type: 'settled', id: 7, answered: true }]);
    expect(answered.at(-1)).toEqual({ type: 'timer', afterMs: undefined });
  });

  test('another kind of flow control: the one before is turned off first', () => {
    const flow = DEFAULT_SETTINGS.flowControl;
    const ask = (engine: ClientEngine, flowControl: FlowControl) =>
      written(engine.request(1, { type: 'settings', settings: { ...DEFAULT_SETTINGS, flowControl }, lines: UP }))
        .split(' ff fa 2c ')
        .filter((message) => /^(ff fa 2c )?05 (0[0-3]|0[d-f])/.test(message))
        .map((message) => message.replace('ff fa 2c ', '').slice(3, 5));
    const engine = ready();
    // What the server has at first is not known.
    expect(ask(engine, { ...flow, rtsCts: true })).toEqual(['01', '03']);
    expect(ask(engine, { ...flow, rtsCts: true })).toEqual(['03']);
    expect(ask(engine, { ...flow, xonXoffIn: true, xonXoffOut: true })).toEqual(['01', '02']);
    expect(ask(engine, { ...flow, xonXoffOut: true })).toEqual(['01', '02', '0e']);
    expect(ask(engine, flow)).toEqual(['01']);
    expect(ask(engine, { ...flow, xonXoffIn: true })).toEqual(['01', '0f']);
  });

  test('other requests on the wire', () => {
    const rows: [LineRequest, string][] = [
      [{ type: 'lines', lines: { dtr: false, rts: true } }, `${com('05 09')} ${com('05 0b')}`],
      [{ type: 'break', on: true }, com('05 05')],
      [{ type: 'break', on: false }, com('05 06')],
      [{ type: 'flush', queue: 'rx' }, com('0c 01')],
      [{ type: 'flush', queue: 'tx' }, com('0c 02')],
      [{ type: 'flush', queue: 'both' }, com('0c 03')],
    ];
    for (const [request, wire] of rows) expect(written(ready().request(1, request))).toBe(`${wire} ${BARRIER}`);
    for (const request of [
      { type: 'fifo', bytes: 16 },
      { type: 'transmitter', on: false },
    ] as const) {
      expect(told(ready().request(1, request))).toMatchObject([
        { type: 'failed', id: 1, fault: { code: 'NOT_SUPPORTED' } },
      ]);
    }
  });

  test('a server that does not answer a purge, but the query behind it', () => {
    const engine = ready();
    engine.request(1, { type: 'flush', queue: 'both' });
    expect(told(engine.receive(hex(BARRIER_ANSWER)))).toEqual([{ type: 'settled', id: 1, answered: true }]);
    // One that it answers late after all is nobody's.
    expect(told(engine.receive(hex(com('70 03'))))).toEqual([]);
    // And those that it never answers do not pile up.
    for (let id = 2; id < 2000; id++) {
      expect(told(engine.request(id, { type: 'flush', queue: 'rx' }))).toEqual([]);
      expect(told(engine.receive(hex(BARRIER_ANSWER)))).toEqual([{ type: 'settled', id, answered: true }]);
    }
  });

  test('refused: another parity, another rate; a rate that a clock divides to is not', () => {
    const rows: [string[], boolean][] = [
      [[com('65 00 00 4b 00'), com('67 02')], true],
      [[com('65 00 00 25 80')], true],
      [[com('65 00 00 4b 32')], false],
      [[com('65 00 00 4b 00'), com('69 03')], true],
      [[com('65 00 00 4b 00'), com('69 09')], false],
    ];
    for (const [answers, refused] of rows) {
      const engine = ready();
      engine.request(3, SETTINGS);
      const outputs = told(engine.receive(hex([...answers, com('65 00 00 4b 00')].join(' '))));
      const report = {
        type: 'report',
        report: { type: 'refused', settings: SETTINGS.type === 'settings' && SETTINGS.settings },
      };
      expect(outputs).toEqual([...(refused ? [report] : []), { type: 'settled', id: 3, answered: true }]);
    }
  });

  test('a change that somebody else made is no answer of ours', () => {
    const engine = ready();
    expect(told(engine.receive(hex(com('67 02'))))).toEqual([]);
    engine.request(3, { type: 'break', on: true });
    expect(told(engine.receive(hex(`${com('67 02')} ${com('69 08')} ${com('69 05')}`)))).toEqual([]);
    expect(told(engine.receive(hex(BARRIER_ANSWER)))).toEqual([{ type: 'settled', id: 3, answered: true }]);
  });

  test('modem and line state are reported; a ring between two notifications is one', () => {
    const engine = ready();
    const lines = { cts: true, dsr: true, dcd: false, ri: false };
    const report = (given: object) => ({ type: 'report', report: { type: 'lines', lines: given } });
    expect(told(engine.receive(hex(com('6b 33'))))).toEqual([report(lines)]);
    expect(told(engine.receive(hex(com('6b 30'))))).toEqual([]);
    expect(told(engine.receive(hex(com('6b 34'))))).toEqual([report({ ...lines, ri: true }), report(lines)]);
    expect(told(engine.receive(hex(com('6a 14'))))).toEqual([
      {
        type: 'report',
        report: { type: 'errors', errors: { parity: true, framing: false, overrun: false, bufferOverrun: false } },
      },
      { type: 'report', report: { type: 'break' } },
    ]);
  });

  test('suspended and resumed by the server; asks the same of it, once', () => {
    const engine = ready();
    expect(told(engine.receive(hex(`${com('6c')} 41 ${com('6d')}`)))).toEqual([
      { type: 'suspended', on: true },
      { type: 'data', bytes: hex('41') },
      { type: 'suspended', on: false },
    ]);
    expect(written(engine.holdInput(true))).toBe(com('08'));
    expect(engine.holdInput(true)).toEqual([]);
    expect(written(engine.holdInput(false))).toBe(com('09'));
  });

  test('its signature is asked for, and told', () => {
    expect(written(ready().receive(hex(com('64'))))).toBe(com('00 74 74 79 6e 70'));
  });

  test('not answered: the connection is lost, unless data in between may hold the answer up', () => {
    const silent = ready();
    silent.request(1, { type: 'break', on: true });
    expect(silent.timeout()).toEqual([{ type: 'timer', afterMs: 7000 }]);
    expect(told(silent.timeout())).toMatchObject([
      { type: 'failed', id: 1, fault: { code: 'PEER_MUTE' } },
      { type: 'close', fault: { code: 'PEER_MUTE', message: `${PEER}: a command was not answered within 10000 ms` } },
    ]);
    const held = ready();
    held.sent(100);
    held.request(1, { type: 'break', on: true });
    held.request(2, { type: 'break', on: false });
    expect(told(held.timeout())).toMatchObject([
      { type: 'log', level: 'warn' },
      { type: 'settled', id: 1, answered: false },
      { type: 'settled', id: 2, answered: false },
    ]);
    // Said once. What is answered late settles nothing twice.
    held.request(3, { type: 'break', on: false });
    expect(told(held.timeout())).toMatchObject([{ type: 'settled', id: 3, answered: false }]);
    expect(told(held.receive(hex(`${BARRIER_ANSWER} ${BARRIER_ANSWER} ${BARRIER_ANSWER}`)))).toEqual([]);
    // And now that all data was seen to be taken, silence counts again.
    held.request(4, { type: 'break', on: false });
    held.timeout();
    expect(told(held.timeout())).toMatchObject([{ type: 'failed', id: 4 }, { type: 'close' }]);
  });

  test('a refusal that comes late is still told', () => {
    const engine = ready();
    engine.sent(1);
    engine.request(1, SETTINGS);
    engine.timeout();
    expect(told(engine.receive(hex(`${com('65 00 00 25 80')} ${BARRIER_ANSWER}`)))).toMatchObject([
      { type: 'report', report: { type: 'refused' } },
    ]);
  });

  test('commands that are never answered do not pile up', () => {
    const engine = ready();
    engine.sent(1);
    let closed = false;
    for (let id = 0; id < 2000 && !closed; id++) {
      closed = engine.request(id, { type: 'break', on: true }).some(({ type }) => type === 'close');
    }
    expect(closed).toBe(true);
  });

  test('end: what waits has failed, and nothing follows', () => {
    const engine = ready();
    engine.request(1, { type: 'break', on: true });
    const fault = { code: 'CANCELED' };
    expect(told(engine.end(fault as never))).toEqual([{ type: 'failed', id: 1, fault }]);
    expect(engine.receive(hex(BARRIER_ANSWER))).toEqual([]);
    expect(engine.timeout()).toEqual([]);
  });
});

describe('rfc2217 client and server', () => {
  for (const piece of [1, 2, 7, Number.POSITIVE_INFINITY]) {
    test(`agree, and every request is carried out in order, in pieces of ${piece}`, () => {
      const wire = new Wire({}, piece).start();
      expect(wire.take()).toEqual([{ type: 'ready' }]);
      expect(wire.serverTold).toContainEqual({ type: 'com-port' });
      wire.fromClient(wire.client.request(1, SETTINGS));
      wire.settle();
      expect(wire.take()).toEqual([
        { type: 'report', report: { type: 'lines', lines: { cts: true, dsr: false, dcd: false, ri: false } } },
        { type: 'settled', id: 1, answered: true },
      ]);
      expect(wire.server.settings).toEqual({ ...DEFAULT_SETTINGS, baudRate: 19200 });
      expect(wire.requests.at(-1)).toEqual({ type: 'lines', lines: UP });
      wire.requests.length = 0;
      const asked: LineRequest[] = [
        { type: 'break', on: true },
        { type: 'break', on: false },
        { type: 'flush', queue: 'tx' },
        { type: 'flush', queue: 'rx' },
      ];
      for (const [id, request] of asked.entries()) wire.fromClient(wire.client.request(id, request));
      wire.settle();
      expect(wire.requests).toEqual(asked);
      expect(wire.take()).toEqual([0, 1, 2, 3].map((id) => ({ type: 'settled', id, answered: true })));
    });
  }

  test('a refusal reaches the client, and what was in force stays', () => {
    const wire = new Wire().start();
    wire.take();
    wire.refuses = ({ parity }) => parity === 'mark';
    const settings = { ...DEFAULT_SETTINGS, parity: 'mark' } as const;
    wire.fromClient(wire.client.request(1, { type: 'settings', settings, lines: UP }));
    wire.settle();
    expect(wire.take()).toContainEqual({ type: 'report', report: { type: 'refused', settings } });
    expect(wire.server.settings.parity).toBe('none');
  });

  test('data do not overtake commands: a server that is busy keeps what came behind', () => {
    const wire = new Wire().start();
    const outputs = wire.server.receive(hex(`41 ${com('05 05')} 42 ${com('05 06')} 43`));
    expect(outputs).toEqual([
      { type: 'data', bytes: hex('41') },
      { type: 'request', request: { type: 'break', on: true } },
    ]);
    expect(wire.server.busy).toBe(true);
    const next = wire.server.applied(false);
    expect(written(next)).toBe(com('69 05'));
    expect(next.slice(1)).toEqual([
      { type: 'data', bytes: hex('42') },
      { type: 'request', request: { type: 'break', on: false } },
    ]);
    expect(wire.server.applied(false).at(-1)).toEqual({ type: 'data', bytes: hex('43') });
    expect(wire.server.applied(false)).toEqual([]);
  });
});
