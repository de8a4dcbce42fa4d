// A server engine that goes on where another was: two are as one, wherever the bytes and the work are cut between them.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseWithBytes, stringifyWithBytes } from '../../../../src/base/bytes-json.js';
import { type ConversationState, ServerEngine, type ServerOutput } from '../../../../src/protocol/rfc2217/server.js';
import { DEFAULT_SETTINGS, type LineReport, NO_MODEM_LINES } from '../../../../src/serial/line.js';
import { toHex } from '../telnet/support.js';

const OPTIONS = {
  signature: 'test',
  settings: DEFAULT_SETTINGS,
  lines: { dtr: true, rts: true },
  modemLines: { ...NO_MODEM_LINES, cts: true },
};

function next(engine: ServerEngine): ServerEngine {
  const goesOn = parseWithBytes(stringifyWithBytes(engine.state)) as ConversationState;
  return new ServerEngine({ ...OPTIONS, signature: 'test', goesOn });
}

const text = (o: ServerOutput) => ('bytes' in o ? `${o.type} ${toHex(o.bytes)}` : JSON.stringify(o));

type Move = Uint8Array | LineReport;

/** What is said, data joined: where a chunk is cut is nobody's matter. */
function run(moves: readonly Move[], between: (engine: ServerEngine) => ServerEngine): string[] {
  let engine = new ServerEngine(OPTIONS);
  const said = engine.start().map(text);
  for (const move of moves) {
    let outputs = 'type' in move ? engine.report(move) : engine.receive(move);
    engine = between(engine);
    while (outputs.length > 0) {
      said.push(...outputs.map(text));
      if (outputs.at(-1)?.type !== 'request') break;
      outputs = engine.applied(false);
      engine = between(engine);
    }
  }
  return said;
}

const command = fc
  .tuple(fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12), fc.uint8Array({ maxLength: 5 }))
  .map(([code, body]) => Uint8Array.of(255, 250, 44, code, ...body, 255, 240));
const negotiation = fc
  .tuple(fc.integer({ min: 251, max: 254 }), fc.constantFrom(0, 1, 3, 44, 99))
  .map(([verb, option]) => Uint8Array.of(255, verb, option));
const report = fc.constantFrom<LineReport>(
  { type: 'lines', lines: { cts: false, dsr: true, dcd: true, ri: false } },
  { type: 'lines', lines: { cts: true, dsr: false, dcd: true, ri: true } },
  { type: 'errors', errors: { parity: true, framing: false, overrun: false, bufferOverrun: false } },
  { type: 'break' },
);

test('whatever a client sends, however it is cut', () => {
  const move = fc.oneof(fc.uint8Array({ maxLength: 20 }), command, negotiation, report);
  fc.assert(
    fc.property(fc.array(move, { maxLength: 25 }), (moves) => {
      expect(run(moves, next)).toEqual(run(moves, (engine) => engine));
    }),
    { numRuns: 300 },
  );
});

test('cut at every byte of an exchange', () => {
  const all = Uint8Array.from(
    Buffer.from(
      'fffb2cfffd2cfffa2c0100004b00fff061fffffffa2c0502fff0fffa2c0aff00fff062'.replace('0aff00', '0a00'),
      'hex',
    ),
  );
  const bytes = [...all].map((byte) => Uint8Array.of(byte));
  expect(run(bytes, next)).toEqual(run(bytes, (engine) => engine));
});
