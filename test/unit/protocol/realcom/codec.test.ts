import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CommandDecoder, looksLikeCommands } from '../../../../src/protocol/realcom/command-decoder.js';
import { describeCommand, describeFrame } from '../../../../src/protocol/realcom/describe.js';
import { encodeCommand, encodeFrame } from '../../../../src/protocol/realcom/encoder.js';
import { FrameDecoder } from '../../../../src/protocol/realcom/frame-decoder.js';
import { anyCommand, anyFrame, capture, concat, cut, hex, toHex } from './support.js';

/** Decoded as text, which is also how `trace` shows it. */
function commandsOf(chunks: readonly Uint8Array[]): string[] {
  const decoder = new CommandDecoder();
  return chunks.flatMap((chunk) => decoder.decode(chunk)).map(({ command }) => describeCommand(command));
}

function framesOf(chunks: readonly Uint8Array[]): string[] {
  const decoder = new FrameDecoder();
  return chunks.flatMap((chunk) => decoder.decode(chunk)).map(({ frame }) => describeFrame(frame));
}

function expectDecodes(
  decode: (chunks: readonly Uint8Array[]) => string[],
  wire: Uint8Array,
  expected: string[],
): void {
  expect(decode([wire])).toEqual(expected);
  for (let at = 1; at < wire.length; at++) expect(decode([wire.subarray(0, at), wire.subarray(at)])).toEqual(expected);
  expect(decode(cut(wire, [1]))).toEqual(expected);
}

// [bytes on the wire, what they say]. realcom.md 2 and 4.11; "Windows": captures of the vendor's Windows driver.
const COMMANDS: [string, string[]][] = [
  ['2c 08 06 03 01 01 00 00 00 00', ['PORT_INIT 9600,8N1 dtr=1 rts=1']],
  ['2c 08 0a 0e 01 01 01 01 00 00', ['PORT_INIT 115200,7E2 dtr=1 rts=1 rtscts']],
  ['2c 08 07 26 01 00 00 00 01 01', ['PORT_INIT 19200,7S2 dtr=1 rts=0 ixon ixoff']],
  ['2c 08 12 04 00 00 01 00 00 00', ['PORT_INIT 50,5N1.5 dtr=0 rts=0 rtscts(first)']],
  ['2c 08 ff 1b 01 01 00 00 00 00', ['PORT_INIT rate by SETBAUD,8M1 dtr=1 rts=1']],
  ['2c 08 13 03 00 00 00 00 00 00', ['PORT_INIT baud index 13 mode 03 dtr=0 rts=0']],
  ['2c 08 06 3b 00 00 00 00 00 00', ['PORT_INIT baud index 06 mode 3b dtr=0 rts=0']],
  [
    '2c 13 10 03 01 01 00 00 00 00 4c 45 4e 4f 56 4f 2d 54 45 53 54', // Windows
    ['PORT_INIT 110,8N1 dtr=1 rts=1 host="LENOVO-TEST"'],
  ],
  ['39 00', ['OPEN']], // Windows
  ['10 02 00 03', ['IOCTL 300,8N1']],
  ['11 04 00 00 00 00', ['FLOWCTRL none']],
  ['11 04 01 01 01 00', ['FLOWCTRL rtscts ixon']],
  ['12 02 00 01', ['LINECTRL dtr=0 rts=1']],
  ['12 02 ff 80', ['LINECTRL dtr=1 rts=1']],
  ['13 00', ['LSTATUS']],
  ['14 01 00 14 01 01 14 01 02', ['FLUSH rx', 'FLUSH tx', 'FLUSH both']],
  ['15 00 16 00', ['IQUEUE', 'OQUEUE']],
  ['17 04 40 38 00 00', ['SETBAUD 14400']], // Windows
  ['17 04 ff ff ff ff', ['SETBAUD 4294967295']],
  ['18 02 11 13', ['XONXOFF xon=11 xoff=13']],
  ['21 00 22 00', ['START_BREAK', 'STOP_BREAK']],
  ['28 01 24', ['ALIVE 24']],
  ['2f 04 e8 03 00 00', ['WAIT_OQUEUE 1000 ms']],
  ['2f 04 ff ff ff 7f', ['WAIT_OQUEUE 2147483647 ms']],
  ['30 01 10', ['TX_FIFO 16']],
  ['33 00 34 00', ['SETXON', 'SETXOFF']],
  ['24 01 3f 25 00', ['START_NOTIFY 3f', 'STOP_NOTIFY']],
  ['1f 02 aa bb', ['command 1f aa bb']],
  // Tolerances of 11.1 and 4.9.
  [
    '2c 08 06 03 01 01 00 00 00 00 30 01 10 12 02 01 01',
    ['PORT_INIT 9600,8N1 dtr=1 rts=1', 'TX_FIFO 16', 'LINECTRL dtr=1 rts=1'],
  ],
  ['00 00 30 01 10 00 12 02 01 01 00', ['TX_FIFO 16', 'LINECTRL dtr=1 rts=1']],
  ['30 10 10 28 01 24', ['TX_FIFO 16', 'ALIVE 24']],
  ['2c 02 06 03 13 00', ['PORT_INIT 06 03', 'LSTATUS']],
  ['12 04 01 01 09 09 13 00', ['LINECTRL dtr=1 rts=1', 'LSTATUS']],
];

const FRAMES: [string, string[]][] = [
  ['2c 03 01 01 00', ['PORT_INIT dsr=1 cts=1 dcd=0']],
  ['2c 03 ff ff ff', ['PORT_INIT refused']],
  ['2c 03 ff ff 01', ['PORT_INIT dsr=1 cts=1 dcd=1']],
  ['2c 08 06 03 01', ['PORT_INIT malformed']],
  ['13 03 00 01 01', ['LSTATUS dsr=0 cts=1 dcd=1']],
  ['13 03 ff ff ff', ['LSTATUS dsr=1 cts=1 dcd=1']],
  ['2f 02 2c 01', ['WAIT_OQUEUE 300 bytes left']],
  ['16 02 ff ff 15 02 00 00', ['OQUEUE 65535 bytes left', 'IQUEUE 0 bytes left']],
  ['26 20 30 00', ['NOTIFY dsr=1 cts=1 dcd=0 ri=0']],
  ['26 31 c0 00', ['NOTIFY parity break dsr=0 cts=0 dcd=1 ri=1']],
  ['26 00 00 81', ['NOTIFY nothing']],
  [
    '26 20 10 00 26 20 20 00 27 01 77',
    ['NOTIFY dsr=0 cts=1 dcd=0 ri=0', 'NOTIFY dsr=1 cts=0 dcd=0 ri=0', 'POLLING 77'],
  ],
  ['17 4f 4b 18 45 52', ['SETBAUD OK', 'XONXOFF not OK: 45 52']],
  ['10 4f 4b 11 4f 4b 12 4f 4b 14 4f 4b', ['IOCTL OK', 'FLOWCTRL OK', 'LINECTRL OK', 'FLUSH OK']],
  [
    '21 4f 4b 22 4f 4b 30 4f 4b 33 4f 4b 34 4f 4b',
    ['START_BREAK OK', 'STOP_BREAK OK', 'TX_FIFO OK', 'SETXON OK', 'SETXOFF OK'],
  ],
  ['24 4f 4b 25 4f 4b 2b 4f 4b', ['START_NOTIFY OK', 'STOP_NOTIFY OK', 'HOST OK']],
  ['39 4f 4b 30 4f 4b', ['OPEN OK', 'TX_FIFO OK']],
  ['39 4f 4f 30 4f 4b', ['unknown byte 39']],
  ['39 01 30 4f 4b', ['unknown byte 39']],
  ['30 4f 4b 48 54 54 50', ['TX_FIFO OK', 'unknown byte 48']],
];

describe('command decoder', () => {
  test.each(COMMANDS)('%s', (wire, expected) => expectDecodes(commandsOf, hex(wire), expected));

  test('a payload that does not come: one payload byte is believed, the rest is read again', () => {
    const decoder = new CommandDecoder();
    expect(decoder.decode(hex('14 10 02 28 01 24'))).toEqual([]);
    expect(decoder.pending).toBe(true);
    expect(decoder.expire().map(({ command }) => describeCommand(command))).toEqual(['FLUSH both', 'ALIVE 24']);
    expect(decoder.pending).toBe(false);
    expect(decoder.expire()).toEqual([]);
  });

  test('first bytes of the vendor and of others over IPv6 are told apart', () => {
    expect(looksLikeCommands(hex('2c 08 06 03 01 01 00 00 00 00 30'))).toBe(true);
    expect(looksLikeCommands(hex('39 00'))).toBe(true);
    expect(looksLikeCommands(hex('2c'))).toBe(true);
    expect(looksLikeCommands(hex('2c 13 10 03'))).toBe(true);
    expect(looksLikeCommands(hex('2c 07 10 03'))).toBe(false);
    expect(looksLikeCommands(new Uint8Array(16))).toBe(false);
    expect(looksLikeCommands(hex('7f 45 4c 46'))).toBe(false);
  });
});

describe('frame decoder', () => {
  test.each(FRAMES)('%s', (wire, expected) => expectDecodes(framesOf, hex(wire), expected));
});

describe('capture of the Linux driver', () => {
  const sections = [...capture()];
  test('is there', () => expect(sections.length).toBeGreaterThan(12));

  test.each(sections)('%s', (_name, segments) => {
    const sent = segments.filter(({ direction }) => direction === 'sent').map(({ bytes }) => bytes);
    const received = segments.filter(({ direction }) => direction === 'received').map(({ bytes }) => bytes);
    for (const [decode, parts] of [
      [commandsOf, sent],
      [framesOf, received],
    ] as const) {
      const whole = concat(parts);
      const expected = parts.length === 0 ? [] : decode([whole]);
      expect(expected.filter((text) => /unknown|malformed|not OK|^command/.test(text))).toEqual([]);
      expectDecodes(decode, whole, expected);
      expect(decode(parts)).toEqual(expected);
    }
    // The driver's commands and the device's frames are canonical: encoding gives the very bytes back.
    const commands = new CommandDecoder().decode(concat(sent)).map(({ command }) => encodeCommand(command));
    expect(toHex(concat(commands))).toBe(toHex(concat(sent)));
    const frames = new FrameDecoder().decode(concat(received)).map(({ frame }) => encodeFrame(frame));
    expect(toHex(concat(frames))).toBe(toHex(concat(received)));
  });
});

describe('properties', () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });

  test('every command comes back as it was, however cut', () => {
    fc.assert(
      fc.property(fc.array(anyCommand, { maxLength: 8 }), sizes, (commands, sizes) => {
        const decoder = new CommandDecoder();
        const wire = concat(commands.map(encodeCommand));
        const decoded = cut(wire, sizes).flatMap((chunk) => decoder.decode(chunk));
        expect(decoded.map(({ command }) => command)).toEqual(commands);
        expect(concat(decoded.map(({ bytes }) => bytes))).toEqual(wire);
        expect(decoder.pending).toBe(false);
      }),
    );
  });

  test('every frame comes back as it was, however cut', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 12 }), sizes, (frames, sizes) => {
        const decoder = new FrameDecoder();
        const wire = concat(frames.map(encodeFrame));
        const decoded = cut(wire, sizes).flatMap((chunk) => decoder.decode(chunk));
        expect(decoded.map(({ frame }) => frame)).toEqual(frames);
        expect(concat(decoded.map(({ bytes }) => bytes))).toEqual(wire);
      }),
    );
  });

  test('any bytes: nothing throws, cuts change nothing', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), sizes, (wire, sizes) => {
        const chunks = cut(wire, sizes);
        expect(commandsOf(chunks)).toEqual(commandsOf([wire]));
        expect(framesOf(chunks)).toEqual(framesOf([wire]));
      }),
    );
  });

  test('expire always ends, whatever is pending', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (wire) => {
        const decoder = new CommandDecoder();
        decoder.decode(wire);
        let rounds = 0;
        while (decoder.pending) {
          decoder.expire();
          expect(++rounds).toBeLessThan(257);
        }
      }),
    );
  });
});
