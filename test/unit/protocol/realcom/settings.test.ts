import { describe, expect, test } from 'vitest';
import { encodeCommand } from '../../../../src/protocol/realcom/encoder.js';
import {
  characterFormatOf,
  modeOf,
  portInitOf,
  settingsCommands,
  settingsOf,
} from '../../../../src/protocol/realcom/settings.js';
import { applyFormat, formatSettings, parseFormat } from '../../../../src/serial/format.js';
import { DEFAULT_SETTINGS, type LineSettings } from '../../../../src/serial/line.js';
import { toHex } from './support.js';

const up = { dtr: true, rts: true };
const of = (format: string): LineSettings => applyFormat(parseFormat(format) ?? {});

// realcom.md 2.3
test.each([
  ['8N1', 0x03],
  ['8N2', 0x07],
  ['8E1', 0x0b],
  ['8O1', 0x13],
  ['7E1', 0x0a],
  ['7O1', 0x12],
  ['7E2', 0x0e],
  ['8M1', 0x1b],
  ['8S1', 0x23],
  ['5N1', 0x00],
  ['5N1.5', 0x04],
])('mode byte of %s', (format, mode) => {
  expect(modeOf(of(format))).toBe(mode);
  const character = characterFormatOf(mode);
  expect(character && formatSettings({ baudRate: 9600, ...character })).toBe(`9600,${format}`);
});

describe('settings as the vendor sends them', () => {
  const soft = { ...DEFAULT_SETTINGS.flowControl, xonXoffOut: true, xonXoffIn: true };
  test.each<[string, LineSettings, typeof up, string[]]>([
    ['9600,8N1', of('9600,8N1'), up, ['2c 08 06 03 01 01 00 00 00 00']],
    ['rate by SETBAUD', of('250000,8N1'), up, ['2c 08 ff 03 01 01 00 00 00 00', '17 04 90 d0 03 00']],
    ['XON/XOFF', { ...of('9600,8N1'), flowControl: soft }, up, ['2c 08 06 03 01 01 00 00 01 01', '18 02 11 13']],
    [
      'XOFF only sent, odd characters and rate',
      { ...of('1800,7O1'), flowControl: { ...soft, xonXoffOut: false, xon: 2, xoff: 3 } },
      up,
      ['2c 08 ff 12 01 01 00 00 00 01', '17 04 08 07 00 00', '18 02 02 03'],
    ],
    [
      'RTS/CTS sets both halves',
      { ...of('115200,7E2'), flowControl: { ...DEFAULT_SETTINGS.flowControl, rtsCts: true } },
      up,
      ['2c 08 0a 0e 01 01 01 01 00 00'],
    ],
    ['B0 has no SETBAUD', { ...of('8N1'), baudRate: 0 }, { dtr: false, rts: false }, ['2c 08 ff 03 00 00 00 00 00 00']],
  ])('%s', (_name, settings, lines, expected) => {
    expect(settingsCommands(settings, lines).map((command) => toHex(encodeCommand(command)))).toEqual(expected);
  });
});

describe('PORT_INIT as a device reads it', () => {
  const init = portInitOf(of('19200,7E1'), up);
  test('comes back', () => expect(settingsOf(init, DEFAULT_SETTINGS)).toEqual(of('19200,7E1')));
  test('FF keeps the rate', () =>
    expect(settingsOf({ ...init, baudIndex: 0xff }, of('4800,8N1'))?.baudRate).toBe(4800));
  test('an index that does not exist', () =>
    expect(settingsOf({ ...init, baudIndex: 0x13 }, DEFAULT_SETTINGS)).toBe(undefined));
  test('a parity that does not exist', () =>
    expect(settingsOf({ ...init, mode: 0x2b }, DEFAULT_SETTINGS)).toBe(undefined));
  test('either half is RTS/CTS', () => {
    expect(settingsOf({ ...init, hwB: true }, DEFAULT_SETTINGS)?.flowControl.rtsCts).toBe(true);
    expect(settingsOf({ ...init, hwA: true }, DEFAULT_SETTINGS)?.flowControl.rtsCts).toBe(true);
  });
});
