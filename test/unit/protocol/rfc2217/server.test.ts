// The server's machine: queries, masks and suspension, by bytes written down from RFC 2217; and both machines against peers
// that say anything.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ClientEngine } from '../../../../src/protocol/rfc2217/client.js';
import { DEFAULT_SETTINGS, type LineRequest } from '../../../../src/serial/line.js';
import { hex } from '../telnet/support.js';
import { com, PEER, Wire, written } from './support.js';

const SETTINGS: LineRequest = { type: 'settings', settings: DEFAULT_SETTINGS, lines: { dtr: true, rts: true } };

describe('rfc2217 server', () => {
  const wire = () => new Wire().start();

  test('queries are answered by what is in force, and ask nothing of the port', () => {
    const { server, requests } = wire();
    const rows: [string, string][] = [
      ['01 00 00 00 00', '65 00 00 25 80'],
      ['02 00', '66 08'],
      ['03 00', '67 01'],
      ['04 00', '68 01'],
      ['05 00', '69 01'],
      ['05 04', '69 06'],
      ['05 07', '69 09'],
      ['05 0a', '69 0c'],
      ['05 0d', '69 0e'],
      ['00', '64 74 65 73 74'],
      ['07', '6b 10'],
      ['06', '6a 00'],
      // Values that there are not.
      ['02 09', '66 08'],
      ['03 09', '67 01'],
      ['05 63', '69 63'],
      ['0c 09', '70 09'],
    ];
    for (const [asked, answer] of rows) expect(written(server.receive(hex(com(asked))))).toBe(com(answer));
    expect(requests).toEqual([]);
  });

  test('masks: of the line nothing at first, of the modem changes', () => {
    const engine = new Wire().server;
    const errors = { parity: true, framing: true, overrun: false, bufferOverrun: false };
    const lines = { cts: false, dsr: false, dcd: false, ri: false };
    // Before COM-PORT is agreed upon, such bytes would be data to the peer.
    expect(engine.report({ type: 'lines', lines })).toEqual([]);
    expect(written(engine.receive(hex('ff fb 2c')))).toBe(`ff fd 2c ${com('6b 00')}`);
    expect(engine.report({ type: 'errors', errors })).toEqual([]);
    expect(written(engine.receive(hex(com('0a 04'))))).toBe(com('6e 04'));
    expect(written(engine.report({ type: 'errors', errors }))).toBe(com('6a 04'));
    expect(engine.report({ type: 'break' })).toEqual([]);
    expect(written(engine.report({ type: 'lines', lines: { ...lines, cts: true } }))).toBe(com('6b 11'));
    expect(engine.report({ type: 'lines', lines: { ...lines, cts: true } })).toEqual([]);
    expect(written(engine.report({ type: 'lines', lines: { ...lines, cts: true, ri: true } }))).toBe(com('6b 50'));
    expect(written(engine.report({ type: 'lines', lines: { ...lines, cts: true } }))).toBe(com('6b 14'));
    engine.receive(hex(com('0b 80')));
    expect(engine.report({ type: 'lines', lines })).toEqual([]);
  });

  test('from 5 data bits and 1.5 stop bits to 8, as a UART does: 8 bits and 2', () => {
    const { server } = wire();
    const set = (command: string) => {
      server.receive(hex(com(command)));
      return written(server.applied(false));
    };
    expect([set('02 05'), set('04 03'), set('02 08')]).toEqual([com('66 05'), com('68 03'), com('66 08')]);
    expect(written(server.receive(hex(com('04 00'))))).toBe(com('68 02'));
  });

  test('what is none of the protocol is told, and disturbs nothing', () => {
    const { server } = wire();
    const strange = (bytes: string) => server.receive(hex(bytes)).filter(({ type }) => type === 'malformed').length;
    // Nothing in it; no such command; the answer of a server; a rate of three bytes; an option that was never agreed upon.
    expect(strange('ff fa ff f0')).toBe(1);
    expect(strange(com('0d 01'))).toBe(1);
    expect(strange(com('65 00 00 25 80'))).toBe(1);
    expect(strange(com('01 00 25 80'))).toBe(1);
    expect(strange('ff fa 18 00 76 74 ff f0')).toBe(1);
    expect(written(server.receive(hex(com('01 00 00 00 00'))))).toBe(com('65 00 00 25 80'));
  });

  test('suspend and resume, both ways', () => {
    const { server } = wire();
    expect(server.receive(hex(`${com('08')} ${com('09')}`))).toEqual([
      { type: 'suspended', on: true },
      { type: 'suspended', on: false },
    ]);
    expect(written(server.holdInput(true))).toBe(com('6c'));
    expect(written(server.holdInput(false))).toBe(com('6d'));
    expect(new Wire().server.holdInput(true)).toEqual([]);
  });
});

describe('rfc2217, anything at all', () => {
  const telnetish = fc.oneof(
    { weight: 3, arbitrary: fc.uint8Array({ maxLength: 20 }) },
    { weight: 3, arbitrary: fc.uint8Array({ maxLength: 8 }).map((b) => Uint8Array.of(255, 250, 44, ...b, 255, 240)) },
    {
      weight: 2,
      arbitrary: fc
        .tuple(fc.integer({ min: 251, max: 254 }), fc.constantFrom(0, 1, 3, 44, 99))
        .map(([v, o]) => Uint8Array.of(255, v, o)),
    },
    {
      weight: 1,
      arbitrary: fc
        .integer({ min: 100, max: 115 })
        .chain((c) => fc.uint8Array({ maxLength: 5 }).map((b) => Uint8Array.of(255, 250, 44, c, ...b, 255, 240))),
    },
  );

  test('a client asked anything and told anything settles each request once at most, and writes no more than it should', () => {
    const request: fc.Arbitrary<LineRequest> = fc.constantFrom<LineRequest[]>(
      SETTINGS,
      { type: 'break', on: true },
      { type: 'flush', queue: 'rx' },
    );
    const move = fc.oneof(telnetish, request, fc.constantFrom('timeout' as const, 'sent' as const));
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
        const engine = new ClientEngine({ peer: PEER });
        engine.start();
        engine.receive(hex('ff fd 2c'));
        const settled: number[] = [];
        for (const [id, next] of moves.entries()) {
          let outputs: ReturnType<ClientEngine['receive']>;
          if (next === 'timeout') outputs = engine.timeout();
          else if (next === 'sent') {
            engine.sent(1);
            outputs = [];
          } else if (next instanceof Uint8Array) {
            outputs = engine.receive(next);
            const answer = outputs.reduce((sum, o) => sum + (o.type === 'write' ? o.bytes.length : 0), 0);
            expect(answer).toBeLessThanOrEqual(2 * next.length + 11);
          } else outputs = engine.request(id, next);
          for (const output of outputs)
            if (output.type === 'settled' || output.type === 'failed') settled.push(output.id);
        }
        expect(new Set(settled).size).toBe(settled.length);
      }),
      { numRuns: 2000 },
    );
  });

  test('a server fed anything answers no more than it should and is never stuck', () => {
    fc.assert(
      fc.property(fc.array(telnetish, { maxLength: 40 }), (chunks) => {
        const wire = new Wire();
        let answered = 0;
        let fed = 0;
        const count = (outputs: readonly { type: string; bytes?: Uint8Array }[]) => {
          for (const o of outputs) if (o.type === 'write') answered += o.bytes?.length ?? 0;
        };
        for (const chunk of chunks) {
          fed += chunk.length;
          count(wire.server.receive(chunk));
          while (wire.server.busy) count(wire.server.applied(false));
        }
        expect(answered).toBeLessThanOrEqual(3 * fed + 20);
      }),
      { numRuns: 2000 },
    );
  });
});
