// Each message of RFC 2217 against bytes written down from its section 3, in both roles, and against anything.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { describeComPort } from '../../../../src/protocol/rfc2217/describe.js';
import {
  type ComPortMessage,
  decodeComPort,
  encodeComPort,
  type Sender,
} from '../../../../src/protocol/rfc2217/messages.js';
import {
  flowControls,
  flowOf,
  lineReports,
  lineStateOf,
  modemLinesOf,
  modemStateOf,
  settingsCommands,
  withCommand,
} from '../../../../src/protocol/rfc2217/settings.js';
import { TelnetDecoder } from '../../../../src/protocol/telnet/decoder.js';
import { DEFAULT_SETTINGS, type FlowControl, type LineSettings, NO_FLOW_CONTROL } from '../../../../src/serial/line.js';
import { hex, toHex } from '../telnet/support.js';

// [sender, the value bytes after IAC SB COM-PORT-OPTION, before IAC SE, the message, in words]
const vectors: [Sender, string, ComPortMessage, string][] = [
  ['client', '00', { name: 'SIGNATURE', text: '' }, 'SIGNATURE ?'],
  ['server', '64 61 62', { name: 'SIGNATURE', text: 'ab' }, 'SIGNATURE "ab"'],
  ['client', '01 00 00 25 80', { name: 'SET-BAUDRATE', value: 9600 }, 'SET-BAUDRATE 9600'],
  ['server', '65 00 01 c2 00', { name: 'SET-BAUDRATE', value: 115200 }, 'SET-BAUDRATE 115200'],
  ['client', '01 00 00 00 00', { name: 'SET-BAUDRATE', value: 0 }, 'SET-BAUDRATE ?'],
  ['client', '01 ff ff ff ff ff ff ff ff', { name: 'SET-BAUDRATE', value: 0xffffffff }, 'SET-BAUDRATE 4294967295'],
  ['client', '02 07', { name: 'SET-DATASIZE', value: 7 }, 'SET-DATASIZE 7'],
  ['server', '66 08', { name: 'SET-DATASIZE', value: 8 }, 'SET-DATASIZE 8'],
  ['client', '03 01', { name: 'SET-PARITY', value: 1 }, 'SET-PARITY none'],
  ['client', '03 02', { name: 'SET-PARITY', value: 2 }, 'SET-PARITY odd'],
  ['client', '03 03', { name: 'SET-PARITY', value: 3 }, 'SET-PARITY even'],
  ['client', '03 04', { name: 'SET-PARITY', value: 4 }, 'SET-PARITY mark'],
  ['server', '67 05', { name: 'SET-PARITY', value: 5 }, 'SET-PARITY space'],
  ['client', '04 01', { name: 'SET-STOPSIZE', value: 1 }, 'SET-STOPSIZE 1'],
  ['client', '04 02', { name: 'SET-STOPSIZE', value: 2 }, 'SET-STOPSIZE 2'],
  ['server', '68 03', { name: 'SET-STOPSIZE', value: 3 }, 'SET-STOPSIZE 1.5'],
  ['client', '05 00', { name: 'SET-CONTROL', value: 0 }, 'SET-CONTROL ASK FLOW'],
  ['client', '05 03', { name: 'SET-CONTROL', value: 3 }, 'SET-CONTROL HARDWARE'],
  ['client', '05 05', { name: 'SET-CONTROL', value: 5 }, 'SET-CONTROL BREAK ON'],
  ['client', '05 08', { name: 'SET-CONTROL', value: 8 }, 'SET-CONTROL DTR ON'],
  ['server', '69 0c', { name: 'SET-CONTROL', value: 12 }, 'SET-CONTROL RTS OFF'],
  ['client', '05 13', { name: 'SET-CONTROL', value: 19 }, 'SET-CONTROL DSR FLOW'],
  ['server', '6a 1e', { name: 'NOTIFY-LINESTATE', value: 30 }, 'NOTIFY-LINESTATE OVERRUN PARITY FRAMING BREAK'],
  ['server', '6b b0', { name: 'NOTIFY-MODEMSTATE', value: 0xb0 }, 'NOTIFY-MODEMSTATE CTS DSR DCD'],
  ['client', '07', { name: 'NOTIFY-MODEMSTATE', value: undefined }, 'NOTIFY-MODEMSTATE ?'],
  ['client', '08', { name: 'FLOWCONTROL-SUSPEND' }, 'FLOWCONTROL-SUSPEND'],
  ['server', '6d', { name: 'FLOWCONTROL-RESUME' }, 'FLOWCONTROL-RESUME'],
  ['client', '0a 10', { name: 'SET-LINESTATE-MASK', value: 16 }, 'SET-LINESTATE-MASK BREAK'],
  [
    'client',
    '0b ff ff',
    { name: 'SET-MODEMSTATE-MASK', value: 255 },
    'SET-MODEMSTATE-MASK DELTA CTS DELTA DSR RI TRAILING DELTA DCD CTS DSR RI DCD',
  ],
  ['client', '0c 01', { name: 'PURGE-DATA', value: 1 }, 'PURGE-DATA RX'],
  ['server', '70 03', { name: 'PURGE-DATA', value: 3 }, 'PURGE-DATA BOTH'],
];

function bodyOf(wire: Uint8Array): Uint8Array {
  const [event] = new TelnetDecoder().decode(wire);
  if (event?.type !== 'subnegotiation' || event.option !== 44) throw new Error('no COM-PORT subnegotiation');
  return event.body;
}

describe('rfc2217 messages', () => {
  for (const [sender, wire, message, words] of vectors) {
    test(`${sender}: ${words}`, () => {
      const bytes = hex(`ff fa 2c ${wire} ff f0`);
      expect(toHex(encodeComPort(message, sender))).toBe(toHex(bytes));
      expect(decodeComPort(bodyOf(bytes), sender)).toEqual(message);
      expect(describeComPort(message)).toBe(words);
    });
  }

  test('of the other role, of no known code, or of another length: none', () => {
    for (const [sender, wire] of [
      ['client', '65 00 00 25 80'],
      ['server', '01 00 00 25 80'],
      ['client', '0d 01'],
      ['client', '63 01'],
      ['server', '71 01'],
      ['client', '01 25 80'],
      ['client', '01 00 00 25 80 00'],
      ['client', '02'],
      ['client', '02 08 08'],
      ['server', '6b'],
      ['client', '08 00'],
      ['client', ''],
    ] as const) {
      expect(decodeComPort(hex(wire), sender)).toBe(undefined);
    }
  });

  test('what decodes encodes to the same; anything else is none, and words are one line', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 8 }), fc.constantFrom('client', 'server'), (body, sender) => {
        const message = decodeComPort(body, sender);
        if (message === undefined) return;
        expect(toHex(bodyOf(encodeComPort(message, sender)))).toBe(toHex(body));
        expect(describeComPort(message)).not.toMatch(/[\r\n]/);
      }),
      { numRuns: 3000 },
    );
  });

  test('a signature of any length is cut', () => {
    expect(encodeComPort({ name: 'SIGNATURE', text: 'x'.repeat(10_000) }, 'server').length).toBeLessThan(300);
  });
});

const flow = (rtsCts: boolean, xonXoffOut: boolean, xonXoffIn: boolean): FlowControl => ({
  ...NO_FLOW_CONTROL,
  rtsCts,
  xonXoffOut,
  xonXoffIn,
});

describe('rfc2217 settings', () => {
  test('every setting that there is a word for comes back', () => {
    const settings = fc.record({
      baudRate: fc.integer({ min: 1, max: 4_000_000 }),
      dataBits: fc.constantFrom(5, 6, 7, 8),
      parity: fc.constantFrom('none', 'even', 'odd', 'mark', 'space'),
      stopBits: fc.constantFrom(1, 1.5, 2),
      flowControl: fc.constantFrom(
        flow(false, false, false),
        flow(true, false, false),
        flow(false, true, true),
        flow(false, true, false),
        flow(false, false, true),
      ),
    });
    fc.assert(
      fc.property(settings, settings, (asked: LineSettings, before: LineSettings) => {
        const commands = settingsCommands(asked, { dtr: true, rts: false });
        const after = commands.reduce((now, command) => withCommand(now, command) ?? now, before);
        expect(after).toEqual(asked);
      }),
    );
  });

  test('flow control, by its values', () => {
    expect(flowControls(flow(false, false, false))).toEqual([1]);
    expect(flowControls(flow(false, true, true))).toEqual([2]);
    expect(flowControls(flow(true, false, false))).toEqual([3]);
    expect(flowControls(flow(false, true, false))).toEqual([2, 14]);
    expect(flowControls(flow(false, false, true))).toEqual([1, 15]);
    // There is no word for both.
    expect(flowControls(flow(true, true, true))).toEqual([3]);
    for (const unknown of [16, 17, 18, 19]) expect(flowOf(unknown, NO_FLOW_CONTROL)).toBe(undefined);
  });

  test('values that do not exist are none', () => {
    for (const [name, value] of [
      ['SET-DATASIZE', 4],
      ['SET-DATASIZE', 9],
      ['SET-PARITY', 6],
      ['SET-STOPSIZE', 4],
    ] as const) {
      expect(withCommand(DEFAULT_SETTINGS, { name, value })).toBe(undefined);
    }
  });

  test('modem state, by its bits', () => {
    expect(modemLinesOf(16)).toEqual({ cts: true, dsr: false, dcd: false, ri: false });
    expect(modemLinesOf(32 + 8)).toEqual({ cts: false, dsr: true, dcd: false, ri: false });
    expect(modemLinesOf(64)).toEqual({ cts: false, dsr: false, dcd: false, ri: true });
    expect(modemLinesOf(128)).toEqual({ cts: false, dsr: false, dcd: true, ri: false });
    const up = { cts: true, dsr: true, dcd: true, ri: true };
    const low = { cts: false, dsr: false, dcd: false, ri: false };
    expect(modemStateOf(up)).toBe(240);
    expect(modemStateOf(up, low)).toBe(240 + 8 + 2 + 1);
    expect(modemStateOf(low, up)).toBe(8 + 4 + 2 + 1);
  });

  test('line state, by its bits', () => {
    const errors = { parity: false, framing: false, overrun: false, bufferOverrun: false };
    expect(lineReports(1 + 32 + 64 + 128)).toEqual([]);
    expect(lineReports(2)).toEqual([{ type: 'errors', errors: { ...errors, overrun: true } }]);
    expect(lineReports(4)).toEqual([{ type: 'errors', errors: { ...errors, parity: true } }]);
    expect(lineReports(8 + 16)).toEqual([{ type: 'errors', errors: { ...errors, framing: true } }, { type: 'break' }]);
    expect(lineStateOf({ ...errors, parity: true, framing: true, bufferOverrun: true })).toBe(14);
  });
});
